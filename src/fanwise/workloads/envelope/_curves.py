"""`Curve`: the envelope of one scenario, crop, segment and tier; and the kernel that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import UsageValueError
from fanwise.workloads.envelope._bounds import KM2_PER_HA, Polyline, at_points, target_areas, width
from fanwise.workloads.envelope._cells import Cells, sorted_cells
from fanwise.workloads.envelope._digests import digest_of
from fanwise.workloads.envelope._grid import column_of
from fanwise.workloads.envelope._ids import order_of, read_ids
from fanwise.workloads.envelope._question import Question, Tier, make_question, make_tier
from fanwise.workloads.envelope._tiers import keep, tier_slice

__all__ = ["VALUES", "Curve", "Traced", "bounds", "magnitude", "trace"]

Floats = NDArray[np.float64]

VALUES = ("area_km2", "lower_area_km2", "lower", "upper_area_km2", "upper")
"""Rows of a curve's values."""


def magnitude(area_km2: Floats) -> Floats:
    """log10 of an area in km²; NaN where the area is not above 0.

    >>> magnitude(np.array([100.0, 0.0])).tolist()
    [2.0, nan]
    """
    return np.log10(area_km2, out=np.full(np.shape(area_km2), np.nan), where=np.asarray(area_km2) > 0)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """An envelope: largest and smallest loss at each target area.

    Attributes
    ----------
    area_km2, lower_area_km2, lower, upper_area_km2, upper : ndarray of float64, read-only
        Target area; area and loss of each bound. The last point is the convergence point: both bounds are the totals.
    total_area_km2, total_loss : float
        Of the tier.
    width : float
        Gini coefficient of yield; NaN if the tier is empty.
    n_cells : int
        Cells in the tier.
    status : {"ok", "empty"}
    yield_min, yield_max : float
        Loss per ha.
    cells, valid, filtered : int
        Cells in the segment; with area and loss above 0; left after the filter.
    """

    area_km2: Floats
    lower_area_km2: Floats
    lower: Floats
    upper_area_km2: Floats
    upper: Floats
    total_area_km2: float
    total_loss: float
    width: float
    n_cells: int
    status: str
    yield_min: float
    yield_max: float
    cells: int
    valid: int
    filtered: int

    def __len__(self) -> int:
        return len(self.area_km2)

    @property
    def magnitude(self) -> Floats:
        """log10 of the target areas."""
        values = magnitude(self.area_km2)
        values.flags.writeable = False
        return values

    @property
    def digest(self) -> str:
        """32 hexadecimal digits over the bytes of the values."""
        return digest_of(getattr(self, name) for name in VALUES)


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """What is computed for one tier: values (rows of `VALUES`) and facts in the order of `_envelopes.FACTS`."""

    values: Floats
    facts: tuple[float, ...]


def trace(kept: Cells, question: Question) -> list[Traced]:
    """Every tier of a segment whose cells passed the filter.

    Tiers with the same upper end share one upper sum: a shorter tier is the beginning of a longer one from the top. Lower
    sums are gone before the upper ones are made, so that no more than two arrays beside the cells live at a time.
    """
    slices = [tier_slice(kept.yields, tier) for tier in question.tiers]
    traced = [_lower(kept, found, question) for found in slices]
    tops: dict[int, list[int]] = {}
    for at, found in enumerate(slices):
        if found is not None:
            tops.setdefault(found[1], []).append(at)
    for stop, places in tops.items():
        starts = {at: found[0] for at in places if (found := slices[at]) is not None}
        cells = kept.cut(min(starts.values()), stop)
        line = Polyline.of(cells.area_ha[::-1], cells.loss[::-1])
        for at, start in starts.items():
            values = traced[at].values
            values[3, :-1], values[4, :-1] = at_points(line.first(stop - start), values[0, :-1], question.method)
    return traced


