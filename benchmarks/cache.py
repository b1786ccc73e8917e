"""Speed of the cache, as ratios within one run: ``python -m benchmarks.cache [--quick]``.

Peers are diskcache and joblib.Memory; where one is not installed its rows are left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._rounds import Figure, interleaved
from fanwise import Cache

VALUE = b"x" * 100


def times(count: int, call: Callable[[], Any]) -> Callable[[], None]:
    """A contestant that makes a call so often."""

    def often() -> None:
        for _ in range(count):
            call()

    return often


def add(a: int, b: int) -> int:
    return a + b


def array_of(megabytes: int) -> np.ndarray:
    return np.ones(megabytes * 131_072)


class Stage:
    """Caches of all contestants in one folder, closed at the end."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack

    def cache(self, name: str, **options: Any) -> Cache:
        return self.stack.enter_context(Cache(self.folder / name, **options))

    def diskcache(self, name: str) -> Any:
        import diskcache

        return self.stack.enter_context(diskcache.Cache(str(self.folder / name)))

    def memory(self, name: str, **options: Any) -> Any:
        import joblib

        return joblib.Memory(str(self.folder / name), verbose=0, **options)


def small_values(stage: Stage, rounds: int) -> Iterator[Figure]:
    """Hits and stores of 100 bytes against diskcache."""
    if find_spec("diskcache") is None:
        return
    memory, disk, theirs = stage.cache("memory"), stage.cache("disk", memory=0), stage.diskcache("theirs")
    key = memory.key("k")
    for each in (memory, disk):
        each.put(key, VALUE)
    theirs.set("k", VALUE)
    count = 200  # about 50 µs to 1 ms: short enough to fall between two turns of other programs
    best = interleaved(
        {
            "memory": times(count, partial(memory.get, key)),
            "disk": times(count, partial(disk.get, key)),
            "theirs": times(count, partial(theirs.get, "k")),
        },
        rounds,
    )
    yield Figure("hit in memory, 100 B: diskcache / fanwise", best["theirs"] / best["memory"])
    yield Figure("hit on disk, 100 B: diskcache / fanwise", best["theirs"] / best["disk"])
    yield Figure("hit in memory, 100 B", best["memory"] / count * 1e6, "µs")
    yield Figure("hit on disk, 100 B", best["disk"] / count * 1e6, "µs")
    keys = iter([disk.key(number) for number in range(20 * rounds)])
    names = iter(range(20 * rounds))
    best = interleaved(
        {
            "disk": times(20, lambda: disk.put(next(keys), VALUE)),
            "theirs": times(20, lambda: theirs.set(next(names), VALUE)),
        },
        rounds,
    )
    yield Figure("store, 100 B: diskcache / fanwise", best["theirs"] / best["disk"])


def calls(stage: Stage, rounds: int) -> Iterator[Figure]:
    """Memoised calls with two small arguments against joblib.Memory."""
    ours = stage.cache("calls").memoize(add, adaptive=False)
    ours(1, 2)
    contestants = {"ours": times(200, partial(ours, 1, 2))}
    if find_spec("joblib") is not None:
        theirs = stage.memory("joblib").cache(add)
        theirs(1, 2)
        contestants["theirs"] = times(2, partial(theirs, 1, 2))
    best = interleaved(contestants, rounds)
    if "theirs" in best:
        yield Figure("memoised hit: joblib.Memory / fanwise", best["theirs"] / 2 / (best["ours"] / 200))
    yield Figure("memoised hit", best["ours"] / 200 * 1e6, "µs")
    cheap = stage.cache("cheap").memoize(add)
    for n in range(200):
        cheap(n, n)
    best = interleaved({"plain": times(1_000, partial(add, 1, 2)), "cheap": times(1_000, partial(cheap, 1, 2))}, rounds)
    yield Figure("call past the cache, beyond the function", (best["cheap"] - best["plain"]) / 1_000 * 1e6, "µs")


def arrays(stage: Stage, rounds: int) -> Iterator[Figure]:
    """Hits of arrays: independent of the size, and against joblib's maps."""
    cache = stage.cache("arrays")
    ours = cache.memoize(array_of, adaptive=False)
    for size in (1, 100):
        ours(size)
        ours(size)
    contestants = {size: times(5, partial(ours, size)) for size in (1, 100)}
    if find_spec("joblib") is not None:
        theirs = stage.memory("joblib-arrays", mmap_mode="r").cache(array_of)
        theirs(100)
        contestants[-100] = times(1, partial(theirs, 100))
    best = interleaved({str(name): call for name, call in contestants.items()}, rounds)
    yield Figure("hit of 100 MB", best["100"] / 5 * 1e6, "µs")
    yield Figure("hit of 100 MB / of 1 MB", best["100"] / best["1"])
    if "-100" in best:
        yield Figure("hit of 100 MB: joblib.Memory(mmap_mode) / fanwise", best["-100"] / (best["100"] / 5))


def opening(stage: Stage, rounds: int) -> Iterator[Figure]:
    path = stage.folder / "opened"
    Cache(path).close()
    best = interleaved({"open": lambda: Cache(path).close()}, rounds)
    yield Figure("open and close, warm", best["open"] * 1e3, "ms")


def figures(quick: bool) -> Iterator[Figure]:
    """What `gates.toml` names."""
    rounds = 60 if quick else 200
    for part in (small_values, calls, arrays, opening):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            yield from part(Stage(Path(folder), stack), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    for figure in figures(parser.parse_args().quick):
        print(f"{figure.name:<60} {figure.value:10.2f} {figure.unit}")


if __name__ == "__main__":
    main()
