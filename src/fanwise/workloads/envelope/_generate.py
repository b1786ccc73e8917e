"""Made-up grids whose areas and yields are spread as in real ones, for trials and measurements."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import UsageValueError
from fanwise.workloads.envelope._cells import Pair
from fanwise.workloads.envelope._crops import facts
from fanwise.workloads.envelope._grid import Grid

__all__ = ["generate_grid", "write_grid"]

NAMES = (
    "République de Ñandú", "Utopia", "Côte d'Émeraude", "Ελλάδα-2", "Ruritania", "São Verde", "東の国", "Freedonia",
    "Borduria", "Syldavia", "Graustark", "Zembla",
)  # fmt: skip
FIRST_ID = 1000
SMALL_AREAS = (0.1, 0.2, 0.9, 1.0, 9.9, 10.0)
ZIPF = 0.8


def generate_grid(*, cells: int, crops: int, countries: int, seed: int = 0) -> Grid:
    """Make a grid; the same one for the same arguments.

    Parameters
    ----------
    cells, crops, countries : int
        How many; at most as many crops as the package's table has.
    seed : int

    Returns
    -------
    Grid
        A crop's area in a cell averages about 1000 ha, its yield a few t/ha; ties and defects included.

    Raises
    ------
    UsageError
        If a number is out of range.

    Examples
    --------
    >>> grid = generate_grid(cells=100, crops=2, countries=3, seed=1)
    >>> grid.crops, grid.n_cells, len(grid.countries)
    (('WHEA', 'RICE'), 100, 3)
    """
    codes = [code for code in facts() if code != "allgrain"]
    for what, value, most in (("cells", cells, 10**8), ("crops", crops, len(codes)), ("countries", countries, cells)):
        if not 1 <= value <= most:
            raise UsageValueError(f"{what} {value}: expected a number from 1 to {most:,}")
    rng = np.random.default_rng(seed)
    names = [NAMES[i] if i < len(NAMES) else f"Country {i:04d}" for i in range(countries)]
    weights = 1.0 / np.arange(1, countries + 1) ** ZIPF
    place = rng.choice(countries, cells, p=weights / weights.sum())
    region = rng.integers(0, 4, cells)
    return Grid.from_arrays(
        cell=np.arange(FIRST_ID, FIRST_ID + cells),
        country=np.array(names, dtype=object)[place],
        region=np.array([f"R{i}" for i in range(4)], dtype=object)[region],
        crops={code: _crop(rng, place, countries) for code in codes[:crops]},
    )


def _crop(rng: np.random.Generator, place: NDArray[np.int64], countries: int) -> Pair:
    """Area and production of one crop."""
    level = np.exp(rng.normal(np.log(3.0), 0.5, countries))[place]
    grows = rng.random(len(place)) < rng.uniform(0.2, 0.9, countries)[place]
    coarse = (rng.random(countries) < 0.25)[place]
    area = np.exp(rng.normal(np.log(300.0), 1.55, len(place)))
    area = np.where(coarse, np.maximum(10.0, np.round(area / 10.0) * 10.0), np.round(area, 1))
    dice = rng.random((5, len(place)))
    area = np.where(dice[0] < 0.02, rng.choice(SMALL_AREAS, len(place)), area)
    yields = level * np.exp(rng.normal(0.0, 0.45, len(place)))
    yields = np.where(coarse, np.maximum(0.5, np.round(yields * 2.0) / 2.0), yields)
    yields = np.where(dice[1] < 0.003, yields * 20.0, yields)
    production = np.round(area * yields, 1)
    production[dice[2] < 0.003] = 0.0
    area[dice[3] < 0.003] = 0.0
    production[dice[4] < 0.003] = np.nan
    return np.where(grows, area, 0.0), np.where(grows, production, 0.0)


def write_grid(grid: Grid, path: str) -> None:
    """Write a grid in the wide form, CSV or Parquet by the suffix; the file is complete or not there."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    names = {what: np.array([*labels.names, ""], dtype=object)[labels.codes]
             for what, labels in (("country", grid.country), ("region", grid.region))}  # fmt: skip
    columns = {"cell": grid.cell, **names}
    for code, (ha, mt) in grid.columns.items():
        columns |= {f"{code}_H": ha, f"{code}_P": mt}
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        (pq.write_table if path.lower().endswith(".parquet") else arrow_csv.write_csv)(table, temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
