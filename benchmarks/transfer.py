"""What data cost on the way to workers and back: ``python -m benchmarks.transfer [--quick]``.

A frozen array through `fanwise.map` to two workers that run already, from the call to the first element in each of
them, and what memory they hold once they have read all of it; a large argument and a large result against
`concurrent.futures.ProcessPoolExecutor`, both warm, taken in turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

import fanwise
from benchmarks._rounds import Figure, best_of, seconds_of

TOGETHER_S = 0.02  # an item that takes so long leaves the other to the other worker


def at_first_element(bundle: fanwise.Bundle, _: int) -> tuple[int, float]:
    """Which worker saw the first element, and when: the monotonic clock is one for all processes."""
    _ = bundle["data"][0]
    seen = time.monotonic()
    time.sleep(TOGETHER_S)
    return os.getpid(), seen


def private_growth(bundle: fanwise.Bundle, _: int) -> tuple[int, int]:
    """Which worker read all of it, and by how many bytes of its own it grew.

    It looks again when the other has read it, too: a page that one process alone maps counts as its own.
    """
    before = unique()
    _ = float(bundle["data"].sum())
    time.sleep(0.5)
    return os.getpid(), unique() - before


def unique() -> int:
    with open("/proc/self/smaps_rollup", encoding="ascii") as rollup:
        return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Private_"))


def frozen(executor: fanwise.Executor, size: int, rounds: int) -> Iterator[Figure]:
    """A new bundle in each round, so that both workers attach it anew."""
    array = np.arange(size // 8, dtype=np.float64)
    best = float("inf")
    for _ in range(rounds):
        with fanwise.freeze({"data": array}) as bundle:
            called = time.monotonic()
            seen = fanwise.map(partial(at_first_element, bundle), range(2), executor=executor, chunk_size=1)
            if len({pid for pid, _ in seen}) == 2:
                best = min(best, max(at for _, at in seen) - called)
    yield Figure("frozen array to the first element in each of 2 workers", best * 1e3, "ms")
    with fanwise.freeze({"data": array}) as bundle:
        del array
        grown = fanwise.map(partial(private_growth, bundle), range(2), executor=executor, chunk_size=1)
        share = max(by for _, by in grown) / bundle.nbytes
        yield Figure("unique memory of a worker of map that has read all of it", 100 * share, "%")


def total(array: np.ndarray) -> float:
    return float(array[0] + array[-1])


def ones(count: int) -> np.ndarray:
    return np.ones(count)


def against_the_standard_pool(ours: fanwise.Executor, size: int, rounds: int) -> Iterator[Figure]:
    """One array there, and one array back."""
    array = np.ones(size // 8)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as theirs:
        pools: dict[str, Any] = {"ours": ours, "theirs": theirs}
        for way, call in (("argument", partial(sent, array)), ("result", partial(returned, array.size))):
            best = best_of({name: partial(seconds_of, partial(call, pool)) for name, pool in pools.items()}, rounds)
            megabytes = size // 1_000_000
            yield Figure(f"{way} of {megabytes} MB: fanwise / ProcessPoolExecutor", best["ours"] / best["theirs"])
            yield Figure(f"{way} of {megabytes} MB", best["ours"] * 1e3, "ms")


def sent(array: np.ndarray, pool: Any) -> None:
    pool.submit(total, array).result()


def returned(count: int, pool: Any) -> None:
    pool.submit(ones, count).result()


def figures(quick: bool) -> Iterator[Figure]:
    """What `gates.toml` names."""
    with ExitStack() as stack:
        executor = stack.enter_context(fanwise.Executor(2, backend="process"))
        fanwise.map(time.sleep, [TOGETHER_S] * 4, executor=executor, chunk_size=1)  # both are there
        yield from against_the_standard_pool(executor, 100_000_000, 5 if quick else 15)
        yield from frozen(executor, 200_000_000 if quick else 1_000_000_000, 3 if quick else 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller data")
    for figure in figures(parser.parse_args().quick):
        print(f"{figure.name:<60} {figure.value:10.3f} {figure.unit}")


if __name__ == "__main__":
    main()
