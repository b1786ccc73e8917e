"""Statistics of single specifications against statsmodels, on random draws and under changes of units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.workloads.modelsearch import reference
from tests.workloads.modelsearch.world import autoregressive, columns, evaluated, world

from fanwise.workloads.modelsearch import _covariance, _tests
from fanwise.workloads.modelsearch._config import Autocorrelation, Heteroscedasticity
from fanwise.workloads.modelsearch._fits import Fits, estimate, rank_reason
from fanwise.workloads.modelsearch._gram import fit
from fanwise.workloads.modelsearch._project import Base, Pool, base_of, pool_of
from fanwise.workloads.modelsearch._white import White

CLOSE = {"rtol": 1e-8, "atol": 1e-8}


def draw(
    seed: int, n: int = 80, free: int = 4, fixed: int = 2, mix: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, free and fixed columns, one a row; ``mix`` brings the second free column near the first."""
    rng = np.random.default_rng(seed)
    x = np.array([autoregressive(rng, n, rng.uniform(0, 0.9)) for _ in range(free)])
    if mix:
        x[1] = x[0] + mix * x[1]
    f = np.array([autoregressive(rng, n) for _ in range(fixed)]).reshape(fixed, n)
    y = x[0] - 0.5 * x[2 % free] + (f[0] if fixed else 0.0) + autoregressive(rng, n, rng.uniform(-0.3, 0.8))
    return y, x * 10.0 ** rng.integers(-6, 7, (free, 1)) + rng.normal(0, 3, (free, 1)), f


def projected(y: np.ndarray, x: np.ndarray, fixed: np.ndarray, ahead: int = 0) -> tuple[Base, Pool]:
    n = len(y) - ahead
    base = base_of(y[:n], fixed[:, :n], y[n:], fixed[:, n:])
    return base, pool_of(base, x[:, :n], x[:, n:])


def fits_of(y: np.ndarray, x: np.ndarray, fixed: np.ndarray, indices: list[list[int]], ahead: int = 0) -> Fits:
    fits, reasons = estimate(
        *projected(y, x, fixed, ahead), np.array(indices, dtype=np.int64).reshape(len(indices), -1)
    )
    assert set(reasons.tolist()) <= {""}
    return fits


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_fits_are_least_squares(seed: int) -> None:
    y, x, fixed = draw(seed)
    fits = fits_of(y, x, fixed, [[0, 1], [1, 3], [0, 2]])
    for at, chosen in enumerate(fits.indices):
        theirs = reference.ols(y, np.vstack([x[chosen], fixed]).T)
        np.testing.assert_allclose(1 - fits.ssr[at], theirs.rsquared, **CLOSE)
        np.testing.assert_allclose(fits.e[at] * fits.base.y_norm, theirs.resid, rtol=0, atol=1e-9 * np.abs(y).max())


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1e-5, 1e-6]))
@settings(max_examples=12)
def test_near_collinear_designs_keep_their_digits(seed: int, mix: float) -> None:
    y, x, fixed = draw(seed, mix=mix)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    fits = fits_of(y, x, fixed, [[0, 1]])
    design = np.column_stack([np.ones(len(y)), x[[0, 1]].T, fixed.T])
    q, upper = np.linalg.qr(design)
    b = np.linalg.solve(upper, q.T @ y)
    e = y - design @ b
    np.testing.assert_allclose(fits.e[0] * fits.base.y_norm, e, rtol=0, atol=1e-9 * np.abs(y).max())
    np.testing.assert_allclose(fits.b[0, :2] * fits.base.y_norm / fits.pool.norm[:2], b[1:3], rtol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=25)
def test_the_normal_equations_agree_with_qr(seed: int, r: int) -> None:
    y, x, fixed = draw(seed)
    base, pool = projected(y, x, fixed)
    indices = np.array([[0, 1, 2][:r], [1, 2, 3][:r], [0, 2, 3][:r]])
    quick = fit(pool, indices, float(base.y @ base.y))
    exact, _ = estimate(base, pool, indices)
    np.testing.assert_allclose(quick.ssr, exact.ssr, rtol=1e-9)
    np.testing.assert_allclose((quick.beta / pool.ratio[indices].T).T, exact.b[:, :r], rtol=1e-7, atol=1e-9)
    variances = np.einsum("bkn,bkn->bk", exact.pinv, exact.pinv)[:, :r] * pool.ratio[indices] ** 2
    np.testing.assert_allclose(quick.variance_factors().T, variances, rtol=1e-8)


def test_a_regression_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    y, x, fixed = draw(7)
    _, pool = projected(y, x, fixed)
    every = np.array([[i, j] for i in range(4) for j in range(i + 1, 4)])
    together = fit(pool, every, 1.0)
    for at, chosen in enumerate(every):
        alone = fit(pool, chosen[None], 1.0)
        assert alone.beta[:, 0].tobytes() == np.ascontiguousarray(together.beta[:, at]).tobytes()
        assert alone.ssr[0] == together.ssr[at]


