"""Values of items and season columns over the rows of the file; missing values are NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._items import Item, Season

__all__ = ["Floats", "Recipe", "season_columns", "undefined", "values"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the column of an item is made from the file, so that it can be made again.

    ``source_hash`` is the BLAKE2b-128 of the float64 values of ``column``, in rows of the file.
    """

    item: Item
    column: str
    source_hash: str


def values(item: Item, source: Floats) -> Floats:
    """The item at each row of the file: transformed, then delayed by its lag.

    Parameters
    ----------
    item : Item
        What to compute.
    source : ndarray of float64, shape (rows,)
        The column of the file.

    Returns
    -------
    ndarray of float64, shape (rows,)
        NaN where an input is missing or the value is not finite (logarithm of ≤ 0, division by 0).
    """
    with np.errstate(all="ignore"):
        found = _TRANSFORMS[item.transform](source, item.parameter or 1)
    late = _delayed(found, item.lag)
    return np.where(np.isfinite(late), late, np.nan)


def undefined(item: Item, source: Floats) -> int:
    """How many rows have all inputs and still no value (logarithm of ≤ 0, division by 0, overflow)."""
    inputs = {"LOG": "LV", "DLOG": "DF", "GR": "DF", "ABSGR": "DF"}.get(item.transform, item.transform)
    whole = np.isfinite(values(Item(item.variable, inputs, item.parameter, item.lag), source))
    return int(np.count_nonzero(whole & ~np.isfinite(values(item, source))))


def _delayed(column: Floats, rows: int) -> Floats:
    late = np.full_like(column, np.nan)
    late[rows:] = column[: max(len(column) - rows, 0)]
    return late


def _mean(x: Floats, window: int) -> Floats:
    total = x.copy()
    for back in range(1, window):
        total += _delayed(x, back)
    return total / window


_TRANSFORMS: dict[str, Callable[[Floats, int], Floats]] = {
    "LV": lambda x, _: x,
    "DF": lambda x, d: x - _delayed(x, d),
    "GR": lambda x, d: x / _delayed(x, d) - 1.0,
    "ABSGR": lambda x, d: np.abs(x / _delayed(x, d) - 1.0),
    "LOG": lambda x, _: np.log(x),
    "DLOG": lambda x, d: np.log(x) - np.log(_delayed(x, d)),
    "AVG": _mean,
    "DEV": lambda x, w: x - _mean(x, w),
}


def season_columns(season: Season, part_of_year: NDArray[np.int64] | None, ordinals: NDArray[np.int64]) -> Floats:
    """0/1 columns of a season block, one row each.

    Dates know their season when the period divides the year (``part_of_year`` is the month, 1 to 12), also across gaps
    of the file. Other periods, and times that are whole numbers, count from the first row of the file.
    """
    if part_of_year is not None and 12 % season.period == 0:
        at = (part_of_year - 1) // (12 // season.period) + 1
    elif part_of_year is not None:
        at = np.arange(len(ordinals)) % season.period + 1
    else:
        at = (ordinals - ordinals[0]) % season.period + 1
    return np.array([at == chosen for chosen in season.chosen], dtype=np.float64).reshape(-1, len(ordinals))
