"""Verdicts as a table of columns: one row a specification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LISTS", "RANKED", "STATISTICS", "VERDICTS", "VerdictTable", "concatenate", "lines", "no_rows"]

Column = NDArray[Any]
LISTS = ("coef", "se", "t", "p")
STATISTICS = (
    *("k", "cov", "const", *LISTS, "r2", "adj_r2", "aic", "bic", "rmse", "f_p", "f_p_sidak", "max_p", "group_p"),
    *("max_vif", "dw", "bg_p", "bp_p", "white_p", "adf_stat", "adf_lags", "adf_p", "pp_stat", "pp_p", "coint_p"),
    *("oos_rmse", "oos_ratio", "wf_rmse", "wf_skipped", "sign_stability"),
)
RANKED = ("rank", "id", "terms", *STATISTICS, "composite")
VERDICTS = ("id", "terms", "passed", "failed_at", "reason", *STATISTICS)


@dataclass(frozen=True, slots=True, eq=False)
class VerdictTable:
    """Columns by name, as NumPy arrays of equal length; ``table["r2"]`` and ``table.r2`` are the same.

    ``coef``, ``se``, ``t`` and ``p`` have shape (rows, largest k − 1): free items in pool order, forced items, season
    columns, NaN from position k − 1 on. A number that is not defined is NaN.

    Examples
    --------
    >>> table = VerdictTable({"id": np.array([3, 5]), "r2": np.array([0.4, 0.6])})
    >>> len(table), float(table.r2[1])
    (2, 0.6)
    """

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __getattr__(self, name: str) -> Column:
        if name == "columns" or name.startswith("__") or name not in self.columns:
            raise AttributeError(f"a verdict table has no column {name!r}")
        return self.columns[name]

    def take(self, chosen: Column | slice | Sequence[int]) -> VerdictTable:
        """Some rows, by position, mask or slice."""
        return VerdictTable({name: column[chosen] for name, column in self.columns.items()})

    def extended(self, **more: Column) -> VerdictTable:
        """The same rows with columns added or replaced."""
        return VerdictTable({**self.columns, **more})


def concatenate(tables: Sequence[VerdictTable]) -> VerdictTable:
    """Tables one below the other; list columns are widened to the widest."""
    if not tables:
        return VerdictTable({})
    return VerdictTable({name: _stacked([table[name] for table in tables]) for name in tables[0].columns})


def no_rows() -> VerdictTable:
    """A table of ranked rows without a row."""
    kinds = {"id": np.int64, "rank": np.int64, "k": np.int64, "cov": "<U9", "terms": object}
    columns = {name: np.empty(0, dtype=kinds.get(name, np.float64)) for name in RANKED}
    lists = {name: np.empty((0, 0)) for name in LISTS}
    return VerdictTable({**columns, **lists, "indices": np.empty((0, 0), dtype=np.int64)})


def _stacked(parts: list[Column]) -> Column:
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    fill = np.nan if parts[0].dtype.kind == "f" else -1
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=fill) for part in parts])


def lines(table: VerdictTable, names: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """CSV lines of some columns. Numbers have 12 digits, missing ones are empty, lists are joined with ``;``.

    Parameters
    ----------
    labels : sequence of str
        Canonical text of the pool; column ``indices`` of the table points into it.
    """
    if not len(table):
        return
    widths = (table["k"] - 1).tolist()
    cells = [_cells(table, name, widths, labels) for name in names]
    for row in zip(*cells, strict=True):
        yield ",".join(row) + "\n"


def _cells(table: VerdictTable, name: str, widths: list[int], labels: Sequence[str]) -> list[str]:
    if name == "terms":
        return [";".join(labels[i] for i in row if i >= 0) for row in table["indices"].tolist()]
    column = table[name]
    if name in LISTS:
        return [_joined(row, width) for row, width in zip(column.tolist(), widths, strict=True)]
    if column.dtype.kind == "f":
        return [_number(value) for value in column.tolist()]
    return [str(value) for value in column.tolist()]


def _joined(row: list[float], width: int) -> str:
    values = row[: max(width, 0)]
    return "" if all(value != value for value in values) else ";".join(map(_number, values))  # noqa: PLR0124 (NaN)


def _number(value: float) -> str:
    return "" if value != value else "%.12g" % value  # noqa: PLR0124, UP031 (NaN; % is twice as fast as format here)
