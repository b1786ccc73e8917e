"""Laws that hold for every table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.exactci._methods import ask
from fanwise.workloads.exactci._solve import solve_chunk

from .conftest import EXACT, numbers

counts = st.one_of(st.integers(0, 12), st.integers(0, 300), st.integers(0, 5000))
tables = st.tuples(counts, counts, counts, counts)
small_tables = st.tuples(*[st.integers(0, 30)] * 4)
alphas = st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.2])
methods = st.sampled_from([*EXACT, "wald"])
SLACK = 1e-12


def ends(table: tuple[int, ...], method: str, alpha: float) -> tuple[float, float]:
    found = numbers(table, method, alpha)
    return found["lower"], found["upper"]


def inverse(pair: tuple[float, float]) -> tuple[float, float]:
    low, high = pair
    return (1.0 / high, math.inf if low == 0.0 else 1.0 / low)


def same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(x == y or abs(x / y - 1.0) < SLACK for x, y in zip(one, other))


def inside(inner: tuple[float, float], outer: tuple[float, float]) -> bool:
    return outer[0] * (1 - SLACK) <= inner[0] and inner[1] <= outer[1] * (1 + SLACK)


@given(table=tables, method=methods, alpha=alphas)
def test_exchanging_rows_or_columns_inverts_the_interval(table: tuple[int, ...], method: str, alpha: float) -> None:
    a, b, c, d = table
    interval = ends(table, method, alpha)
    assert same(ends((b, a, d, c), method, alpha), inverse(interval))
    assert same(ends((c, d, a, b), method, alpha), inverse(interval))
    assert same(ends((d, c, b, a), method, alpha), interval)


@given(table=tables, method=methods, alpha=alphas)
def test_transposing_leaves_the_interval(table: tuple[int, ...], method: str, alpha: float) -> None:
    a, b, c, d = table
    assert same(ends((a, c, b, d), method, alpha), ends(table, method, alpha))


@given(table=tables, method=methods, pair=st.tuples(alphas, alphas))
def test_more_confidence_is_a_wider_interval(table: tuple[int, ...], method: str, pair: tuple[float, float]) -> None:
    assert inside(ends(table, method, max(pair)), ends(table, method, min(pair)))


@given(table=tables, method=st.sampled_from(["blaker", "midp"]), alpha=alphas)
def test_blaker_and_midp_lie_inside_conditional(table: tuple[int, ...], method: str, alpha: float) -> None:
    assert inside(ends(table, method, alpha), ends(table, "conditional", alpha))


@given(table=tables, method=st.sampled_from(EXACT), alpha=alphas)
def test_the_estimate_is_inside(table: tuple[int, ...], method: str, alpha: float) -> None:
    found = numbers(table, method, alpha)
    if not math.isnan(found["estimate"]):
        assert found["lower"] * (1 - SLACK) <= found["estimate"] <= found["upper"] * (1 + SLACK)


@given(table=tables, method=methods, alpha=alphas)
def test_an_odds_ratio_of_one_that_is_not_rejected_is_inside(table: tuple[int, ...], method: str, alpha: float) -> None:
    found = numbers(table, method, alpha)
    if found["p_value"] > alpha * (1 + 1e-7):
        assert found["lower"] * (1 - SLACK) <= 1.0 <= found["upper"] * (1 + SLACK)


@given(table=tables, method=st.sampled_from(["conditional", "midp", "wald"]), alpha=alphas)
def test_one_sided_ends_are_two_sided_ends_at_twice_alpha(table: tuple[int, ...], method: str, alpha: float) -> None:
    both = numbers(table, method, 2 * alpha)
    greater, less = (numbers(table, method, alpha, side) for side in ("greater", "less"))
    assert (greater["lower"], greater["upper"]) == (both["lower"], math.inf)
    assert (less["lower"], less["upper"]) == (0.0, both["upper"])


@given(rows=st.lists(tables, max_size=20), method=methods, alpha=alphas, data=st.data())
def test_rows_do_not_see_each_other(
    rows: list[tuple[int, ...]], method: str, alpha: float, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    array = np.array(rows, np.int64).reshape(-1, 4)
    question = ask([method], alpha, "two-sided")
    straight = solve_chunk((method, array), question)
    permuted = solve_chunk((method, array[order]), question)
    assert permuted.tobytes() == np.ascontiguousarray(straight[:, order]).tobytes()
    for i in range(len(rows)):
        assert solve_chunk((method, array[i : i + 1]), question).tobytes() == straight[:, i].tobytes()


@given(table=tables, method=st.sampled_from(["conditional", "midp"]), alpha=alphas)
def test_one_more_in_the_first_cell_moves_both_ends_up(table: tuple[int, ...], method: str, alpha: float) -> None:
    a, b, c, d = table
    if 0 in (b, c, a + c, b + d, a + b, c + d):
        return
    low, high = ends(table, method, alpha), ends((a + 1, b - 1, c - 1, d + 1), method, alpha)
    if 0 not in (a + 1 + c - 1, b - 1 + d + 1):
        assert low[0] <= high[0] * (1 + SLACK)
        assert low[1] <= high[1] * (1 + SLACK)


@given(table=small_tables, method=st.sampled_from(["conditional", "midp"]))
def test_at_the_level_of_its_p_value_an_interval_ends_at_one(table: tuple[int, ...], method: str) -> None:
    p = numbers(table, method, 0.05)["p_value"]
    if 1e-200 < p < 0.99:
        low, high = ends(table, method, p)
        assert min(abs(low - 1.0), abs(high - 1.0)) < 1e-9


@given(table=small_tables, alpha=alphas)
def test_wald_lies_around_the_sample_odds_ratio_with_half_counts(table: tuple[int, ...], alpha: float) -> None:
    a, b, c, d = (count + 0.5 for count in table)
    low, high = ends(table, "wald", alpha)
    if high < math.inf:
        assert math.sqrt(low * high) == pytest.approx(a * d / (b * c), rel=1e-12)


@given(factor=st.integers(2, 200), table=st.tuples(*[st.integers(1, 12)] * 4))
def test_all_methods_agree_when_there_is_much_data(factor: int, table: tuple[int, ...]) -> None:
    """Widths in log scale approach each other like one over the square root of the counts."""
    many = tuple(1000 * factor * count for count in table)
    wald = ends(many, "wald", 0.05)
    for method in EXACT:
        for exact, rough in zip(ends(many, method, 0.05), wald):
            assert abs(math.log(exact / rough)) < 0.05 * math.log(wald[1] / wald[0])


@pytest.mark.slow
@settings(max_examples=40)
@given(table=st.tuples(*[st.integers(0, 9)] * 4), alpha=alphas)
def test_unconditional_follows_the_symmetries(table: tuple[int, ...], alpha: float) -> None:
    a, b, c, d = table
    interval = ends(table, "unconditional", alpha)
    mirrored = inverse(ends((b, a, d, c), "unconditional", alpha))
    assert all(x == y or abs(x / y - 1.0) < 1e-5 for x, y in zip(mirrored, interval))
    assert (interval[0] == 0.0) == (a * d == 0 or 0 in (a + b, c + d, a + c, b + d))
    assert (interval[1] == math.inf) == (b * c == 0 or 0 in (a + b, c + d, a + c, b + d))


@pytest.mark.parametrize("method", EXACT)
def test_large_and_small_margins_swap_too(method: str) -> None:
    for table in [(3, 999_997, 40, 5_000_000), (1, 2, 400_000, 300_000), (12, 0, 900_000, 5)]:
        a, b, c, d = table
        assert same(ends((b, a, d, c), method, 0.05), inverse(ends(table, method, 0.05)))
