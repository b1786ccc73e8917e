"""The first stage of a call: items run in the calling process, until the input ends or workers would pay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fanwise._api import _endings
from fanwise._api._again import SecondChances
from fanwise._api._endings import DONE, Ending
from fanwise._api._hiring import unplanned
from fanwise._api._local import LocalLoop
from fanwise._api._planning import Advice, CappedPace, EvenPace
from fanwise._api._scene import Scene
from fanwise.engine._interrupts import TerminateAsInterrupt, Terminated
from fanwise.engine._plan import FanOut, Stay
from fanwise.engine._sentences import Decision
from fanwise.records.outcomes import Settled

if TYPE_CHECKING:
    from fanwise._api._cached import Reuse
    from fanwise._api._crewed import CrewStage
    from fanwise._api._head_start import HeadStart
    from fanwise._api._resuming import JournaledFn

__all__ = ["HereStage"]

_LOOK_EVERY_S = 0.010
_TERMINATE_FROM_S = 0.050
_STREAM_BLOCK = 1024


class HereStage:
    """Runs the loop block by block. Afterwards either ``ending`` or ``fan_out`` is set."""

    def __init__(
        self,
        scene: Scene,
        fn: Callable[[Any], Any],
        advice: Advice | None,
        reuse: Reuse | None = None,
        journaled: JournaledFn | None = None,
        head_start: HeadStart | None = None,
    ) -> None:
        options = scene.options
        self.ending: Ending | None = None
        self.fan_out: FanOut | None = None
        chances = SecondChances(options.retry, scene.clock)
        in_turn = scene.streaming and scene.ordered
        self.loop = LocalLoop(fn, scene.source, chances, raises=options.raises, in_turn=in_turn)
        self._scene = scene
        self._advice = advice
        pace = EvenPace() if advice is None else advice.pace
        most = 1 if journaled is not None else (scene.lookahead or _STREAM_BLOCK) if scene.streaming else None
        self._pace = pace if most is None else CappedPace(pace, most)
        self._journaled = journaled
        self._reuse = reuse
        self._look_at = _LOOK_EVERY_S
        self._terminate = TerminateAsInterrupt()
        self._head_start = head_start
        self._signal = 0

    def steps(self) -> Iterator[None]:
        """Run block after block; the caller may take results between them."""
        try:
            if self._advice is None or not self._fans_out(self._advice.at_once()):
                while self._advance():
                    yield
        except KeyboardInterrupt as error:
            self._signal = 15 if isinstance(error, Terminated) else 2
            self.ending = _endings.interrupted(self._signal)
        finally:
            self._terminate.remove()
            if self.crewed is None:
                self._tell()
        if self._advice is not None:
            self._advice.learn()
        if self.ending is None and self.fan_out is None and self.crewed is None:
            self.ending = self._how_it_ended()
            if self._advice is not None:
                self._advice.invest()

    @property
    def crewed(self) -> CrewStage | None:
        """The stage that is at work since the first item, and goes on with everything."""
        return self._head_start.stage if self._head_start is not None else None

    def hand_over(self, crewed: CrewStage) -> Iterator[None]:
        """Give what became of the first item to the stage that is at work, and drive that."""
        assert self._head_start is not None
        assert self._head_start.verdict is not None
        self._scene.story.decide_all(self._head_start.verdict.decisions, 1)
        if self._signal:
            crewed.call_off(self._signal)
        else:
            first = self.loop.failure or self.loop.take()[0]
            crewed.take_over(first, self.loop.busy_s)
        return self._head_start.rest()

    def _advance(self) -> bool:
        loop, advice = self.loop, self._advice
        if self._head_start is None or loop.at:
            goes_on = loop.advance(self._pace)
        else:
            with self._head_start:
                goes_on = loop.advance(self._pace)
        if not goes_on or self.crewed is not None:
            return False
        if advice is not None and not loop.chances and self._fans_out(advice.ask(loop)):
            return False
        if loop.busy_s >= self._look_at:
            self._look()
        deadline = self._scene.deadline
        if deadline is not None and self._scene.clock.now() >= deadline:
            self.ending = _endings.deadline_passed(self._scene.options.deadline or 0.0)
            return False
        return True

    def _fans_out(self, verdict: FanOut | Stay) -> bool:
        if isinstance(verdict, FanOut):
            self.fan_out = verdict
        return self.fan_out is not None

    def stay(self) -> Iterator[None]:
        """Run here what was to go to workers."""
        self.fan_out, self._advice = None, None
        return self.steps()

    def _how_it_ended(self) -> Ending:
        loop = self.loop
        if loop.failure is not None:
            item = self._scene.source.item(loop.failure.index)
            return _endings.blame(loop.failure, _endings.shortened(item), self._scene.source.total)
        if loop.source_error is not None:
            return Ending("source", loop.source_error)
        return DONE

    def _look(self) -> None:
        """Every 10 ms of work: say what was done; from 50 ms on a SIGTERM keeps what is finished."""
        self._look_at = self.loop.busy_s + _LOOK_EVERY_S
        if self.loop.busy_s > _TERMINATE_FROM_S:
            self._terminate.install()
        self._tell()

    def _tell(self) -> None:
        resumed = self._journaled.resumed() if self._journaled else ()
        self._scene.story.stretch(self.loop, resumed, self._reuse.hits() if self._reuse else ())

    def take(self) -> list[Settled]:
        """What became final since the last call."""
        return self.loop.take()

    def closing(self) -> Decision:
        """Why everything ran here."""
        if self._advice is not None:
            return self._advice.closing()
        return unplanned(self._scene.options, self._scene.source.total)

    def taken(self, pieces: list[Settled]) -> None:
        """The consumer has these; the loop runs no further than it is asked to."""
