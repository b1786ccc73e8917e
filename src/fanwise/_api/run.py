"""A run: what became of each item, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fanwise.records.outcomes import Batch, Outcome, Settled, count_of, first_of

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Run", "expand", "values_of"]


class Run:
    """What became of each item of one call. Made by fanwise; read by you.

    Results are kept as they came, many to a batch; an `Outcome` for each item is made when asked for.
    """

    def __init__(self, settled: Iterable[Settled], total: int | None, report: RunReport) -> None:
        self._settled = sorted(settled, key=first_of)
        self._drawn = total
        self._outcomes: tuple[Outcome, ...] | None = None
        self.report = report

    def __repr__(self) -> str:
        finished = sum(map(count_of, self._settled))
        return f"<Run {finished} of {'?' if self._drawn is None else self._drawn} items finished>"

    def __len__(self) -> int:
        return sum(map(count_of, self._settled))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The finished outcomes, sorted by index."""
        if self._outcomes is None:
            self._outcomes = tuple(expand(self._settled))
        return self._outcomes

    @property
    def missing(self) -> tuple[int, ...]:
        """Indexes of items without an outcome; an input of unknown length counts as far as it was read."""
        return tuple(_gaps(self._settled, self._drawn))

    @property
    def complete(self) -> bool:
        """Whether every item has an outcome, good or bad."""
        return not self.missing

    def values(self) -> list[Any]:
        """The results in item order.

        Raises
        ------
        BaseException
            The error of the lowest item that failed or was lost, as `fanwise.map` raises it.
        LookupError
            If items are missing.
        """
        return values_of(self._settled, self._drawn)


def values_of(settled: Sequence[Settled], drawn: int | None) -> list[Any]:
    """The results in settled records, which are in item order. Raises as `Run.values`."""
    found: list[Any] = []
    for piece in settled:
        if isinstance(piece, Batch):
            found.extend(piece.values)
        else:
            found.append(piece.unwrap())
    gaps = _gaps(settled, drawn)
    if gaps:
        raise LookupError(f"{len(gaps)} items were not run; the first is item {gaps[0]}")
    return found


def _gaps(settled: Sequence[Settled], drawn: int | None) -> list[int]:
    """Indexes of items without a record."""
    gaps: list[int] = []
    at = 0
    for piece in settled:
        gaps.extend(range(at, first_of(piece)))
        at = first_of(piece) + count_of(piece)
    gaps.extend(range(at, drawn or 0))
    return gaps


def expand(settled: Iterable[Settled]) -> Iterator[Outcome]:
    """One outcome an item."""
    for piece in settled:
        if isinstance(piece, Batch):
            yield from piece.outcomes()
        else:
            yield piece
