"""Grids to try things on, and the shared reference grid."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.programs import let_arrow_make_its_pipe

import fanwise
from fanwise.workloads.envelope import Grid, generate_grid, read_grid

COUNTRIES = ["Utopia", "Côte d'Émeraude", "東の国", ""]
Write = Callable[..., str]


@pytest.fixture(scope="session", autouse=True)
def _libraries_are_loaded() -> None:
    """Imports of the numerical libraries keep descriptors and memory that are no test's own."""
    import matplotlib.backends.backend_agg
    import pandas as pd
    import pyarrow.parquet

    assert pd
    assert pyarrow.parquet
    assert matplotlib.backends.backend_agg
    let_arrow_make_its_pipe()


@pytest.fixture(scope="session")
def data(shared_data: Path) -> Path:
    return shared_data / "envelope"


@pytest.fixture(scope="session")
def shared_grid(data: Path) -> Grid:
    return read_grid(data / "grid.csv")


@pytest.fixture(scope="session")
def made_up() -> Grid:
    """400 cells, 3 crops, 5 countries."""
    return generate_grid(cells=400, crops=3, countries=5, seed=7)


def small_columns(seed: int = 0, cells: int = 30) -> dict[str, object]:
    """Arguments of `Grid.from_arrays`: ties, zeros and a missing value."""
    rng = np.random.default_rng(seed)
    crops = {}
    for code in ("WHEA", "MAIZ"):
        area = np.round(rng.uniform(1, 500, cells), 1)
        area[0] = 0.0
        production = np.round(area * rng.integers(1, 9, cells) / 2, 1)
        production[1] = np.nan
        crops[code] = (area, production)
    return {
        "cell": np.arange(cells) * 3 + 100,
        "country": np.array(COUNTRIES, dtype=object)[rng.integers(0, 4, cells)],
        "region": np.array(["North", "South"], dtype=object)[rng.integers(0, 2, cells)],
        "crops": crops,
    }


@pytest.fixture
def small() -> Grid:
    return Grid.from_arrays(**small_columns())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of text and return its path."""

    def written(name: str, *lines: str, encoding: str = "utf-8") -> str:
        path = tmp_path / name
        path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
        return str(path)

    return written


@pytest.fixture
def cache(tmp_path: Path):
    with fanwise.Cache(tmp_path / "cache", memory=0) as opened:
        yield opened


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
