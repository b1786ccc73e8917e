"""Without Numba the same source runs as plain Python and gives the same numbers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from fanwise.workloads.exactci import _coverage, _jit, _kernel, _unconditional

from .conftest import SHOWCASE, numbers, uncompiled

EXTREME = [(0, 0, 3, 4), (300, 200, 250, 190), (400, 1, 1, 400), (4000, 2, 2, 4000), (1, 30, 1, 2), (2, 4, 500, 30)]
Z = 1.959963984540054


@pytest.mark.parametrize("side", [_kernel.TWO_SIDED, _kernel.GREATER, _kernel.LESS])
@pytest.mark.parametrize("method", range(5))
def test_intervals_are_the_same(method: int, side: int) -> None:
    tables = np.array([*SHOWCASE, *EXTREME], np.int64)
    compiled, plain = np.empty((5, len(tables))), np.empty((5, len(tables)))
    for alpha in (0.05, 0.9):
        _kernel.solve(tables, method, side, alpha, Z, compiled)
        uncompiled(_kernel).solve(tables, method, side, alpha, Z, plain)
        np.testing.assert_allclose(plain, compiled, rtol=1e-13)


def test_unconditional_intervals_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = uncompiled(_unconditional)
    monkeypatch.setattr(plain, "GRID", 48)  # plain Python is a hundred times slower
    monkeypatch.setattr(plain, "CLOSE", 1e-3)
    monkeypatch.setattr(plain, "STEP", 0.1)
    tables = np.array([(2, 1, 1, 3), (0, 2, 2, 1), (0, 0, 1, 1), (300, 300, 300, 300)], np.int64)
    ends = np.array([[0.1, 0.0, 0.0, np.nan], [400.0, 9.0, np.inf, np.nan]])
    out = np.full((3, 4), 7.0)
    plain.solve_unconditional(tables, 0.05, ends, out)
    for column, table in ((0, (2, 1, 1, 3)), (1, (0, 2, 2, 1))):
        wanted = numbers(table, "unconditional", 0.05)
        np.testing.assert_allclose(out[:, column], [wanted["lower"], wanted["upper"], wanted["p_value"]], rtol=0.05)
    assert (out[:, 2:] == 7.0).all()


def test_tallies_are_the_same() -> None:
    lower, upper = np.array([[0.0, 0.5], [2.0, 0.3]]), np.array([[1.0, np.inf], [3.0, 0.4]])
    compiled, plain = np.empty(5), np.empty(5)
    for row, column in (([0.25, 0.75], [0.5, 0.5]), ([0.0, 1.0], [1.0, 0.0]), ([1.0, 0.0], [1.0, 0.0])):
        for out, tally in ((compiled, _coverage.tally), (plain, uncompiled(_coverage).tally)):
            tally(lower, upper, np.array(row), np.array(column), 0.9, out)
        np.testing.assert_allclose(plain, compiled, rtol=1e-15)


def test_without_numba_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    spec = importlib.util.spec_from_file_location("jit_without_numba", _jit.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not module.COMPILED
    assert module.entry(len) is module.inner(len) is len


@pytest.mark.slow
def test_an_interval_without_numba_is_the_same() -> None:
    code = "import sys; sys.modules['numba'] = None; from fanwise.workloads.exactci import interval; "
    code += "print(interval(12, 5, 8, 10, method='blaker').upper)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(ended.stdout) == pytest.approx(numbers((12, 5, 8, 10), "blaker", 0.05)["upper"], rel=1e-14)
