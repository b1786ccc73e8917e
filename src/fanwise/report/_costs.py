"""Costs of all items of a run: histogram, exact extremes, quantiles, the slowest few."""

from __future__ import annotations

import math
from itertools import accumulate

from fanwise.records.costs import BINS, bin_bounds, bin_of
from fanwise.records.run_events import ChunkDone
from fanwise.report._record import Costs, Histogram, SlowItem

__all__ = ["CostFold", "label_of"]

_SHOWN_BINS = 40
_FINE = BINS // _SHOWN_BINS
_EDGES_S = (*(float(f"{bin_bounds(b)[0]:.6g}") for b in range(0, BINS, _FINE)), 1e4)
_SLOWEST = 10


def label_of(item: int) -> str:
    """How an item is called in reports: by its number, since its value may be private."""
    return f"item {item}"


class CostFold:
    """Adds up the costs of chunks."""

    __slots__ = ("_bar", "_bins", "_count", "_greatest", "_least", "_slow", "_total")

    def __init__(self) -> None:
        self._bins = [0] * BINS
        self._count = 0
        self._total = 0.0
        self._least = float("inf")
        self._greatest = 0.0
        self._bar = -1.0  # what is not slower is not among the slowest
        self._slow: list[tuple[int, float]] = []

    def add(self, chunk: ChunkDone) -> None:
        """Count the computed items of a chunk. Where a worker sent no histogram, each item counts with the mean."""
        computed = chunk.count - chunk.cached - chunk.resumed
        if computed <= 0:
            return
        mean = chunk.busy / computed
        bins = self._bins
        for index, items in chunk.costs or ((bin_of(mean), computed),):
            bins[index] += items
        self._count += computed
        self._total += chunk.busy
        least = chunk.least
        if least is None:  # the lowest bin holds it
            least = min(mean, bin_bounds(chunk.costs[0][0])[0]) if chunk.costs and chunk.count > 1 else mean
        self._least = min(self._least, least)
        greatest = chunk.slowest[0][1] if chunk.slowest else mean
        self._greatest = max(self._greatest, greatest)
        if greatest > self._bar:
            self._slow += chunk.slowest
            if len(self._slow) > 50 * _SLOWEST:
                self._slow = self._slowest()
                self._bar = self._slow[-1][1]

    def _slowest(self) -> list[tuple[int, float]]:
        """The slowest items, each with its slowest attempt."""
        worst: dict[int, float] = {}
        for item, seconds in sorted(self._slow, key=lambda pair: (-pair[1], pair[0])):
            worst.setdefault(item, seconds)
            if len(worst) == _SLOWEST:
                break
        return list(worst.items())

    def _quantile(self, share: float) -> float:
        """The middle of the bin that holds this share: within 6 % of every cost in the bin."""
        rank = share * sum(self._bins)
        index = next((i for i, below in enumerate(accumulate(self._bins)) if below and below >= rank), BINS - 1)
        low, high = bin_bounds(index)
        return min(self._greatest, max(self._least, math.sqrt(low * high)))

    def record(self) -> Costs:
        """The costs as the report says them."""
        shown = tuple(sum(self._bins[b : b + _FINE]) for b in range(0, BINS, _FINE))
        known = self._count > 0
        return Costs(
            count=self._count,
            min_s=self._least if known else None,
            mean_s=self._total / self._count if known else None,
            p50_s=self._quantile(0.5) if known else None,
            p90_s=self._quantile(0.9) if known else None,
            p99_s=self._quantile(0.99) if known else None,
            max_s=self._greatest if known else None,
            histogram=Histogram(_EDGES_S, shown),
            slowest=tuple(SlowItem(item, label_of(item), seconds) for item, seconds in self._slowest()),
        )
