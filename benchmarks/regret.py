"""Regret: time over the best of the loop and every peer, cell by cell: ``python -m benchmarks.regret [--rounds N]``.

A cold contestant makes its pool and closes it within the time; a warm one has been used once before. Peers that are not
installed are left out, and named in the output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import fanwise
from benchmarks._rounds import Figure, burn, interleaved, turns_a_second

__all__ = ["figures"]

WORKERS = 2
Contestants = dict[str, Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of work."""

    name: str
    fn: Callable[[Any], Any]
    items: list[Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """Best seconds of each contestant for one cell."""

    cell: str
    mode: str
    seconds: dict[str, float]

    @property
    def best(self) -> str:
        """The fastest contestant other than fanwise."""
        return min((name for name in self.seconds if name != "fanwise"), key=self.seconds.__getitem__)

    @property
    def regret(self) -> float:
        """At least one."""
        return max(1.0, self.seconds["fanwise"] / self.seconds[self.best])


def burn_turns(turns: int) -> Any:
    """Turns are counted out beforehand: a fresh worker would calibrate itself for a tenth of a second."""
    return burn(turns, turns)


def turns_of(seconds: Iterable[float]) -> list[int]:
    return [round(each * turns_a_second()) for each in seconds]


def sort_and_sum(values: np.ndarray) -> float:
    return float(np.sort(values).sum())


def sine_sorted(seed: int) -> np.ndarray:
    return np.sort(np.sin(np.arange(50_000) + seed))


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def cells() -> Iterator[Cell]:
    """Even, uneven and ordered costs, large arguments, large results, waiting."""
    rng = np.random.default_rng(0)
    shapes = [
        (100, 1e-5),
        (5000, 1e-5),
        (30, 1e-3),
        (200, 2e-4),
        (8, 1e-2),
        (4, 5e-2),
        (3, 1.5e-1),
        (20_000, 2e-6),
        (60, 5e-3),
    ]
    for count, seconds in shapes:
        turns = round(seconds * turns_a_second())
        yield Cell(f"{count:,} × {seconds * 1e3:g} ms", partial(burn, turns), list(range(count)))
    uneven = [2e-3] * 16
    uneven[8] = 3e-2
    yield Cell("16 × 2 ms, one of 30 ms", burn_turns, turns_of(uneven))
    yield Cell("300 log-normal, mean 1 ms", burn_turns, turns_of(1e-3 * rng.lognormal(-0.5, 1, 300)))
    yield Cell("200 growing to 2 ms", burn_turns, turns_of(np.linspace(0, 2e-3, 200)))
    yield Cell("200 falling from 2 ms", burn_turns, turns_of(np.linspace(2e-3, 0, 200)))
    yield Cell("40 arguments of 480 kB", sort_and_sum, list(rng.random((40, 60_000))))
    yield Cell("40 results of 400 kB", sine_sorted, list(range(40)))
    yield Cell("20 waits of 10 ms", wait, [1e-2] * 20)


def chunk(cell: Cell) -> int:
    return max(1, len(cell.items) // 8)


def cold_loky(cell: Cell) -> list[Any]:
    from loky import get_reusable_executor

    executor = get_reusable_executor(WORKERS, kill_workers=True, reuse=False)
    try:
        return list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))
    finally:
        executor.shutdown(kill_workers=True)


def cold_joblib(cell: Cell) -> list[Any]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    try:
        return Parallel(n_jobs=WORKERS)(delayed(cell.fn)(item) for item in cell.items)
    finally:
        get_reusable_executor().shutdown(kill_workers=True)


def cold_mpire(cell: Cell) -> list[Any]:
    from mpire import WorkerPool

    with WorkerPool(WORKERS) as pool:
        return pool.map(partial(one, cell.fn), [(item,) for item in cell.items])


def one(fn: Callable[[Any], Any], item: Any) -> Any:
    return fn(item)


def cold_pebble(cell: Cell) -> list[Any]:
    from pebble import ProcessPool

    with ProcessPool(WORKERS, context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(cell.fn, cell.items, chunksize=chunk(cell)).result())


