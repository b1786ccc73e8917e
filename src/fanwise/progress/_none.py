"""Progress that shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanwise.records.run_events import RunEvent
    from fanwise.report import RunReport

__all__ = ["Nothing"]


class Nothing:
    """Hears everything and shows nothing."""

    __slots__ = ()

    def start(self, total: int | None, label: str) -> None:
        """A run begins."""

    def on(self, event: RunEvent) -> None:
        """Something happened."""

    def finish(self, report: RunReport) -> None:
        """A run ended."""
