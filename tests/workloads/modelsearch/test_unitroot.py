"""Unit-root tests against statsmodels and their formulas, and MacKinnon's p-values against statsmodels."""

from __future__ import annotations

import warnings
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import coint
from tests.workloads.modelsearch import reference
from tests.workloads.modelsearch.world import autoregressive

from fanwise.workloads.modelsearch._unitroot import (
    MOST_SERIES,
    adf,
    cointegration,
    is_stationary,
    long_lag,
    mackinnon_p,
    phillips_perron,
    stationary,
)

CLOSE = {"rtol": 1e-8, "atol": 1e-8}


def series(seed: int, m: int, rho: float) -> np.ndarray:
    return autoregressive(np.random.default_rng(seed), m, rho)


@pytest.mark.parametrize("count", range(1, MOST_SERIES + 1))
def test_p_values_are_mackinnons(count: int) -> None:
    tau = np.concatenate([np.linspace(-30, 4, 400), [-18.83, -1.61, 2.74]])
    expected = [mackinnonp(t, "c", count) for t in tau]
    np.testing.assert_allclose(mackinnon_p(tau, count), expected, rtol=1e-12, atol=1e-15)


def test_a_statistic_that_is_not_defined_has_no_p_value() -> None:
    assert np.isnan(mackinnon_p(np.array([np.nan, -2.0]))).tolist() == [True, False]


@given(st.integers(0, 10_000), st.integers(20, 120), st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.01]))
@settings(max_examples=15)
def test_dickey_fuller_is_that_of_statsmodels(seed: int, m: int, rho: float) -> None:
    e = series(seed, m, rho)
    found = adf(np.stack([e, e[::-1]]))
    for at, one in enumerate((e, e[::-1])):
        stat, lags, p = reference.adf(one)
        assert found.lags[at] == lags
        np.testing.assert_allclose(found.stat[at], stat, **CLOSE)
        np.testing.assert_allclose(found.p[at], p, **CLOSE)


@given(st.integers(0, 10_000), st.integers(15, 120), st.sampled_from([0.0, 0.7, 1.0]))
@settings(max_examples=15)
def test_phillips_perron_is_its_formula(seed: int, m: int, rho: float) -> None:
    e = series(seed, m, rho)
    stat, p = phillips_perron(np.stack([e, 3 * e + 1]))
    expected = reference.phillips_perron(e)
    np.testing.assert_allclose(stat, [expected[0]] * 2, **CLOSE)
    np.testing.assert_allclose(p, [expected[1]] * 2, **CLOSE)


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=6)
def test_engle_granger_is_that_of_statsmodels(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.standard_normal((90, count)), axis=0)
    y = x.sum(axis=1) + autoregressive(rng, 90, 0.6)
    design = np.column_stack([np.ones(90), x])
    residuals = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = coint(y, x, trend="c", autolag="AIC")[1]
    np.testing.assert_allclose(cointegration(residuals[None], count)[0], expected, rtol=1e-6, atol=1e-9)


def test_the_lag_is_chosen_on_common_rows_and_fitted_on_all_that_allow_it() -> None:
    e = series(3, 60, 0.4)
    found = adf(e[None])
    p = int(found.lags[0])
    assert p < min(ceil(12 * 0.6**0.25), 28)
    steps = np.diff(e)
    rows = np.arange(p, len(steps))
    design = np.column_stack([e[rows], *(steps[rows - lag] for lag in range(1, p + 1)), np.ones(len(rows))])
    b, ssr, *_ = np.linalg.lstsq(design, steps[rows], rcond=None)
    se = np.sqrt(ssr[0] / (len(rows) - design.shape[1]) * np.linalg.inv(design.T @ design)[0, 0])
    np.testing.assert_allclose(found.stat[0], b[0] / se, rtol=1e-9)


def test_the_scale_and_level_of_a_series_do_not_matter() -> None:
    e = series(5, 80, 0.8)
    one, two = adf(e[None]), adf((1e6 * e + 1e3)[None])
    np.testing.assert_allclose(two.stat, one.stat, rtol=1e-7)
    assert one.lags.tolist() == two.lags.tolist()


@pytest.mark.parametrize("m", [4, 5, 6, 8])
def test_short_series_are_tested_as_far_as_they_go(m: int) -> None:
    found = adf(series(1, m, 0.2)[None])
    assert found.stat.shape == (1,)
    assert np.isnan(found.stat[0]) == np.isnan(found.p[0])


def test_a_constant_or_broken_series_has_no_statistic() -> None:
    rows = np.stack([np.ones(50), np.arange(50.0), np.where(np.arange(50) == 3, np.nan, 1.0)])
    found = adf(rows)
    assert np.isnan(found.p[[0, 2]]).all()
    stat, p = phillips_perron(rows[:1])
    assert np.isnan(p).all() == np.isnan(stat).all()


def test_a_nearly_singular_regression_is_redone_by_qr() -> None:
    """Lagged differences of a sine are linear combinations of one another, all but the noise of 1e-6."""
    t = np.arange(80.0)
    e = np.sin(0.7 * t) + 1e-6 * np.random.default_rng(2).standard_normal(80)
    stat, lags, _ = reference.adf(e)
    found = adf(e[None])
    assert found.lags[0] == lags
    np.testing.assert_allclose(found.stat[0], stat, rtol=1e-5)


def test_series_of_a_batch_do_not_touch_each_other() -> None:
    rows = np.stack([series(seed, 70, 0.5) for seed in range(6)])
    together = adf(rows)
    for at, row in enumerate(rows):
        np.testing.assert_allclose(adf(row[None]).stat[0], together.stat[at], rtol=1e-12)


def test_the_long_lag_is_schwerts() -> None:
    assert [long_lag(m) for m in (25, 100, 168, 500)] == [9, 12, 14, 18]


@pytest.mark.parametrize(
    ("test", "verdicts"),
    [
        ("adf", [True, True, False, False, False]),
        ("pp", [True, False, True, False, False]),
        ("adf-or-pp", [True, True, True, False, False]),
        ("adf-and-pp", [True, False, False, False, False]),
    ],
)
def test_two_tests_combine_by_or_and_by_and(test: str, verdicts: list[bool]) -> None:
    adf_p = np.array([0.01, 0.01, 0.2, 0.05, np.nan])
    pp_p = np.array([0.01, 0.2, 0.01, 0.05, np.nan])
    assert stationary(test, adf_p, pp_p, 0.05).tolist() == verdicts


def test_noise_is_stationary_and_a_walk_is_not() -> None:
    rng = np.random.default_rng(4)
    assert is_stationary(rng.standard_normal(200), "adf-and-pp", 0.05)
    assert not is_stationary(np.cumsum(rng.standard_normal(200)), "adf-or-pp", 0.05)
