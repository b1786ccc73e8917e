"""Intervals of all small tables against the hull of a dense scan of the p-value, from the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from .conftest import EXACT, numbers

ALPHA = 0.05
LOG_THETA = np.arange(-9.0, 9.0, 0.004)


def probabilities(table: tuple[int, int, int, int]) -> tuple[np.ndarray, int]:
    """Probability of each count of the first cell (rows) at each theta of the scan (columns)."""
    a, b, c, d = table
    n1, n2, m = a + b, c + d, a + c
    support = np.arange(max(0, m - n2), min(n1, m) + 1)
    weights = np.array([math.comb(n1, k) * math.comb(n2, m - k) for k in support], float)
    terms = weights[:, None] * np.exp(np.outer(support - a, LOG_THETA))
    return terms / terms.sum(axis=0), a - int(support[0])


def scanned_p_value(table: tuple[int, int, int, int], method: str) -> np.ndarray:
    f, i = probabilities(table)
    below, above = f.cumsum(axis=0), f[::-1].cumsum(axis=0)[::-1]
    smaller = np.minimum(below, above)
    if method == "conditional":
        return np.minimum(1.0, 2 * smaller[i])
    if method == "midp":
        return np.minimum(1.0, 2 * smaller[i] - f[i])
    measure = smaller if method == "blaker" else f
    return np.where(measure <= measure[i], f, 0.0).sum(axis=0)


@pytest.mark.parametrize("method", EXACT)
def test_the_interval_is_the_hull_of_what_is_not_rejected(method: str) -> None:
    margins = itertools.product(range(1, 7), repeat=2)
    tables = [(a, n1 - a, c, n2 - c) for n1, n2 in margins for a in range(n1 + 1) for c in range(n2 + 1)]
    for table in tables:
        a, b, c, d = table
        if 0 in (a + c, b + d):
            continue
        found = numbers(table, method, ALPHA)
        accepted = LOG_THETA[scanned_p_value(table, method) > ALPHA]
        lower, upper = accepted[0], accepted[-1]
        if found["lower"] > 0.0:
            assert lower - 0.0041 <= math.log(found["lower"]) <= lower + 1e-9, table
        else:
            assert lower == LOG_THETA[0]
        if found["upper"] < math.inf:
            assert upper - 1e-9 <= math.log(found["upper"]) <= upper + 0.0041, table
        else:
            assert upper == LOG_THETA[-1]
