"""The kernel against golden values, the definitions in rational arithmetic, and mpmath."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from fanwise.workloads.exactci import _kernel
from fanwise.workloads.exactci._methods import ask
from fanwise.workloads.exactci._solve import solve_chunk

from .conftest import EXACT, SHOWCASE, numbers
from .exact import law, p_value, weights

NEAR, FAR = Fraction(1, 10**12), Fraction(1, 10**7)


def relative(found: float, wanted: float) -> float:
    if wanted in {0.0, math.inf} or math.isnan(wanted):
        return 0.0 if found == wanted or (math.isnan(found) and math.isnan(wanted)) else math.inf
    return abs(found / wanted - 1.0)


@pytest.mark.parametrize("method", EXACT)
def test_golden_values_are_met(golden: list[dict[str, str]], method: str) -> None:
    """220-bit reference values, checked by a second program (README of the reference data)."""
    rows = [row for row in golden if row["method"] == method]
    assert len(rows) == 272
    for row in rows:
        found = numbers(tuple(int(row[cell]) for cell in "abcd"), method, float(row["alpha"]))
        for name in ("lower", "upper", "estimate"):
            assert relative(found[name], float(row[name])) <= 1e-13, (row["id"], name)
        if float(row["p_value"]) >= 1e-250:
            assert relative(found["p_value"], float(row["p_value"])) <= 1e-12, row["id"]
        else:
            assert found["p_value"] <= 1e-250


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("table", SHOWCASE)
def test_ends_are_where_the_p_value_leaves_alpha(table: tuple[int, int, int, int], method: str) -> None:
    """Just inside a finite end p > alpha, just outside it is not, and nothing further out is: the hull."""
    alpha = Fraction(1, 20)
    found = numbers(table, method, float(alpha))
    for end, outwards in ((found["upper"], 1), (found["lower"], -1)):
        if end in {0.0, math.inf}:
            edge = table[0] == max(0, table[0] - table[3]) if outwards < 0 else table[1] * table[2] == 0
            assert edge
            continue
        theta = Fraction(end)
        assert p_value(table, method, theta * (1 - outwards * NEAR)) > alpha
        for step in (NEAR, FAR, Fraction(1, 100), Fraction(1, 10), Fraction(1, 2)):
            assert p_value(table, method, theta * (1 + step) if outwards > 0 else theta / (1 + step)) <= alpha


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("table", SHOWCASE)
def test_p_values_are_those_of_the_definition(table: tuple[int, int, int, int], method: str) -> None:
    exact = p_value(table, method, Fraction(1), tie=Fraction(1, 10**7))
    assert numbers(table, method, 0.05)["p_value"] == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("table", [t for t in SHOWCASE if min(t) > 0])
def test_the_estimate_makes_the_mean_the_observed_count(table: tuple[int, int, int, int]) -> None:
    i, f = law(table, Fraction(numbers(table, "conditional", 0.05)["estimate"]))
    assert float(sum(k * x for k, x in enumerate(f))) == pytest.approx(i, rel=1e-13)


@pytest.mark.parametrize(("table", "alpha"), [((12, 5, 8, 10), "0.05"), ((1, 14, 7, 8), "0.001"), ((40, 9, 22, 31), "0.2")])
@pytest.mark.parametrize(("method", "own"), [("conditional", 1), ("midp", mpmath.mpf("0.5"))])
def test_tail_methods_agree_with_mpmath(table: tuple[int, int, int, int], alpha: str, method: str, own: object) -> None:
    """Roots found by mpmath at 40 digits from explicit binomial coefficients."""
    low, counts = weights(table)
    i = table[0] - low
    with mpmath.workdps(40):

        def excess(log_theta: mpmath.mpf, upper: bool) -> mpmath.mpf:
            terms = [count * mpmath.exp(k * log_theta) for k, count in enumerate(counts)]
            tail = terms[:i] if upper else terms[i + 1 :]
            return mpmath.log((mpmath.fsum(tail) + own * terms[i]) / mpmath.fsum(terms) / (mpmath.mpf(alpha) / 2))

        found = numbers(table, method, float(alpha))
        for name, upper in (("lower", False), ("upper", True)):
            start = mpmath.log(found[name]) + mpmath.mpf("1e-6")
            root = mpmath.exp(mpmath.findroot(lambda x, upper=upper: excess(x, upper), start))
            assert abs(found[name] / root - 1) < 1e-13


@pytest.mark.parametrize("table", [t for t in SHOWCASE if sum(t) <= 60])
def test_recomputed_tails_are_alpha_over_two(table: tuple[int, int, int, int]) -> None:
    found = numbers(table, "conditional", 0.05)
    if found["upper"] < math.inf:
        i, f = law(table, Fraction(found["upper"]))
        assert float(sum(f[: i + 1])) == pytest.approx(0.025, rel=1e-12)
    if found["lower"] > 0.0:
        i, f = law(table, Fraction(found["lower"]))
        assert float(sum(f[i:])) == pytest.approx(0.025, rel=1e-12)


@pytest.mark.parametrize("table", [(0, 0, 3, 4), (3, 4, 0, 0), (0, 3, 0, 4), (3, 0, 4, 0), (0, 0, 0, 0)])
@pytest.mark.parametrize("method", [*EXACT, "unconditional", "wald"])
def test_an_empty_margin_says_nothing(table: tuple[int, int, int, int], method: str) -> None:
    found = numbers(table, method, 0.05)
    assert (found["lower"], found["upper"], found["p_value"]) == (0.0, math.inf, 1.0)
    assert math.isnan(found["estimate"])
    assert math.isnan(found["odds_ratio"])


def test_wald_is_the_formula_with_half_a_count_added() -> None:
    """z = 1.959963984540054 from the normal tables of R's qnorm."""
    found = numbers((4, 119, 11, 128), "wald", 0.05)
    log_odds = math.log(4.5 * 128.5 / (119.5 * 11.5))
    error = math.sqrt(1 / 4.5 + 1 / 119.5 + 1 / 11.5 + 1 / 128.5)
    assert found["upper"] == pytest.approx(math.exp(log_odds + 1.959963984540054 * error), rel=1e-14)
    assert found["lower"] == pytest.approx(math.exp(log_odds - 1.959963984540054 * error), rel=1e-14)
    assert found["p_value"] == pytest.approx(math.erfc(abs(log_odds / error) / math.sqrt(2)), rel=1e-13)


