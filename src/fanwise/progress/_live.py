"""When to show what: the part that every kind of progress shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fanwise.progress._tally import Part, Snapshot, Tally
from fanwise.progress._words import Closing
from fanwise.records.run_events import RunEvent

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Live", "View"]

_SHORT_S = 1.0


class View(Protocol):
    """A way to show progress. What it raises of the kinds `OSError` and `ValueError` turns it off."""

    def next_due(self, at: float) -> float:
        """When to show next, in seconds since the run began; ``at`` is now, 0.0 at the start."""

    def show(self, shown: Snapshot) -> None:
        """Show how far the run is."""

    def close(self, end: Closing | None) -> None:
        """Say how it ended, unless there is nothing to say, and leave everything as it was found."""

    def drop(self) -> None:
        """Leave everything as it was found, writing nothing: the stream is broken."""


class Live:
    """A `fanwise.typing.Progress` that shows a view of a run while it lasts.

    Parameters
    ----------
    view : View
        How it is shown.
    label : str, optional
        The description; by default what `start` is given: the name of the function.
    parts : int
        How many runs, one after the other, are shown as parts of one. Each is a prefix of the same line, or has a line
        of its own below that of the whole where there is room; only the last is followed by a closing line.
    brief : bool
        True to show nothing of a run shorter than a second, not even its closing line.
    """

    __slots__ = ("_brief", "_due", "_label", "_parts", "_reports", "_tally", "_view")

    def __init__(self, view: View, label: str | None = None, parts: int = 1, *, brief: bool = True) -> None:
        self._view: View | None = view
        self._label = label
        self._parts = parts
        self._brief = brief
        self._reports: list[RunReport] = []
        self._tally = Tally(None, "")
        self._due = 0.0

    def start(self, total: int | None, label: str) -> None:
        """A run, or the next part of it, begins."""
        if self._parts > 1:
            before_s = sum(report.wall for report in self._reports)
            whole, inner = (self._label, label) if self._label else (label, "")
            part = Part(whole, inner, len(self._reports) + 1, self._parts, before_s)
            self._tally = Tally(total, part.title, part)
        else:
            self._tally = Tally(total, self._label or label)
        self._due = self._view.next_due(0.0) if self._view is not None else float("inf")

    def on(self, event: RunEvent) -> None:
        """Hear one run event; shows if it is time."""
        self._tally.on(event)
        if event.at >= self._due:
            self._show(event.at)

    def tick(self, at: float) -> None:
        """Time has passed: ``at`` is seconds since the run began, as in events."""
        if at >= self._due:
            self._show(at)

    def finish(self, report: RunReport) -> None:
        """A run, or a part of it, ended."""
        lasted = self._tally.at >= _SHORT_S
        if self._parts > 1:
            self._reports.append(report)
            if len(self._reports) < self._parts and report.ended == "done":
                return
            lasted = sum(part.wall for part in self._reports) >= _SHORT_S
        reports, self._reports = self._reports or [report], []
        if self._view is None:
            return
        part = self._tally.part
        label = part.whole if part is not None else self._tally.label
        try:
            self._view.close(Closing.of(label, reports) if lasted or not self._brief else None)
        except (OSError, ValueError):
            self._turn_off()

    def _show(self, at: float) -> None:
        if self._view is None:
            return
        try:
            self._view.show(self._tally.snapshot(at))
            self._due = self._view.next_due(at)
        except (OSError, ValueError):  # a closed or broken stderr never ends the run
            self._turn_off()

    def _turn_off(self) -> None:
        view, self._view, self._due = self._view, None, float("inf")
        if view is not None:
            view.drop()
