"""A progress object that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanwise.records.run_events import RunEvent
    from fanwise.report import RunReport

__all__ = ["RecordingProgress"]


@dataclass(slots=True)
class RecordingProgress:
    """A `fanwise.typing.Progress` that keeps every call, for tests of code that passes ``progress=``.

    Attributes
    ----------
    starts : list of (int or None, str)
        Total and label of each run, in order.
    events : list of RunEvent
        Every event of every run.
    reports : list of RunReport
        What each run ended with.

    Examples
    --------
    >>> import fanwise
    >>> from fanwise.testing import RecordingProgress
    >>> progress = RecordingProgress()
    >>> _ = fanwise.map(abs, [-1, -2], progress=progress)
    >>> progress.starts
    [(2, 'abs')]
    """

    starts: list[tuple[int | None, str]] = field(default_factory=list)
    events: list[RunEvent] = field(default_factory=list)
    reports: list[RunReport] = field(default_factory=list)

    def start(self, total: int | None, label: str) -> None:
        """A run begins."""
        self.starts.append((total, label))

    def on(self, event: RunEvent) -> None:
        """Something happened."""
        self.events.append(event)

    def finish(self, report: RunReport) -> None:
        """A run ended."""
        self.reports.append(report)
