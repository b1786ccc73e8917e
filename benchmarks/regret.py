"""Regret: time over the best of the loop and every peer, cell by cell: ``python -m benchmarks.regret [--rounds N]``.

A cold contestant makes its pool and closes it within the time; a warm one has been used before. All have run the cell
once, so that nobody is timed while it loads modules. Each has processes of its own, and they take turns: what one leaves
behind, such as a thread, is not another's. Peers that are not installed are left out, and named in the output.

A shared machine may be twice as fast in one second as in the next. So each time is taken relative to the mean of its
round, and the median over the rounds counts. Luck may also last as long as a process: one of seven runs the same loop up
to a fifth slower all its life, by where its memory came to lie. So a contestant is three processes, a round each in turn.

The best of seven such times is still the one that was lucky, and below the time that this contestant takes. So the best
is chosen in one half of the rounds and compared with in the other half, both ways; ``plain`` is regret without that.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from statistics import fmean, median
from typing import Any

import numpy as np

import fanwise
from benchmarks._rounds import Figure, burn, in_turns, seconds_of, turns_a_second

__all__ = ["figures"]

WORKERS = 2
LIVES = 3
Once = Callable[[], Any]
"""One run of a cell."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of work."""

    name: str
    fn: Callable[[Any], Any]
    items: list[Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of each contestant for one cell: the median of what it took, in all rounds and in each half of them."""

    cell: str
    mode: str
    seconds: dict[str, float]
    halves: tuple[dict[str, float], dict[str, float]]

    @property
    def best(self) -> str:
        """The fastest contestant other than fanwise."""
        return best_in(self.seconds)

    @property
    def regret(self) -> float:
        """At least one."""
        one, other = self.halves
        ratios = one["fanwise"] / one[best_in(other)], other["fanwise"] / other[best_in(one)]
        return max(1.0, math.sqrt(math.prod(ratios)))

    @property
    def plain(self) -> float:
        """The same where luck chooses the best."""
        return max(1.0, self.seconds["fanwise"] / self.seconds[self.best])


def best_in(seconds: dict[str, float]) -> str:
    return min((name for name in seconds if name != "fanwise"), key=seconds.__getitem__)


def burn_turns(turns: int) -> Any:
    """Turns are counted out beforehand: a fresh worker would calibrate itself for a tenth of a second."""
    return burn(turns, turns)


def sort_and_sum(values: np.ndarray) -> float:
    return float(np.sort(values).sum())


def sine_sorted(seed: int) -> np.ndarray:
    return np.sort(np.sin(np.arange(50_000) + seed))


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def cells(turns_a_second: float) -> Iterator[Cell]:
    """Even, uneven and ordered costs, large arguments, large results, waiting; the same work for all contestants."""

    def turns_of(seconds: Iterable[float]) -> list[int]:
        return [round(each * turns_a_second) for each in seconds]

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
        turns = round(seconds * turns_a_second)
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


def cold_ours(cell: Cell) -> list[Any]:
    return fanwise.map(cell.fn, cell.items)


def loop(cell: Cell) -> list[Any]:
    return [cell.fn(item) for item in cell.items]


def cold_loky(cell: Cell) -> list[Any]:
    from loky import get_reusable_executor

    executor = get_reusable_executor(WORKERS, kill_workers=True, reuse=False)
    try:
        return list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))
    finally:
        executor.shutdown(kill_workers=True)


def cold_joblib(cell: Cell) -> list[Any]:
    from joblib.externals.loky import get_reusable_executor

    try:
        return joblib_once(cell)
    finally:
        get_reusable_executor().shutdown(kill_workers=True)


def joblib_once(cell: Cell) -> list[Any]:
    from joblib import Parallel, delayed

    return Parallel(n_jobs=WORKERS)(delayed(cell.fn)(item) for item in cell.items)


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


@contextmanager
def warm_ours(cell: Cell) -> Iterator[Once]:
    with fanwise.Executor(WORKERS) as executor:
        yield lambda: fanwise.map(cell.fn, cell.items, executor=executor)


@contextmanager
def warm_loop(cell: Cell) -> Iterator[Once]:
    yield lambda: loop(cell)


@contextmanager
def warm_pool(cell: Cell) -> Iterator[Once]:
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        yield lambda: pool.map(cell.fn, cell.items)


@contextmanager
def warm_executor(cell: Cell) -> Iterator[Once]:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork")) as executor:
        yield lambda: list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))


@contextmanager
def warm_joblib(cell: Cell) -> Iterator[Once]:
    yield lambda: joblib_once(cell)


@contextmanager
def warm_loky(cell: Cell) -> Iterator[Once]:
    from loky import ProcessPoolExecutor as LokyExecutor

    executor = LokyExecutor(WORKERS)
    try:
        yield lambda: list(executor.map(cell.fn, cell.items, chunksize=chunk(cell)))
    finally:
        executor.shutdown(kill_workers=True)


COLD: dict[str, Callable[[Cell], list[Any]]] = {
    "fanwise": cold_ours,
    "loop": loop,
    "Pool": cold_pool,
    "ProcessPoolExecutor": cold_executor,
    "loky": cold_loky,
    "joblib": cold_joblib,
    "mpire": cold_mpire,
    "pebble": cold_pebble,
}
WARM: dict[str, Callable[[Cell], AbstractContextManager[Once]]] = {
    "fanwise": warm_ours,
    "loop": warm_loop,
    "Pool": warm_pool,
    "ProcessPoolExecutor": warm_executor,
    "loky": warm_loky,
    "joblib": warm_joblib,
}
PEERS = ("loky", "joblib", "mpire", "pebble")


def missing() -> list[str]:
    return [name for name in PEERS if find_spec(name) is None]


def compete(name: str, turns: float) -> None:
    """Be a contestant: ``cell mode`` begins a cell, an empty line runs it once; each is answered by seconds."""
    known = list(cells(turns))
    with fanwise.Executor(WORKERS):
        pass  # loads what we import late; the modules of peers are loaded above, or by their first round
    with ExitStack() as held:
        for line in sys.stdin:
            if line.strip():
                number, mode = line.split()
                held.close()
                cell = known[int(number)]
                run = partial(COLD[name], cell) if mode == "cold" else held.enter_context(WARM[name](cell))
                run()
            print(seconds_of(run) if not line.strip() else 0.0, flush=True)


class Contestant:
    """Processes that run cells in one way, in turn."""

    def __init__(self, name: str, turns: float) -> None:
        command = [sys.executable, "-m", "benchmarks.regret", "--compete", name, "--turns", repr(turns)]
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(LIVES)
        ]
        self._turns = cycle(self._processes)

    def begin(self, cell: str) -> None:
        """Have all of them ready for a cell."""
        for process in self._processes:
            _ask(process, cell)

    def run(self) -> float:
        """Run the cell once; seconds."""
        return _ask(next(self._turns))

    def end(self) -> None:
        """Let them go."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def _ask(process: subprocess.Popen[str], line: str = "") -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    print(line, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def measure(rounds: int) -> Iterator[Measured]:
    with ExitStack() as held:
        turns = turns_a_second()
        contestants = {name: Contestant(name, turns) for name in COLD if name not in missing()}
        for contestant in contestants.values():
            held.callback(contestant.end)
        for number, cell in enumerate(cells(turns)):
            for mode, names, times in (("cold", COLD, rounds), ("warm", WARM, 2 * rounds)):
                taking_part = {name: each for name, each in contestants.items() if name in names}
                for contestant in taking_part.values():
                    contestant.begin(f"{number} {mode}")
                rounds_of = in_turns({name: each.run for name, each in taking_part.items()}, times)
                # forwards and backwards in both halves
                halves = [[each for turn, each in enumerate(rounds_of) if turn // 2 % 2 == half] for half in (0, 1)]
                yield Measured(cell.name, mode, evened(rounds_of), (evened(halves[0]), evened(halves[1])))


def evened(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Seconds of each contestant, relative to the geometric mean of each round, in a round of middling speed."""
    means = [math.exp(fmean(map(math.log, each.values()))) for each in rounds]
    shares = {name: median(each[name] / mean for each, mean in zip(rounds, means, strict=True)) for name in rounds[0]}
    return {name: share * median(means) for name, share in shares.items()}


def mean_regret(rows: list[Measured], mode: str, *, plain: bool = False) -> float:
    """Geometric mean."""
    return math.exp(fmean(math.log(row.plain if plain else row.regret) for row in rows if row.mode == mode))


def figures(quick: bool) -> Iterator[Figure]:
    """Mean regret, cold and warm."""
    rows = list(measure(4 if quick else 8))
    for mode in ("cold", "warm"):
        yield Figure(f"mean regret, {mode}", mean_regret(rows, mode))
        yield Figure(f"mean regret, {mode}, luck choosing the best", mean_regret(rows, mode, plain=True))


def main() -> None:
    """A line a cell, the worst last, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--compete", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compete:
        compete(options.compete, options.turns)
        return
    rows = sorted(measure(options.rounds), key=lambda row: (row.mode, row.regret))
    if options.json:
        json.dump([asdict(row) | {"regret": row.regret, "plain": row.plain} for row in rows], sys.stdout, indent=1)
        return
    for row in rows:
        ours, best = row.seconds["fanwise"], row.seconds[row.best]
        print(
            f"{row.mode}  {row.cell:<28}{ours * 1e3:>9.2f} ms  {row.best:>20}{best * 1e3:>9.2f} ms  {row.regret:>6.3f}"
        )
    for mode in ("cold", "warm"):
        print(f"mean regret, {mode}: {mean_regret(rows, mode):.3f} (plain {mean_regret(rows, mode, plain=True):.3f})")
    if missing():
        print(f"not installed: {', '.join(missing())}")


if __name__ == "__main__":
    main()
