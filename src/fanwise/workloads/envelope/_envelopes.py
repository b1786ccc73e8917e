"""All curves of one scenario and crop, as few arrays: what workers return and the cache keeps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.envelope._cells import Cells, Pair, by_segment, sorted_cells
from fanwise.workloads.envelope._curves import VALUES, Curve, Traced, curve_of, trace
from fanwise.workloads.envelope._question import Question
from fanwise.workloads.envelope._tiers import keep

__all__ = ["FACTS", "Envelopes", "compute", "from_entry", "segment_cells", "to_entry"]

FACTS = (
    "cells",
    "valid",
    "filtered",
    "used",
    "area_km2",
    "production",
    "yield_min",
    "yield_max",
    "width",
)
"""Columns of `Envelopes.facts`."""


@dataclass(frozen=True, slots=True, eq=False)
class Envelopes:
    """Curves by segment, then tier.

    Attributes
    ----------
    stops : ndarray of int64, shape (curves,)
        Where the points of each curve end.
    facts : ndarray of float64, shape (curves, 9)
        Columns are `FACTS`.
    values : ndarray of float64, shape (5, points)
        Rows are ``_curves.VALUES``.
    """

    stops: NDArray[np.int64]
    facts: NDArray[np.float64]
    values: NDArray[np.float64]

    def curve(self, index: int) -> Curve:
        """One curve by its place."""
        start = int(self.stops[index - 1]) if index else 0
        return curve_of(self.values[:, start : int(self.stops[index])], self.facts[index].tolist())

    def counts(self) -> NDArray[np.int64]:
        """Points of each curve."""
        return np.diff(self.stops, prepend=0)


def compute(
    pairs: Sequence[Pair],
    factors: Sequence[float],
    codes: NDArray[np.int32],
    sizes: Sequence[int],
    question: Question,
) -> Envelopes:
    """Sort a crop's cells once, and trace every tier of World and of each segment.

    Parameters
    ----------
    pairs, factors
        As for ``valid_cells``.
    codes : ndarray of int32
        Segment of each cell of the grid, from 0; below 0: of none.
    sizes : sequence of int
        Cells of the grid in World and in each segment.
    question : Question
    """
    valid, place, cells = sorted_cells(pairs, factors, question.filter.least_ha)
    count = len(sizes) - 1
    counts = [int(valid.sum()), *np.bincount(codes[valid] + 1, minlength=count + 1)[1 : count + 1].tolist()]
    mine = codes[place]
    del valid, place  # 5 bytes a cell that the sums to come have a better use for
    segments = itertools.chain([cells], by_segment(cells, mine, count) if count else ())
    heads = zip(sizes, counts, segments, strict=True)
    parts = [_traced(part, (size, valid_cells), question) for size, valid_cells, part in heads]
    return _together([one for part in parts for one in part])


def segment_cells(
    pairs: Sequence[Pair], factors: Sequence[float], codes: NDArray[np.int32], count: int
) -> Iterator[Cells]:
    """Valid cells of World, then of each of ``count`` segments, in lower order: one sort for all of them."""
    _, place, cells = sorted_cells(pairs, factors)
    yield cells
    if count:
        yield from by_segment(cells, codes[place], count)


def _traced(cells: Cells, counts: tuple[int, int], question: Question) -> list[tuple[tuple[float, ...], Traced]]:
    """Every tier of a segment, behind its counts of cells, valid and filtered ones."""
    kept = keep(cells, question.filter)
    head = (*map(float, counts), float(len(kept)))
    return [((*head, *one.facts), one) for one in trace(kept, question)]


def _together(traced: Sequence[tuple[tuple[float, ...], Traced]]) -> Envelopes:
    return Envelopes(
        np.cumsum([one.values.shape[1] for _, one in traced], dtype=np.int64),
        np.array([facts for facts, _ in traced]),
        np.concatenate([one.values for _, one in traced], axis=1),
    )


def to_entry(found: Envelopes, header: Mapping[str, Any]) -> dict[str, Any]:
    """What the cache keeps: arrays and a header of plain text. No code, nothing to execute."""
    return {
        "header": json.dumps(header, ensure_ascii=False, sort_keys=True),
        "stops": found.stops,
        "facts": found.facts,
        "values": found.values,
    }


def from_entry(entry: Any, curves: int) -> Envelopes | None:
    """The arrays of an entry, or None if they do not fit what is asked; a wrong array is never used."""
    if not isinstance(entry, dict) or not {"stops", "facts", "values"} <= entry.keys():
        return None
    found = Envelopes(entry["stops"], entry["facts"], entry["values"])
    return found if _fits(found, curves) else None


def _fits(found: Envelopes, curves: int) -> bool:
    arrays: tuple[tuple[Any, type, int], ...] = (
        (found.stops, np.int64, 1),
        (found.facts, np.float64, 2),
        (found.values, np.float64, 2),
    )
    if not all(isinstance(a, np.ndarray) and a.dtype == kind and a.ndim == axes for a, kind, axes in arrays):
        return False
    points = int(found.stops[-1]) if len(found.stops) else 0
    shapes = [array.shape for array, _, _ in arrays] == [(curves,), (curves, len(FACTS)), (len(VALUES), points)]
    return shapes and not (found.counts() < 0).any()
