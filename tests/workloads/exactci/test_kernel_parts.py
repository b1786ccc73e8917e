"""The kernel's own functions, one by one, as plain Python against sums that can be read."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fanwise.workloads.exactci import _kernel

from .conftest import uncompiled

kernel = uncompiled(_kernel)
counts = st.integers(0, 25)
tables = st.tuples(counts, counts, counts, counts)
thetas = st.floats(0.01, 100.0)


def cells(table: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(map(float, table))


def weights_above(table: tuple[int, ...], theta: float) -> list[float]:
    """Weights of the tables above, relative to this one, from binomial coefficients."""
    a, b, c, d = table
    n1, n2, m = a + b, c + d, a + c
    own = comb(n1, a) * comb(n2, m - a)
    steps = range(1, min(b, c) + 1)
    return [float(Fraction(comb(n1, a + j) * comb(n2, m - a - j), own) * Fraction(theta) ** j) for j in steps]


@given(table=tables, theta=thetas)
def test_a_tail_is_the_sum_of_its_weights_and_moments(table: tuple[int, ...], theta: float) -> None:
    weights = weights_above(table, theta)
    total, first, second = kernel._tail(cells(table), theta)
    assert total == pytest.approx(math.fsum(weights), rel=1e-13)
    assert first == pytest.approx(math.fsum(j * w for j, w in enumerate(weights, 1)), rel=1e-12)
    assert second == pytest.approx(math.fsum(j * j * w for j, w in enumerate(weights, 1)), rel=1e-12)


@given(table=tables, theta=thetas)
def test_the_mirror_turns_the_tails_round(table: tuple[int, ...], theta: float) -> None:
    a, b, c, d = table
    below = kernel._tail(kernel._mirror(cells(table)), 1.0 / theta)[0]
    steps = range(1, min(a, d) + 1)
    own = comb(a + b, a) * comb(c + d, c)
    exact = [Fraction(comb(a + b, a - j) * comb(c + d, c + j), own) / Fraction(theta) ** j for j in steps]
    assert below == pytest.approx(float(sum(exact)), rel=1e-12)


@given(table=tables, theta=thetas, steps=st.integers(0, 25))
def test_carrying_a_weight_there_and_back_changes_nothing(table: tuple[int, ...], theta: float, steps: int) -> None:
    weights = [1.0, *weights_above(table, theta)]
    assume(steps < len(weights))
    there = kernel._carry(cells(table), theta, 1.0, 0.0, float(steps))
    assert there == pytest.approx(weights[steps], rel=1e-12)
    assert kernel._carry(cells(table), theta, there, float(steps), 0.0) == pytest.approx(1.0, rel=1e-12)


@given(table=tables, theta=st.floats(0.1, 10.0), share=st.floats(0.001, 2.0))
def test_the_last_likelier_table_is_the_last_whose_tail_exceeds(
    table: tuple[int, ...], theta: float, share: float
) -> None:
    weights = weights_above(table, theta)
    limit = share * (1.0 + sum(weights))
    tails = [math.fsum(weights[j:]) for j in range(len(weights))]
    assume(all(abs(tail / limit - 1.0) > 1e-9 for tail in tails))
    wanted = max([j for j, tail in enumerate(tails, 1) if tail > limit], default=0)
    steps, weight, beyond = kernel._last_likelier(cells(table), theta, limit)
    assert steps == wanted
    assert weight == pytest.approx(weights[wanted - 1] if wanted else 1.0, rel=1e-12)
    assert beyond == pytest.approx(math.fsum(weights[wanted:]), rel=1e-12, abs=1e-15 * limit)


@given(table=tables, theta=st.floats(0.1, 10.0))
def test_the_mirror_image_is_the_last_table_at_least_as_likely(table: tuple[int, ...], theta: float) -> None:
    weights = weights_above(table, theta)
    assume(weights)
    assume(all(abs(weight - 1.0) > 1e-9 for weight in weights))
    wanted = max([j for j, weight in enumerate(weights, 1) if weight >= 1.0], default=1)
    assert kernel._mirror_image(cells(table), theta) == wanted


@given(end=st.integers(1, 500), last=st.integers(1, 500), start=st.integers(1, 500))
def test_galloping_finds_the_last_good_one_from_anywhere(end: int, last: int, start: int) -> None:
    assume(last <= end)
    assume(start <= end)
    inside, outside, stride, target, looked = 1.0, end + 1.0, 1.0, float(start), 0
    while outside - inside > 1.0:
        looked += 1
        if target <= last:
            inside = target
        else:
            outside = target
        target = kernel._candidate(inside, outside, float(end), stride)
        stride *= 2.0
    assert inside == last
    assert looked <= 2 * math.log2(end + 1) + 6


@given(table=tables, theta=thetas, own=st.sampled_from([0.5, 1.0]))
def test_the_derivative_of_a_share_is_its_slope(table: tuple[int, ...], theta: float, own: float) -> None:
    """By central differences."""
    none, step = (0.0, 1.0, 1.0), 1e-5
    _, slope = kernel._log_share(cells(table), theta, own, none)
    ahead, _ = kernel._log_share(cells(table), theta * math.exp(step), own, none)
    behind, _ = kernel._log_share(cells(table), theta * math.exp(-step), own, none)
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-6)
    assert slope <= 1e-12


@given(table=tables, theta=thetas)
def test_the_derivative_of_moments_is_its_slope(table: tuple[int, ...], theta: float) -> None:
    assume(min(table) > 0)
    step = 1e-5
    _, slope = kernel._log_odds_of_moments(cells(table), theta)
    ahead, _ = kernel._log_odds_of_moments(cells(table), theta * math.exp(step))
    behind, _ = kernel._log_odds_of_moments(cells(table), theta * math.exp(-step))
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)
    assert slope <= -2.0 + 1e-9


@given(part=st.floats(1e-300, 1e300), rest=st.floats(0.0, 1e300) | st.just(math.inf))
def test_a_share_stays_between_zero_and_one(part: float, rest: float) -> None:
    assert 0.0 <= kernel._share(part, rest) <= 1.0


def test_a_tail_that_grows_beyond_all_numbers_is_infinite() -> None:
    assert kernel._tail((1.0, 1e6, 1e6, 1.0), 1.0) == (math.inf,) * 3


@pytest.mark.parametrize(
    ("low", "high", "middle"), [(1.0, 4.0, 2.0), (0.0, 1.0, math.exp(-4)), (1.0, math.inf, math.exp(4))]
)
def test_a_bracket_is_halved_or_searched_outwards(low: float, high: float, middle: float) -> None:
    assert kernel._between(low, high, 4.0) == pytest.approx(middle)


@pytest.mark.parametrize("start", [1e-200, 1e-3, 1.0, 1e3, 1e200])
def test_a_root_is_found_from_anywhere(start: float) -> None:
    none = (0.0, 1.0, 1.0)
    for table in [(12.0, 5.0, 8.0, 10.0), (1.0, 200.0, 3.0, 4.0), (900.0, 1000.0, 1100.0, 1000.0)]:
        wanted = kernel._upper_tail(table, 1.0, 0.05, 1.959963984540054)
        found = kernel._root(table, 1.0, none, math.log(0.025), start, 0.0, math.inf)
        assert found == pytest.approx(wanted, rel=1e-13)
