"""Regressions from a Gram matrix against the dense solution, one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.modelsearch._gram import GramFit, fit
from fanwise.workloads.modelsearch._project import Base, Pool, base_of, pool_of

SEEDS = st.integers(0, 100_000)


def projected(seed: int, n: int = 40, items: int = 6, fixed: int = 0) -> tuple[Base, Pool]:
    """Random items on n rows, some of which matter."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((items, n)) @ np.diag(rng.uniform(0.5, 2.0, n))
    y = x[0] - 0.4 * x[1 % items] + rng.standard_normal(n)
    base = base_of(y, rng.standard_normal((fixed, n)), np.empty(0), np.empty((fixed, 0)))
    return base, pool_of(base, x, np.empty((items, 0)))


def fitted(base: Base, pool: Pool, rows: list[list[int]]) -> GramFit:
    return fit(pool, np.array(rows, dtype=np.int64).reshape(len(rows), -1), float(base.y @ base.y))


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 5), st.integers(0, 2))
def test_coefficients_and_residual_share_are_those_of_least_squares(seed: int, r: int, fixed: int) -> None:
    base, pool = projected(seed, fixed=fixed)
    chosen = np.random.default_rng(seed).permutation(6)[:r].tolist()
    found = fitted(base, pool, [chosen])
    beta, *_ = np.linalg.lstsq(pool.z[chosen].T, base.y, rcond=None)
    left = base.y - beta @ pool.z[chosen]
    np.testing.assert_allclose(found.beta[:, 0], beta, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.ssr[0], left @ left, rtol=1e-8, atol=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 5))
def test_the_inverse_factor_gives_every_entry_of_the_inverse_gram(seed: int, r: int) -> None:
    base, pool = projected(seed)
    chosen = list(range(r))
    found = fitted(base, pool, [chosen])
    dense = np.linalg.inv(pool.z[chosen] @ pool.z[chosen].T)
    np.testing.assert_allclose(found.variance_factors()[:, 0], np.diag(dense), rtol=1e-8)
    for column in range(r):
        np.testing.assert_allclose(found.covariance_rows(np.array([column]))[:, 0], dense[column], rtol=1e-7, atol=1e-9)


def test_each_regression_of_a_batch_may_ask_for_another_row() -> None:
    base, pool = projected(3)
    rows = [[0, 1, 2], [1, 3, 5], [0, 4, 5]]
    found = fitted(base, pool, rows).covariance_rows(np.array([2, 0, 1]))
    for at, (chosen, column) in enumerate(zip(rows, (2, 0, 1), strict=True)):
        np.testing.assert_allclose(found[:, at], np.linalg.inv(pool.gram[np.ix_(chosen, chosen)])[column], rtol=1e-8)


@settings(max_examples=20)
@given(SEEDS, st.permutations(range(4)))
def test_the_order_of_items_changes_no_number_but_their_places(seed: int, order: list[int]) -> None:
    base, pool = projected(seed)
    straight, mixed = fitted(base, pool, [[0, 1, 2, 3]]), fitted(base, pool, [order])
    np.testing.assert_allclose(mixed.beta[:, 0], straight.beta[order, 0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(mixed.ssr, straight.ssr, rtol=1e-8)


@settings(max_examples=20)
@given(SEEDS)
def test_one_more_item_never_explains_less(seed: int) -> None:
    base, pool = projected(seed)
    shares = [fitted(base, pool, [list(range(r))]).ssr[0] for r in range(7)]
    assert shares[0] == pytest.approx(1.0)
    assert all(later <= before + 1e-12 for before, later in pairwise(shares))


@settings(max_examples=20)
@given(SEEDS, st.lists(st.sampled_from([(0, 1), (1, 2), (0, 5), (3, 4), (2, 5)]), min_size=1, max_size=8))
def test_neighbours_in_a_batch_change_no_bit(seed: int, rows: list[tuple[int, int]]) -> None:
    base, pool = projected(seed)
    together = fitted(base, pool, [list(row) for row in rows])
    for at, row in enumerate(rows):
        alone = fitted(base, pool, [list(row)])
        assert together.beta[:, at].tobytes() == alone.beta[:, 0].tobytes()
        assert together.ssr[at] == alone.ssr[0]


def test_the_same_item_twice_has_no_pivot_and_disturbs_nobody() -> None:
    base, pool = projected(5)
    found = fitted(base, pool, [[0, 1], [2, 2], [3, 4]])
    assert found.weakest[1] == pytest.approx(0.0, abs=1e-7)
    assert found.weakest[[0, 2]].min() > 0.1
    assert np.isfinite(found.beta[:, [0, 2]]).all()


@pytest.mark.parametrize("mix", [1e-1, 1e-2, 1e-3])
def test_the_weakest_pivot_is_the_sine_between_two_items(mix: float) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 60))
    x[1] = x[0] + mix * x[1]
    base = base_of(rng.standard_normal(60), np.empty((0, 60)), np.empty(0), np.empty((0, 0)))
    pool = pool_of(base, x, np.empty((2, 0)))
    cosine = np.corrcoef(x)[0, 1]
    assert fitted(base, pool, [[0, 1]]).weakest[0] == pytest.approx(np.sqrt(1 - cosine**2), rel=1e-6)
