"""Tables, golden rows, and the kernel a second time without Numba."""

from __future__ import annotations

import csv
import gc
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fanwise.workloads.exactci import _jit
from fanwise.workloads.exactci._coverage import ready_to_tally
from fanwise.workloads.exactci._methods import ask
from fanwise.workloads.exactci._scratch import Scratch, scratch
from fanwise.workloads.exactci._solve import FIELDS, ready, solve_chunk

EXACT = ("conditional", "midp", "blaker", "minlike")

# Each shows something: zeros, ties, an end at 1, the end of the support, skew, a long tail.
SHOWCASE = [
    (3, 1, 1, 3), (3, 10, 30, 23), (0, 5, 4, 6), (5, 0, 3, 4), (4, 3, 0, 7), (2, 9, 6, 0), (10, 10, 10, 10),
    (1, 1, 1, 1), (12, 5, 8, 10), (7, 3, 2, 8), (1, 14, 7, 8), (15, 5, 12, 8), (0, 2, 2, 0), (2, 0, 0, 2),
    (1, 2, 3, 4), (20, 1, 2, 19), (4, 51, 14, 38), (2, 27, 19, 3), (30, 25, 3, 2), (1, 40, 2, 9),
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _numba_is_not_garbage() -> None:
    """What Numba keeps makes each collection of `nothing_left_behind` 70 ms long; frozen objects are not looked at."""
    import pyarrow.parquet

    assert pyarrow.parquet
    for method in ("conditional", "unconditional"):
        ready(method)
    ready_to_tally()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> list[dict[str, str]]:
    with open(shared_data / "exactci" / "golden.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def place() -> Iterator[Scratch]:
    with scratch() as opened:
        yield opened


def uncompiled(module: ModuleType) -> ModuleType:
    """The same source as plain Python."""
    spec = importlib.util.spec_from_file_location(f"plain{module.__name__.rpartition('.')[2]}", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = plain
    compiled, _jit.COMPILED = _jit.COMPILED, False
    try:
        spec.loader.exec_module(plain)
    finally:
        _jit.COMPILED = compiled
    return plain


def numbers(table: tuple[int, int, int, int], method: str, alpha: float, side: str = "two-sided") -> dict[str, float]:
    """What the compiled kernel says about one table."""
    out = solve_chunk((method, np.array([table], np.int64)), ask([method], alpha, side))
    return dict(zip(FIELDS, out[:, 0].tolist()))
