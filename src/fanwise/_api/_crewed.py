"""The second stage of a call: a crew of workers, driven until every item is settled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from fanwise._api import _endings
from fanwise._api._behind import Behind
from fanwise._api._bundle_uses import bundles_in, facts_of, sentence_of, together
from fanwise._api._endings import DONE, Ending
from fanwise._api._hiring import Places
from fanwise._api._scene import Scene
from fanwise._api._source import Overlay
from fanwise._api._starting import StartWatch
from fanwise.backends.serial import SerialBackend
from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._driver import Driver, Hands, Listener
from fanwise.engine._interrupts import SignalInterrupts
from fanwise.engine._ordering import Reorder
from fanwise.engine._replay import Replay
from fanwise.engine._resources import HostResources
from fanwise.engine._scheduler import Scheduler
from fanwise.records import scheduling as s
from fanwise.records._record import record
from fanwise.records.chunks import HERE, Chunk, ChunkStats
from fanwise.records.outcomes import Failed, Lost, Settled, count_of
from fanwise.typing import Attachment, Backend, Crew, Work

if TYPE_CHECKING:
    from fanwise._api._cached import Reuse
    from fanwise.bundle import Bundle

__all__ = ["CrewStage", "Terms"]

_LOOKAHEAD = 64
_LOOKED_AT = 64  # items, for bundles in them
_REMOTE_CHUNK_S, _LONGEST_S = 0.1, 2.0


@record
class Terms:
    """What a crew is hired on: how many workers, from which item on, and whether items may also run here.

    ``start_s`` is how long they are expected to take until they are there, ``end_s`` how long one takes to end,
    ``learn_start(workers, seconds, settling)`` is told how long a start took, ``learn_cost(seconds)`` what an item took.
    For no more than ``caller_s`` seconds of work, the calling process does the part of one of them. ``at_first``: the
    calling thread is at the first item, and another one drives the crew until `take_over`.
    """

    workers: int
    first: int = 0
    item_cost: float | None = None
    here_allowed: bool = False
    caller_s: float = 0.0
    start_s: float = 0.0
    end_s: float = 0.0
    learn_start: Callable[[int, float, float], None] | None = None
    learn_cost: Callable[[float], None] | None = None
    at_first: bool = False


class CrewStage:
    """Drives one crew of the ``backend`` of that name, on ``terms``. Afterwards ``ending`` is set."""

    def __init__(
        self, scene: Scene, fn: Callable[..., Any], places: Places, terms: Terms, reuse: Reuse | None = None
    ) -> None:
        self.ending: Ending | None = None
        self.terms = terms
        self.backend = places.backend.name
        self._scene = scene
        self._places = places
        self._fresh: list[Settled] = []
        self._blamed: tuple[Failed | Lost, str] | None = None
        self._driver: Driver | None = None
        self._crew: Crew | None = None
        self._interrupts: SignalInterrupts | None = None
        self._is_awaited = False
        self._held: list[Bundle] = []
        self._low = Reorder(terms.first)
        options = scene.options
        self._fn = fn
        self._replay = Replay(label_items=options.label_items)
        self._reuse = reuse
        self._behind = Behind(self._listener()) if terms.at_first else None
        self._work = Work(
            fn if reuse is None else reuse.fn,
            scene.source.take,
            inheritable=scene.source.inheritable,
            seed=options.seed if reuse is None else None,
            single=options.timeout is not None or options.chunk_size == 1,
            isolate=options.executor is not None and options.executor.isolate,
            stops=options.raises and options.retry is None,
        )

    def hire(self) -> Crew:
        """The crew; no worker is started yet.

        Raises
        ------
        NotPicklableError
            If the function has to be sent and cannot be.
        """
        if self._crew is None:
            self._held = self._held_bundles()
            self._crew = self._places.backend.hire(self._work, self.terms.workers, self._scene.clock)
        return self._crew

    def steps(self) -> Generator[None, None, None]:
        """Turn until the run is finished; the caller may take results between turns."""
        scene = self._scene
        crew = self.hire()
        if self._is_awaited:
            crew.wake()
        if not self.terms.at_first:
            self._say_what_is_shared()
        # until workers are gone: a second signal may come while they end
        with SignalInterrupts(scene.policy, crew.wake) as interrupts:
            self._interrupts = interrupts
            try:
                mind = Scheduler(self._config())
                driver = self._driver = Driver(mind, self._hands(crew, interrupts))
                driver.feed(s.Tick(scene.clock.now()))
                while driver.finish is None:
                    driver.turn()
                    self._receive(driver)
                    yield
                self._receive(driver)  # all may have been done here, before the first turn
                self.ending = self._how_it_ended(driver.finish, interrupts)
                if self.terms.learn_cost is not None and mind.item_cost is not None:
                    self.terms.learn_cost(mind.item_cost)
            except KeyboardInterrupt:  # a handler of the host program raised it
                self.ending = _endings.interrupted(2)
            finally:
                crew.close(kill=self.ending is not DONE)
                self._last_words(crew)
                self._tell_what_was_carried(crew)
                if self._places.owned:
                    self._places.backend.close()
            if interrupts.count and self.ending is DONE:  # just behind the last item: the caller wanted to stop
                self.ending = _endings.interrupted(interrupts.signal)

    def _held_bundles(self) -> list[Bundle]:
        """Bundles that forked workers have without being sent them."""
        if self._places.backend.name != "process":
            return []
        source, first = self._scene.source, self.terms.first
        some = min(_LOOKED_AT, (source.total or first) - first) if source.inheritable else 0
        return bundles_in(self._fn, *(source.take(first, some) if some else ()))

    def _say_what_is_shared(self) -> None:
        """Why the bundles of the function do not travel with each item."""
        for bundle in bundles_in(self._fn) if self._held else ():
            self._scene.story.decide(sentence_of(bundle, self._scene.source.total))

    def _tell_what_was_carried(self, crew: Crew) -> None:
        """What can be said of bundles and warnings only now."""
        scene = self._scene
        carried: Callable[[], Sequence[tuple[Attachment, int, int]]] | None = getattr(crew, "carried", None)
        if carried is not None:
            uses = together(carried(), self._held, self.terms.workers)
            scene.story.know(bundles=facts_of(uses, scene.clock.now() - scene.story.began))
        scene.story.know(warnings=self._replay.warned())

    def _last_words(self, crew: Crew) -> None:
        """What workers had still written past Python when they were stopped."""
        for event in crew.wait(0):
            if self._driver is not None and isinstance(event, s.Printed):
                self._driver.print_raw(event)

    def _config(self) -> SchedulerConfig:
        scene, options, terms = self._scene, self._scene.options, self.terms
        known = scene.source.total if scene.source.at_hand else None
        return SchedulerConfig(
            workers=terms.workers,
            total=known,
            first=terms.first,
            ordered=scene.ordered,
            lookahead=self._lookahead() if scene.streaming else None,
            paced=scene.streaming,
            raise_on_error=options.raises,
            retry=options.retry,
            timeout=options.timeout,
            chunks=_chunk_aim(self._places.backend, options.chunk_size, together=not scene.streaming),
            item_cost=terms.item_cost,
            here_allowed=terms.here_allowed,
            caller_s=terms.caller_s,
            end_s=terms.end_s,
            at_first=terms.at_first,
            warming_s=terms.start_s / 2,
            lent=not self._places.owned,
        )

    def _lookahead(self) -> int:
        """How far a stream reads ahead of its consumer: four chunks a worker, 64 items at least."""
        if self._scene.lookahead is not None:
            return self._scene.lookahead
        chunk = self._scene.options.chunk_size or int(ChunkAim().work_s / (self.terms.item_cost or ChunkAim().work_s))
        return max(_LOOKAHEAD, 4 * self.terms.workers * chunk)

    def _listener(self) -> Listener:
        scene, learn = self._scene, self.terms.learn_start
        listener: Listener = scene.story if self._reuse is None else self._reuse.counting(scene.story)
        return listener if learn is None else StartWatch(listener, learn)

    def _hands(self, crew: Crew, interrupts: SignalInterrupts) -> Hands:
        scene = self._scene
        return Hands(
            crew,
            scene.source,
            scene.clock,
            self._behind or self._listener(),
            interrupts,
            HostResources(),
            here=SerialBackend(beside=True).hire(self._work, 1, scene.clock) if self.terms.here_allowed else None,
            replay=self._replay,
            policy=scene.policy,
            deadline=scene.deadline,
            quiet_after_failure=scene.options.raises,
        )

    def wake(self) -> None:
        """End the wait of the thread that drives the crew."""
        self._is_awaited = True
        if self._crew is not None:
            self._crew.wake()

    @property
    def is_manned(self) -> bool:
        """Whether a worker has come, and the run goes on."""
        return self._behind is not None and self._behind.manned and self.ending is None

    def take_over(self, first: Settled, busy_s: float) -> None:
        """The first item has ended, and this thread drives from now on."""
        driver, chunk, now = self._lead()
        stats = ChunkStats(busy_s, greatest=busy_s)
        driver.feed(s.Finished(now, HERE, chunk.id, (first,)))
        driver.feed(s.ChunkFinished(now, HERE, chunk.id, stats))

    def call_off(self, signal: int) -> None:
        """The first item was interrupted, and with it the run: workers may end what they are at."""
        driver, chunk, now = self._lead()
        driver.feed(s.ChunkReturned(now, HERE, chunk.id, chunk.first))
        assert self._interrupts is not None
        self._interrupts.note(signal)

    def _lead(self) -> tuple[Driver, Chunk, float]:
        """Drive in this thread from now on: what was heard in the other one is told."""
        assert self._driver is not None
        assert self._interrupts is not None
        assert self._behind is not None
        assert self._behind.here is not None
        self._interrupts.__enter__()
        self._say_what_is_shared()
        self._behind.catch_up()
        return self._driver, self._behind.here, self._scene.clock.now()

    def _receive(self, driver: Driver) -> None:
        """Take over what was emitted, and forget the items that are settled."""
        while driver.settled:
            piece = driver.settled.popleft()
            if isinstance(piece, Failed | Lost) and self._is_to_blame(piece):
                self._blamed = piece, _endings.shortened(self._scene.source.take(piece.index, 1)[0])
            self._fresh.append(piece)
            self._low.put(piece)
            if isinstance(self._scene.source, Overlay):
                self._scene.source.keep(piece)
        self._scene.source.release(self._low.next)

    def _is_to_blame(self, piece: Failed | Lost) -> bool:
        return self._scene.options.raises and (self._blamed is None or piece.index < self._blamed[0].index)

    def _how_it_ended(self, finish: s.Finish, interrupts: SignalInterrupts) -> Ending:
        if finish.how == "interrupted":
            return _endings.interrupted(interrupts.signal or 2)
        if finish.how == "deadline":
            return _endings.deadline_passed(self._scene.options.deadline or 0.0)
        if finish.how == "source":
            return Ending("source", finish.error)
        if finish.how == "broken":
            return _endings.broken(finish.error)
        if self._blamed is not None:
            return _endings.blame(*self._blamed, self._scene.source.total)
        return DONE

    def take(self) -> list[Settled]:
        """What became final since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def taken(self, pieces: list[Settled]) -> None:
        """The consumer has these: as many further items may be begun."""
        if pieces and self._driver is not None:
            self._driver.feed(s.Demand(self._scene.clock.now(), sum(map(count_of, pieces))))


def _chunk_aim(backend: Backend, size: int | None, *, together: bool) -> ChunkAim:
    """How long chunks are to be: on a cluster each costs the caller milliseconds, so they are longer there."""
    cost: float | None = getattr(backend, "chunk_cost_s", None)
    if cost is None:
        return ChunkAim(size, together=together)
    return ChunkAim(size, _REMOTE_CHUNK_S, _LONGEST_S, cost, together)
