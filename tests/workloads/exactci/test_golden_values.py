"""Ends and p-values that mpmath found in 40-digit arithmetic from the definitions alone (``make_golden.py``)."""

from __future__ import annotations

from math import inf, isinf

import pytest
from tests.workloads.exactci.conftest import numbers
from tests.workloads.exactci.golden_values import GOLDEN
from tests.workloads.exactci.make_golden import ALPHAS, METHODS, interval, tables

from fanwise.workloads.exactci import intervals


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_ends_agree_to_the_last_digits(method: str, alpha: float) -> None:
    rows = [row for row in GOLDEN if row[1:3] == (alpha, method)]
    assert [row[0] for row in rows] == list(tables())
    done = intervals([row[0] for row in rows], method=method, alpha=alpha, workers=1, progress="none")
    for i, (table, _, _, lower, upper, p_value) in enumerate(rows):
        assert done.lower[i] == pytest.approx(lower, rel=1e-13), table
        assert done.upper[i] == (inf if isinf(upper) else pytest.approx(upper, rel=1e-13)), table
        assert done.p_value[i] == pytest.approx(p_value, rel=1e-12), table


@pytest.mark.slow
def test_a_row_of_the_golden_module_is_what_its_program_makes() -> None:
    """One table again, so that module and program cannot drift apart; all of them take minutes."""
    row = next(row for row in GOLDEN if row[2] == "blaker" and row[3] > 0 and row[4] < inf)
    lower, upper = interval("blaker", row[0], row[1])
    assert (float(lower), float(upper)) == pytest.approx((row[3], row[4]), rel=1e-15)
    assert numbers(row[0], "blaker", row[1])["lower"] == pytest.approx(float(lower), rel=1e-13)
