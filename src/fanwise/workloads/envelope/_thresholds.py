"""Thresholds, such as a month of consumption: the areas whose loss reaches them at worst and at best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fanwise.workloads.envelope._bounds import area_at
from fanwise.workloads.envelope._cells import valid_cells
from fanwise.workloads.envelope._crops import GRAMS_PER_TON, Crop, known_names
from fanwise.workloads.envelope._curves import magnitude
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._labels import WORLD
from fanwise.workloads.envelope._question import TIERS, Tier
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._tables import MASS, Row, read_table
from fanwise.workloads.envelope._task import Item, Line, lines_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Threshold", "crop_named", "crossings", "in_unit", "kcal_of", "read_thresholds", "segment_named"]

COLUMNS = ("crop", "segment", "label", "value", "unit")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A loss with a label; one of World counts, scaled by the share of production, for segments that have none of their own."""

    crop: str
    segment: str
    label: str
    value: float
    unit: str


class Crossing(NamedTuple):
    """A row of the result; areas are NaN where the threshold is more than everything."""

    scenario: str
    crop: str
    segment: str
    tier: str
    label: str
    threshold: float
    scaled: bool
    worst_area_km2: float
    best_area_km2: float


def read_thresholds(source: Any) -> tuple[Threshold, ...]:
    """Columns ``crop, segment, label, value, unit``; a blank segment is World."""
    return tuple(map(_threshold, read_table(source, ("crop", "label", "value", "unit"))))


def _threshold(row: Row) -> Threshold:
    value = row.number_of("value", "a finite number > 0", lambda value: value > 0)
    return Threshold(row.text("crop"), row.text("segment") or WORLD, row.text("label"), value, row.unit())


def crop_named(name: str, crops: Sequence[Crop]) -> int | None:
    """Place of a crop among those of a run, by code, name or group; None if it is not among them."""
    places = {crop.name.casefold(): place for place, crop in enumerate(crops)}
    if "allgrain" in places:
        places["all-grain"] = places["allgrain"]
    known = known_names([crop.name for crop in crops])
    return places.get(name.casefold(), places.get(known.get(name.casefold(), "").casefold()))


def segment_named(name: str, result: Sweep) -> str:
    """A segment of a sweep in any letter case, else the name as it is; a blank one is World."""
    found = {known.casefold(): known for known in reversed(result.segments)} | {one: one for one in result.segments}
    return found.get(name) or found.get(name.casefold(), name) if name else WORLD


def kcal_of(crop: Crop, grid: Grid) -> float:
    """Kcal per g of a crop; of a group its own value, else the mean of its members weighted by production.

    >>> grid = Grid.from_arrays(cell=[1], country=["A"], crops={"X": ([1.0], [30.0]), "Y": ([1.0], [10.0])})
    >>> kcal_of(Crop("pair", ("X", "Y"), (2.0, 4.0)), grid)
    2.5
    """
    if crop.own_kcal_per_g is not None:
        return crop.own_kcal_per_g
    known = [(code, k) for code, k in zip(crop.members, crop.kcal_per_g, strict=True) if k is not None]
    if len(known) == 1:
        return known[0][1]
    mass = [float(np.sum(valid_cells([grid.columns[code]], [1.0])[2])) for code, _ in known]
    total = sum(mass)
    return sum(m * k for m, (_, k) in zip(mass, known, strict=True)) / total if total else float("nan")


def in_unit(value: float, unit: str, wanted: str, kcal_per_g: float) -> float:
    """A loss in kcal or mt; tables of USDA are in 1000 mt, and read as mt they would be 1000 times too small.

    >>> in_unit(2.0, "1000mt", "kcal", 3.34)
    6680000000.0
    """
    if unit == wanted:
        return value
    if wanted == "mt" and unit == "kcal":
        return value / (GRAMS_PER_TON * kcal_per_g)
    tons = value * MASS[unit]
    return tons if wanted == "mt" else tons * GRAMS_PER_TON * kcal_per_g


def crossings(result: Sweep, thresholds: Any) -> pd.DataFrame:
    """The smallest area that can lose as much as each threshold, and the smallest that must.

    Parameters
    ----------
    result : Sweep
    thresholds : path, DataFrame, or sequence of Threshold
        A table with the columns ``crop, segment, label, value, unit``.

    Returns
    -------
    DataFrame
        Columns ``scenario, crop, segment, tier, label, threshold_<unit>, scaled, worst_area_km2, worst_magnitude,
        best_area_km2, best_magnitude``; NaN where a threshold is more than everything.
    """
    import pandas as pd

    read = thresholds if _are_thresholds(thresholds) else read_thresholds(thresholds)
    told = [replace(one, segment=segment_named(one.segment, result)) for one in read]
    rows = [row for place in sorted(result.results) for row in _of_item(result, Item(*place), told)]
    frame = pd.DataFrame(rows, columns=list(Crossing._fields)).astype({"worst_area_km2": float, "best_area_km2": float})
    for side in ("worst", "best"):
        at = list(frame.columns).index(f"{side}_area_km2") + 1
        areas = np.asarray(frame[f"{side}_area_km2"], dtype=np.float64)
        frame.insert(at, f"{side}_magnitude", magnitude(areas))
    return frame.rename(columns={"threshold": f"threshold_{result.unit}"})


def _are_thresholds(given: Any) -> bool:
    return isinstance(given, (tuple, list)) and all(isinstance(one, Threshold) for one in given)


def _of_item(result: Sweep, item: Item, told: Sequence[Threshold]) -> Iterator[Crossing]:
    crop = result.plan.crops[item.crop]
    mine = [one for one in told if crop_named(one.crop, result.plan.crops) == item.crop]
    if not mine:
        return
    kcal = kcal_of(crop, result.grid)
    totals: dict[int, float] = {}
    whole = len(result.plan.question.tiers)
    plan = result.plan.with_tier(Tier("comprehensive", *TIERS["comprehensive"]))
    pending: list[Line] = []
    for line in lines_of(plan, result.columns, item):
        if line.tier < whole:
            pending.append(line)
            continue
        totals[line.segment] = float(line.lower.loss[-1])
        for one in pending:
            yield from _of_line(
                result, item, one, [(t, in_unit(t.value, t.unit, result.unit, kcal)) for t in mine], totals
            )
        pending = []


def _of_line(
    result: Sweep, item: Item, line: Line, told: Sequence[tuple[Threshold, float]], totals: dict[int, float]
) -> Iterator[Crossing]:
    segment = result.segments[line.segment]
    names = result.scenarios[item.scenario], result.crops[item.crop], segment, result.tiers[line.tier]
    own = [pair for pair in told if pair[0].segment == segment]
    scaled = not own  # a segment with thresholds of its own takes none from World
    for threshold, value in own or [pair for pair in told if pair[0].segment == WORLD]:
        loss = value * (totals[line.segment] / totals[0]) if scaled else value
        areas = [area_at(bound, loss) for bound in (line.upper, line.lower)]
        worst, best = (float("nan") if area is None else area for area in areas)
        yield Crossing(*names, threshold.label, loss, scaled, worst, best)
