"""The drawings of a report as inline SVG: each has a title and a description, and never speaks by colour alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, log10

from fanwise._format import count, duration, percent, plural, size
from fanwise.report._lanes import STATES
from fanwise.report._markup import Markup, join, tag
from fanwise.report._record import Costs, Lane, Loss, MemoryPoint, Note, Seconds, Span

__all__ = ["LANES_SHOWN", "PARTS", "histogram", "lane_bars", "memory_chart", "patterns", "timeline"]

LANES_SHOWN = 48
PARTS = {
    "work": "the function",
    "start": "start of the process",
    "codec": "pickling",
    "cache": "cache",
    "lost": "attempts not used",
    "other": "fanwise itself",
    "wait": "waiting",
}
_WIDTH = 960.0
_LEFT = 92.0
_RIGHT = 12.0
_PLOT = _WIDTH - _LEFT - _RIGHT
_ROW = 22.0
_BAR = 14.0
_RECTANGLES = 1_300  # about 130 bytes each
_HATCHING = {
    "ok": "",
    "cached": '<circle cx="4" cy="4" r="1.4" class="ink"/>',
    "retried": '<path d="M0 8L8 0M-2 2L2 -2M6 10L10 6" class="ink"/>',
    "failed": '<path d="M0 0L8 8M0 8L8 0" class="ink"/>',
    "lost": '<path d="M2 0V8M6 0V8" class="ink"/>',
    "start": '<path d="M0 2H8M0 6H8" class="ink"/>',
    "codec": '<path d="M0 8L8 0M-2 2L2 -2M6 10L10 6" class="ink"/>',
    "other": '<path d="M0 4H8" class="ink"/>',
    "wait": "",
}


def patterns() -> Markup:
    """The hatchings of states and parts of time, defined once for all drawings of a page."""
    kinds = dict.fromkeys((*STATES, *PARTS))
    defined = [
        f'<pattern id="p-{kind}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" class="f-{kind}"/>{_HATCHING.get(kind, "")}</pattern>'
        for kind in kinds
    ]
    return Markup(f'<svg width="0" height="0" class="defs" aria-hidden="true"><defs>{"".join(defined)}</defs></svg>')


def _svg(height: float, title: str, description: str, *shapes: str, width: float = _WIDTH) -> Markup:
    drawing = tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *shapes,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        class_="chart",
    )
    return tag("div", drawing, class_="wide") if width == _WIDTH else drawing


def _box(x: float, y: float, width: float, kind: str, title: str, height: float = _BAR) -> Markup:
    return Markup(
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.6):.1f}" height="{height:g}" class="k-{kind}">'
        f"{tag('title', title)}</rect>"
    )


def _label(x: float, y: float, text: str, anchor: str = "end", class_: str | None = None) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _step(length: float, most: int = 8) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides the length into at most so many."""
    raw = max(length, 1e-9) / most
    power = 10.0 ** ceil(log10(raw) - 1)
    return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= raw)


def _time_axis(wall: float, y: float) -> Markup:
    step = _step(wall)
    ticks = [index * step for index in range(int(wall / step * 1.0001) + 1)]
    marks = []
    for at in ticks:
        x = _LEFT + _PLOT * at / wall if wall > 0 else _LEFT
        marks.append(tag("line", x1=x, x2=x, y1=0.0, y2=y, class_="grid"))
        marks.append(_label(x, y + 15, duration(at), "middle", "tick"))
    return join(marks, "")


# Where the time went


def lane_bars(lanes: Sequence[Lane]) -> Markup:
    """A bar per lane, as long as the lane lasted, split into what its time went into."""
    shown = lanes[:LANES_SHOWN]
    longest = max((lane.ended_s - lane.started_s for lane in shown), default=0.0) or 1.0
    rows = [_lane_bar(lane, _ROW * row + 4, longest) for row, lane in enumerate(shown)]
    description = "; ".join(f"{lane.name}: {_parts_text(lane.seconds)}" for lane in shown[:8])
    return _svg(_ROW * len(shown) + 8, "Where the time of each lane went", description, *rows)


