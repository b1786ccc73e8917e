"""How often an interval method is right: exact sums over all tables with two given row totals, nothing simulated."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import UsageError
from fanwise.workloads.exactci._jit import entry
from fanwise.workloads.exactci._methods import check_tables
from fanwise.workloads.exactci._records import Coverage

__all__ = [
    "LENGTHS",
    "TALLIES",
    "Grid",
    "all_tables",
    "binomial",
    "blocks_of",
    "coverage_rows",
    "make_grid",
    "ready_to_tally",
    "tally",
    "tally_block",
]

SLACK = 1e-12  # an end that is computed 1e-16 inside a jump point still covers it
LENGTHS = ("finite", "log_length")
TALLIES = ("covered", "miss_low", "miss_high", *LENGTHS)

Floats = NDArray[np.float64]
Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """Points (p1, p2, odds ratio) for row totals n1 and n2; ``p2`` varies slowest."""

    n1: int
    n2: int
    p1: Floats
    p2: Floats
    odds_ratio: Floats


def make_grid(n1: int, n2: int, p2: Any, p1: Any, odds_ratio: Any) -> Grid:
    """Cross ``p2`` with the one of ``p1`` and ``odds_ratio`` that is given.

    Raises
    ------
    UsageError
        If a total is below 1, both or none of ``p1`` and ``odds_ratio`` are given, a value is out of range, or there
        are more than 4·10⁶ tables.
    """
    check_tables(n1, n2)
    if (p1 is None) == (odds_ratio is None):
        raise UsageError("give exactly one of p1 and odds_ratio")
    slow = _axis("p2", p2, 1.0)
    fast = _axis("odds_ratio", odds_ratio, math.inf) if p1 is None else _axis("p1", p1, 1.0)
    second, other = np.repeat(slow, len(fast)), np.tile(fast, len(slow))
    if p1 is None:
        return Grid(int(n1), int(n2), other * second / (1.0 - second + other * second), second, other)
    return Grid(int(n1), int(n2), other, second, other * (1.0 - second) / (second * (1.0 - other)))


def _axis(name: str, values: Any, below: float) -> Floats:
    try:
        axis = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is {values!r:.60}; expected a number or a sequence of numbers") from error
    if axis.ndim != 1 or len(axis) == 0:
        raise UsageError(f"{name} has the shape {axis.shape}; expected a number or a sequence of numbers")
    wrong = ~((axis > 0.0) & (axis < below))
    if wrong.any():
        raise UsageError(f"{name} holds {axis[wrong][0]}; expected values above 0 and below {below}")
    return axis


def all_tables(n1: int, n2: int) -> NDArray[np.int64]:
    """Every table with these row totals, the first count slowest."""
    first, second = np.divmod(np.arange((n1 + 1) * (n2 + 1), dtype=np.int64), n2 + 1)
    return np.stack([first, n1 - first, second, n2 - second], axis=1)


def binomial(n: int, p: float) -> Floats:
    """Probabilities of 0 … n: ratios outwards from the mode, so that no factorial is rounded."""
    mode = min(n, int((n + 1) * p))
    up = np.arange(mode, n, dtype=np.float64)
    down = np.arange(mode, 0, -1, dtype=np.float64)
    above = np.cumprod((n - up) / (up + 1.0) * (p / (1.0 - p)))
    below = np.cumprod(down / (n - down + 1.0) * ((1.0 - p) / p))
    weights = np.concatenate([below[::-1], [1.0], above])
    probabilities: Floats = weights / weights.sum()
    return probabilities


@entry
def tally(lower: Floats, upper: Floats, row: Floats, column: Floats, theta: float, out: Floats) -> None:
    """Add up the probabilities of the tables whose interval holds theta, lies above it, lies below it, and is finite.

    ``out`` receives the values of `TALLIES`; the last is the mean of ln(upper/lower) over finite intervals.
    """
    covered = low = high = finite = length = 0.0
    for i in range(len(row)):
        if row[i] == 0.0:
            continue
        for j in range(len(column)):
            weight = row[i] * column[j]
            end, start = upper[i, j], lower[i, j]
            if theta < start * (1.0 - SLACK):
                low += weight
            elif theta > end * (1.0 + SLACK):
                high += weight
            else:
                covered += weight
            if weight > 0.0 and start > 0.0 and end < math.inf:
                finite += weight
                length += weight * math.log(end / start)
    out[0], out[1], out[2], out[3] = covered, low, high, finite
    out[4] = length / finite if finite > 0.0 else math.nan


def tally_block(ends: Mapping[str, Floats], item: tuple[str, Sequence[Point]]) -> Floats:
    """Tallies of one method at some points: shape (points, 5).

    Parameters
    ----------
    ends : mapping of str to ndarray, shape (n1+1, n2+1)
        ``lower METHOD`` and ``upper METHOD``: ends for all tables, by their two first counts.
    item : (str, sequence of (p1, p2, odds ratio))
    """
    method, points = item
    lower, upper = ends[f"lower {method}"], ends[f"upper {method}"]
    out = np.empty((len(points), len(TALLIES)))
    for index, (p1, p2, theta) in enumerate(points):
        row, column = binomial(lower.shape[0] - 1, p1), binomial(lower.shape[1] - 1, p2)
        tally(lower, upper, row, column, theta, out[index])
    return out


def ready_to_tally() -> None:
    """Compile, or load, what a tally needs: once, here, before workers start and before anything is timed."""
    end = np.ones((1, 1))
    end.setflags(write=False)  # as those of a bundle are, which for Numba is another type
    with contextlib.suppress(OSError):  # compiled all right, but Numba could not write its cache file
        tally_block({"lower ": end, "upper ": end}, ("", [(0.5, 0.5, 1.0)]))


def blocks_of(grid: Grid, methods: Sequence[str], block_s: float) -> list[tuple[str, list[Point]]]:
    """Points by method in blocks of about ``block_s`` seconds."""
    points = list(zip(grid.p1.tolist(), grid.p2.tolist(), grid.odds_ratio.tolist(), strict=True))
    size = max(1, int(block_s / (20e-6 + 1.5e-9 * (grid.n1 + 1) * (grid.n2 + 1))))
    return [(method, points[i : i + size]) for method in methods for i in range(0, len(points), size)]


def coverage_rows(done: Coverage) -> Iterator[list[object]]:
    """Header and rows of the table that is written: methods slowest, then the grid in its order."""
    lengths = LENGTHS if done.finite else ()
    yield ["n1", "n2", "p1", "p2", "odds_ratio", "method", "alpha", "covered", "miss_low", "miss_high", *lengths]
    grid = list(zip(done.p1.tolist(), done.p2.tolist(), done.odds_ratio.tolist(), strict=True))
    for method in done.covered:
        tallies = [getattr(done, name)[method].tolist() for name in (*TALLIES[:3], *lengths)]
        for point, values in zip(grid, zip(*tallies, strict=True), strict=True):
            texts = ["" if math.isnan(value) else repr(value) for value in values]
            yield [done.n1, done.n2, *map(repr, point), method, repr(done.alpha), *texts]