@pytest.mark.parametrize("cov", ["nonrobust", "HC1", "HAC(0)", "HAC(4)", "HAC(11)"])
def test_covariances_are_those_of_statsmodels(cov: str) -> None:
    y, x, fixed = draw(3)
    fits = fits_of(y, x, fixed, [[0, 2], [1, 3]])
    half = _covariance.root(fits, cov)
    t = fits.b / _covariance.standard_errors(half)
    for at, chosen in enumerate(fits.indices):
        theirs = reference.robust(reference.ols(y, np.vstack([x[chosen], fixed]).T), cov)
        np.testing.assert_allclose(t[at], theirs.tvalues[1:], **CLOSE)
        np.testing.assert_allclose(_covariance.two_sided(t[at], fits.n - fits.k), theirs.pvalues[1:], **CLOSE)
        f = theirs.f_test(np.eye(5)[[3, 4]])
        ours = _covariance.block_p(fits.b[:, 2:], half[:, 2:], fits.n - fits.k)[at]
        np.testing.assert_allclose(ours, float(f.pvalue), **CLOSE)


def test_a_singular_covariance_gives_no_f_test() -> None:
    half = np.zeros((2, 2, 5))
    half[:, 0] = half[:, 1] = 1.0
    half[1, 1, 0] = 2.0
    p = _covariance.block_p(np.ones((2, 2)), half, 10)
    assert np.isnan(p[0])
    assert 0 < p[1] < 1


def test_bartlett_weights_are_those_of_a_moving_sum() -> None:
    u = np.random.default_rng(0).standard_normal((3, 50))
    for lags in (0, 1, 4):
        gammas = [np.einsum("bt,bt->b", u[:, lag:], u[:, : 50 - lag]) for lag in range(lags + 1)]
        expected = gammas[0] + 2 * sum((1 - lag / (lags + 1)) * gammas[lag] for lag in range(1, lags + 1))
        sums = _covariance.moving_sum(u, lags)
        np.testing.assert_allclose(np.einsum("bt,bt->b", sums, sums) / (lags + 1), expected, rtol=1e-12)


def test_the_rule_of_newey_and_west() -> None:
    assert [_covariance.hac_lags(n) for n in (20, 99, 100, 168, 272, 1000)] == [2, 3, 4, 4, 4, 6]


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(max_examples=8)
def test_residual_tests_are_those_of_statsmodels(seed: int, lags: int) -> None:
    y, x, fixed = draw(seed)
    fits = fits_of(y, x, fixed, [[0], [3]])
    base, pool = fits.base, fits.pool
    for at, chosen in enumerate(fits.indices):
        theirs = reference.ols(y, np.vstack([x[chosen], fixed]).T)
        expected = reference.residual_tests(theirs, lags)
        np.testing.assert_allclose(_tests.durbin_watson(fits)[at], expected["dw"], **CLOSE)
        np.testing.assert_allclose(_tests.breusch_godfrey(fits, lags)[at], expected["bg_p"], **CLOSE)
        np.testing.assert_allclose(_tests.breusch_pagan(fits)[at], expected["bp_p"], **CLOSE)
        np.testing.assert_allclose(White(base, pool).p_values(fits)[at], expected["white_p"], **CLOSE)
        np.testing.assert_allclose(_tests.f_test(fits)[at], theirs.f_pvalue, **CLOSE)


def test_breusch_godfrey_keeps_all_rows_with_zeros_in_front() -> None:
    y, x, _ = draw(11)
    fits = fits_of(y, x, np.empty((0, 80)), [[0]])
    e = fits.e[0] * fits.base.y_norm
    late = np.concatenate([[0.0], e[:-1]])
    aux = sm.OLS(e, np.column_stack([np.ones(80), x[0] / x[0].std(), late])).fit()
    np.testing.assert_allclose(_tests.breusch_godfrey(fits, 1)[0], stats.chi2.sf(80 * aux.rsquared, 1), **CLOSE)


def dummies(n: int, period: int) -> np.ndarray:
    return np.array([(np.arange(n) % period == part) * 1.0 for part in range(1, period)])


