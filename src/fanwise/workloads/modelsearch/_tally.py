"""The whole search, added up chunk by chunk in the order of the chunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._cascade import merge_nearest
from fanwise.workloads.modelsearch._chunks import Finished
from fanwise.workloads.modelsearch._config import Rank
from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._multiplicity import Maxima, combined
from fanwise.workloads.modelsearch._ranking import Extents, composite, extents, order_of, ranking_keys, widened
from fanwise.workloads.modelsearch._verdicts import VerdictTable, concatenate

__all__ = ["HELD", "Tally", "blocks", "ranked"]

HELD = 100_000  # passed rows held in memory (about 1 kB each); beyond that they are sorted in files and merged


@dataclass(slots=True)
class Tally:
    """Counts, maxima and the range of each measure; everything but the rows."""

    tried: int = 0
    passed: int = 0
    redone: int = 0
    fell: list[int] = field(default_factory=lambda: [0] * len(FILTERS))
    nearest: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    best: Maxima | None = None
    spread: Extents = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    cpu: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    busy: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    built: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    builders: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, done: Finished, *, now: bool = True) -> None:
        """Take in one chunk; only those that were computed ``now`` say how busy processes were."""
        part = done.assessment
        self.tried += part.tried
        self.passed += len(part.table)
        self.redone += part.redone
        self.fell = [a + b for a, b in zip(self.fell, part.fell, strict=True)]
        self.nearest = merge_nearest([self.nearest, part.nearest])
        if part.best is not None:
            self.best = part.best if self.best is None else combined(self.best, part.best)
        if len(part.table):
            self.spread = widened(self.spread, extents(part.table))
            self.used.update(np.unique(part.table["indices"]).tolist())
        if now:
            self.cpu[done.worker] += done.cpu
            self.busy[done.worker] += done.seconds
        for index, column in done.built.items():
            self.built[index].add(column)
            self.builders[index].add(done.worker)

    @property
    def funnel(self) -> dict[str, int]:
        """How many fell at each filter, in the order of the filters."""
        return dict(zip(FILTERS, self.fell, strict=True))


def ranked(table: VerdictTable, tally: Tally, rank: Rank) -> tuple[VerdictTable, NDArray[np.float64]]:
    """Rows best first with their composite, and their sorting keys."""
    if not len(table):
        return table, np.empty(0)
    scored = table.extended(composite=composite(table, tally.spread, rank.weights))
    keys = ranking_keys(rank.by, scored[rank.by])
    order = order_of(keys, scored["id"])
    return scored.take(order), keys[order]


def blocks(chunks: Iterable[Finished], size: int) -> Iterator[VerdictTable]:
    """Tables of passed rows of at least ``size`` rows each, but for the last."""
    waiting: list[VerdictTable] = []
    rows = 0
    for done in chunks:
        table = done.assessment.table
        if len(table):
            waiting.append(table)
            rows += len(table)
        if rows >= size:
            yield concatenate(waiting)
            waiting, rows = [], 0
    if waiting:
        yield concatenate(waiting)
