"""One call of `map`, `run` or `stream`: items here first and then, if it pays, a crew."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from fanwise._api._endings import DONE, Ending, carry
from fanwise._api._head_start import HeadStart
from fanwise._api._here import HereStage
from fanwise._api._hiring import asked, begins_here, crew_size, may_fan_out, places_for, uses_threads
from fanwise._api._options import Options, check_seed
from fanwise._api._planning import Advice
from fanwise._api._scene import Scene
from fanwise._api._source import Source, source_of
from fanwise._api._story import Story
from fanwise._api.run import Run, expand, values_of
from fanwise._clock import SystemClock
from fanwise._seeds import bind
from fanwise.engine._plan import FanOut
from fanwise.engine._sentences import decide
from fanwise.errors import FanwiseWarning, NotPicklableError, RunInterrupted, RunTimeoutError
from fanwise.records.outcomes import Batch, Settled, count_of, first_of

if TYPE_CHECKING:
    from fanwise._api._cached import Reuse
    from fanwise._api._crewed import CrewStage, Terms
    from fanwise.engine._journal import Journal
    from fanwise.report import RunReport

__all__ = ["Call"]


class Call:
    """Runs one call to its end.

    Parameters
    ----------
    fn, items
        As given to the verb, and checked.
    options : Options
        Checked options.
    ordered : bool
        Results are wanted in item order.
    lookahead : int or None
        Most items drawn and not yet yielded.
    streaming : bool
        A consumer takes results while the call goes on, so that they are not kept.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        items: Iterable[Any],
        options: Options,
        *,
        ordered: bool = True,
        lookahead: int | None = None,
        streaming: bool = False,
    ) -> None:
        if options.seed is not None:
            check_seed(fn)
        clock = SystemClock()
        source: Source = source_of(items)
        self._journal: Journal | None = None
        if options.resume is not None:
            from fanwise._api._resuming import JournaledSource, open_journal

            self._journal = open_journal(options.resume, fn, options.seed, clock)
            source = JournaledSource(source, self._journal)
        self._fn = fn
        self._reuse = _reuse_of(fn, options)
        if self._reuse is not None:
            source = self._reuse.over(source, threads=uses_threads(options))
        self._scene = Scene(
            options=options,
            source=source,
            clock=clock,
            story=Story(fn, source.total, options, clock, dropped=streaming),
            deadline=None if options.deadline is None else clock.now() + options.deadline,
            ordered=ordered,
            lookahead=lookahead,
            streaming=streaming,
        )
        if self._reuse is not None:
            self._scene.story.cache = self._reuse.facts
        self._settled: list[Settled] = []
        self._ending: Ending | None = None
        self._here: HereStage | None = None
        self._crewed: CrewStage | None = None
        self._failed = False
        self._stayed = False  # here, although workers would have been of use

    def __repr__(self) -> str:
        return f"<Call of {self._fn!r}, {self._ending or 'running'}>"

    @property
    def report(self) -> RunReport | None:
        """How the call went; None until it has ended."""
        return self._scene.story.report

    def complete(self) -> None:
        """Run everything, and raise what the loop would have raised."""
        for _ in self._stages():
            pass
        if self._scene.story.watched:
            self._report()
        self._conclude()

    def flow(self) -> Generator[Any, None, None]:
        """Yield values (or outcomes) as they become final, and raise at the end what the loop would have raised.

        What is yielded first is nothing: from then on it can be closed, and lets go of what it holds.
        """
        try:
            yield
            for _ in self._stages():
                yield from self._fresh()
            yield from self._fresh()
        finally:
            self._ending = self._ending or Ending("closed")
            self._let_go()
            self._report()
        self._conclude()

    def values(self) -> list[Any]:
        """Results in item order."""
        here = self._here
        if here is not None and self._crewed is None and here.loop.only_values:
            return here.loop.values
        settled, drawn = self._finished()
        return values_of(sorted(settled, key=first_of), drawn)

    def as_run(self) -> Run:
        """Everything that is finished, and the report."""
        return Run(*self._finished(), self._report())

    def _finished(self) -> tuple[list[Settled], int]:
        """What became of items, and how many there are as far as is known."""
        for stage in (self._here, self._crewed):
            if stage is not None:
                self._settled += stage.take()
        total = self._scene.source.total
        seen = max((first_of(piece) + count_of(piece) for piece in self._settled), default=0)
        return self._settled, seen if total is None else total

    def _report(self) -> RunReport:
        alone = self._here is not None and self._crewed is None and not self._stayed
        closing = self._here.closing if self._here is not None and alone else None
        return self._scene.story.end(self._ending or DONE, closing)

    def _stages(self) -> Iterator[None]:
        try:
            yield from self._run_stages()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _run_stages(self) -> Iterator[None]:
        """Items here, and then what is left of them in workers; or all of them in workers."""
        advice: Advice | None = None
        if begins_here(self._scene.options):
            advice = self._advice()
            here = self._here = self._here_stage(advice)
            yield from here.steps()
            if here.crewed is not None:
                yield from self._go_on(here, here.crewed)
                return
            self._ending = here.ending
            if here.fan_out is None:
                return
        crewed = self._crew_stage(advice)  # loads what workers need
        try:
            crewed.hire()
        except NotPicklableError as error:
            if self._here is None:
                raise
            yield from self._stay(self._here, error)
            return
        self._crewed = crewed
        self._tell_of(crewed)
        yield from crewed.steps()
        self._ending = crewed.ending

    def _stay(self, here: HereStage, error: NotPicklableError) -> Iterator[None]:
        """Workers would have been of use, but the function cannot be sent to any."""
        warnings.warn(f"{error}; until then all items run in this process", FanwiseWarning, stacklevel=6)
        what = str(error).partition(" and cannot be sent")[0]
        self._scene.story.decide(decide("fallback.unpicklable", what=what), here.loop.at)
        self._stayed = True
        yield from here.stay()
        self._ending = here.ending

    def _tell_of(self, crewed: CrewStage) -> None:
        """Why there are workers, and which; from here on, what the loop has not run is theirs."""
        story, terms, here = self._scene.story, crewed.terms, self._here
        if here is None or here.fan_out is None:
            story.decide(asked(self._scene.options, self._scene.source.total, terms.workers))
        else:
            self._scene.source.reclaim(terms.first)
            story.decide_all(here.fan_out.decisions, terms.first)
        story.hired(crewed.backend, self._at_work(terms))

    def _go_on(self, here: HereStage, crewed: CrewStage) -> Iterator[None]:
        """Workers have begun while the first item was running: they go on with everything."""
        self._crewed = crewed
        self._scene.story.hired(crewed.backend, self._at_work(crewed.terms))
        yield from here.hand_over(crewed)
        self._ending = crewed.ending

    def _head_start(self, advice: Advice | None) -> HeadStart | None:
        """Workers for the case that the first item of an unknown function takes long; there must be no more to it."""
        scene, options = self._scene, self._scene.options
        special = self._reuse is not None or self._journal is not None or scene.streaming or options.retry is not None
        if advice is None or advice.pace.knows or special or not scene.source.at_hand:
            return None
        return HeadStart(advice.first_look_s(), advice.ahead, partial(self._hire_ahead, advice))

    def _hire_ahead(self, advice: Advice, plan: FanOut) -> CrewStage:
        CrewStage, Terms = _with_crew()  # noqa: N806 - classes
        terms = Terms(
            plan.workers,
            here_allowed=True,
            caller_s=plan.caller_s,
            start_s=plan.start_s,
            end_s=plan.end_s,
            at_first=True,
            learn_cost=advice.learn_from_workers,
        )
        return CrewStage(self._scene, self._fn, places_for(self._scene.options), terms)

    def _advice(self) -> Advice | None:
        """The plan, where there is something to plan."""
        scene = self._scene
        if not may_fan_out(scene.options, scene.source.total):
            return None
        return Advice(self._fn if self._reuse is None else self._reuse.fn, scene.source, scene.options)

    def _here_stage(self, advice: Advice | None) -> HereStage:
        fn, reuse, journal = self._fn, self._reuse, self._journal
        call = bind(fn, self._scene.options.seed) if reuse is None else reuse.here(journaled=journal is not None)
        if journal is None:
            return HereStage(self._scene, call, advice, reuse, head_start=self._head_start(advice))
        from fanwise._api._resuming import JournaledFn

        journaled = JournaledFn(call, journal)
        return HereStage(self._scene, journaled, advice, reuse, journaled)

    def _crew_stage(self, advice: Advice | None) -> CrewStage:
        CrewStage, Terms = _with_crew()  # noqa: N806 - classes
        scene, options, here = self._scene, self._scene.options, self._here
        places = places_for(options)
        if here is None or here.fan_out is None:
            terms = Terms(crew_size(options, places.backend))
        else:
            assert advice is not None  # who else could have said so
            plan, first = here.fan_out, here.loop.at
            cost = plan.cost_s if self._reuse is None else self._reuse.fn.memo.compute_s
            terms = Terms(
                plan.workers,
                first,
                cost,
                here_allowed=True,
                caller_s=plan.caller_s,
                start_s=advice.wait_s(plan),
                end_s=plan.end_s,
                learn_start=None if advice.finds_warm(plan.workers) else advice.learn_start,
                learn_cost=advice.learn_from_workers,
            )
        return CrewStage(scene, self._fn, places, terms, self._reuse)

    def _at_work(self, terms: Terms) -> int:
        """How many workers what is left can keep busy."""
        executor, total = self._scene.options.executor, self._scene.source.total
        most = [terms.workers] if executor is None else [terms.workers, executor.workers]
        if total is not None:
            most.append(max(1, total - terms.first))
        return min(most)

    def _fresh(self) -> Iterator[Any]:
        """What became final since the last call, one by one."""
        for stage in (self._here, self._crewed):
            if stage is not None:
                pieces = stage.take()
                yield from self._heard(pieces) if self._scene.options.raises else expand(pieces)
                stage.taken(pieces)

    def _heard(self, pieces: list[Settled]) -> Iterator[Any]:
        """Values; behind a failure the loop would have ended, so that nothing more is yielded in order."""
        for piece in pieces:
            if isinstance(piece, Batch):
                if not (self._failed and self._scene.ordered):
                    yield from piece.values
            else:
                self._failed = True

    def _conclude(self) -> None:
        """Raise what ended the call, with everything that is finished."""
        ending = self._ending or DONE
        error = ending.error
        if error is None:
            return
        run = self.as_run()
        carry(error, "__fanwise_run__", run)
        if isinstance(error, RunInterrupted | RunTimeoutError):
            error.run = run
        raise error


@cache
def _with_crew() -> tuple[type[CrewStage], type[Terms]]:
    """What drives workers, loaded once it is needed: an import statement takes 30 µs each time, where caches are cold."""
    from fanwise._api._crewed import CrewStage, Terms

    return CrewStage, Terms


def _reuse_of(fn: Callable[..., Any], options: Options) -> Reuse | None:
    """What a call does with a cache; nothing of caches is loaded before there is one."""
    if options.cache is None and "fanwise.cache" not in sys.modules:
        return None
    from fanwise._api._cached import reuse_of

    return reuse_of(fn, options.cache, options.seed)
