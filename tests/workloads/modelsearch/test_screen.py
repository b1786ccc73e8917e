"""The parts of the fast half against their definitions: robust variances, inflation, signs, and what is trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.reference import ols, robust
from tests.workloads.modelsearch.world import columns, context, world

from fanwise.workloads.modelsearch import _screen
from fanwise.workloads.modelsearch._cascade import assess
from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._gram import GramFit, fit
from fanwise.workloads.modelsearch._project import base_of, pool_of
from fanwise.workloads.modelsearch._screen import OPEN, screen, trusted

SEEDS = st.integers(0, 100_000)


@settings(max_examples=25)
@given(SEEDS, st.integers(2, 40), st.integers(0, 6))
def test_a_hac_variance_is_its_double_sum_under_bartlett_weights(seed: int, n: int, lags: int) -> None:
    u = np.random.default_rng(seed).standard_normal((3, n))
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    weight = np.clip(1 - apart / (lags + 1), 0, None)
    (found,) = _screen._variances(u, [f"HAC({lags})"], 1.0)
    np.testing.assert_allclose(found, np.einsum("bs,st,bt->b", u, weight, u), rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 40), st.integers(0, 39))
def test_lagged_products_are_those_of_the_shifted_row(seed: int, n: int, lag: int) -> None:
    u = np.random.default_rng(seed).standard_normal((2, n))
    expected = [sum(row[t] * row[t - lag] for t in range(lag, n)) for row in u]
    np.testing.assert_allclose(_screen._products(u, min(lag, n)), expected, rtol=1e-10, atol=1e-10)


def test_each_kind_of_covariance_has_a_row_and_its_own_factor() -> None:
    u = np.array([[1.0, 2.0, -1.0, 0.5]])
    hc1, none, one = _screen._variances(u, ["HC1", "HAC(0)", "HAC(1)"], 1.25)[:, 0]
    squares = 1 + 4 + 1 + 0.25
    assert (hc1, none) == pytest.approx((1.25 * squares, squares))
    assert one == pytest.approx(squares + 2 * 0.5 * (2 - 2 - 0.5))


@settings(max_examples=8)
@given(SEEDS, st.sampled_from([["HC1"], ["HAC(3)"], ["HC1", "HAC(2)"]]))
def test_the_robust_t_value_is_that_of_statsmodels(seed: int, kinds: list[str]) -> None:
    rng = np.random.default_rng(seed)
    n, x = 60, rng.standard_normal((3, 60))
    fixed = rng.standard_normal((1, n))
    y = 0.3 * x[0] + fixed[0] + rng.standard_normal(n) * (1 + np.abs(x[1]))
    base = base_of(y, fixed, np.empty(0), np.empty((1, 0)))
    pool = pool_of(base, x, np.empty((3, 0)))
    found = fit(pool, np.array([[0, 1], [1, 2]]), float(base.y @ base.y))
    which = np.array([1, 0]), np.array([0, 1])
    ours = _screen._robust_t(base, pool, found, which, kinds)
    for value, spec, column in zip(ours, *which, strict=True):
        items = [[0, 1], [1, 2]][spec]
        model = ols(y, np.column_stack([*x[items], *fixed]))
        assert value == pytest.approx(max(abs(robust(model, kind).tvalues[1 + column]) for kind in kinds), rel=1e-7)


@settings(max_examples=15)
@given(SEEDS, st.integers(0, 2), st.floats(0.05, 1.0))
def test_the_largest_inflation_is_on_the_diagonal_of_the_inverse_correlations(
    seed: int, fixed: int, mix: float
) -> None:
    rng = np.random.default_rng(seed)
    x, f = rng.standard_normal((3, 50)), rng.standard_normal((fixed, 50))
    x[1] = (1 - mix) * x[0] + mix * x[1]
    base = base_of(rng.standard_normal(50), f, np.empty(0), np.empty((fixed, 0)))
    pool = pool_of(base, x, np.empty((3, 0)))
    found = fit(pool, np.array([[0, 1], [0, 2]]), float(base.y @ base.y))
    expected = [np.diag(np.linalg.inv(np.corrcoef(np.vstack([x[chosen], f])))).max() for chosen in ([0, 1], [0, 2])]
    np.testing.assert_allclose(_screen._max_vif(base, pool, found), expected, rtol=1e-6)


def some_fit(weakest: float, ssr: float) -> GramFit:
    return GramFit(np.zeros((1, 1), dtype=np.int64), *(np.ones((1, 1)),) * 2, np.array([ssr]), np.array([weakest]))


@pytest.mark.parametrize(
    ("weakest", "ssr", "good"),
    [
        (0.5, 0.5, True),
        (1e-4, 0.5, False),
        (2e-4, 0.5, True),
        (0.5, 1e-9, False),
        (0.5, 2e-9, True),
        (np.nan, 0.5, False),
        (0.5, np.nan, False),
        (0.5, -1e-12, False),
    ],
)
def test_ill_conditioned_and_perfect_fits_are_not_trusted(weakest: float, ssr: float, good: bool) -> None:
    assert trusted(some_fit(weakest, ssr)).tolist() == [good]


STRICT = {
    "r2": {"r2_min": 0.5},
    "adj_r2": {"r2_min": False, "adj_r2_min": 0.5},
    "sign": {"r2_min": False, "sign": {"x1": "-"}},
    "vif": {"r2_min": False, "vif_max": 1.001},
    "pvalue": {"r2_min": False, "p_max": 1e-6},
}


@pytest.mark.parametrize("name", STRICT)
def test_whatever_is_screened_out_falls_in_full_at_the_same_filter(tmp_path: Path, name: str) -> None:
    made = context(world(tmp_path, {"filters": STRICT[name]}, table=columns(seed=4)))
    exact = assess(made, 0, made.space.count(), full=True)
    surely = 0
    for block in made.space.blocks(0, made.space.count()):
        pool, indices = made.local(block.indices)
        cheap = screen(made, pool, fit(pool, indices, float(made.base.y @ made.base.y))).failed
        settled = cheap != OPEN
        np.testing.assert_array_equal(cheap[settled], exact.failed[block.ids][settled])
        surely += int((cheap == FILTERS.index(name)).sum())
    assert surely, "the filter has something to do"


@pytest.mark.parametrize("bound", [0.3, 0.6])
def test_the_gap_is_the_relative_distance_from_the_bound(tmp_path: Path, bound: float) -> None:
    made = context(world(tmp_path, {"filters": {"r2_min": bound, "adj_r2_min": 0.9}}))
    (block, *_) = made.space.blocks(0, made.space.count())
    found = fit(made.whole, block.indices, float(made.base.y @ made.base.y))
    told = screen(made, made.whole, found)
    at_r2 = told.failed == FILTERS.index("r2")
    np.testing.assert_allclose(told.gap[at_r2], (bound - (1 - found.ssr[at_r2])) / bound, rtol=1e-12)
    assert at_r2.any()
    assert (told.gap[at_r2] > 0).all()
    assert np.isnan(told.gap[told.failed == OPEN]).all()
