"""Made-up grids whose areas and yields are spread as in real ones, for trials and measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fanwise._whole import atomic
from fanwise.errors import UsageValueError
from fanwise.workloads.envelope._cells import Pair
from fanwise.workloads.envelope._crops import facts
from fanwise.workloads.envelope._grid import Grid, make_grid
from fanwise.workloads.envelope._labels import encode

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
    labels = encode(names, "country").take(place), encode([f"R{i}" for i in range(4)], "region").take(region)
    pairs = {code: _crop(rng, place, countries) for code in codes[:crops]}
    return make_grid(np.arange(FIRST_ID, FIRST_ID + cells), labels, pairs, {})


def _crop(rng: np.random.Generator, place: NDArray[np.int64], countries: int) -> Pair:
    """Area and production of one crop; random numbers are drawn for the cells that grow it only."""
    level = np.exp(rng.normal(np.log(3.0), 0.5, countries))
    share = rng.uniform(0.2, 0.9, countries)
    quantised = rng.random(countries) < 0.25
    grows = np.flatnonzero(rng.random(len(place)) < share[place])
    mine = place[grows]
    coarse = quantised[mine]
    area = np.exp(rng.normal(np.log(300.0), 1.55, len(mine)))
    area = np.where(coarse, np.maximum(10.0, np.round(area / 10.0) * 10.0), np.round(area, 1))
    yields = level[mine] * np.exp(rng.normal(0.0, 0.45, len(mine)))
    yields = np.where(coarse, np.maximum(0.5, np.round(yields * 2.0) / 2.0), yields)
    small, high, barren, fallow, unknown = _defects(rng.random(len(mine)), (0.02, 0.003, 0.003, 0.003, 0.003))
    area[small] = rng.choice(SMALL_AREAS, len(small))
    yields[high] *= 20.0
    production = np.round(area * yields, 1)
    production[barren] = 0.0
    area[fallow] = 0.0
    production[unknown] = np.nan
    return _spread(area, grows, len(place)), _spread(production, grows, len(place))


def _defects(dice: NDArray[np.float64], shares: Sequence[float]) -> list[NDArray[np.intp]]:
    """Cells with each defect; none has two.

    >>> [which.tolist() for which in _defects(np.array([0.1, 0.3, 0.9]), (0.2, 0.2))]
    [[0], [1]]
    """
    rare = np.flatnonzero(dice < sum(shares))
    kind = np.searchsorted(np.cumsum(shares), dice[rare], side="right")
    return [rare[kind == number] for number in range(len(shares))]


def _spread(values: NDArray[np.float64], where: NDArray[np.intp], cells: int) -> NDArray[np.float64]:
    column = np.zeros(cells)
    column[where] = values
    return column


def write_grid(grid: Grid, path: str) -> None:
    """Write a grid in the wide form, CSV or Parquet by the suffix; the file is complete or not there."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    names = {what: pa.array([*labels.names, ""]).take(pa.array(labels.codes % (len(labels.names) + 1)))
             for what, labels in (("country", grid.country), ("region", grid.region))}  # fmt: skip
    columns = {"cell": grid.cell, **names}
    for code, (ha, mt) in grid.columns.items():
        columns |= {f"{code}_H": pa.array(ha, from_pandas=True), f"{code}_P": pa.array(mt, from_pandas=True)}
    table = pa.table(columns)
    with atomic(Path(path)) as file:  # pyarrow opens no name that is not UTF-8
        if path.lower().endswith(".parquet"):  # a dictionary of numbers that hardly repeat takes half the time
            pq.write_table(table, file, use_dictionary=[*names])
        else:
            arrow_csv.write_csv(table, file)
