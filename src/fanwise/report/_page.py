"""A report as one HTML page: no script, no network, opens from disk, prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import groupby

from fanwise._format import count, duration, percent, plural, rate, size
from fanwise.report import _charts as charts
from fanwise.report._lanes import STATES
from fanwise.report._markup import Markup, join, table, tag
from fanwise.report._record import CacheUse, Failure, Lane
from fanwise.report._report import RunReport
from fanwise.report._text import headline

__all__ = ["render"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_FAILURES = 100
_NAMES = 20
_TRACEBACK_CHARS = 60_000  # of all tracebacks together


def render(report: RunReport) -> str:
    """The page as text."""
    title = f"{report.run.label or 'fanwise'}: {headline(report)}"
    sections = [section for section in _sections(report) if section]
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{tag('title', title)}<style>{_style()}</style>"
    )
    body = join([charts.patterns(), _header(report), tag("main", join(sections)), _footer(report)])
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _style() -> str:
    return files(__package__).joinpath("page.css").read_text("utf-8")


def _sections(report: RunReport) -> Iterator[Markup]:
    yield _decisions(report)
    yield _time(report)
    yield _timeline(report)
    yield _costs(report)
    yield _failures(report)
    yield _warnings(report)
    yield _bundles(report)
    yield _cache(report)
    yield _memory(report)
    yield _surroundings(report)


def _section(title: str, *content: str) -> Markup:
    return tag("section", tag("h2", title), *content)


def _header(report: RunReport) -> Markup:
    run = report.run
    where = f"{run.function or run.label} · {run.started_at} · {report.host.name}"
    return tag(
        "header",
        tag("p", f"fanwise run report · {run.label}" if run.label else "fanwise run report", class_="eyebrow"),
        tag("h1", headline(report)),
        tag("p", where),
        tag("dl", *_figures(report), class_="figures"),
    )


def _figures(report: RunReport) -> Iterator[Markup]:
    counts, time = report.counts, report.time
    bad = counts.failed + counts.lost
    settled = counts.total - counts.not_run
    figures = [
        ("Items", count(settled), False),
        ("Wall time", duration(time.wall_s), False),
        ("Rate", rate(settled / time.wall_s) if time.wall_s > 0 else "–", False),
        ("Workers", count(report.workers), False),
        ("Speed-up (estimated)", f"{time.speedup_estimate:.2f}x" if time.speedup_estimate else "–", False),
        ("Failed or lost", count(bad), bad > 0),
    ]
    for name, value, is_bad in figures:
        yield tag("div", tag("dt", name), tag("dd", value), class_="bad" if is_bad else None)


# What the plan did


def _decisions(report: RunReport) -> Markup:
    lines = [
        tag("li", tag("span", duration(made.at_s), class_="at"), tag("span", made.text, " ", tag("code", made.code)))
        for made in report.plan.decisions
    ]
    return _section("What was decided, and why", tag("ol", *lines, class_="decisions"))


# Where the time went


def _time(report: RunReport) -> Markup:
    used = [part for part in charts.PARTS if getattr(report.time.lanes_s, part) > 0]
    return _section(
        "Where the time went",
        _legend({part: charts.PARTS[part] for part in used}),
        charts.lane_bars(report.lanes),
        _more_lanes(report.lanes),
        _losses(report),
        _lanes(report.lanes),
    )


def _legend(words: dict[str, str]) -> Markup:
    swatch = '<svg viewBox="0 0 22 12" aria-hidden="true"><rect width="22" height="12" class="k-{}"/></svg>'
    keys = [tag("li", Markup(swatch.format(kind)), text) for kind, text in words.items()]
    return tag("ul", *keys, class_="legend")


def _more_lanes(lanes: Sequence[Lane]) -> Markup:
    left = len(lanes) - charts.LANES_SHOWN
    return tag("p", f"{plural(left, 'further lane')} not drawn.", class_="quiet") if left > 0 else Markup("")


def _losses(report: RunReport) -> Markup:
    if not report.losses:
        return tag("p", "Nothing worth mentioning was lost.")
    most = max(loss.seconds for loss in report.losses)
    rows = [
        (
            tag("code", loss.code),
            duration(loss.seconds),
            charts.share_bar(loss, most),
            f"{loss.text} (part of the work)" if loss.inside_work else loss.text,
            loss.advice or "",
        )
        for loss in report.losses
    ]
    caption = (
        f"Losses in lane-seconds, the greatest first. {plural(max(1, report.workers), 'place')} for "
        f"{duration(report.wall)} each; {duration(report.time.work_s)} of it was work."
    )
    return table(caption, ("Loss", "Seconds", "", "What happened", "What to do"), rows, numbers=[1])


def _lanes(lanes: Sequence[Lane]) -> Markup:
    rows = [
        (lane.name, count(lane.items), *(duration(getattr(lane.seconds, part)) for part in charts.PARTS), _ended(lane))
        for lane in lanes[: charts.LANES_SHOWN]
    ]
    head = ("Lane", "Items", *(words.capitalize() for words in charts.PARTS.values()), "Ended")
    listed = table("The calling process and its workers", head, rows, numbers=range(1, len(head) - 1))
    return tag("details", tag("summary", "All lanes in figures"), listed)


def _ended(lane: Lane) -> str:
    said = lane.ended_by if lane.exit is None else f"{lane.ended_by}: {lane.exit}"
    return f"{said}, {plural(lane.restarts, 'restart')}" if lane.restarts else said


def _timeline(report: RunReport) -> Markup:
    states = {span.state for lane in report.lanes for span in lane.spans}
    if not states:
        return Markup("")
    events = [(duration(note.at_s), note.kind, note.text) for note in report.events[:50]]
    happened = table("What happened on the way", ("At", "Kind", "What"), events) if events else Markup("")
    return _section(
        "Timeline",
        _legend({state: state for state in STATES if state in states}),
        charts.timeline(report.lanes, report.events, report.wall),
        happened,
    )


# Costs of items


def _costs(report: RunReport) -> Markup:
    costs = report.costs
    if not costs.count:
        return Markup("")
    spread = (
        ("Least", costs.min_s),
        ("Mean", costs.mean_s),
        ("Median", costs.p50_s),
        ("90 %", costs.p90_s),
        ("99 %", costs.p99_s),
    )
    figures = [(name, duration(seconds or 0.0)) for name, seconds in (*spread, ("Greatest", costs.max_s))]
    slowest = [(slow.label, duration(slow.seconds)) for slow in costs.slowest]
    shape = tag("div", charts.histogram(costs), table("Seconds per item", ("Figure", "Cost"), figures, numbers=[1]))
    most = tag("div", table("The slowest items", ("Item", "Cost"), slowest, numbers=[1]) if slowest else "")
    return _section("Cost of items", tag("div", shape, most, class_="two"))


# Failures


def _failures(report: RunReport) -> Markup:
    shown = sorted(report.failures, key=lambda failure: failure.item)[:_FAILURES]
    if not shown:
        return Markup("")
    total = report.counts.failed + report.counts.lost
    said = f"The first {len(shown)} of {plural(total, 'item')}." if total > len(shown) else ""
    shown.sort(key=lambda failure: (failure.type, failure.item))
    budget = _TRACEBACK_CHARS
    groups = []
    for kind, members in groupby(shown, key=lambda failure: failure.type):
        group = list(members)
        entries = []
        for failure in group:
            entry, budget = _failure(failure, budget)
            entries.append(entry)
        groups.append(join([tag("h3", f"{kind}: {plural(len(group), 'item')}"), *entries]))
    return _section("Items without a result", tag("p", said, class_="quiet") if said else "", *groups)


def _failure(failure: Failure, budget: int) -> tuple[Markup, int]:
    """One item; tracebacks until the budget of the page is used up."""
    tried = f" after {plural(failure.attempts, 'attempt')}" if failure.attempts > 1 else ""
    where = f" ({failure.worker})" if failure.worker else ""
    kind = "" if failure.kind == "failed" else f" [{failure.kind}]"
    line = join([tag("b", failure.label), f"{tried}{where}{kind}: {failure.message[:300]}"], "")
    texts = [text for text in (failure.traceback, failure.last_output) if text and len(text) <= budget]
    if not texts:
        return tag("p", line), budget
    blocks = [tag("pre", text) for text in texts]
    return tag("details", tag("summary", line), *blocks), budget - sum(map(len, texts))


def _warnings(report: RunReport) -> Markup:
    if not report.warnings:
        return Markup("")
    return _section("What workers warned of", tag("ul", *(tag("li", text) for text in report.warnings)))


# Shared data, cache, memory, surroundings


def _bundles(report: RunReport) -> Markup:
    if not report.bundles:
        return Markup("")
    rows = [
        (
            ", ".join(use.names[:_NAMES]),
            size(use.bytes),
            count(use.transfers),
            count(use.attached),
            tag("code", use.digest),
        )
        for use in report.bundles
    ]
    more = any(len(use.names) > _NAMES for use in report.bundles)
    caption = "Frozen bundles. Forked workers inherit them: nothing is sent."
    if more:
        caption += f" The first {_NAMES} entries of each are named."
    head = ("Entries", "Size", "Times sent", "Workers", "Digest")
    return _section("Shared data", table(caption, head, rows, numbers=[1, 2, 3]))


def _cache(report: RunReport) -> Markup:
    if not report.cache:
        return Markup("")
    head = ("Level", "Lookups", "Hits", "Hit rate", "Stored", "Evicted", "Bytes", "Spent", "Saved")
    rows = [_cache_row(use) for use in report.cache]
    listed = table("The cache in this run, by level", head, rows, numbers=range(1, len(head)))
    return _section("Cache", listed)


def _cache_row(use: CacheUse) -> tuple[str, ...]:
    share = f"{percent(use.hits, use.lookups)} %" if use.lookups else "–"
    figures = count(use.lookups), count(use.hits), share, count(use.stored), count(use.evicted), size(use.bytes)
    return (
        f"{use.level} ({use.where})" if use.where else use.level,
        *figures,
        duration(use.spent_s),
        duration(use.saved_s),
    )


def _memory(report: RunReport) -> Markup:
    memory = report.memory
    rows = [("Calling process, high water", memory.caller_peak_bytes)]
    rows += [(f"{lane.name}, high water", lane.peak_bytes) for lane in report.lanes[1 : charts.LANES_SHOWN]]
    rows += [("Lowest free memory", memory.lowest_free_bytes)]
    known = [(name, size(number)) for name, number in rows if number is not None]
    if not known:
        return Markup("")
    chart = charts.memory_chart(memory.samples, report.wall)
    legend = "Solid: all processes together. Dashed: the calling process." if chart else ""
    return _section(
        "Memory",
        chart,
        tag("p", legend, class_="quiet") if legend else "",
        table("High water and low water", ("What", "Bytes"), known, numbers=[1]),
    )


def _surroundings(report: RunReport) -> Markup:
    host = report.host
    facts = [
        ("Python", host.python + (" (free-threaded)" if host.free_threaded else "")),
        ("fanwise", report.version),
        ("Platform", host.platform),
        ("Cores", f"{host.cores_usable:g} usable of {host.cores_machine}"),
        ("Memory", size(host.memory_bytes)),
        ("Load at start", "–" if host.load_at_start is None else f"{host.load_at_start:.2f}"),
        ("Workers started by", host.start_method),
        ("Backend", report.backend),
        ("Run", report.run.id),
    ]
    options = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in report.options.items()]
    tables = [table("Host and versions", ("What", "Value"), facts)]
    if options:
        tables.append(table("Options of the call", ("Option", "Value"), options))
    return _section("Surroundings", tag("div", *tables, class_="two"))


def _footer(report: RunReport) -> Markup:
    said = (
        f"Written by fanwise {report.version}. The speed-up is estimated from the time spent in the function: "
        "items often run faster alone, so it is an upper estimate."
    )
    return tag("footer", tag("p", said))
