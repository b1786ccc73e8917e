"""Exact coverage: against the definition, against 220-bit sums, and the promise of the exact methods."""

from __future__ import annotations

import csv
import itertools
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.errors import UsageError
from fanwise.workloads.exactci import coverage, intervals
from fanwise.workloads.exactci._coverage import all_tables, binomial, make_grid

from .conftest import EXACT


def test_sums_of_220_bits_are_met(shared_data: Path) -> None:
    with open(shared_data / "exactci" / "coverage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    p2, odds = (list(dict.fromkeys(float(row[name]) for row in rows)) for name in ("p2", "odds_ratio"))
    done = coverage(8, 10, p2=p2, odds_ratio=odds, methods=EXACT, progress="none")
    for row in rows:
        i = p2.index(float(row["p2"])) * len(odds) + odds.index(float(row["odds_ratio"]))
        assert done.p1[i] == pytest.approx(float(row["p1"]), rel=1e-14)
        for name in ("covered", "miss_low", "miss_high"):
            assert getattr(done, name)[row["method"]][i] == pytest.approx(float(row[name]), abs=1e-12)


def test_coverage_is_the_sum_over_tables_that_cover() -> None:
    """All of it again in rational arithmetic, from the ends that `intervals` gives."""
    n1, n2, p1, p2 = 4, 5, Fraction(1, 3), Fraction(1, 5)
    theta = p1 * (1 - p2) / (p2 * (1 - p1))
    tables = all_tables(n1, n2)
    ends = intervals(tables, method="midp", progress="none")
    totals = dict.fromkeys(("covered", "miss_low", "miss_high", "finite"), Fraction(0))
    for (a, b, c, d), low, high in zip(tables.tolist(), ends.lower.tolist(), ends.upper.tolist()):
        weight = comb(n1, a) * p1**a * (1 - p1) ** b * comb(n2, c) * p2**c * (1 - p2) ** d
        totals["miss_low" if theta < low else "miss_high" if theta > high else "covered"] += weight
        totals["finite"] += weight if low > 0 and high < np.inf else 0
    done = coverage(n1, n2, p2=float(p2), p1=float(p1), methods=["midp"], length=True, progress="none")
    for name, total in totals.items():
        assert getattr(done, name)["midp"][0] == pytest.approx(float(total), abs=1e-14)
    assert done.odds_ratio[0] == pytest.approx(float(theta))
    assert done.log_length["midp"][0] > 0


@pytest.mark.parametrize(("n1", "n2"), [(1, 1), (3, 15), (15, 15), (7, 12)])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_conditional_blaker_and_minlike_keep_their_promise(n1: int, n2: int, alpha: float) -> None:
    p2, odds = np.linspace(0.02, 0.98, 15), np.geomspace(0.02, 50, 21)
    done = coverage(n1, n2, p2=p2, odds_ratio=odds, methods=EXACT, alpha=alpha, workers=1, progress="none")
    for method in ("conditional", "blaker", "minlike"):
        assert (done.covered[method] >= 1 - alpha - 1e-9).all()
    for method in EXACT:
        total = done.covered[method] + done.miss_low[method] + done.miss_high[method]
        np.testing.assert_allclose(total, 1.0, atol=1e-12)


@given(
    n1=st.integers(1, 9),
    n2=st.integers(1, 9),
    p1=st.floats(0.05, 0.95),
    p2=st.floats(0.05, 0.95),
    method=st.sampled_from(["conditional", "midp", "wald"]),
)
@settings(max_examples=25)
def test_exchanging_the_rows_exchanges_the_misses(n1: int, n2: int, p1: float, p2: float, method: str) -> None:
    one = coverage(n1, n2, p1=p1, p2=p2, methods=[method], workers=1, progress="none")
    two = coverage(n2, n1, p1=p2, p2=p1, methods=[method], workers=1, progress="none")
    assert one.odds_ratio[0] * two.odds_ratio[0] == pytest.approx(1.0)
    assert one.covered[method][0] == pytest.approx(two.covered[method][0], abs=1e-9)
    assert one.miss_low[method][0] == pytest.approx(two.miss_high[method][0], abs=1e-9)


def test_more_confidence_covers_more() -> None:
    grid = {
        "p2": np.linspace(0.1, 0.9, 9),
        "odds_ratio": [0.3, 1.0, 4.0],
        "methods": EXACT,
        "workers": 1,
        "progress": "none",
    }
    for method in EXACT:
        rising = [coverage(6, 9, alpha=alpha, **grid).covered[method] for alpha in (0.2, 0.1, 0.05, 0.01)]
        assert all((wider >= narrower - 1e-12).all() for narrower, wider in itertools.pairwise(rising))


def test_a_narrower_method_covers_less_and_is_shorter() -> None:
    done = coverage(10, 10, p2=[0.3, 0.5], odds_ratio=[2.0], methods=EXACT, length=True, progress="none")
    for method in ("midp", "blaker"):
        assert (done.covered[method] <= done.covered["conditional"] + 1e-12).all()
        assert (done.log_length[method] <= done.log_length["conditional"]).all()
    assert (done.finite["conditional"] > 0.9).all()


def test_where_no_interval_is_finite_there_is_no_length() -> None:
    done = coverage(1, 1, p2=0.5, odds_ratio=1.0, length=True, progress="none")
    assert done.finite["conditional"].tolist() == [0.0]
    assert np.isnan(done.log_length["conditional"]).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_bit(workers: int) -> None:
    grid = {"p2": np.linspace(0.1, 0.9, 40), "odds_ratio": np.geomspace(0.1, 10, 40)}
    plain = coverage(40, 40, methods=["blaker"], workers=1, progress="none", **grid)
    other = coverage(40, 40, methods=["blaker"], workers=workers, progress="none", **grid)
    assert plain.covered["blaker"].tobytes() == other.covered["blaker"].tobytes()


def test_wald_breaks_it_somewhere() -> None:
    done = coverage(10, 10, p2=[0.01, 0.5], odds_ratio=[30.0], methods=["wald"], progress="none")
    assert done.covered["wald"].min() < 0.95


@given(n=st.integers(1, 200), p=st.floats(0.001, 0.999))
def test_binomial_probabilities_add_up_and_have_their_mean(n: int, p: float) -> None:
    weights = binomial(n, p)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert weights @ np.arange(n + 1) == pytest.approx(n * p, rel=1e-12)


def test_binomial_of_millions_loses_no_digits() -> None:
    """scipy.stats.binom.pmf(600_000, 2_000_000, 0.3), by mpmath at 50 digits: 6.1557…e-4 = 1/sqrt(2 pi n p q)(1+…)."""
    import mpmath

    with mpmath.workdps(50):
        p = mpmath.mpf(0.3)
        exact = mpmath.binomial(2_000_000, 600_000) * p**600_000 * (1 - p) ** 1_400_000
    assert binomial(2_000_000, 0.3)[600_000] == pytest.approx(float(exact), rel=1e-11)


def test_the_grid_has_p2_slowest() -> None:
    grid = make_grid(5, 5, [0.1, 0.2], None, [1.0, 2.0])
    assert grid.p2.tolist() == [0.1, 0.1, 0.2, 0.2]
    assert grid.odds_ratio.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert grid.p1[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n1": 0}, "n1 is 0"),
        ({"n2": 2.5}, r"n2 is 2\.5"),
        ({"n1": 3000, "n2": 3000}, "at most 4,000,000"),
        ({"p1": 0.5}, "exactly one"),
        ({"odds_ratio": None}, "exactly one"),
        ({"p2": 0.0}, "p2 holds 0.0"),
        ({"p2": []}, "p2 has the shape"),
        ({"odds_ratio": float("inf")}, "odds_ratio holds inf"),
        ({"odds_ratio": float("nan")}, "odds_ratio holds nan"),
        ({"methods": ["blakr"]}, "blaker"),
        ({"methods": ["unconditional"], "n1": 300, "n2": 300}, "unconditional"),
    ],
)
def test_a_wrong_grid_is_a_usage_error(wrong: dict[str, object], words: str) -> None:
    arguments = {"n1": 3, "n2": 3, "p2": 0.3, "odds_ratio": 1.0} | wrong
    n1, n2 = arguments.pop("n1"), arguments.pop("n2")
    with pytest.raises(UsageError, match=words):
        coverage(n1, n2, **arguments)
