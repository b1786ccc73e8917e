"""Costs of many items in little space: a histogram of logarithmic bins and the slowest few.

Twenty bins a decade: the middle of a bin is within 6 % of every cost in it, so that quantiles read from it are
good to 12 %. Pairs of (bin, items) are sparse, so fine bins cost nothing on the wire; reports show five as one.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from math import log10

__all__ = ["BINS", "bin_bounds", "bin_of", "of_blocks", "without"]

BINS = 200
_PER_DECADE = 20
_LOWEST_S = 1e-6


def bin_of(seconds: float) -> int:
    """The bin of one cost: bin 0 begins at 1 µs, twenty bins a decade, the last ends at 10⁴ s."""
    if seconds <= _LOWEST_S:
        return 0
    return min(BINS - 1, int(_PER_DECADE * log10(seconds / _LOWEST_S)))


def bin_bounds(index: int) -> tuple[float, float]:
    """Lower and upper bound of a bin in seconds."""
    return _LOWEST_S * 10 ** (index / _PER_DECADE), _LOWEST_S * 10 ** ((index + 1) / _PER_DECADE)


def of_blocks(
    first: int, blocks: Iterable[tuple[int, float]]
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, float], ...]]:
    """Histogram and slowest items of blocks (items, seconds), every item of a block counting as its mean."""
    bins: Counter[int] = Counter()
    means: list[tuple[int, float]] = []
    for count, seconds in blocks:
        if count:
            bins[bin_of(seconds / count)] += count
            means.append((first, seconds / count))
            first += count
    return tuple(sorted(bins.items())), tuple(heapq.nlargest(3, means, key=lambda pair: pair[1]))


def without(
    hits: Sequence[tuple[int, int]], first: int, blocks: Sequence[tuple[int, float]]
) -> tuple[list[tuple[int, float]], list[tuple[int, int, float]]]:
    """Blocks (items, seconds) from item ``first`` on, those of hits taken out: (first, items, seconds) each."""
    spans = dict(hits)
    computed, found = [], []
    for count, seconds in blocks:
        if count and spans.get(first) == count:
            found.append((first, count, seconds))
        else:
            computed.append((count, seconds))
        first += count
    return computed, found
