"""A report in sentences and in columns of plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from fanwise._format import count, duration, notable, plural, printable, size
from fanwise.report._report import RunReport

if TYPE_CHECKING:
    from fanwise.report._record import BundleUse, Loss

__all__ = ["as_text", "compare", "headline"]

_ENDED = {"failed": ", then stopped by an error", "interrupted": ", then interrupted"}
_FAILURES = 10
_NAMES = 5
_PARTS = ("work", "start", "codec", "cache", "wait", "lost", "other")


def headline(report: RunReport) -> str:
    """``2,000 items in 6.4 s on 2 workers, 1.93x one process (estimated); 3 failed.``"""
    counts = report.counts
    settled = counts.total - counts.not_run
    items = plural(counts.total, "item")
    said = f"{count(settled)} of {items}" if counts.not_run else items
    said += f" in {duration(report.wall)}"
    if report.workers > 1:
        said += f" on {plural(report.workers, 'worker')}"
        said += f", {report.speedup:.2f}x one process (estimated)" if report.speedup else ""
    said += _ENDED.get(report.run.status, ", then stopped early" if counts.not_run else "")
    extra = notable(cached=counts.cached, resumed=counts.resumed, failed=counts.failed, lost=counts.lost)
    return f"{said}; {', '.join(extra)}." if extra else f"{said}."


def as_text(report: RunReport) -> str:
    """The report for a terminal: headline, decisions, losses, lanes, failures.

    Parameters
    ----------
    report : RunReport

    Returns
    -------
    str
        Lines of plain text, the last one ended.

    Examples
    --------
    >>> from fanwise.report import ReportBuilder, as_text
    >>> print(as_text(ReportBuilder().finish(0.0)), end="")
    0 items in 0 s.
    <BLANKLINE>
    Nothing was decided: no item was run.
    """
    blocks = [[headline(report)], [made.text for made in report.plan.decisions], *_blocks(report)]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _blocks(report: RunReport) -> Iterator[list[str]]:
    yield _columns([(loss.code, duration(loss.seconds), _said(loss)) for loss in report.losses], "<><")
    if report.counts.total:
        lanes = [
            (lane.name, count(lane.items), *(duration(getattr(lane.seconds, part)) for part in _PARTS))
            for lane in report.lanes
        ]
        yield _columns([("lane", "items", *_PARTS), *lanes], "<" + ">" * (len(_PARTS) + 1))
    failures = report.failures[:_FAILURES]
    lines = [f"{failure.label}: {failure.type}: {failure.message}" for failure in failures]
    left = report.counts.failed + report.counts.lost - len(failures)
    yield [*lines, f"and {count(left)} more"] if left > 0 else lines
    yield [_shared(use) for use in report.bundles]
    yield [f"warning: {text}" for text in report.warnings]


def _shared(use: BundleUse) -> str:
    had = f"{plural(use.attached, 'worker')} had it, sent {plural(use.transfers, 'time')}"
    names = ", ".join(use.names[:_NAMES]) + (", …" if len(use.names) > _NAMES else "")
    return f"bundle of {names} ({size(use.bytes)}): {had}"


def _said(loss: Loss) -> str:
    return loss.text if loss.advice is None else f"{loss.text} {loss.advice}"


def _columns(rows: Sequence[tuple[str, ...]], alignment: str) -> list[str]:
    """Rows with their columns under each other; ``alignment`` has ``<`` or ``>`` for each column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{wide}}" for cell, side, wide in zip(row, alignment, widths, strict=True)).rstrip()
        for row in rows
    ]


def compare(first: RunReport, second: RunReport) -> str:
    """Two runs side by side: times, speed-up, what the plan did, losses.

    Parameters
    ----------
    first, second : RunReport

    Returns
    -------
    str
        Lines of plain text: a figure, its value in each run, and for times how many times the first the second is.
    """
    both = (first, second)
    rows: list[tuple[str, ...]] = [("", *_names(*both), "ratio")]
    rows += [_times(words, *(read(report) for report in both)) for words, read in _SECONDS]
    rows += [(words, *(read(report) for report in both), "") for words, read in _FACTS]
    losses = [{loss.code: loss.seconds for loss in report.losses} for report in both]
    codes = sorted({code for found in losses for code in found})
    rows += [_times(f"lost: {code}", *(found.get(code, 0.0) for found in losses)) for code in codes]
    return "\n".join(_columns(rows, "<>>>")) + "\n"


def _names(first: RunReport, second: RunReport) -> tuple[str, str]:
    """Labels, or where they say nothing, when the runs began."""
    names = printable(first.run.label) or "–", printable(second.run.label) or "–"
    return names if names[0] != names[1] else (first.run.started_at[:19], second.run.started_at[:19])


def _times(words: str, first: float, second: float) -> tuple[str, str, str, str]:
    return words, duration(first), duration(second), f"{second / first:.2f}x" if first > 0 else ""


_SECONDS: tuple[tuple[str, Callable[[RunReport], float]], ...] = (
    ("wall time", lambda report: report.wall),
    ("work", lambda report: report.time.work_s),
    ("one process (estimated)", lambda report: report.serial_estimate),
    ("mean of an item", lambda report: report.costs.mean_s or 0.0),
    ("slowest item", lambda report: report.costs.max_s or 0.0),
)
_FACTS: tuple[tuple[str, Callable[[RunReport], str]], ...] = (
    ("speed-up (estimated)", lambda report: "–" if report.speedup is None else f"{report.speedup:.2f}x"),
    ("items", lambda report: count(report.items)),
    ("failed or lost", lambda report: count(report.failed + report.lost)),
    ("from cache", lambda report: count(report.cached)),
    ("workers", lambda report: count(report.workers)),
    ("backend", lambda report: report.backend),
    ("chunk size", lambda report: "–" if report.plan.chunk_size is None else count(report.plan.chunk_size)),
    ("decision", lambda report: report.plan.decisions[0].code),
)