def _lower(kept: Cells, found: tuple[int, int] | None, question: Question) -> Traced:
    """Target areas, lower bound and totals of a tier; its upper bound is not there yet."""
    if found is None:
        return Traced(np.empty((len(VALUES), 0)), (0.0, *(np.nan,) * 5))
    cells = kept.cut(*found)
    line = Polyline.of(cells.area_ha, cells.loss)
    total_km2, total = float(line.area_km2[-1]), float(line.loss[-1])
    first_km2 = float(min(cells.area_ha[0], cells.area_ha[-1])) * KM2_PER_HA
    targets = target_areas(question.points, total_km2, first_km2)
    values = np.empty((len(VALUES), len(targets)))
    values[0] = targets
    values[1, :-1], values[2, :-1] = at_points(line, targets[:-1], question.method)
    values[1:, -1] = total_km2, total, total_km2, total
    facts = (len(cells), total_km2, total, cells.yields[0], cells.yields[-1], width(cells, line))
    return Traced(values, tuple(map(float, facts)))


def bounds(
    harvest_ha: Any,
    loss: Any,
    /,
    *,
    cell: Any = None,
    tier: Sequence[Any] | Tier = (0, 100),
    method: str = "interp",
    points: Any = "spaced:200",
    filter: str = "none",
) -> Curve:
    """The envelope of some cells: the largest and the smallest loss that a disruption of each area can cause.

    Parameters
    ----------
    harvest_ha : array_like, shape (n,)
        Harvested area of each cell in ha.
    loss : array_like, shape (n,)
        What each cell produces, in any unit.
    cell : array_like, shape (n,), optional
        Ids, which order cells of equal yield. Default: their places.
    tier : (lo, hi)
        Percentiles of yield; numbers, or decimal text.
    method : {"interp", "step"}
        Whether the last cell counts in part or as a whole.
    points : str
        Target areas in km²: ``paper``, ``compact``, ``spaced:N``, ``at:1,10`` or ``file:PATH``.
    filter : {"none", "conservative", "standard", "aggressive"}

    Returns
    -------
    Curve

    Raises
    ------
    UsageError
        If lengths differ or an option is not one that can be asked for.

    Source
    ------
    Harvest-production envelope and magnitude as published with AgRichter (2025); the exact optimum of the linear
    programme "choose a fraction of each cell, total area T" for ``interp``.

    Examples
    --------
    Three cells of 100 ha with 1, 2 and 6 t/ha; a disruption of 1 km² costs from 100 t to 600 t:

    >>> curve = bounds([100, 100, 100], [100.0, 200.0, 600.0], points="at:1,2")
    >>> curve.area_km2.tolist(), curve.lower.tolist(), curve.upper.tolist()
    ([1.0, 2.0, 3.0], [100.0, 300.0, 900.0], [600.0, 800.0, 900.0])
    """
    chosen = tier if isinstance(tier, Tier) else _between(tier)
    question = make_question((chosen,), method, points, filter, "mt")
    pair = column_of(harvest_ha), column_of(loss)
    if pair[0].shape != pair[1].shape:
        raise UsageValueError(f"harvest_ha has shape {pair[0].shape}, loss {pair[1].shape}: expected one value a cell")
    if cell is not None:
        by_id = order_of(read_ids(cell))
        if len(by_id) != len(pair[0]):
            raise UsageValueError(f"{len(by_id)} cell ids for {len(pair[0])} cells")
        pair = pair[0][by_id], pair[1][by_id]
    _, _, cells = sorted_cells([pair], [1.0])
    kept = keep(cells, question.filter)
    traced = trace(kept, question)[0]
    return curve_of(traced.values, (len(pair[0]), len(cells), len(kept), *traced.facts))


def _between(tier: Any) -> Tier:
    if isinstance(tier, str) or not isinstance(tier, Sequence) or len(tier) != 2:
        raise UsageValueError(f"tier {tier!r}: expected two percentiles, such as (20, 100)")
    return make_tier("tier", *tier)


def curve_of(values: Floats, facts: Sequence[float]) -> Curve:
    """A curve from rows of `VALUES` and its facts."""
    cells, valid, filtered, used, total_km2, total, yield_min, yield_max, gini = facts
    rows = np.ascontiguousarray(values)
    rows.flags.writeable = False
    return Curve(
        **dict(zip(VALUES, rows, strict=True)),
        total_area_km2=float(total_km2),
        total_loss=float(total),
        width=float(gini),
        n_cells=int(used),
        status="ok" if rows.shape[1] else "empty",
        yield_min=float(yield_min),
        yield_max=float(yield_max),
        cells=int(cells),
        valid=int(valid),
        filtered=int(filtered),
    )