def test_a_zero_count_opens_one_end_only() -> None:
    found = numbers((5, 0, 3, 4), "midp", 0.05)
    assert found["upper"] == math.inf
    assert 0.0 < found["lower"] < 1.0
    assert found["estimate"] == math.inf
    assert numbers((0, 5, 4, 3), "midp", 0.05)["lower"] == 0.0


@pytest.mark.parametrize("method", EXACT)
def test_hopeless_tables_have_p_zero_and_finite_ends(method: str) -> None:
    """The weight of the mode is beyond double precision when seen from the observed table."""
    found = numbers((40_000, 10, 10, 40_000), method, 0.05)
    assert found["p_value"] <= 1e-250
    assert 0.0 < found["lower"] < found["estimate"] < found["upper"] < math.inf


@pytest.mark.parametrize("method", EXACT)
def test_a_thousand_million_in_a_cell_is_not_too_many(method: str) -> None:
    found = numbers((5, 10**9, 3, 10**9), method, 0.05)
    assert found["lower"] < found["estimate"] < found["upper"]


@pytest.mark.parametrize("alpha", [1e-280, 1e-100, 1e-12, 0.5, 0.9, 1 - 1e-9])
@pytest.mark.parametrize("method", EXACT)
def test_any_level_gives_ends_in_order(alpha: float, method: str) -> None:
    found = numbers((12, 5, 8, 10), method, alpha)
    assert 0.0 < found["lower"] <= found["upper"] < math.inf


def test_one_sided_ends_are_those_of_twice_alpha() -> None:
    for method in ("conditional", "midp", "wald"):
        both = numbers((12, 5, 8, 10), method, 0.1)
        more, less = (numbers((12, 5, 8, 10), method, 0.05, side) for side in ("greater", "less"))
        assert (more["lower"], more["upper"]) == (both["lower"], math.inf)
        assert (less["lower"], less["upper"]) == (0.0, both["upper"])
        assert more["p_value"] + less["p_value"] >= 1.0 - 1e-12


def test_one_sided_p_values_are_the_tails() -> None:
    i, f = law((12, 5, 8, 10), Fraction(1))
    above, below, own = float(sum(f[i:])), float(sum(f[: i + 1])), float(f[i])
    for side, tail in (("greater", above), ("less", below)):
        assert numbers((12, 5, 8, 10), "conditional", 0.05, side)["p_value"] == pytest.approx(tail, rel=1e-13)
        assert numbers((12, 5, 8, 10), "midp", 0.05, side)["p_value"] == pytest.approx(tail - own / 2, rel=1e-13)


@pytest.mark.parametrize("method", range(5))
def test_the_same_source_runs_uncompiled(plain_kernel: object, method: int) -> None:
    tables = np.array([*SHOWCASE, (0, 0, 3, 4), (300, 200, 250, 190), (400, 1, 1, 400)], np.int64)
    compiled, plain = np.empty((5, len(tables))), np.empty((5, len(tables)))
    _kernel.solve(tables, method, _kernel.TWO_SIDED, 0.05, 1.959963984540054, compiled)
    plain_kernel.solve(tables, method, _kernel.TWO_SIDED, 0.05, 1.959963984540054, plain)
    np.testing.assert_allclose(plain, compiled, rtol=1e-14)


def test_ties_by_symmetry_count(plain_kernel: object) -> None:
    """Equal columns make opposite tables equally likely at odds ratio 1: all of them are in the p-value."""
    assert numbers((3, 1, 1, 3), "minlike", 0.05)["p_value"] == pytest.approx(34 / 70, rel=1e-14)
    assert numbers((3, 10, 30, 23), "blaker", 0.05)["p_value"] > 0.05


def test_a_chunk_of_nothing_is_nothing() -> None:
    assert solve_chunk(("blaker", np.zeros((0, 4), np.int64)), ask(["blaker"], 0.05, "two-sided")).shape == (5, 0)
