"""Envelopes a second time, slowly: exact rational arithmetic, one cell at a time, straight from the definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

SLACK = 1 + Fraction(1, 10**9)
PAPER = [1, 10, 50, 100, 200, 400, 600, 800, 1000, 4000, 6000, 8000]
FILTERS = {
    "none": (Fraction(0), None),
    "conservative": (Fraction(1, 5), Fraction(3)),
    "standard": (Fraction(1), Fraction(2)),
    "aggressive": (Fraction(10), Fraction(3, 2)),
}


class Cell(NamedTuple):
    """Area in ha, loss, yield as the float that orders cells, and the id."""

    area: Fraction
    loss: Fraction
    float_yield: float
    id: int


class Exact(NamedTuple):
    """One curve: target areas in km², bounds as (area in km², loss), totals, width, counts."""

    targets: list[float]
    lower: list[tuple[float, float]]
    upper: list[tuple[float, float]]
    total_km2: float
    total: float
    width: float
    valid: int
    filtered: int
    used: int


def ordered(areas: Sequence[float], losses: Sequence[float], ids: Sequence[int]) -> list[Cell]:
    cells = [
        Cell(Fraction(a), Fraction(p), p / a, i)
        for a, p, i in zip(areas, losses, ids, strict=True)
        if math.isfinite(a) and math.isfinite(p) and a > 0 and p > 0
    ]
    return sorted(cells, key=lambda cell: (cell.float_yield, cell.id))


def passed(cells: list[Cell], rule: str) -> list[Cell]:
    least, factor = FILTERS[rule]
    if rule != "none":
        cells = [cell for cell in cells if float(cell.area) >= float(least)]
    if factor is None or not cells:
        return cells
    j, rest = divmod(99 * (len(cells) - 1), 100)
    star = cells[j].float_yield
    if rest:
        star += rest / 100 * (cells[j + 1].float_yield - star)
    return [cell for cell in cells if cell.float_yield <= float(factor) * star * (1.0 + 1e-9)]


def tier_of(cells: list[Cell], lo: str, hi: str) -> list[Cell]:
    last = len(cells) - 1
    first, final = math.ceil(last * Fraction(lo) / 100), math.floor(last * Fraction(hi) / 100)
    if not cells or first > final:
        return []
    return [cell for cell in cells if cells[first].float_yield <= cell.float_yield <= cells[final].float_yield]


def targets_of(points: str, total_km2: Fraction, first_km2: Fraction) -> list[float]:
    total = float(total_km2)

    def inside(values: Sequence[float]) -> list[float]:
        return [float(v) for v in values if v < total * (1 - 1e-9)]

    kind, _, rest = points.partition(":")
    if kind == "at":
        return [*inside(sorted({float(v) for v in rest.split(",")})), total]
    if kind == "paper":
        more = list(range(10_000, max(10_000, math.ceil(total)), 2_000))
        found = inside([*PAPER, *more])
        return [*found, total] if len(found) >= 20 else targets_of("spaced:20", total_km2, first_km2)
    if kind == "compact":
        found = inside(PAPER[:9])
        top = total * 0.95
        if top > 1000 * (1 + 1e-9):
            found += [10 ** (3 + i * (math.log10(top) - 3) / 19) for i in range(1, 20)]
        return [*found, total] if len(found) >= 5 else targets_of("spaced:20", total_km2, first_km2)
    count, first = int(rest), float(first_km2)
    if first >= total * (1 - 1e-9):
        return [total]
    if total / first >= 1000 * (1 - 1e-9):
        inner = [first * (total / first) ** (i / (count - 1)) for i in range(1, count - 1)]
    else:
        inner = [first + i / (count - 1) * (total - first) for i in range(1, count - 1)]
    return [first, *inner, total]


def bound_at(cells: Sequence[Cell], target: float, method: str) -> tuple[float, float]:
    area = loss = Fraction(0)
    wanted = Fraction(target) * 100
    for cell in cells:
        if method == "step":
            area, loss = area + cell.area, loss + cell.loss
            if area > wanted * SLACK:
                break
        elif area + cell.area >= wanted:
            return target, float(loss + cell.loss * (wanted - area) / cell.area)
        else:
            area, loss = area + cell.area, loss + cell.loss
    return float(area / 100), float(loss)


def gini(cells: Sequence[Cell]) -> float:
    """Half the mean absolute difference of yield over its mean, each hectare counted."""
    area, loss = sum(c.area for c in cells), sum(c.loss for c in cells)
    pairs = sum(abs(a.area * b.loss - b.area * a.loss) for a in cells for b in cells)
    return float(pairs / 2 / (area * loss))


def envelope(
    areas: Sequence[float],
    losses: Sequence[float],
    ids: Sequence[int] | None = None,
    *,
    tier: tuple[str, str] = ("0", "100"),
    method: str = "interp",
    points: str = "spaced:5",
    rule: str = "none",
) -> Exact | None:
    """The curve, or None if the tier is empty."""
    valid = ordered(areas, losses, range(len(areas)) if ids is None else ids)
    kept = passed(valid, rule)
    used = tier_of(kept, *tier)
    if not used:
        return None
    area, loss = sum(c.area for c in used), sum(c.loss for c in used)
    first = min(used[0].area, used[-1].area)
    targets = targets_of(points, area / 100, first / 100)
    end = (float(area / 100), float(loss))
    lower = [bound_at(used, t, method) for t in targets[:-1]]
    upper = [bound_at(used[::-1], t, method) for t in targets[:-1]]
    return Exact(targets, [*lower, end], [*upper, end], *end, gini(used), len(valid), len(kept), len(used))
