"""The columns that are added to each input row, cut out of the parts of a study block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.exactci._adjust import adjust
from fanwise.workloads.exactci._records import Status
from fanwise.workloads.exactci._scratch import Spilled
from fanwise.workloads.exactci._solve import FIELDS

__all__ = ["ADDED", "ORIGINS", "Answers", "Part", "added_columns", "gather"]

ADDED = ("method", "alpha", "odds_ratio", "estimate", "lower", "upper", "p_value", "status")
ORIGINS = ("computed", "resumed", "cached")
NAMES = np.array([status.name.lower() for status in Status], dtype=object)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows ``start … stop-1`` by one method.

    Attributes
    ----------
    values : ndarray of float64, shape (5, rows), or one that is spilled, or None
        None if the work failed; ``reason`` says why.
    origin : {"computed", "resumed", "cached"}
    """

    method: str
    start: int
    stop: int
    values: NDArray[np.float64] | Spilled | None
    origin: str = "computed"
    reason: str = ""

    def numbers(self) -> NDArray[np.float64] | None:
        """The values, in memory."""
        return self.values.load() if isinstance(self.values, Spilled) else self.values


def gather(
    parts: Sequence[Part], status: NDArray[np.uint8], start: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Put parts together for the rows from ``start`` on.

    Returns
    -------
    values : ndarray of float64, shape (5, N)
        The rows of `FIELDS`; ``nan`` where there is no table.
    status : ndarray of uint8, shape (N,)
        As given, with rows marked that failed, or were too large for the method.
    """
    values = np.full((len(FIELDS), len(status)), np.nan)
    marked = status.copy()
    for part in parts:
        here = slice(max(0, part.start - start), max(0, part.stop - start))
        numbers = part.numbers()
        if numbers is not None:
            values[:, here] = numbers[:, max(0, start - part.start) :][:, : len(status) - here.start]
        else:
            rows = marked[here]
            rows[rows <= Status.EMPTY_MARGIN] = Status.FAILED
    values[:, marked > Status.EMPTY_MARGIN] = np.nan
    marked[(marked <= Status.EMPTY_MARGIN) & np.isnan(values[0])] = Status.TOO_LARGE
    return values, marked


def added_columns(prefix: str, adjustment: str | None) -> list[str]:
    """Names of the columns that are added."""
    return [prefix + name for name in (*ADDED, *(["p_adjusted"] if adjustment else []))]


@dataclass(frozen=True, slots=True)
class Answers:
    """Numbers of all rows by all methods."""

    parts: dict[str, list[Part]]
    status: NDArray[np.uint8]
    alpha: float
    prefix: str = ""
    adjustment: str | None = None
    _adjusted: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def rows(self, method: str, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Numbers and status of the rows ``start … stop-1`` by one method, as `gather` gives them."""
        near = [part for part in self.parts[method] if part.start < stop and part.stop > start]
        return gather(near, self.status[start:stop], start)

    def added(self, start: int, stop: int) -> dict[str, Any]:
        """Added columns for these rows: each row once by every method, methods in order."""
        by_method = [self.rows(method, start, stop) for method in self.parts]
        values = {name: _interleaved([v[i] for v, _ in by_method]) for i, name in enumerate(FIELDS)}
        columns: dict[str, Any] = {
            "method": list(self.parts) * (stop - start),
            "alpha": np.broadcast_to(np.float64(self.alpha), (stop - start) * len(self.parts)),
            **{name: values[name] for name in ADDED if name in values},
            "status": NAMES[_interleaved([status for _, status in by_method])].tolist(),
        }
        if self.adjustment:
            columns["p_adjusted"] = _interleaved([self._adjusted_p(method)[start:stop] for method in self.parts])
        return {self.prefix + name: column for name, column in columns.items()}

    def _adjusted_p(self, method: str) -> NDArray[np.float64]:
        if method not in self._adjusted:
            p_values = np.full(len(self.status), np.nan)
            for part in self.parts[method]:
                here = slice(part.start, part.stop)
                p_values[here] = gather([part], self.status[here], part.start)[0][FIELDS.index("p_value")]
            self._adjusted[method] = adjust(p_values, self.adjustment or "")
        return self._adjusted[method]


def _interleaved(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1).ravel()
