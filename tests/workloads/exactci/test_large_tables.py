"""Counts up to a thousand million: each end, put back into the definition, gives alpha/2 to 1e-11 (mpmath, 40 digits)."""

from __future__ import annotations

from math import inf

import mpmath as mp
import numpy as np
import pytest
from tests.workloads.exactci.conftest import numbers

from fanwise.workloads.exactci import interval, intervals

Table = tuple[int, int, int, int]
ALPHA = 0.05

TABLES: list[Table] = [
    (3, 10**9, 7, 10**9), (10**9, 3, 10**9, 7), (0, 10**9, 4, 10**9), (1, 999_999_999, 1, 12), (10**9, 10**9, 2, 2),
    (2, 5, 10**9, 10**9), (1, 10**9, 10**9, 1), (10**6, 10**3, 10**3, 1), (50_000, 60_000, 70_000, 80_000),
    (12, 3_000_000, 200, 5_000_000), (1_000, 1, 1_000_000, 5), (8, 10**8, 10**5, 10**9),
]  # fmt: skip


def tails(table: Table, theta: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """P(K <= a), P(K >= a), P(K = a), summed outwards from the mode by the ratio of neighbours."""
    a, b, c, d = table
    n1, n2, m = a + b, c + d, a + c
    low, high = max(0, m - n2), min(n1, m)

    def ratio(k: int) -> mp.mpf:
        return theta * (n1 - k) * (m - k) / (mp.mpf(k + 1) * (n2 - m + k + 1))

    left, right = low, high  # the mode: where the ratio falls through 1
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if ratio(middle) > 1 else (left, middle)
    mode, below, above, at = left, mp.mpf(0), mp.mpf(0), mp.mpf(0)
    for step in (1, -1):
        k, weight = (mode, mp.mpf(1)) if step == 1 else (mode - 1, mp.mpf(0))
        if step == -1 and mode > low:
            weight = 1 / ratio(mode - 1)
        while low <= k <= high and weight > mp.mpf(10) ** -34:
            below, above = below + (weight if k <= a else 0), above + (weight if k >= a else 0)
            at = weight if k == a else at
            if step == 1:
                weight, k = weight * (ratio(k) if k < high else 0), k + 1
            else:
                k -= 1
                weight = weight / ratio(k) if k >= low else mp.mpf(0)
    whole = below + above - at
    return below / whole, above / whole, at / whole


@pytest.mark.parametrize("table", TABLES, ids=str)
@pytest.mark.parametrize("method", ["conditional", "midp"])
def test_an_end_of_a_large_table_has_the_tail_that_defines_it(table: Table, method: str) -> None:
    found = interval(*table, method=method, alpha=ALPHA)
    half = mp.mpf(ALPHA) / 2
    with mp.workdps(40):
        for end, tail in ((found.lower, 1), (found.upper, 0)):
            if end in {0.0, inf}:
                assert (table[0] == max(0, table[0] - table[3])) if tail else 0 in table[1:3]
                continue
            parts = tails(table, mp.mpf(end))
            reached = parts[tail] - (parts[2] / 2 if method == "midp" else 0)
            steepness = max(
                1.0, sum(1.0 / (cell + 0.5) for cell in table) ** -0.5
            )  # d log tail / d log end is of its order
            assert float(abs(reached / half - 1)) <= 1e-11 * 10 * steepness


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_swapping_columns_of_a_large_table_inverts_it(table: Table) -> None:
    a, b, c, d = table
    for method in ("conditional", "midp", "blaker", "minlike"):
        one, two = numbers((a, b, c, d), method, ALPHA), numbers((b, a, d, c), method, ALPHA)
        assert one["lower"] == pytest.approx(1 / two["upper"] if two["upper"] else inf, rel=1e-11)
        assert one["p_value"] == pytest.approx(two["p_value"], rel=1e-9)


def test_a_p_value_of_nearly_nothing_is_nought_or_tiny_and_never_nan() -> None:
    rows = np.array([(10**k, 1, 1, 10**k) for k in range(10)] + [(1, 10**k, 10**k, 1) for k in range(10)])
    for method in ("conditional", "midp", "blaker", "minlike", "wald"):
        done = intervals(rows, method=method, workers=1, progress="none")
        assert np.isfinite(done.p_value).all()
        assert ((done.p_value >= 0) & (done.p_value <= 1)).all()
        assert (np.diff(done.p_value[1:10]) <= 0).all()
        assert (done.lower < done.upper).all()
