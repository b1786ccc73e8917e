"""The second stage of a call: a crew of workers, driven until every item is settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fanwise._api import _endings
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
from fanwise.engine._resources import HostResources
from fanwise.engine._scheduler import Scheduler
from fanwise.records import scheduling as s
from fanwise.records.outcomes import Failed, Lost, Settled, count_of
from fanwise.typing import Backend, Crew, Work

if TYPE_CHECKING:
    from fanwise._api._cached import Reuse

__all__ = ["CrewStage", "Terms"]

_LOOKAHEAD = 64
_REMOTE_CHUNK_S, _LONGEST_S = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a crew is hired on: how many workers, from which item on, and whether items may also run here.

    ``start_s`` is how long they are expected to take until they are there, ``learn_start(workers, seconds)`` is told how
    long it took.
    """

    workers: int
    first: int = 0
    item_cost: float | None = None
    here_allowed: bool = False
    start_s: float = 0.0
    learn_start: Callable[[int, float], None] | None = None


class CrewStage:
    """Drives one crew. Afterwards ``ending`` is set."""

    def __init__(
        self, scene: Scene, fn: Callable[..., Any], places: Places, terms: Terms, reuse: Reuse | None = None
    ) -> None:
        self.ending: Ending | None = None
        self._scene = scene
        self._places = places
        self._terms = terms
        self._fresh: list[Settled] = []
        self._blamed: tuple[Failed | Lost, str] | None = None
        self._driver: Driver | None = None
        self._low = Reorder(terms.first)
        options = scene.options
        self._reuse = reuse
        self._work = Work(
            fn if reuse is None else reuse.fn,
            scene.source.take,
            inheritable=scene.source.inheritable,
            seed=options.seed if reuse is None else None,
            single=options.timeout is not None or options.chunk_size == 1,
            isolate=options.executor is not None and options.executor.isolate,
            stops=options.raises and options.retry is None,
        )

    def steps(self) -> Iterator[None]:
        """Turn until the run is finished; the caller may take results between turns."""
        scene = self._scene
        crew = self._places.backend.hire(self._work, self._terms.workers, scene.clock)
        # until workers are gone: a second signal may come while they end
        with SignalInterrupts(scene.policy, crew.wake) as interrupts:
            try:
                driver = self._driver = Driver(Scheduler(self._config()), self._hands(crew, interrupts))
                driver.feed(s.Tick(scene.clock.now()))
                while driver.finish is None:
                    driver.turn()
                    self._receive(driver)
                    yield
                self._receive(driver)  # all may have been done here, before the first turn
                self.ending = self._how_it_ended(driver.finish, interrupts)
            except KeyboardInterrupt:  # a handler of the host program raised it
                self.ending = _endings.interrupted(2)
            finally:
                crew.close(kill=self.ending is not DONE)
                self._last_words(crew)
                if self._places.owned:
                    self._places.backend.close()
            if interrupts.count and self.ending is DONE:  # just behind the last item: the caller wanted to stop
                self.ending = _endings.interrupted(interrupts.signal)

    def _last_words(self, crew: Crew) -> None:
        """What workers had still written past Python when they were stopped."""
        for event in crew.wait(0):
            if self._driver is not None and isinstance(event, s.Printed):
                self._driver.print_raw(event)

    def _config(self) -> SchedulerConfig:
        scene, options, terms = self._scene, self._scene.options, self._terms
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
            warming_s=terms.start_s / 2,
            lent=not self._places.owned,
        )

    def _lookahead(self) -> int:
        """How far a stream reads ahead of its consumer: four chunks a worker, 64 items at least."""
        if self._scene.lookahead is not None:
            return self._scene.lookahead
        chunk = self._scene.options.chunk_size or int(ChunkAim().work_s / (self._terms.item_cost or ChunkAim().work_s))
        return max(_LOOKAHEAD, 4 * self._terms.workers * chunk)

    def _listener(self) -> Listener:
        scene, learn = self._scene, self._terms.learn_start
        listener: Listener = scene.story if self._reuse is None else self._reuse.counting(scene.story)
        return listener if learn is None else StartWatch(listener, learn)

    def _hands(self, crew: Crew, interrupts: SignalInterrupts) -> Hands:
        scene = self._scene
        return Hands(
            crew,
            scene.source,
            scene.clock,
            self._listener(),
            interrupts,
            HostResources(),
            here=SerialBackend().hire(self._work, 1, scene.clock) if self._terms.here_allowed else None,
            policy=scene.policy,
            deadline=scene.deadline,
            quiet_after_failure=scene.options.raises,
        )

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