@pytest.mark.parametrize("period", [4, 12])
def test_white_with_season_columns_counts_directions_not_products(period: int) -> None:
    y, x, _ = draw(5, n=150)
    fits = fits_of(y, x, dummies(150, period), [[0, 1, 2], [1, 2, 3]])
    for at, chosen in enumerate(fits.indices):
        theirs = reference.ols(y, np.vstack([x[chosen], dummies(150, period)]).T)
        expected = reference.white_p(theirs.resid, theirs.model.exog)
        np.testing.assert_allclose(White(fits.base, fits.pool).p_values(fits)[at], expected, **CLOSE)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("a 0/1 item, whose square is itself", (np.arange(90) % 7 == 0) * 1.0),
        ("an item with three values", np.arange(90) % 3 * 1.0),
        ("an item that lives in one season only", np.where(np.arange(90) % 4 == 1, np.linspace(-1, 1, 90), 0.0)),
    ],
)
def test_white_with_products_that_repeat_themselves(name: str, column: np.ndarray) -> None:
    y, x, _ = draw(6, n=90)
    x[1] = column
    fits = fits_of(y, x, dummies(90, 4), [[0, 1], [1, 2], [0, 2]])
    found = White(fits.base, fits.pool).p_values(fits)
    for at, chosen in enumerate(fits.indices):
        theirs = reference.ols(y, np.vstack([x[chosen], dummies(90, 4)]).T)
        np.testing.assert_allclose(found[at], reference.white_p(theirs.resid, theirs.model.exog), err_msg=name, **CLOSE)


def test_white_on_fewer_rows_than_products() -> None:
    y, x, fixed = draw(8, n=24)
    fits = fits_of(y, x, fixed, [[0, 1, 2]])
    theirs = reference.ols(y, np.vstack([x[[0, 1, 2]], fixed]).T)
    expected = reference.white_p(theirs.resid, theirs.model.exog)
    np.testing.assert_allclose(White(fits.base, fits.pool).p_values(fits)[0], expected, **CLOSE)


def test_the_constant_alone_has_nothing_to_test() -> None:
    y, x, _ = draw(1)
    fits = fits_of(y, x, np.empty((0, 80)), [[]])
    assert np.isnan(_tests.f_test(fits)[0])
    assert np.isnan(_tests.inflation(fits)[0])
    assert np.isnan(_tests.breusch_pagan(fits)[0])
    assert np.isnan(White(fits.base, fits.pool).p_values(fits)[0])
    np.testing.assert_allclose(fits.ssr, 1.0)


def test_vif_covers_forced_columns_and_is_1_for_a_single_one() -> None:
    y, x, fixed = draw(2)
    fixed[0] = x[0] / np.abs(x[0]).max() + 0.05 * fixed[0]
    fits = fits_of(y, x, fixed, [[0], [3]])
    for at, chosen in enumerate(fits.indices):
        correlation = np.corrcoef(np.vstack([x[chosen], fixed]))
        np.testing.assert_allclose(_tests.inflation(fits)[at], np.diag(np.linalg.inv(correlation)).max(), rtol=1e-9)
    single = fits_of(y, x, np.empty((0, 80)), [[1]])
    assert _tests.inflation(single).tolist() == [1.0]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (lambda x: [x[0], 2 * x[0] - 1], "collinear"),
        (lambda x: [x[0], x[0] + 1e-12 * x[1]], "collinear"),
        (lambda x: [x[0], x[0] + 1e-6 * x[1]], ""),
        (lambda x: [x[0], np.full(80, 3.0)], "constant-item"),
        (lambda x: [x[0], np.full(80, 1e9) + 1e-5 * x[1]], "constant-item"),
    ],
)
def test_the_rank_rule_names_its_reason(columns: Any, reason: str) -> None:
    y, x, fixed = draw(4)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    base, pool = projected(y, np.array(columns(x)), fixed)
    assert rank_reason(base, pool, np.array([0, 1])) == reason
    assert estimate(base, pool, np.array([[0, 1]]))[1].tolist() == [reason]


def test_a_free_item_may_be_collinear_with_forced_ones() -> None:
    y, x, fixed = draw(4)
    base, pool = projected(y, np.array([fixed[0] - 2 * fixed[1], x[1]]), fixed)
    assert estimate(base, pool, np.array([[0], [1]]))[1].tolist() == ["collinear", ""]


def test_forced_columns_that_are_collinear_leave_nothing_estimable() -> None:
    y, x, fixed = draw(4)
    base, pool = projected(y, x, np.vstack([fixed, fixed[0] + fixed[1]]))
    assert base.reason == "collinear"
    fits, reasons = estimate(base, pool, np.array([[0], [1]]))
    assert (len(fits), reasons.tolist()) == (0, ["collinear", "collinear"])
    assert rank_reason(base, pool, np.array([0])) == "collinear"


def test_too_few_rows_come_before_every_other_reason() -> None:
    y, x, fixed = draw(4, n=5)
    x[1] = x[0]
    base, pool = projected(y, x, fixed)
    assert estimate(base, pool, np.array([[0, 1]]))[1].tolist() == ["too-few-rows"]
    assert rank_reason(base, pool, np.array([0, 1])) == "too-few-rows"


