"""A run as one labelled part of a progress display, counted in what makes it long: bytes of files, rows of sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from fanwise.typing import Progress

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Part"]


class Part:
    """Passes a run on to a display, weighted.

    Parameters
    ----------
    display : Progress
    label : str
        Name of the part.
    weights : sequence of int
        Weight of each item.
    """

    def __init__(self, display: Progress, label: str, weights: Sequence[int]) -> None:
        self._display = display
        self._label = label
        self._sums = list(accumulate(weights, initial=0))

    def start(self, total: int | None, label: str) -> None:
        """Begin the part."""
        self._display.start(self._sums[-1], self._label)

    def on(self, event: Any) -> None:
        """Pass an event on; items of a chunk become what they weigh."""
        if hasattr(event, "first") and hasattr(event, "count"):
            event = self._weighted(event)
        self._display.on(event)

    def tick(self, at: float) -> None:
        """Pass on that time has passed, if the display wants to know."""
        tick = getattr(self._display, "tick", None)
        if tick is not None:
            tick(at)

    def finish(self, report: RunReport) -> None:
        """End the part."""
        self._display.finish(report)

    def _weighted(self, event: Any) -> Any:
        first = self._sums[event.first]
        count = self._sums[event.first + event.count] - first
        if not hasattr(event, "ok"):
            return replace(event, first=first, count=count)
        return replace(event, first=first, count=count, ok=round(event.ok * count / max(1, event.count)))
