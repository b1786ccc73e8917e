"""Coverage over a grid as SVG: a panel a method, lines over the last axis, or a heat map where both axes are long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fanwise.workloads.exactci import _svg
from fanwise.workloads.exactci._records import Coverage

__all__ = ["draw_coverage"]

DESCRIPTION = "Probability that the interval holds the odds ratio, over the last axis of the grid; a panel a method."
WIDTH, HEIGHT, GAP, LEFT, TOP, BOTTOM = 360.0, 220.0, 110.0, 70.0, 60.0, 60.0
LONG = 8  # more points than this on both axes: lines would be a tangle
SHADES = ("#08306b", "#08519c", "#2171b5", "#4292c6", "#7f7f7f", "#d94801", "#a63603", "#7f2704")


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels, linear or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Pixel of a value."""
        low, high, here = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / ((high - low) or 1.0)

    def ticks(self) -> list[float]:
        """About five round values."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            marks = [10.0**power for power in powers]
            return marks if len(marks) > 1 else [self.low, self.high]
        step = (self.high - self.low) / 4.0 or 1.0
        return [self.low + step * i for i in range(5)] if self.high > self.low else [self.low]


@dataclass(frozen=True, slots=True)
class Panel:
    """Coverage of one method: a row for each p2, a column for each value of the last axis."""

    method: str
    rows: list[list[float]]
    axis: list[float]
    slow: list[float]
    level: float
    left: float
    log: bool

    @property
    def horizontal(self) -> Scale:
        """Scale of the last axis."""
        return Scale(self.axis[0], self.axis[-1], self.left, self.left + WIDTH, self.log)

    @property
    def is_map(self) -> bool:
        """True if lines would be a tangle."""
        return len(self.slow) > LONG and len(self.axis) > LONG


def draw_coverage(done: Coverage, *, log: bool) -> str:
    """Draw the coverage of every method; ``log`` says that the last axis is an odds ratio."""
    slow = list(dict.fromkeys(done.p2.tolist()))
    count = len(done.p2) // len(slow)
    axis = (done.odds_ratio if log else done.p1).tolist()[:count]
    level = 1.0 - done.alpha
    panels = [
        Panel(method, covered.reshape(-1, count).tolist(), axis, slow, level, LEFT + i * (WIDTH + GAP), log)
        for i, (method, covered) in enumerate(done.covered.items())
    ]
    lowest = min(level, *(float(covered.min()) for covered in done.covered.values()))
    vertical = Scale(math.floor(20.0 * lowest) / 20.0, 1.0, TOP + HEIGHT, TOP)
    title = f"Coverage of {100.0 * level:g} % intervals, n1 = {done.n1}, n2 = {done.n2}"
    body = [part for panel in panels for part in _panel(panel, vertical)]
    size = (LEFT + len(panels) * (WIDTH + GAP), TOP + HEIGHT + BOTTOM)
    return _svg.document(size, title, DESCRIPTION, body)


def _panel(panel: Panel, vertical: Scale) -> list[str]:
    name = _svg.text(panel.left, TOP - 12, panel.method, size=13)
    if panel.is_map:
        return [name, *_map(panel), *_frame(panel, Scale(panel.slow[0], panel.slow[-1], TOP + HEIGHT, TOP), "p2")]
    return [name, *_frame(panel, vertical, "coverage"), *_lines(panel, vertical)]


def _frame(panel: Panel, vertical: Scale, beside: str) -> list[str]:
    base, right = TOP + HEIGHT, panel.left + WIDTH
    parts = [_svg.text(panel.left - 10, TOP - 12, beside, anchor="end", size=11)]
    for x in panel.horizontal.ticks():
        pixel = panel.horizontal.at(x)
        parts.append(_svg.text(pixel, base + 16, f"{x:.3g}", anchor="middle", size=11))
    for y in vertical.ticks():
        pixel = vertical.at(y)
        parts.append(_svg.text(panel.left - 6, pixel + 4, f"{y:.3g}", anchor="end", size=11))
        if not panel.is_map:
            parts.append(_svg.line((panel.left, pixel), (right, pixel), "#eeeeee"))
    below = "odds ratio" if panel.log else "p1"
    return [*parts, _svg.text(panel.left + WIDTH / 2, base + 34, below, anchor="middle")]


def _lines(panel: Panel, vertical: Scale) -> list[str]:
    scale, level = panel.horizontal, vertical.at(panel.level)
    parts = [_svg.line((scale.start, level), (scale.end, level), "#cc0000", ' stroke-dasharray="5 3"')]
    for index, (p2, row) in enumerate(zip(panel.slow, panel.rows, strict=True)):
        colour = SHADES[index % len(SHADES)]
        points = " ".join(f"{scale.at(x):.2f},{vertical.at(c):.2f}" for x, c in zip(panel.axis, row, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        parts.append(_svg.text(scale.end + 4, vertical.at(row[-1]) + 4, f"p2 = {p2:.3g}", fill=colour, size=10))
    return parts


def _map(panel: Panel) -> list[str]:
    """Blue above the level, orange below it; the value is the tooltip of each cell."""
    across, up = WIDTH / len(panel.axis), HEIGHT / len(panel.slow)
    return [
        f'<rect x="{panel.left + j * across:.2f}" y="{TOP + HEIGHT - (i + 1) * up:.2f}" width="{across:.2f}" '
        f'height="{up:.2f}" fill="{_shade(covered, panel.level)}"><title>{covered:.6g}</title></rect>'
        for i, row in enumerate(panel.rows)
        for j, covered in enumerate(row)
    ]


def _shade(covered: float, level: float) -> str:
    share = min(1.0, abs(covered - level) / (1.0 - level))
    end = (33, 102, 172) if covered >= level else (217, 72, 1)
    red, green, blue = (round(247 + (channel - 247) * share) for channel in end)
    return f"#{red:02x}{green:02x}{blue:02x}"
