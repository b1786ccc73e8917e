"""Where to cut a list of tables into chunks of work: by estimated cost, from the tables alone.

A cut is set after a row with a probability that is its cost over that of a chunk, drawn from a digest of the row's own
counts. So chunks do not depend on the number of workers, and a row that is changed, added or removed changes the chunk
it is in and no other: a cache or a journal of finished chunks keeps what is still right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.exactci._scratch import Rows

__all__ = ["CHUNK_S", "cost_s", "cut", "pays", "total_s"]

CHUNK_S = 5e-3
PAYS_S = 0.25  # two workers cost 10 to 60 ms to start from a process with Numba in it, so half of less is not gained
LONGEST = 4.0  # a chunk never costs more than this many chunks, unless one table does
WINDOW = 1 << 18  # rows looked at together: 20 MB of costs


def cost_s(tables: NDArray[np.int64], method: str) -> NDArray[np.float64]:
    """Estimated seconds for each table on one core: a start and a sum over the likely part of the support."""
    a, b, c, d = tables.T.astype(np.float64)
    spread: NDArray[np.float64] = 1.0 / np.sqrt(1.0 / (a + 0.5) + 1.0 / (b + 0.5) + 1.0 / (c + 0.5) + 1.0 / (d + 0.5))
    support = np.minimum(a + b, a + c) - np.maximum(0.0, a - d)
    cost: NDArray[np.float64] = 0.7e-6 + 0.03e-6 * np.minimum(support, 12.0 * spread)
    return cost * 2.0 if method in {"blaker", "minlike"} else cost


def pays(seconds: float, run: Mapping[str, Any]) -> bool:
    """True unless the work is too small for workers and the caller leaves it to us whether there are any."""
    asked = run.get("workers") is not None or run.get("executor") is not None or run.get("backend", "auto") != "auto"
    return asked or seconds >= PAYS_S


def total_s(tables: Rows, methods: Sequence[str]) -> float:
    """Estimated seconds for all tables by all methods."""
    seconds = sum(0.02 * len(tables) for method in methods if method == "unconditional")
    for first in range(0, len(tables), WINDOW):
        window = tables[first : first + WINDOW]
        seconds += sum(float(cost_s(window, method).sum()) for method in methods if method != "unconditional")
    return seconds


def _draws(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number in [0, 1) for each row, from its counts only (the finaliser of SplitMix64)."""
    words = tables.astype(np.uint64)
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
    draws: NDArray[np.float64] = mixed / 2.0**64
    return draws


def cut(tables: Rows, method: str, chunk_s: float = CHUNK_S) -> list[tuple[int, int]]:
    """Cut rows into ranges ``(start, stop)`` of about ``chunk_s`` seconds each."""
    if method == "unconditional":  # some ten milliseconds each
        return [(row, row + 1) for row in range(len(tables))]
    ranges: list[tuple[int, int]] = []
    start = 0
    while start < len(tables):
        window = tables[start : start + WINDOW]
        cost = cost_s(window, method)
        if len(window) == len(tables) and cost.sum() <= chunk_s:
            return [(0, len(tables))]
        found = _cut(window, cost, chunk_s)
        if start + len(window) < len(tables) and len(found) > 1:
            found.pop()  # it may go on in the next window
        ranges += [(start + first, start + stop) for first, stop in found]
        start = ranges[-1][1]
    return ranges


def _cut(tables: NDArray[np.int64], cost: NDArray[np.float64], chunk_s: float) -> list[tuple[int, int]]:
    total = np.cumsum(cost)
    drawn = np.flatnonzero(_draws(tables) < cost / chunk_s) + 1
    stops = [int(stop) for stop in drawn if stop < len(tables)] + [len(tables)]
    ranges: list[tuple[int, int]] = []
    start = 0
    for stop in stops:
        while start < stop:
            until = (total[start - 1] if start else 0.0) + LONGEST * chunk_s
            end = min(stop, max(start + 1, int(np.searchsorted(total, until, side="right"))))
            ranges.append((start, end))
            start = end
    return ranges
