"""Projections: what all specifications share is taken out once, and nothing of a regression is lost by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.test_statistics import draw, dummies

from fanwise.workloads.modelsearch._gram import fit
from fanwise.workloads.modelsearch._project import base_of, pool_of, scaled


def least_squares(y: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (constant first) and residuals."""
    design = np.column_stack([np.ones(len(y)), rows.T])
    b = np.linalg.lstsq(design, y, rcond=None)[0]
    return b, y - design @ b


@given(st.integers(0, 5000), st.sampled_from([1e-7, 1.0, 1e7]), st.floats(-1e4, 1e4))
@settings(max_examples=25)
def test_scaled_rows_have_mean_0_and_norm_1_and_a_way_back(seed: int, factor: float, shift: float) -> None:
    rows = np.random.default_rng(seed).standard_normal((3, 50)) * factor + shift * factor
    standard, ahead, mean, norm = scaled(rows, rows)
    np.testing.assert_array_equal(ahead, standard)
    np.testing.assert_allclose(standard.sum(axis=1), 0, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(standard, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(standard * norm[:, None] + mean[:, None], rows, rtol=1e-12, atol=1e-12 * factor)


def test_a_constant_row_becomes_zeros() -> None:
    standard, ahead, mean, norm = scaled(np.full((1, 20), 7.5), np.array([[7.5, 9.0]]))
    assert not standard.any()
    assert ahead.tolist() == [[0.0, 1.5]]
    assert (mean.tolist(), norm.tolist()) == ([7.5], [1.0])


def test_rows_ahead_are_in_the_units_of_the_others_however_far_from_zero() -> None:
    """The mean of such a column is rounded by 1e-5 of its deviation."""
    rows = 1e6 + 1e-5 * np.random.default_rng(1).standard_normal((2, 31))
    standard, ahead, _, _ = scaled(rows[:, :24], rows[:, 22:])
    np.testing.assert_array_equal(ahead[:, :2], standard[:, 22:])


def test_the_projected_target_is_what_the_fixed_columns_leave() -> None:
    y, _, fixed = draw(2)
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    _, e = least_squares(y, fixed)
    np.testing.assert_allclose(base.y * base.y_norm, e, atol=1e-12)
    np.testing.assert_allclose(base.q @ base.q.T, np.eye(2), atol=1e-14)
    np.testing.assert_allclose(base.pinv @ base.fixed.T, np.eye(2), atol=1e-12)


def test_projected_items_are_orthogonal_to_all_that_is_fixed() -> None:
    y, x, _ = draw(3)
    fixed = np.vstack([dummies(80, 4), x[3] / np.abs(x[3]).max()])
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, x[:3], x[:3, :0])
    np.testing.assert_allclose(pool.z @ base.q.T, 0, atol=1e-14)
    np.testing.assert_allclose(pool.gram.diagonal(), 1, rtol=1e-13)
    for at in range(3):
        _, e = least_squares(x[at], fixed)
        np.testing.assert_allclose(pool.z[at] * pool.ratio[at] * pool.norm[at], e, atol=1e-10 * np.abs(x[at]).max())


def test_an_item_within_the_span_of_the_fixed_columns_leaves_nothing() -> None:
    y, _, fixed = draw(4)
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, (fixed[0] + 3 * fixed[1])[None], fixed[:1, :0])
    assert pool.ratio[0] < 1e-14


@pytest.mark.parametrize("r", [1, 2, 3])
def test_coefficients_are_those_of_the_whole_regression(r: int) -> None:
    """Frisch, Waugh and Lovell."""
    y, x, fixed = draw(5)
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, x, x[:, :0])
    chosen = np.arange(r)
    found = fit(pool, chosen[None], float(base.y @ base.y))
    b, e = least_squares(y, np.vstack([x[chosen], fixed]))
    ours = found.beta[:, 0] / pool.ratio[chosen] * base.y_norm / pool.norm[chosen]
    np.testing.assert_allclose(ours, b[1 : r + 1], rtol=1e-9)
    np.testing.assert_allclose(found.ssr[0] * base.y_norm**2, e @ e, rtol=1e-10)


def test_rows_to_predict_are_brought_to_the_units_of_the_fit() -> None:
    y, x, fixed = draw(6, n=90)
    base = base_of(y[:70], fixed[:, :70], y[70:], fixed[:, 70:])
    pool = pool_of(base, x[:, :70], x[:, 70:])
    b, _ = least_squares(y[:70], np.vstack([x[[0, 2], :70], fixed[:, :70]]))
    ahead = y[70:] - np.column_stack([np.ones(20), x[[0, 2], 70:].T, fixed[:, 70:].T]) @ b
    quick = fit(pool, np.array([[0, 2]]), 1.0)
    ours = (base.y_ahead - quick.beta[:, 0] @ pool.z_ahead[[0, 2]]) * base.y_norm
    np.testing.assert_allclose(ours, ahead, rtol=1e-8, atol=1e-8 * np.abs(y).max())


@pytest.mark.parametrize(
    ("fixed", "reason"),
    [
        (np.vstack([np.arange(30.0), 2 * np.arange(30.0)]), "collinear"),
        (np.vstack([np.arange(30.0), np.ones(30)]), "constant-item"),
        (np.random.default_rng(0).standard_normal((30, 30)), "too-few-rows"),
        (np.arange(30.0)[None], ""),
        (np.empty((0, 30)), ""),
    ],
)
def test_fixed_columns_that_leave_nothing_estimable_say_why(fixed: np.ndarray, reason: str) -> None:
    y = np.random.default_rng(1).standard_normal(30)
    assert base_of(y, fixed, y[:0], fixed[:, :0]).reason == reason


def test_the_trust_in_a_fit_is_its_smallest_pivot() -> None:
    y, x, fixed = draw(7)
    x[1] = x[0] / np.abs(x[0]).max() + 1e-5 * x[1] / np.abs(x[1]).max()
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, x, x[:, :0])
    found = fit(pool, np.array([[0, 1], [0, 2], [1, 2]]), 1.0)
    assert found.weakest[0] < 1e-4
    assert (found.weakest[1:] > 1e-2).all()


def test_an_empty_specification_explains_nothing() -> None:
    y, x, fixed = draw(8)
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, x, x[:, :0])
    found = fit(pool, np.empty((2, 0), dtype=np.int64), 0.75)
    assert found.ssr.tolist() == [0.75, 0.75]
    assert found.beta.shape == (0, 2)


def test_rows_of_the_inverse_are_those_of_the_normal_equations() -> None:
    y, x, fixed = draw(9)
    base = base_of(y, fixed, y[:0], fixed[:, :0])
    pool = pool_of(base, x, x[:, :0])
    indices = np.array([[0, 1, 2], [1, 2, 3]])
    found = fit(pool, indices, 1.0)
    for at, chosen in enumerate(indices):
        inverse = np.linalg.inv(pool.z[chosen] @ pool.z[chosen].T)
        np.testing.assert_allclose(found.variance_factors()[:, at], inverse.diagonal(), rtol=1e-9)
        for column in range(3):
            rows = found.covariance_rows(np.array([column, column]))
            np.testing.assert_allclose(rows[:, at], inverse[column], rtol=1e-9, atol=1e-12)
