"""A forest plot of intervals as SVG: a log axis, text as text, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fanwise.workloads.exactci import _svg

__all__ = ["Line", "draw", "labels"]

ROW, TOP, LEFT_CHARS, PLOT, RIGHT = 22, 46, 40, 420, 190
CHAR = 6.7  # mean width of a character at 12 px
COLOURS = ("#0b5394", "#b45f06", "#38761d", "#741b47", "#444444", "#7f6000")
DESCRIPTION = (
    "Each row is one table: a square at the estimate, its area in proportion to the total of the table, and a line "
    "from the lower to the upper end; an arrow means that the end is beyond the axis."
)
DECADES = 6.0  # the axis shows at most so many powers of ten on each side of 1


@dataclass(frozen=True, slots=True)
class Line:
    """One interval to be drawn; ``total`` is the sum of the table's counts."""

    label: str
    method: str
    estimate: float
    lower: float
    upper: float
    total: int


def labels(columns: Sequence[str], rows: Sequence[Sequence[str]], chosen: str | None) -> list[str]:
    """Label of each row: the chosen column, else the first one that is not numeric, else the number of the row."""
    if chosen is not None:
        place = list(columns).index(chosen)
        return [row[place] for row in rows]
    for place in range(len(columns)):
        if rows and not all(_numeric(row[place]) for row in rows):
            return [row[place] for row in rows]
    return [str(i + 1) for i in range(len(rows))]


def _numeric(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Axis:
    """A log axis from ``low`` to ``high`` (powers of ten), ``width`` pixels from ``left`` on."""

    low: float
    high: float
    left: float

    def at(self, value: float) -> float:
        """Pixel of a value; what is off the axis is at its end."""
        power = math.log10(value) if 0.0 < value < math.inf else math.copysign(math.inf, value - 1.0)
        return self.left + PLOT * (min(max(power, self.low), self.high) - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Powers of ten; on a short axis 2 and 5 times them too."""
        steps = (1.0,) if self.high - self.low > 2.5 else (1.0, 2.0, 5.0)
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [float(f"{step}e{power}") for power in powers for step in steps]
        return [mark for mark in marks if self.low - 1e-9 <= math.log10(mark) <= self.high + 1e-9]


def make_axis(lines: Sequence[Line], left: float) -> Axis:
    """An axis that holds 1 and every finite end."""
    values = [x for line in lines for x in (line.lower, line.upper, line.estimate) if 0.0 < x < math.inf]
    powers = [0.0, *map(math.log10, values)]
    low, high = max(min(powers), -DECADES) - 0.05, min(max(powers), DECADES) + 0.05
    return Axis(min(low, -0.35), max(high, 0.35), left)


def draw(lines: Sequence[Line], *, alpha: float, methods: Sequence[str]) -> str:
    """Draw the plot; there is no pooled value, because the tables need not belong together."""
    left = 20.0 + CHAR * min(LEFT_CHARS, max([len(line.label) for line in lines], default=0))
    axis = make_axis(lines, left)
    height = TOP + ROW * len(lines) + 40
    width = left + PLOT + RIGHT + (80 if len(methods) > 1 else 0)
    title = f"Odds ratios with {100.0 * (1.0 - alpha):g} % intervals ({', '.join(methods)})"
    largest = max([line.total for line in lines], default=1) or 1
    rows = [_row(line, axis, i, largest, methods) for i, line in enumerate(lines)]
    return _svg.document((width, height), title, DESCRIPTION, [*_frame(axis, height - 36), *rows])


def _frame(axis: Axis, bottom: float) -> list[str]:
    marks = []
    for tick in axis.ticks():
        x = axis.at(tick)
        marks.append(_svg.line((x, TOP - 10), (x, bottom), "#333333" if tick == 1.0 else "#dddddd"))
        marks.append(_svg.text(x, bottom + 16, f"{tick:g}", anchor="middle"))
    return [*marks, _svg.text(axis.left + PLOT / 2, bottom + 32, "odds ratio", anchor="middle")]


def _row(line: Line, axis: Axis, index: int, largest: int, methods: Sequence[str]) -> str:
    y = TOP + ROW * index + 4
    colour = COLOURS[list(methods).index(line.method) % len(COLOURS)]
    start, end = axis.at(line.lower), axis.at(line.upper)
    label = line.label if len(line.label) <= LEFT_CHARS else line.label[: LEFT_CHARS - 1] + "…"
    numbers = f"{_short(line.estimate)} [{_short(line.lower)}, {_short(line.upper)}]"
    parts = [
        _svg.text(12, y + 4, label),
        _svg.line((start, y), (end, y), colour, ' stroke-width="1.5"'),
        _arrow(start, y, -6, colour) if _beyond(line.lower, axis) else "",
        _arrow(end, y, 6, colour) if _beyond(line.upper, axis) else "",
        _square(axis.at(line.estimate), y, line.total / largest, colour) if not math.isnan(line.estimate) else "",
        _svg.text(axis.left + PLOT + 14, y + 4, f"{numbers} {line.method}" if len(methods) > 1 else numbers),
    ]
    return "\n".join(part for part in parts if part)


def _square(x: float, y: float, share: float, colour: str) -> str:
    side = max(3.0, 14.0 * math.sqrt(share))
    corner = f'x="{x - side / 2:.2f}" y="{y - side / 2:.2f}"'
    return f'<rect {corner} width="{side:.2f}" height="{side:.2f}" fill="{colour}"/>'


def _beyond(value: float, axis: Axis) -> bool:
    return not 0.0 < value < math.inf or not axis.low <= math.log10(value) <= axis.high


def _arrow(x: float, y: float, reach: int, colour: str) -> str:
    return f'<path d="M{x + reach:.2f} {y} L{x:.2f} {y - 4} L{x:.2f} {y + 4} Z" fill="{colour}"/>'


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}" if value < 1e4 else f"{value:.2g}"
