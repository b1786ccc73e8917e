"""A report in sentences."""

from __future__ import annotations

from fanwise._format import count, duration, notable, plural
from fanwise.report._report import RunReport

__all__ = ["headline"]

_ENDED = {"failed": ", then stopped by an error", "interrupted": ", then interrupted"}


def headline(report: RunReport) -> str:
    """``2,000 items in 6.4 s on 2 workers, 1.93x one process (estimated); 3 failed.``"""
    counts = report.counts
    settled = counts.total - counts.not_run
    items = plural(counts.total, "item")
    said = f"{count(settled)} of {items}" if counts.not_run else items
    said += f" in {duration(report.wall)}"
    if report.workers > 1:
        said += f" on {plural(report.workers, 'worker')}"
        said += f", {report.speedup:.2f}x one process (estimated)" if report.speedup is not None else ""
    said += _ENDED.get(report.run.status, ", then stopped early" if counts.not_run else "")
    extra = notable(cached=counts.cached, resumed=counts.resumed, failed=counts.failed, lost=counts.lost)
    return f"{said}; {', '.join(extra)}." if extra else f"{said}."
