"""Which cells of a segment count, and slices of them by yield percentile."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.envelope._cells import Cells
from fanwise.workloads.envelope._question import Filter, Tier

__all__ = ["SLACK", "keep", "percentile_99", "tier_slice"]

SLACK = 1.0 + 1e-9
"""A value that equals a limit in decimal arithmetic counts as equal, however it was rounded."""


def keep(cells: Cells, rule: Filter) -> Cells:
    """The cells that pass the filter, still in lower order.

    >>> from fanwise.workloads.envelope._question import FILTERS
    >>> len(keep(Cells(np.array([0.5, 1.0]), np.ones(2), np.array([1.0, 2.0])), FILTERS["standard"]))
    1
    """
    if rule.least_ha > 0:
        large = cells.area_ha >= rule.least_ha
        cells = cells if large.all() else cells.take(large)
    if math.isinf(rule.factor) or not len(cells):
        return cells
    most = rule.factor * percentile_99(cells.yields) * SLACK
    return cells.cut(0, int(np.searchsorted(cells.yields, most, side="right")))


def percentile_99(yields: NDArray[np.float64]) -> float:
    """The 99th percentile of sorted yields, linear between ranks that are integers.

    >>> percentile_99(np.array([1.0, 2.0, 3.0]))
    2.98
    """
    j, rest = divmod(99 * (len(yields) - 1), 100)
    low = float(yields[j])
    return low + rest / 100 * (float(yields[j + 1]) - low) if rest else low


@functools.cache
def _ratio(percent: str) -> tuple[int, int]:
    """A percentile as two integers."""
    return (Fraction(percent) / 100).as_integer_ratio()


def tier_slice(yields: NDArray[np.float64], tier: Tier) -> tuple[int, int] | None:
    """First rank of a tier and the one after its last, equal yields at its ends included; None if it is empty.

    >>> from fanwise.workloads.envelope._question import make_tier
    >>> tier_slice(np.array([1.0, 2.0, 2.0, 3.0]), make_tier("own", 40, 60))
    >>> tier_slice(np.array([1.0, 2.0, 2.0, 3.0]), make_tier("own", 40, 70))
    (1, 3)
    """
    if not len(yields):
        return None
    (lo, per_lo), (hi, per_hi) = _ratio(tier.lo), _ratio(tier.hi)
    last = len(yields) - 1
    first, final = -(-last * lo // per_lo), last * hi // per_hi
    if first > final:
        return None
    start = int(np.searchsorted(yields, yields[first], side="left"))
    return start, int(np.searchsorted(yields, yields[final], side="right"))
