"""Exceedance probability of losses from a history of production: trend, shocks, an exponential tail, bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError, UsageValueError
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._tables import Row, read_table
from fanwise.workloads.envelope._thresholds import crop_named, in_unit, kcal_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fit", "History", "exceedance", "fit", "read_history", "risk", "risks"]

LEAST_YEARS = 10
QUANTILES = (0.025, 0.5, 0.975)
TAIL = -math.log(0.32)  # one standard deviation of loss is exceeded in 32 % of years

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """Production of one crop by year, in ``unit``."""

    crop: str
    years: tuple[int, ...]
    production: tuple[float, ...]
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A straight line through a history.

    Attributes
    ----------
    shocks : ndarray of float64
        (value - fit) / fit of each year.
    sigma : float
        Population standard deviation of the shocks.
    p_now : float
        Last fitted value, in the unit of the sweep.
    """

    years: int
    intercept: float
    slope: float
    shocks: Floats
    sigma: float
    p_now: float

    @property
    def scale(self) -> float:
        """Mean of the exponential tail, in the unit of ``p_now``."""
        return self.sigma * self.p_now / TAIL


def read_history(source: Any) -> tuple[History, ...]:
    """Columns ``crop, year, production, unit``.

    Raises
    ------
    InputError
        If a crop has fewer than ten years, a year twice, or two units.
    """
    by_crop: dict[str, dict[int, tuple[float, str]]] = {}
    for row in read_table(source, ("crop", "year", "production", "unit")):
        years = by_crop.setdefault(row.text("crop"), {})
        year = _year(row)
        if year in years:
            raise row.wrong("year", "each year once")
        years[year] = row.number_of("production", "a finite number ≥ 0", lambda value: value >= 0), row.unit()
    return tuple(_history(crop, years) for crop, years in by_crop.items())


def _year(row: Row) -> int:
    return int(row.number_of("year", "a year", float.is_integer))


def _history(crop: str, years: Mapping[int, tuple[float, str]]) -> History:
    if len(years) < LEAST_YEARS:
        raise InputError(f"history of {crop}: {len(years)} years; at least {LEAST_YEARS} are needed")
    units = {unit for _, unit in years.values()}
    if len(units) > 1:
        raise InputError(f"history of {crop}: units {' and '.join(sorted(units))}; expected one")
    return History(crop, tuple(sorted(years)), tuple(years[y][0] for y in sorted(years)), units.pop())


def fit(history: History, to_unit: float = 1.0) -> Fit:
    """Least squares of production on the year; ``to_unit``: what one unit of the history is in that of the sweep.

    >>> found = fit(History("WHEA", tuple(range(2000, 2010)), (10.0, 12.0) * 5, "mt"))
    >>> round(found.sigma, 4), round(found.p_now, 4)
    (0.0896, 11.2727)
    """
    x, y = np.array(history.years, dtype=np.float64), np.array(history.production)
    mean_x, mean_y = float(np.mean(x)), float(np.mean(y))
    slope = float(np.sum((x - mean_x) * (y - mean_y)) / np.sum((x - mean_x) ** 2))
    line = mean_y + slope * (x - mean_x)
    with np.errstate(divide="ignore", invalid="ignore"):
        shocks = (y - line) / line
    if not np.isfinite(shocks).all():
        raise InputError(f"history of {history.crop}: its straight line is 0 in some year; shocks are relative to it")
    return Fit(len(x), mean_y - slope * mean_x, slope, shocks, float(np.std(shocks)), float(line[-1]) * to_unit)


def exceedance(loss: Floats, scale: Floats | float) -> Floats:
    """``exp(-loss / scale)``; with scale 0, 1 for no loss and 0 for any.

    >>> exceedance(np.array([0.0, 2.0]), 0.0).tolist()
    [1.0, 0.0]
    """
    loss, scale = np.broadcast_arrays(loss, scale)
    ratio = np.divide(loss, scale, out=np.where(loss > 0, np.inf, 0.0), where=scale > 0)
    return np.exp(-ratio)


def bootstrap_scales(found: Fit, replicates: int, seed: int) -> Floats:
    """The scale of each replicate: shocks drawn with replacement by a generator of its own."""
    scales = np.empty(replicates)
    for index in range(replicates):
        rng = np.random.default_rng([seed, index])
        scales[index] = float(np.std(rng.choice(found.shocks, len(found.shocks)))) * found.p_now / TAIL
    return scales


def risks(result: Sweep, history: Any) -> dict[str, Fit]:
    """The fit of each crop of a sweep that the history has."""
    told = history if isinstance(history, (tuple, list)) else read_history(history)
    by_place = {crop_named(one.crop, result.plan.crops): one for one in told}
    found = {}
    for place, crop in enumerate(result.plan.crops):
        if place in by_place:
            one = by_place[place]
            found[crop.name] = fit(one, in_unit(1.0, one.unit, result.unit, kcal_of(crop, result.grid)))
    return found


def risk(result: Sweep, fits: Mapping[str, Fit], *, bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Exceedance probability of the largest loss at each point of World's baseline curves.

    Parameters
    ----------
    result : Sweep
    fits : mapping of str to Fit
        By crop, as `risks` gives them.
    bootstrap : int
        Replicates for the bands; 0: none.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``crop, tier, point, area_km2, magnitude, upper_<unit>, p, p_low, p_median, p_high``.
    """
    import pandas as pd

    if bootstrap < 0:
        raise UsageValueError(f"bootstrap {bootstrap}: expected a number ≥ 0")
    frames = [_of_crop(result, crop, found, (bootstrap, seed)) for crop, found in fits.items() if _has(result, crop)]
    names = ["crop", "tier", "point", "area_km2", "magnitude", f"upper_{result.unit}", *_BANDS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)


_BANDS = ("p", "p_low", "p_median", "p_high")


def _has(result: Sweep, crop: str) -> bool:
    return (0, result.crops.index(crop)) in result.results


def _of_crop(result: Sweep, crop: str, found: Fit, draws: tuple[int, int]) -> pd.DataFrame:
    import pandas as pd

    scales = bootstrap_scales(found, *draws)
    parts = []
    for tier in result.tiers:
        curve = result.curve(crop, tier=tier)
        bands = _bands(curve.upper, scales)
        columns = {
            "crop": crop,
            "tier": tier,
            "point": np.arange(len(curve)),
            "area_km2": curve.area_km2,
            "magnitude": curve.magnitude,
            f"upper_{result.unit}": curve.upper,
            "p": exceedance(curve.upper, found.scale),
        }
        parts.append(pd.DataFrame(columns | dict(zip(_BANDS[1:], bands, strict=True))))
    return pd.concat(parts, ignore_index=True)


def _bands(losses: Floats, scales: Floats) -> Sequence[Floats]:
    """Quantiles of the probability over replicates, point by point."""
    if not len(scales):
        return [np.full(len(losses), np.nan)] * len(QUANTILES)
    return list(np.quantile(exceedance(losses[None, :], scales[:, None]), QUANTILES, axis=0))
