"""A matrix of counts as a list of 2×2 tables: each cell against the rest of its row, its column and the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.exactci._counts import CELLS, EXPECTED

__all__ = ["MatrixBlock", "MatrixSource", "tables_of"]


def tables_of(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tables of all cells, column by column, shape (rows * columns, 4).

    ``a`` is the cell, ``b`` the rest of its column, ``c`` the rest of its row, ``d`` everything else (the reporting
    odds ratio of pharmacovigilance: events in rows, drugs in columns).
    """
    row, column, whole = matrix.sum(axis=1, keepdims=True), matrix.sum(axis=0, keepdims=True), matrix.sum()
    cells = np.stack([matrix, column - matrix, row - matrix, whole - row - column + matrix], axis=-1)
    return np.ascontiguousarray(cells.transpose(1, 0, 2).reshape(-1, 4))


@dataclass(frozen=True, slots=True)
class MatrixBlock:
    """All tables of a matrix with the names of their row and column."""

    labels: list[tuple[str, str]]
    tables: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def line(self, row: int) -> int:
        """Number of the table, from 1."""
        return row + 1

    def cell(self, row: int, column: int) -> str:
        """Text of one field."""
        return self.labels[row][column] if column < 2 else str(self.tables[row, column - 2])

    def counts(self, columns: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Counts in these columns; nothing is wrong with them."""
        chosen = self.tables[:, [column - 2 for column in columns]]
        return chosen, np.zeros(chosen.shape, np.uint8)

    def fields(self) -> list[list[str]]:
        """Text of each field."""
        return [[*label, *map(str, cells)] for label, cells in zip(self.labels, self.tables.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class MatrixSource:
    """The tables of a matrix read from another source: first column names, other columns counts."""

    name: str
    block: MatrixBlock
    columns: Sequence[str] = ("row", "column", *CELLS)
    unit: str = "table"

    @classmethod
    def read(cls, source: Any) -> MatrixSource:
        """Read the whole matrix.

        Raises
        ------
        InputError
            If a cell is not a count, or there are no cells.
        """
        names: list[str] = []
        parts: list[NDArray[np.int64]] = []
        wanted = range(1, len(source.columns))
        for block in source.blocks():
            counts, status = block.counts(wanted)
            for row, column in np.argwhere(status)[:1]:
                place = f"{source.name}, {source.unit} {block.line(row)}, column {source.columns[column + 1]!r}"
                raise InputError(f"{place}: {block.cell(row, column + 1)!r} is not a count (expected {EXPECTED})")
            names += [block.cell(row, 0) for row in range(len(block))]
            parts.append(counts)
        if not parts or len(source.columns) < 2:
            raise InputError(f"{source.name}: no counts; expected names in the first column and counts in the others")
        labels = [(name, column) for column in source.columns[1:] for name in names]
        return cls(source.name, MatrixBlock(labels, tables_of(np.concatenate(parts))))

    def blocks(self) -> Iterator[MatrixBlock]:
        """All tables."""
        yield self.block
