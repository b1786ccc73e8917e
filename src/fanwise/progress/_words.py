"""What progress says in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanwise._format import clock, count, duration, notable, percent, plural, printable, rate
from fanwise.progress._tally import Snapshot

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Closing", "closing_line", "plain_line"]

_ENDED = {"error": "stopped by an error", "interrupted": "interrupted", "deadline": "stopped early"}


def plain_line(shown: Snapshot) -> str:
    """``search: 1,220 of 2,000 items (61 %), 312 item/s, about 0:03 left, 2 workers, 3 failed``."""
    if shown.total is None:
        said = [plural(shown.done, "item"), rate(shown.rate), f"{clock(shown.elapsed)} so far"]
    else:
        share = percent(shown.done, shown.total)
        said = [f"{count(shown.done)} of {plural(shown.total, 'item')} ({share} %)", rate(shown.rate)]
    if shown.eta is not None:
        said.append(shown.eta.text if shown.eta.finishing else f"about {shown.eta.text} left")
    if shown.workers:
        said.append(plural(shown.workers, "worker"))
    return f"{printable(shown.label)}: {', '.join(said + notable(failed=shown.failed, lost=shown.lost))}"


@dataclass(frozen=True, slots=True)
class Closing:
    """What is said of a run, or of several that belong together, when it is over."""

    label: str
    total: int
    missing: int
    failed: int
    lost: int
    cached: int
    resumed: int
    workers: int
    wall: float
    serial_estimate: float
    ended: str

    @classmethod
    def of(cls, label: str, reports: Sequence[RunReport]) -> Closing:
        """Add up the reports of the parts; how the last one ended is how all ended."""
        return cls(
            label=label,
            total=sum(report.items for report in reports),
            missing=sum(report.missing for report in reports),
            failed=sum(report.failed for report in reports),
            lost=sum(report.lost for report in reports),
            cached=sum(report.cached for report in reports),
            resumed=sum(report.resumed for report in reports),
            workers=max(report.workers for report in reports),
            wall=sum(report.wall for report in reports),
            serial_estimate=sum(report.serial_estimate for report in reports),
            ended=reports[-1].ended,
        )

    @property
    def settled(self) -> int:
        """Items with an outcome."""
        return self.total - self.missing


def closing_line(end: Closing) -> str:
    """``search: 2,000 items in 6.4 s, 312 item/s, 2 workers, 1.93x one process (estimated); 3 failed``."""
    items = plural(end.total, "item")
    said = f"{printable(end.label)}: "
    said += f"{count(end.settled)} of {items}" if end.missing else items
    said += f" in {duration(end.wall)}"
    if end.ended != "done":
        said += f" ({_ENDED[end.ended]})"
    if end.settled and end.wall > 0:
        said += f", {rate(end.settled / end.wall)}"
    if end.workers > 1:
        said += f", {plural(end.workers, 'worker')}"
        if end.settled and end.wall > 0:
            said += f", {end.serial_estimate / end.wall:.2f}x one process (estimated)"
    extra = notable(cached=end.cached, resumed=end.resumed, failed=end.failed, lost=end.lost)
    return f"{said}; {', '.join(extra)}" if extra else said
