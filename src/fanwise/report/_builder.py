"""The fold of run events into a report, postponed as long as possible."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fanwise.records.run_events import RunEvent
from fanwise.report._facts import RunFacts
from fanwise.report._report import RunReport

if TYPE_CHECKING:
    from fanwise.report._fold import Fold

__all__ = ["ReportBuilder"]

# Folding a chunk takes about 2 µs, importing what folds 10 to 20 ms once; a kept event up to 500 bytes.
_KEPT = 20_000
_EVENT_S = 4e-6
_SETUP_S = 0.02
_SHARE = 0.01


class ReportBuilder:
    """Folds run events into a `RunReport`.

    Events are only kept (about 50 ns each) and folded when there are many of them, at the end if that costs less than
    one percent of the run, or else when the report is first read.

    Examples
    --------
    >>> from fanwise.records import run_events as told
    >>> from fanwise.report import ReportBuilder, RunFacts
    >>> builder = ReportBuilder()
    >>> builder.on(told.RunStarted(0.0, 2, "score"))
    >>> builder.on(told.ChunkDone(0.2, 0, 0, 2, ok=2, busy=0.2))
    >>> builder.on(told.RunEnded(0.2, "done"))
    >>> report = builder.finish(0.2, RunFacts(function="mymodule.score", started_at=1767323045.678))
    >>> report.items, report.ok, report.wall
    (2, 2, 0.2)
    """

    __slots__ = ("_fold", "_kept")

    def __init__(self) -> None:
        self._fold: Fold | None = None
        self._kept: list[RunEvent] = []

    def on(self, event: RunEvent) -> None:
        """Hear one run event. Events come in the order of their ``at``."""
        self._kept.append(event)
        if len(self._kept) >= _KEPT:
            self._fold = _folded(self._fold, self._kept)
            self._kept = []

    def finish(self, at: float, facts: RunFacts | None = None) -> RunReport:
        """The report of what was heard. The builder is used up.

        Parameters
        ----------
        at : float
            Seconds since the run began: its wall time.
        facts : RunFacts, optional
            What no event says.

        Returns
        -------
        RunReport
            Filled in when first read, or at once if that is cheap beside the run.
        """
        facts = facts or RunFacts()
        facts = replace(facts, id=facts.id or os.urandom(16).hex(), pid=facts.pid or os.getpid())
        make = partial(_report, self._fold, self._kept, at, facts)
        cost_s = _SETUP_S + _EVENT_S * len(self._kept)
        self._fold, self._kept = None, []
        return make() if cost_s < _SHARE * at else RunReport.when_read(make)


def _folded(fold: Fold | None, events: list[RunEvent]) -> Fold:
    from fanwise.report._fold import Fold

    fold = fold or Fold()
    fold.extend(events)
    return fold


def _report(fold: Fold | None, events: list[RunEvent], at: float, facts: RunFacts) -> RunReport:
    from fanwise.report._summary import summarise

    return summarise(_folded(fold, events), at, facts)
