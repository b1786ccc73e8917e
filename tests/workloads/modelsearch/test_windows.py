"""Walk-forward errors and the stability of signs, against a loop of ordinary fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.test_statistics import draw, dummies

from fanwise.workloads.modelsearch._windows import origins, parts, sign_stability, walk_forward, windows_of


def estimable(design: np.ndarray, y: np.ndarray) -> bool:
    """The rank rule, written out."""
    n, k = design.shape
    if n - k < 1:
        return False
    columns = design[:, 1:] - design[:, 1:].mean(axis=0)
    norm = np.linalg.norm(columns, axis=0)
    if (norm <= 1e-12 * np.sqrt(n) * np.abs(design[:, 1:]).max(axis=0)).any():
        return False
    sizes = np.linalg.svd(columns / norm, compute_uv=False) if columns.size else np.ones(1)
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return bool(sizes[-1] >= 1e-10 * sizes[0] and rest @ rest >= 1e-14 * np.sum((y - y.mean()) ** 2))


def loop(y: np.ndarray, design: np.ndarray, bounds: list[tuple[int, int, int]]) -> tuple[float, int, list[np.ndarray]]:
    squares, skipped, coefficients = [], 0, []
    for first, stop, ahead in bounds:
        part, target = design[first:stop], y[first:stop]
        if not estimable(part, target):
            skipped += 1
            continue
        b = np.linalg.lstsq(part, target, rcond=None)[0]
        coefficients.append(b)
        squares.append((y[stop:ahead] - design[stop:ahead] @ b) ** 2)
    error = np.sqrt(np.mean(np.concatenate(squares))) if squares and sum(map(len, squares)) else np.nan
    return error, skipped, coefficients


@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(1, 9))
@settings(max_examples=25)
def test_walk_forward_is_a_loop_of_fits(seed: int, min_train: int, step: int) -> None:
    y, x, fixed = draw(seed, n=70)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    bounds = origins(70, min_train, step)
    indices = np.array([[0, 1], [2, 3]])
    error, skipped = walk_forward(windows_of(y, fixed, bounds), x, indices)
    for at, chosen in enumerate(indices):
        expected = loop(y, np.column_stack([np.ones(70), x[chosen].T, fixed.T]), bounds)
        np.testing.assert_allclose(error[at], expected[0], rtol=1e-8)
        assert skipped[at] == expected[1]


@given(st.integers(0, 10_000), st.integers(1, 7))
@settings(max_examples=25)
def test_sign_stability_is_a_loop_of_fits(seed: int, count: int) -> None:
    y, x, fixed = draw(seed, n=66)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    bounds = parts(66, count)
    indices = np.array([[0, 1], [1, 3]])
    designs = [np.column_stack([np.ones(66), x[chosen].T, fixed.T]) for chosen in indices]
    whole = np.array([np.linalg.lstsq(design, y, rcond=None)[0][1:3] for design in designs])
    found = sign_stability(windows_of(y, fixed, bounds), x, indices, whole)
    for at, design in enumerate(designs):
        _, _, coefficients = loop(y, design, bounds)
        same = [np.sign(b[1:3]) == np.sign(whole[at]) for b in coefficients]
        expected = np.mean(same, axis=0).min() if same else np.nan
        np.testing.assert_allclose(found[at], expected)


def test_origins_end_before_the_last_row_and_predict_no_further() -> None:
    assert origins(10, 4, 3) == [(0, 4, 7), (0, 7, 10)]
    assert origins(10, 4, 4) == [(0, 4, 8), (0, 8, 10)]
    assert origins(10, 10, 1) == []


def test_the_first_parts_are_one_row_longer() -> None:
    assert parts(10, 4) == [(0, 3, 3), (3, 6, 6), (6, 8, 8), (8, 10, 10)]
    assert parts(8, 4) == [(0, 2, 2), (2, 4, 4), (4, 6, 6), (6, 8, 8)]
    assert [b - a for a, b, _ in parts(3, 5)] == [1, 1, 1, 0, 0]


def test_an_origin_whose_design_fails_is_skipped_and_counted() -> None:
    y, x, _ = draw(3, n=60)
    x[0, :40] = 5.0  # constant until row 40
    x[1, :40] = x[2, :40]  # collinear until row 40
    windows = windows_of(y, np.empty((0, 60)), origins(60, 20, 10))
    error, skipped = walk_forward(windows, x, np.array([[0, 3], [1, 2], [2, 3]]))
    assert skipped.tolist() == [3, 3, 0]
    assert np.isfinite(error).all()


def test_a_season_that_has_not_come_yet_skips_the_origin() -> None:
    y, x, _ = draw(3, n=60)
    fixed = np.vstack([dummies(60, 4), (np.arange(60) == 30) * 1.0])  # the last column is 0 until row 30
    windows = windows_of(y, fixed, origins(60, 12, 10))
    assert [window.base.reason for window in windows] == ["constant-item", "constant-item", "", "", ""]
    _, skipped = walk_forward(windows, x, np.array([[0, 1]]))
    assert skipped.tolist() == [2]


def test_a_perfect_fit_is_skipped_too() -> None:
    _, x, _ = draw(3, n=60)
    y = x[0] * 2 + 1
    y[50:] += np.random.default_rng(0).standard_normal(10)
    windows = windows_of(y, np.empty((0, 60)), origins(60, 20, 10))
    error, skipped = walk_forward(windows, x, np.array([[0, 1]]))
    assert skipped.tolist() == [4]
    assert np.isnan(error[0])


def test_without_an_origin_or_a_window_nothing_is_known() -> None:
    _, x, _ = draw(1)
    error, skipped = walk_forward([], x, np.array([[0, 1]]))
    assert np.isnan(error[0])
    assert skipped.tolist() == [0]
    assert np.isnan(sign_stability([], x, np.array([[0]]), np.array([[1.0]]))[0])


def test_a_specification_without_free_items_has_no_signs() -> None:
    y, x, fixed = draw(1)
    windows = windows_of(y, fixed, parts(80, 4))
    assert np.isnan(sign_stability(windows, x, np.empty((2, 0), dtype=np.int64), np.empty((2, 0)))).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale: float) -> None:
    y, x, fixed = draw(5, n=80)
    windows = windows_of(y, fixed, origins(80, 40, 5))
    one, _ = walk_forward(windows, x, np.array([[0, 1, 2]]))
    two, _ = walk_forward(windows, x * scale + 3, np.array([[0, 1, 2]]))
    np.testing.assert_allclose(two, one, rtol=1e-7)
