"""Historical events: the area and loss of each, and those that lie outside the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope._bounds import KM2_PER_HA
from fanwise.workloads.envelope._cells import valid_cells
from fanwise.workloads.envelope._crops import Crop
from fanwise.workloads.envelope._curves import Curve
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._tables import Row, read_table
from fanwise.workloads.envelope._thresholds import crop_named, in_unit, kcal_of, segment_named

__all__ = ["Event", "outside", "read_events"]

TOLERATED = 0.01


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: area in km², loss in the unit of the sweep."""

    name: str
    year: str
    crop: str
    segment: str
    area_km2: float
    loss: float

    @property
    def label(self) -> str:
        """Name and year."""
        return f"{self.name} {self.year}".strip()


def read_events(source: Any, result: Sweep) -> tuple[Event, ...]:
    """Events of the crops of a sweep.

    Columns ``name, year, crop, segment, area_km2, loss, unit``, or instead of area and loss ``countries`` (separated by
    ``;``) and ``fraction``: then they are that fraction of those countries' totals in the grid.
    """
    found = []
    for row in read_table(source, ("name", "crop")):
        place = crop_named(row.text("crop"), result.plan.crops)
        area, loss, unit = _given(row)
        if place is None:
            continue
        crop, segment = result.plan.crops[place], segment_named(row.text("segment"), result)
        if unit:
            loss = in_unit(loss, unit, result.unit, kcal_of(crop, result.grid))
        else:
            area, loss = (area * total for total in _totals(row, crop, result))
        found.append(Event(row.text("name"), row.text("year"), crop.name, segment, area, loss))
    return tuple(found)


def _given(row: Row) -> tuple[float, float, str]:
    """Area, loss and unit; or the fraction, 0 and no unit."""
    if row.text("countries"):
        return row.number_of("fraction", "a number from 0 to 1", lambda value: 0 <= value <= 1), 0.0, ""
    if not row.text("area_km2") and not row.text("loss"):
        raise row.wrong("area_km2", "area_km2 and loss, or countries and fraction")
    area = row.number_of("area_km2", "an area in km² > 0", lambda value: value > 0)
    return area, row.number_of("loss", "a loss > 0", lambda value: value > 0), row.unit()


def _totals(row: Row, crop: Crop, result: Sweep) -> tuple[float, float]:
    """Area in km² and loss of some countries, before any filter."""
    grid, unit = result.grid, result.unit
    names = {_country(row, grid, name) for name in row.text("countries").split(";") if name.strip()}
    if not names:
        raise row.wrong("countries", "names of countries")
    mine = np.array([*(name in names for name in grid.countries), False])[grid.country.codes]
    pairs = [(ha[mine], mt[mine]) for ha, mt in (grid.columns[code] for code in crop.members)]
    _, area, loss = valid_cells(pairs, crop.factors(unit))
    return float(np.sum(area)) * KM2_PER_HA, float(np.sum(loss))


def _country(row: Row, grid: Grid, name: str) -> str:
    try:
        return grid.find("country", name)
    except UsageError as error:
        raise InputError(f"{row.file} row {row.number}, column countries: {error}") from error


def outside(result: Sweep, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Events above the upper or below the lower bound of their segment's widest tier by more than 1 %."""
    found = []
    for event in events:
        if event.segment not in result.segments or (0, result.crops.index(event.crop)) not in result.results:
            continue
        tier = "comprehensive" if "comprehensive" in result.tiers else result.tiers[0]
        curve = result.curve(event.crop, event.segment, tier)
        side = _side(curve, event) if len(curve) else ""
        if side:
            found.append({"name": event.label, "crop": event.crop, "segment": event.segment, "side": side,
                          "area_km2": event.area_km2, "loss": event.loss})  # fmt: skip
    return found


def _side(curve: Curve, event: Event) -> str:
    upper = np.interp(event.area_km2, [0.0, *curve.upper_area_km2], [0.0, *curve.upper])
    lower = np.interp(event.area_km2, [0.0, *curve.lower_area_km2], [0.0, *curve.lower])
    if event.loss > upper * (1 + TOLERATED):
        return "above"
    return "below" if event.loss < lower * (1 - TOLERATED) else ""
