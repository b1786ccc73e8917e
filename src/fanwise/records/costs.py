"""Costs of many items in little space: a histogram of 40 logarithmic bins and the slowest few."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from math import log10

__all__ = ["BINS", "bin_bounds", "bin_of", "histogram", "slowest"]

BINS = 40
_PER_DECADE = 4
_LOWEST_S = 1e-6


def bin_of(seconds: float) -> int:
    """The bin of one cost: bin 0 begins at 1 µs, four bins a decade, the last ends at 10⁴ s."""
    if seconds <= _LOWEST_S:
        return 0
    return min(BINS - 1, int(_PER_DECADE * log10(seconds / _LOWEST_S)))


def bin_bounds(index: int) -> tuple[float, float]:
    """Lower and upper bound of a bin in seconds."""
    return _LOWEST_S * 10 ** (index / _PER_DECADE), _LOWEST_S * 10 ** ((index + 1) / _PER_DECADE)


def histogram(costs: Iterable[float]) -> tuple[tuple[int, int], ...]:
    """Pairs (bin, items), ascending, empty bins left out."""
    return tuple(sorted(Counter(map(bin_of, costs)).items()))


def slowest(first: int, costs: Iterable[float], count: int = 3) -> tuple[tuple[int, float], ...]:
    """The ``count`` most expensive items as pairs (index, seconds), slowest first."""
    return tuple(heapq.nlargest(count, enumerate(costs, first), key=lambda pair: pair[1]))
