"""Bounds of one tier: cumulative sums in both orders, target areas, what is lost at each, and the width between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.envelope._cells import Cells
from fanwise.workloads.envelope._question import Points
from fanwise.workloads.envelope._tiers import SLACK

__all__ = ["KM2_PER_HA", "Polyline", "area_at", "at_points", "target_areas", "width"]

Floats = NDArray[np.float64]

KM2_PER_HA = 0.01
INSIDE = 1.0 - 1e-9
BLOCK = 1 << 16  # cells at a time: what is in between stays in the cache of the core
ROUNDING = 1e-12  # a width below this is what rounding leaves of 0

PAPER = (1.0, 10.0, 50.0, 100.0, 200.0, 400.0, 600.0, 800.0, 1000.0, 4000.0, 6000.0, 8000.0)
PAPER_FROM, PAPER_STEP, PAPER_LEAST = 10_000.0, 2_000.0, 20
MOST_KM2 = 1e9  # half a million points of `paper`; the Earth has 5.1e8 km²
COMPACT = PAPER[:9]
COMPACT_MORE, COMPACT_LEAST = 19, 5
FALLBACK = Points("spaced", count=20)


@dataclass(frozen=True, slots=True, eq=False)
class Polyline:
    """Cumulative area (km²) and loss, the origin first: without it, bounds left of the first cell would be those at it.

    Attributes
    ----------
    area_km2, loss : ndarray of float64
        One value more than there are cells.
    """

    area_km2: Floats
    loss: Floats

    @classmethod
    def of(cls, area_ha: Floats, loss: Floats) -> Self:
        """Add up cells in the order given; each segment by itself, so that no digits are lost to other segments."""
        area_km2, total = np.zeros(len(area_ha) + 1), np.zeros(len(area_ha) + 1)
        np.cumsum(area_ha, out=area_km2[1:])
        np.cumsum(loss, out=total[1:])
        area_km2 *= KM2_PER_HA
        return cls(area_km2, total)

    def first(self, count: int) -> Polyline:
        """The part of the first ``count`` cells; nothing is copied."""
        return Polyline(self.area_km2[: count + 1], self.loss[: count + 1])


def target_areas(points: Points, total_km2: float, first_km2: float) -> Floats:
    """Target areas in km², the last one the total.

    Parameters
    ----------
    points : Points
    total_km2 : float
        Area of the tier.
    first_km2 : float
        The smaller of the first cells' areas in both orders.

    Examples
    --------
    >>> target_areas(Points("at", (1.0, 10.0, 100.0)), 50.0, 0.5).tolist()
    [1.0, 10.0, 50.0]
    >>> target_areas(Points("spaced", count=3), 5.0, 1.0).tolist()
    [1.0, 3.0, 5.0]
    """
    if points.kind == "spaced":
        return _spaced(points.count, total_km2, first_km2)
    if points.kind == "at":
        return np.append(_inside(np.array(points.values), total_km2), total_km2)
    make, least = (_paper, PAPER_LEAST) if points.kind == "paper" else (_compact, COMPACT_LEAST)
    inside = make(total_km2)
    if len(inside) < least:
        return _spaced(FALLBACK.count, total_km2, first_km2)
    return np.append(inside, total_km2)


def _inside(targets: Floats, total_km2: float) -> Floats:
    return targets[targets < total_km2 * INSIDE]


def _paper(total_km2: float) -> Floats:
    if total_km2 > MOST_KM2:
        raise InputError(
            f"{total_km2:.3g} km² is more than the Earth has; is harvested area in ha? Else use other points"
        )
    return _inside(np.append(PAPER, np.arange(PAPER_FROM, total_km2, PAPER_STEP)), total_km2)


def _compact(total_km2: float) -> Floats:
    """The fixed areas, then 19 evenly spaced in the logarithm up to 95 % of the total; too few are counted before those."""
    inside = _inside(np.array(COMPACT), total_km2)
    most = total_km2 * 0.95
    if most <= COMPACT[-1] * SLACK:
        return inside
    steps = np.arange(1, COMPACT_MORE + 1) / COMPACT_MORE
    return np.append(inside, 10.0 ** (3.0 + steps * (math.log10(most) - 3.0)))


def _spaced(count: int, total_km2: float, first_km2: float) -> Floats:
    if first_km2 >= total_km2 * INSIDE:
        return np.array([total_km2])
    first_km2 = max(first_km2, total_km2 / 1e300)  # so that the ratio is a number, however small the first cell is
    steps = np.arange(count) / (count - 1)
    if total_km2 / first_km2 >= 1000.0 * INSIDE:
        targets = first_km2 * (total_km2 / first_km2) ** steps
    else:
        targets = first_km2 + steps * (total_km2 - first_km2)
    targets[0], targets[-1] = first_km2, total_km2
    return targets


def at_points(line: Polyline, targets: Floats, method: str) -> tuple[Floats, Floats]:
    """A bound's own area and loss at targets inside the total, by either method.

    ``step`` takes whole cells until the target is exceeded; ``interp`` takes a part of the last one.

    Examples
    --------
    >>> line = Polyline.of(np.array([100.0, 300.0]), np.array([5.0, 60.0]))
    >>> at_points(line, np.array([1.0, 2.0]), "step")
    (array([4., 4.]), array([65., 65.]))
    >>> at_points(line, np.array([1.0, 2.0]), "interp")
    (array([1., 2.]), array([ 5., 25.]))
    """
    if method == "step":
        reached = np.searchsorted(line.area_km2[1:], targets * SLACK, side="right") + 1
        np.minimum(reached, len(line.area_km2) - 1, out=reached)
        return line.area_km2[reached], line.loss[reached]
    return targets, loss_at(line, targets)


def loss_at(line: Polyline, targets: Floats) -> Floats:
    """Loss at areas from 0 to the total, on the polyline."""
    left = np.minimum(np.searchsorted(line.area_km2, targets, side="right") - 1, len(line.area_km2) - 2)
    at, loss = line.area_km2[left], line.loss[left]
    run = line.area_km2[left + 1] - at
    share = np.divide(targets - at, run, out=np.ones_like(targets), where=run > 0)
    losses: Floats = loss + share * (line.loss[left + 1] - loss)
    return losses


def area_at(line: Polyline, loss: float) -> float | None:
    """The smallest area in km² at which a loss is reached; None if it is more than everything.

    >>> area_at(Polyline.of(np.array([100.0, 300.0]), np.array([5.0, 60.0])), 35.0)
    2.5
    """
    total = float(line.loss[-1])
    if loss > total * SLACK:
        return None
    right = int(np.searchsorted(line.loss, min(loss, total), side="left"))
    if right == 0:
        return 0.0
    low, high = float(line.loss[right - 1]), float(line.loss[right])
    begin, end = float(line.area_km2[right - 1]), float(line.area_km2[right])
    return begin + (min(loss, total) - low) / (high - low) * (end - begin)


def width(cells: Cells, lower: Polyline) -> float:
    """Area between the bounds over total area times total loss: the Gini coefficient of yield, 0 ≤ G < 1.

    Summed as ``Σ (A_{k-1}·loss_k - area_k·P_{k-1}) / (A·P)``, whose terms are all ≥ 0: one less the area under the lower
    bound would lose the digits of a small width. Products and sums instead of a dot product: BLAS would start threads,
    and its last bits depend on how many.

    >>> cells = Cells(np.array([1.0, 1.0]), np.array([1.0, 3.0]), np.array([1.0, 3.0]))
    >>> round(width(cells, Polyline.of(cells.area_ha, cells.loss)), 12)
    0.25
    """
    doubled = 0.0
    for start in range(0, len(cells), BLOCK):
        some = slice(start, start + BLOCK)
        before = slice(start, min(start + BLOCK, len(cells)))
        terms = lower.area_km2[before] * cells.loss[some]
        terms -= cells.area_ha[some] * lower.loss[before] * KM2_PER_HA
        doubled += float(np.sum(terms))
    whole = float(lower.area_km2[-1]) * float(lower.loss[-1])
    spread = doubled / whole if whole else 0.0
    return 0.0 if abs(spread) < ROUNDING else spread