def _lane_bar(lane: Lane, y: float, longest: float) -> Markup:
    shapes = [_label(_LEFT - 10, y + 11, lane.name)]
    x = _LEFT
    for part, words in PARTS.items():
        seconds = getattr(lane.seconds, part)
        width = _PLOT * seconds / longest
        if width >= 0.3:
            share = percent(round(1e6 * seconds), round(1e6 * max(lane.ended_s - lane.started_s, 1e-6)))
            shapes.append(_box(x, y, width, part, f"{lane.name}, {words}: {duration(seconds)} ({share} %)"))
            if part == "work" and width > 90:
                shapes.append(_label(x + 6, y + 11, f"{duration(seconds)} · {share} %", "start", "on"))
        x += width
    return tag("g", *shapes)


def _parts_text(seconds: Seconds) -> str:
    parts = ((words, getattr(seconds, part)) for part, words in PARTS.items())
    return ", ".join(f"{words} {duration(spent)}" for words, spent in parts if spent > 0)


# Timeline


def timeline(lanes: Sequence[Lane], notes: Sequence[Note], wall: float) -> Markup:
    """A row per lane, a box per chunk; neighbours closer than a pixel are drawn as one."""
    shown = lanes[:LANES_SHOWN]
    scale = _PLOT / wall if wall > 0 else 0.0
    bottom = _ROW * len(shown) + 6
    budget = max(12, _RECTANGLES // max(1, len(shown)))
    shapes = [_time_axis(wall, bottom)]
    for row, lane in enumerate(shown):
        y = _ROW * row + 5
        shapes.append(_label(_LEFT - 10, y + 11, lane.name))
        length = (lane.ended_s - lane.started_s) * scale
        shapes.append(tag("rect", x=_LEFT + lane.started_s * scale, y=y, width=length, height=_BAR, class_="life"))
        for first, last, items, state in _drawn(lane.spans, scale, budget):
            x, width = _LEFT + first.start_s * scale, (last.end_s - first.start_s) * scale
            shapes.append(_box(x, y, width, state, _span_text(first, last, items, state)))
    rows = {lane.lane: row for row, lane in enumerate(shown)}
    shapes += [_mark(note, rows, scale) for note in notes[:200]]
    chunks = sum(len(lane.spans) for lane in lanes)
    description = f"{plural(chunks, 'span')} of work in {plural(len(lanes), 'lane')} over {duration(wall)}"
    return _svg(bottom + 22, "Timeline", description, *shapes)


def _drawn(spans: Sequence[Span], scale: float, budget: int) -> Iterable[tuple[Span, Span, int, str]]:
    """Spans to draw: neighbours of one state are joined while less than a gap apart, until they are few enough."""
    gap, drawn = 0.25, _near(spans, scale, 0.25)
    while len(drawn) > budget:
        gap *= 2
        drawn = _near(spans, scale, gap)
    return drawn


def _near(spans: Sequence[Span], scale: float, gap: float) -> list[tuple[Span, Span, int, str]]:
    drawn: list[tuple[Span, Span, int, str]] = []
    for span in spans:
        first, last, items, state = drawn[-1] if drawn else (span, span, 0, "")
        close = (span.start_s - last.end_s) * scale < gap
        small = (span.end_s - first.start_s) * scale < 8 * gap
        if drawn and close and (small or gap > 2) and (state == span.state or gap > 1):
            drawn[-1] = (first, span, items + span.items, max(state, span.state, key=STATES.index))
        else:
            drawn.append((span, span, span.items, span.state))
    return drawn


def _span_text(first: Span, last: Span, items: int, state: str) -> str:
    length = duration(last.end_s - first.start_s)
    what = f"item {first.first_item:,}" if items == 1 else f"{count(items)} items from {first.first_item:,} on"
    return f"{what}: {state}, {length}, at {duration(first.start_s)}"


def _mark(note: Note, rows: dict[int, int], scale: float) -> Markup:
    """A small flag where something happened."""
    x = _LEFT + note.at_s * scale
    y = _ROW * rows.get(note.lane or 0, 0) + 3
    title = tag("title", f"{duration(note.at_s)}: {note.text}")
    return Markup(f'<path d="M{x:.1f} {y + 6:.1f}l-4 -7h8z" class="mark">{title}</path>')


# Costs


def histogram(costs: Costs) -> Markup:
    """Items per cost, on a logarithmic axis; only the bins between the cheapest and the dearest item."""
    filled = [index for index, items in enumerate(costs.histogram.counts) if items]
    if not filled:
        return Markup("")
    bins = range(max(0, filled[0] - 1), min(len(costs.histogram.counts), filled[-1] + 2))
    step = min(56.0, (_HALF - 48) / len(bins))
    every = ceil(44 / step)
    shapes = [_bin(costs, index, 24 + step * place, step, every) for place, index in enumerate(bins)]
    names = [
        _label(24 + step * place, _TALL + 35, duration(costs.histogram.edges_s[index]), "middle", "tick")
        for place, index in enumerate(range(bins.start, bins.stop + 1))
        if place % every == 0
    ]
    axis = tag("line", x1=20.0, x2=28 + step * len(bins), y1=_TALL + 20, y2=_TALL + 20, class_="axis")
    description = f"{plural(costs.count, 'item')} between {duration(costs.min_s or 0)} and {duration(costs.max_s or 0)}"
    return _svg(_TALL + 42, "Items per cost", description, *shapes, axis, *names, width=_HALF)


_HALF = 470.0
_TALL = 190.0


def _bin(costs: Costs, index: int, x: float, step: float, every: int) -> Markup:
    """A column and, where there is room, the number of its items."""
    items, edges = costs.histogram.counts[index], costs.histogram.edges_s
    if not items:
        return Markup("")
    tall = max(1.5, _TALL * items / max(costs.histogram.counts))
    title = f"{duration(edges[index])} to {duration(edges[index + 1])}: {plural(items, 'item')}"
    column = _box(x + 1, _TALL + 20 - tall, step - 2, "ok", title, round(tall, 1))
    number = _label(x + step / 2, _TALL + 15 - tall, count(items), "middle", "tick") if every == 1 else ""
    return join([column, number], "")


# Memory


def memory_chart(samples: Sequence[MemoryPoint], wall: float) -> Markup:
    """Resident memory of the calling process and of all workers over time."""
    if len(samples) < 2 or wall <= 0:
        return Markup("")
    height, top = 110.0, 8.0
    most = max(point.caller + point.workers for point in samples) or 1
    lines = [
        _curve([(p.at_s / wall, (p.caller + p.workers) / most) for p in samples], height, top, "total"),
        _curve([(p.at_s / wall, p.caller / most) for p in samples], height, top, "caller"),
        _label(_LEFT - 8, top + 8, size(most), "end", "tick"),
        _label(_LEFT - 8, top + height, "0", "end", "tick"),
        _time_axis(wall, top + height),
    ]
    description = f"At most {size(most)} in all; the solid line is the total, the dashed one the calling process"
    return _svg(top + height + 22, "Memory in use", description, *lines)


def _curve(points: Iterable[tuple[float, float]], height: float, top: float, kind: str) -> Markup:
    path = " ".join(f"{_LEFT + _PLOT * x:.1f},{top + height * (1 - y):.1f}" for x, y in points)
    return tag("polyline", points=path, class_=f"curve {kind}")


def share_bar(loss: Loss, most: float) -> Markup:
    """A bar in a table cell, relative to the greatest."""
    width = 100 * loss.seconds / most if most > 0 else 0
    return Markup(f'<span class="meter"><span style="width:{width:.0f}%"></span></span>')
