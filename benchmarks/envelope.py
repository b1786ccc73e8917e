"""Speed of envelopes, as ratios within one run: ``python -m benchmarks.envelope [--quick] [--scaling]``.

The plain loop is pandas per crop, country, tier and target: mask both frames, percentiles, sort, cumulative sums, and one
search for each target.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._envelope_sizes import study
from benchmarks._rounds import Figure, interleaved
from fanwise.cli import main as command
from fanwise.workloads import envelope
from fanwise.workloads.envelope import study as sweeps
from fanwise.workloads.envelope._task import Item, envelopes_of

ASKED: dict[str, Any] = {"by": "country", "method": "step", "points": "compact", "progress": "none"}
Row = tuple[str, float, str]


def frames(grid: envelope.Grid) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = np.array([*grid.countries, ""], dtype=object)[grid.country.codes]
    both = ({code: pair[side] for code, pair in grid.columns.items()} for side in (1, 0))
    production, harvest = (pd.DataFrame({"cell": grid.cell, "country": names} | columns) for columns in both)
    return production, harvest


def plain_loop(production: pd.DataFrame, harvest: pd.DataFrame, targets: np.ndarray, crops: list[str]) -> None:
    """What one writes first."""
    for crop, country, low in itertools.product(crops, [None, *production["country"].unique()], (0, 20)):
        mine = slice(None) if country is None else production["country"] == country
        p, h = production.loc[mine, crop], harvest.loc[mine, crop]
        valid = (p > 0) & (h > 0)
        p, h = p[valid], h[valid]
        if not len(p):
            continue
        yields = p / h
        cut = (h >= 1.0) & (yields <= 2 * np.percentile(yields, 99))
        p, h, yields = p[cut], h[cut], yields[cut]
        tier = yields >= np.percentile(yields, low)
        cells = np.column_stack([h[tier], p[tier], yields[tier]])
        for order in (np.argsort(cells[:, 2]), np.argsort(-cells[:, 2])):
            area, loss = np.cumsum(cells[order, 0]) * 0.01, np.cumsum(cells[order, 1])
            for target in targets[targets < area[-1]]:
                at = np.where(area > target)[0]
                area[at[0]], loss[at[0]]


def against_the_plain_loop(quick: bool) -> Iterator[Row]:
    cells, countries = (30_000, 50) if quick else (300_000, 200)
    grid = envelope.generate_grid(cells=cells, crops=4, countries=countries, seed=1)
    production, harvest = frames(grid)
    targets = envelope.sweep(grid, crops=[grid.crops[0]], **ASKED).curve(grid.crops[0]).area_km2
    loop = partial(plain_loop, production, harvest, targets, list(grid.crops))
    best = interleaved({"loop": loop, "ours": partial(envelope.sweep, grid, workers=1, **ASKED)}, 1 if quick else 2)
    yield f"{cells:,} cells: pandas loop / sweep(workers=1)", best["loop"] / best["ours"], ">= 20"


def over_the_kernel(quick: bool) -> Iterator[Row]:
    grid = envelope.generate_grid(cells=20_000 if quick else 100_000, crops=4, countries=50, seed=1)
    question = (("comprehensive", "commercial"), "step", "compact", "standard", "kcal")
    asked = {"crops": "all", "question": question, "where": ("country", None, None), "scenarios": None}
    plan, columns, _ = sweeps.make_plan(grid, keyed=False, **asked)
    kernel = lambda: [envelopes_of(plan, columns, Item(0, crop)) for crop in range(4)]  # noqa: E731 - a contestant
    with tempfile.TemporaryDirectory() as folder, sweeps.open_cache(folder) as cache:
        turn = itertools.count(1)

        def misses() -> None:
            """Other kcal each time: the same work under keys that nobody has; nothing is deleted to be replaced."""
            other = grid.with_kcal(dict.fromkeys(grid.crops, 3.0 + next(turn) / 1024))
            envelope.sweep(other, workers=1, cache=cache, **ASKED)

        off = partial(envelope.sweep, grid, workers=1, **ASKED)
        best = interleaved({"kernel": kernel, "off": off, "misses": misses}, 15)
    yield "switches off: (sweep - 0.3 ms) / kernel loop", (best["off"] - 3e-4) / best["kernel"], "<= 1.02"
    yield "a cache that only misses / kernel loop", best["misses"] / best["kernel"], "<= 1.15"


def two_workers(quick: bool) -> Iterator[Row]:
    for cells, crops in ((1_000, 2), (30_000, 4), *(() if quick else ((400_000, 12),))):
        grid = envelope.generate_grid(cells=cells, crops=crops, countries=50, seed=1)
        runs = {n: partial(envelope.sweep, grid, workers=n, **ASKED) for n in (1, 2)}
        best = interleaved({str(n): run for n, run in runs.items()}, 2 if cells > 10**5 else 4)
        yield f"{cells:,} cells × {crops} crops: workers=2 / workers=1, time", best["2"] / best["1"], "<= 1.10"


def warm(quick: bool) -> Iterator[Row]:
    """A new grid and a new cache object each time, so that digests are part of it."""
    cells, crops = (100_000, 4) if quick else (800_000, 12)
    plain = envelope.generate_grid(cells=cells, crops=crops, countries=200, seed=1)
    again = {"cell": plain.cell, "country": np.array([*plain.countries, ""], dtype=object)[plain.country.codes],
             "crops": plain.columns}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        best = {"cold": float("inf"), "warm": float("inf")}
        for turn, name in enumerate(("fill", "cold", "warm", "cold", "warm")):
            grid = envelope.Grid.from_arrays(**again)
            with sweeps.open_cache(folder) as cache:
                began = perf_counter()
                envelope.sweep(grid, workers=1, cache=None if name == "cold" else cache, **ASKED)
                if turn:
                    best[name] = min(best[name], perf_counter() - began)
    yield f"{cells:,} cells × {crops} crops: no cache / warm cache", best["cold"] / best["warm"], ">= 20"


def commands(quick: bool) -> Iterator[Row]:
    from fanwise.workloads.envelope._generate import write_grid

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grid = envelope.generate_grid(cells=20_000 if quick else 200_000, crops=8, countries=100, seed=1)
        write_grid(grid, str(folder / "grid.csv"))
        words = ["envelope", "run", str(folder / "grid.csv"), "--all", "--by", "country", "--points", "spaced:20",
                 "-q", "-p", "1", "--force", "--cache-dir", str(folder / "cache")]  # fmt: skip
        seconds = []
        for turn in range(3):
            began = perf_counter()
            command([*words, "--out", str(folder / f"out{turn}")])
            seconds.append(perf_counter() - began)
    yield "the command on CSV: first run / everything warm", seconds[0] / min(seconds[1:]), ">= 3"


def measure(quick: bool) -> Iterator[Row]:
    for part in (over_the_kernel, two_workers, commands, warm, against_the_plain_loop):
        yield from part(quick)


def figures(quick: bool) -> Iterator[Figure]:
    """Every ratio."""
    for name, value, _ in measure(quick):
        yield Figure(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the cells")
    parser.add_argument("--scaling", action="store_true", help="the study over sizes instead")
    given = parser.parse_args()
    os.environ.setdefault("FANWISE_PROGRESS", "none")
    if given.scaling:
        for row in study():
            print(*(f"{name} {value}" for name, value in row.items()), sep="  ", flush=True)
        return
    for what, value, goal in measure(given.quick):
        print(f"{what:<75} {value:>10,.2f}  {goal}", flush=True)


if __name__ == "__main__":
    main()
