"""Histogram and slowest items of costs that were measured one by one: what figures of blocks are compared with."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from fanwise.records.costs import bin_of


def histogram(costs: Iterable[float]) -> tuple[tuple[int, int], ...]:
    """Pairs (bin, items), ascending, empty bins left out."""
    return tuple(sorted(Counter(map(bin_of, costs)).items()))


def slowest(first: int, costs: Iterable[float]) -> tuple[tuple[int, float], ...]:
    """The three most expensive items as pairs (index, seconds), slowest first."""
    return tuple(heapq.nlargest(3, enumerate(costs, first), key=lambda pair: pair[1]))