def cold_pool(cell: Cell) -> list[Any]:
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        return pool.map(cell.fn, cell.items)


def cold_executor(cell: Cell) -> list[Any]:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")) as executor:
        return list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))


PEERS: dict[str, Callable[[Cell], list[Any]]] = {
    "loky": cold_loky,
    "joblib": cold_joblib,
    "mpire": cold_mpire,
    "pebble": cold_pebble,
}


def installed() -> dict[str, Callable[[Cell], list[Any]]]:
    return {name: run for name, run in PEERS.items() if find_spec(name)}


def cold(cell: Cell) -> Contestants:
    """Everything from nothing to nothing."""
    contestants: Contestants = {
        "fanwise": lambda: fanwise.map(cell.fn, cell.items),
        "loop": lambda: [cell.fn(item) for item in cell.items],
        "Pool": partial(cold_pool, cell),
        "ProcessPoolExecutor": partial(cold_executor, cell),
    }
    return contestants | {name: partial(run, cell) for name, run in installed().items()}


@contextlib.contextmanager
def warm(cell: Cell) -> Iterator[Contestants]:
    """Pools that have run the cell before."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(fanwise.Executor(WORKERS))
        pool = stack.enter_context(multiprocessing.get_context("fork").Pool(WORKERS))
        executor = stack.enter_context(ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")))
        contestants: Contestants = {
            "fanwise": lambda: fanwise.map(cell.fn, cell.items, executor=ours),
            "loop": lambda: [cell.fn(item) for item in cell.items],
            "Pool": lambda: pool.map(cell.fn, cell.items),
            "ProcessPoolExecutor": lambda: list(executor.map(cell.fn, cell.items, chunksize=chunk(cell))),
        }
        if find_spec("joblib"):
            contestants["joblib"] = warm_joblib(cell)
        if find_spec("loky"):
            contestants["loky"] = warm_loky(cell, stack)
        for run in contestants.values():
            run()
        yield contestants


def warm_joblib(cell: Cell) -> Callable[[], Any]:
    from joblib import Parallel, delayed

    return lambda: Parallel(n_jobs=WORKERS)(delayed(cell.fn)(item) for item in cell.items)


def warm_loky(cell: Cell, stack: contextlib.ExitStack) -> Callable[[], Any]:
    from loky import ProcessPoolExecutor as LokyExecutor

    executor = LokyExecutor(WORKERS)
    stack.callback(executor.shutdown, kill_workers=True)
    return lambda: list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))


def measure(rounds: int) -> Iterator[Measured]:
    for cell in cells():
        yield Measured(cell.name, "cold", interleaved(cold(cell), rounds))
        with warm(cell) as contestants:
            yield Measured(cell.name, "warm", interleaved(contestants, 2 * rounds))


def mean_regret(rows: list[Measured], mode: str) -> float:
    """Geometric mean."""
    logs = [math.log(row.regret) for row in rows if row.mode == mode]
    return math.exp(sum(logs) / len(logs))


def figures(quick: bool) -> Iterator[Figure]:
    """Mean regret, cold and warm."""
    rows = list(measure(3 if quick else 7))
    for mode in ("cold", "warm"):
        yield Figure(f"mean regret, {mode}", mean_regret(rows, mode))


def main() -> None:
    """A line a cell, the worst last, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = sorted(measure(options.rounds), key=lambda row: (row.mode, row.regret))
    if options.json:
        json.dump([asdict(row) | {"regret": row.regret} for row in rows], sys.stdout, indent=1)
        return
    for row in rows:
        ours, best = row.seconds["fanwise"], row.seconds[row.best]
        print(
            f"{row.mode}  {row.cell:<28}{ours * 1e3:>9.2f} ms  {row.best:>20}{best * 1e3:>9.2f} ms  {row.regret:>6.3f}"
        )
    for mode in ("cold", "warm"):
        print(f"mean regret, {mode}: {mean_regret(rows, mode):.3f}")
    if missing := [name for name in PEERS if name not in installed()]:
        print(f"not installed: {', '.join(missing)}")


if __name__ == "__main__":
    main()
