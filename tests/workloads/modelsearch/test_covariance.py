"""Covariance helpers against scipy and the definitions; a block's F test where the covariance is odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fanwise.workloads.modelsearch._covariance import (
    block_p,
    hac_lags,
    label,
    moving_sum,
    standard_errors,
    two_sided,
)

SEEDS = st.integers(0, 100_000)


@given(st.integers(1, 10**6))
def test_lags_follow_the_rule_and_never_shrink_with_the_sample(n: int) -> None:
    lags = hac_lags(n)
    assert lags <= 4 * (n / 100) ** (2 / 9) < lags + 1
    assert hac_lags(n + 1) >= lags


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 30), st.integers(0, 8))
def test_a_moving_sum_is_a_convolution_with_ones(seed: int, n: int, lags: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((2, 3, n))
    found = moving_sum(rows, lags)
    assert found.shape == (2, 3, n + lags)
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(found[at], np.convolve(rows[at], np.ones(lags + 1)), atol=1e-12)


@given(st.floats(-50, 50), st.integers(1, 500))
def test_p_values_are_those_of_students_distribution(t: float, freedom: int) -> None:
    (found,) = two_sided(np.array([t]), freedom)
    assert found == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9, abs=1e-300)
    assert two_sided(np.array([-t]), freedom)[0] == found


def test_an_undefined_t_value_has_no_p_value() -> None:
    assert np.isnan(two_sided(np.array([np.nan]), 10)).all()
    assert two_sided(np.array([np.inf, 0.0]), 10).tolist() == [0.0, 1.0]


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 4), st.integers(3, 60))
def test_the_test_of_a_block_is_the_wald_f_test(seed: int, q: int, freedom: int) -> None:
    rng = np.random.default_rng(seed)
    half, b = rng.standard_normal((3, q, q + 5)), rng.standard_normal((3, q))
    expected = [stats.f.sf(one @ np.linalg.solve(h @ h.T, one) / q, q, freedom) for h, one in zip(half, b, strict=True)]
    np.testing.assert_allclose(block_p(b, half, freedom), expected, rtol=1e-7, atol=1e-14)


@settings(max_examples=25)
@given(SEEDS, st.integers(5, 60))
def test_a_block_of_one_is_the_t_test(seed: int, freedom: int) -> None:
    rng = np.random.default_rng(seed)
    half, b = rng.standard_normal((4, 1, 9)), rng.standard_normal((4, 1))
    t = b / standard_errors(half)
    np.testing.assert_allclose(block_p(b, half, freedom), two_sided(t, freedom)[:, 0], rtol=1e-8)


@settings(max_examples=25)
@given(SEEDS, st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))
def test_units_of_the_coefficients_do_not_matter_to_a_block(seed: int, units: list[float]) -> None:
    rng = np.random.default_rng(seed)
    half, b, scale = rng.standard_normal((2, 3, 8)), rng.standard_normal((2, 3)), np.array(units)
    np.testing.assert_allclose(block_p(b * scale, half * scale[:, None], 20), block_p(b, half, 20), rtol=1e-6)


def test_a_singular_covariance_costs_its_own_row_alone() -> None:
    rng = np.random.default_rng(1)
    half, b = rng.standard_normal((3, 2, 6)), rng.standard_normal((3, 2))
    alone = block_p(b[[0, 2]], half[[0, 2]], 20)
    half[1, 1] = half[1, 0] = np.eye(6)[0]  # exactly: a correlation of 1
    found = block_p(b, half, 20)
    np.testing.assert_allclose(found[[0, 2]], alone, rtol=1e-12)
    assert np.isnan(found[1])


def test_standard_errors_are_the_roots_of_the_diagonal() -> None:
    half = np.random.default_rng(2).standard_normal((2, 3, 7))
    expected = [np.sqrt(np.diag(h @ h.T)) for h in half]
    np.testing.assert_allclose(standard_errors(half), expected)


@pytest.mark.parametrize("cov", ["nonrobust", "HC1", "HAC(3)"])
def test_a_covariance_that_was_chosen_is_the_label_of_all(cov: str) -> None:
    assert label(cov, 100, np.array([True, False]), np.array([True, False])).tolist() == [cov, cov]


def test_autocorrelation_goes_before_heteroscedasticity() -> None:
    flags = np.array([False, False, True, True]), np.array([False, True, False, True])
    assert label("auto", 100, *flags).tolist() == ["nonrobust", "HC1", "HAC(4)", "HAC(4)"]
