"""What a story becomes once somebody listens: run events, and the report that they fold into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fanwise._api._story import Begun, Decided, Entry, Heard, Stretch
from fanwise._format import message_of
from fanwise.engine._telemetry import Telemetry
from fanwise.records import run_events as told
from fanwise.records.chunks import HERE
from fanwise.records.costs import of_blocks, without
from fanwise.records.run_events import RunEvent
from fanwise.records.scheduling import Command, Event, Finish
from fanwise.report import ReportBuilder, RunFacts, RunReport

__all__ = ["Teller"]


class Teller:
    """Makes events of what was kept, and folds them into the report of one call.

    Parameters
    ----------
    began : float
        When the call began, on the clock of the scheduler's events.
    """

    def __init__(self, began: float) -> None:
        self._has_ended = False
        self._telemetry = Telemetry(began)
        self._builder = ReportBuilder()

    def __repr__(self) -> str:
        return f"<Teller{', ended' if self._has_ended else ''}>"

    def heard(self, event: Event, commands: Sequence[Command]) -> list[RunEvent]:
        """One step of the scheduler, as events."""
        events = self._telemetry.hear(event, commands)
        self._has_ended = self._has_ended or any(isinstance(each, told.RunEnded) for each in events)
        return events

    def hears_end(self, early: Sequence[Entry]) -> bool:
        """Whether the scheduler has ended the call: said already, or among what was not told yet."""
        steps = (entry.commands for entry in reversed(early) if isinstance(entry, Heard))
        return self._has_ended or any(isinstance(command, Finish) for commands in steps for command in commands)

    def ended(self, at: float, how: str) -> RunEvent:
        """The end of a call that no scheduler ended."""
        self._has_ended = True
        return told.RunEnded(at, how)

    def tell(self, entry: Entry) -> Iterator[RunEvent]:
        """Put an entry into the report, event by event."""
        events = self.heard(entry.event, entry.commands) if isinstance(entry, Heard) else events_of(entry)
        for event in events:
            self._builder.on(event)
            yield event

    def report(self, at: float, facts: Mapping[str, Any]) -> RunReport:
        """The report of what was told; ``facts``: fields of `RunFacts`."""
        return self._builder.finish(at, RunFacts(**facts))


def events_of(entry: Begun | Decided | Stretch | RunEvent) -> Iterator[RunEvent]:
    """The events that an entry stands for."""
    if isinstance(entry, Stretch):
        yield from _of_stretch(entry)
    elif isinstance(entry, Decided):
        decision = entry.decision
        yield told.Planned(entry.at, decision.code, decision.text, decision.facts, entry.item)
    elif isinstance(entry, Begun):
        yield told.RunStarted(0.0, entry.total, entry.label)
    else:
        yield entry


def _of_stretch(stretch: Stretch) -> Iterator[RunEvent]:
    """One for the stretch, and one for each item that failed or is tried again."""
    at, blocks, failed = stretch.at, stretch.news.blocks, stretch.news.failed
    if stretch.cached:
        blocks, hits = without(stretch.cached, stretch.first, blocks)
        for first, count, wall in hits:
            yield told.ChunkDone(at, HERE, first, count, ok=count, cached=count, cache=wall)
    for index in stretch.resumed:
        yield told.ChunkDone(at, HERE, index, 1, ok=1, resumed=1)
    items = sum(count for count, _ in blocks) - len(stretch.resumed)
    busy = sum(wall for _, wall in blocks)
    if items or failed:
        costs, slow = of_blocks(stretch.first, blocks)
        count = items + len(failed)
        yield told.ChunkDone(at, HERE, stretch.first, count, items, busy=busy, cpu=busy, costs=costs, slowest=slow)
    for index, attempt in stretch.news.retried:
        yield told.ItemRetried(at, index, attempt)
    for failure in failed:
        kind = type(failure.error).__qualname__
        said = message_of(failure.error)
        yield told.ItemFailed(at, failure.index, kind, said, failure.traceback, attempts=failure.attempts)