def test_a_target_that_was_rebuilt_is_a_perfect_fit() -> None:
    y, x, fixed = draw(4)
    y = 2 * x[0] - x[1] / np.abs(x[1]).max() * np.abs(x[0]).max() + 1
    base, pool = projected(y, x, fixed)
    assert estimate(base, pool, np.array([[0, 1], [0, 2]]))[1].tolist() == ["perfect-fit", ""]


def test_prediction_errors_are_those_of_the_fit() -> None:
    y, x, fixed = draw(9, n=100)
    fits = fits_of(y, x, fixed, [[0, 1], [2, 3]], ahead=20)
    for at, chosen in enumerate(fits.indices):
        design = np.vstack([x[chosen], fixed]).T
        theirs = reference.ols(y[:80], design[:80])
        expected = y[80:] - theirs.predict(reference.design(design[80:], design[:80]))
        np.testing.assert_allclose(
            fits.e_ahead[at] * fits.base.y_norm, expected, rtol=1e-8, atol=1e-9 * np.abs(y).max()
        )


@pytest.mark.parametrize(
    ("dw", "bg_p", "both", "either"),
    [
        (2.0, 0.5, False, False),
        (1.0, 0.5, False, True),
        (2.0, 0.05, False, True),
        (1.0, 0.05, True, True),
        (1.5, 0.1, False, True),
        (np.nan, np.nan, True, True),
    ],
)
def test_autocorrelation_fails_by_both_tests_or_either(dw: float, bg_p: float, both: bool, either: bool) -> None:
    rule = Autocorrelation()
    values = np.array([dw]), np.array([bg_p])
    assert _tests.autocorrelated(rule, *values).tolist() == [both]
    assert _tests.autocorrelated(replace(rule, fail="either"), *values).tolist() == [either]
    assert _tests.autocorrelated(None, *values).tolist() == [False]


@pytest.mark.parametrize(
    ("bp", "white", "both", "either"), [(0.5, 0.5, False, False), (0.01, 0.5, False, True), (0.05, 0.01, True, True)]
)
def test_heteroscedasticity_fails_by_both_tests_or_either(bp: float, white: float, both: bool, either: bool) -> None:
    rule = Heteroscedasticity()
    values = np.array([bp]), np.array([white])
    assert _tests.heteroscedastic(rule, *values).tolist() == [both]
    assert _tests.heteroscedastic(replace(rule, fail="either"), *values).tolist() == [either]
    assert _tests.heteroscedastic(None, *values).tolist() == [False]


def test_the_covariance_follows_from_the_tests() -> None:
    yes, no = np.array([True]), np.array([False])
    assert _covariance.label("auto", 168, yes, yes).tolist() == ["HAC(4)"]
    assert _covariance.label("auto", 168, no, yes).tolist() == ["HC1"]
    assert _covariance.label("auto", 168, no, no).tolist() == ["nonrobust"]
    assert _covariance.label("HAC(7)", 168, no, no).tolist() == ["HAC(7)"]


@pytest.mark.slow
def test_a_whole_verdict_is_what_library_calls_give(tmp_path: Path) -> None:
    table = columns(noise=0.5)
    config = world(tmp_path, {"search": {"forced": ["season(4)"], "max_terms": 2}}, table=table)
    rows = evaluated(config)
    from fanwise.workloads import modelsearch

    frame = modelsearch.prepare(config)
    for at in range(0, len(rows), 4):
        free = [int(i) for i in rows["indices"][at] if i >= 0]
        chosen = frame.X[:, [*free, 6, 7, 8]]
        expected = reference.statistics(frame.y, chosen, range(len(free), len(free) + 3))
        for name, value in expected.items():
            ours = rows[name][at]
            if name == "cov":
                assert ours == value
                continue
            np.testing.assert_allclose(ours[: len(value)] if np.ndim(value) else ours, value, err_msg=name, **CLOSE)


@given(st.integers(0, 1000), st.sampled_from([1e-6, 1e6]), st.floats(-1e3, 1e3))
@settings(max_examples=10)
def test_units_of_a_variable_change_no_statistic_without_units(seed: int, factor: float, shift: float) -> None:
    y, x, fixed = draw(seed)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    one = fits_of(y, x, fixed, [[0, 1, 2]])
    two = fits_of(y, (x + shift) * factor, fixed, [[0, 1, 2]])
    np.testing.assert_allclose(two.ssr, one.ssr, rtol=1e-8)
    np.testing.assert_allclose(two.b, one.b, rtol=1e-7, atol=1e-9)
    for ours, theirs in ((_tests.durbin_watson, 1e-8), (_tests.inflation, 1e-8), (_tests.breusch_pagan, 1e-7)):
        np.testing.assert_allclose(ours(two), ours(one), rtol=theirs)
