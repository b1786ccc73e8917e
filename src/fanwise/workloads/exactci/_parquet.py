"""Parquet in and out, a batch of rows at a time; needs pyarrow, which is imported when a Parquet file is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.exactci._counts import read_cells

__all__ = ["ArrowBlock", "ParquetSource", "ParquetTarget"]

BATCH_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class ArrowBlock:
    """A record batch."""

    batch: Any
    first_row: int

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def line(self, row: int) -> int:
        """Number of the row, from 1."""
        return self.first_row + row

    def cell(self, row: int, column: int) -> str:
        """Text of one value; missing ones are empty."""
        return _text(_values(self.batch.column(column).slice(row, 1))[0])

    def counts(self, columns: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Counts in these columns and what is wrong with them, shape (rows, columns) each."""
        pairs = [read_cells(self._numbers(column)) for column in columns]
        return np.stack([values for values, _ in pairs], axis=1), np.stack([status for _, status in pairs], axis=1)

    def _numbers(self, column: int) -> NDArray[Any]:
        import pyarrow as pa

        array = self.batch.column(column)
        if pa.types.is_integer(array.type) and array.null_count == 0:
            return np.asarray(array.to_numpy(zero_copy_only=False))
        return np.array([*_values(array), None], dtype=object)[:-1]

    def fields(self) -> list[list[str]]:
        """Text of each value."""
        return [list(map(_text, row)) for row in zip(*map(_values, self.batch.columns), strict=True)]


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError) as error:  # a date beyond the year 9999
        raise InputError(f"a Parquet column of {column.type} holds what is no such value ({error})") from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file, read as often as wanted."""

    file: Any
    name: str
    columns: list[str]
    unit: str = "row"

    @classmethod
    def open(cls, file: BinaryIO, name: str) -> ParquetSource:
        """Read the footer."""
        import pyarrow.parquet as pq

        with _refused(f"cannot read {name}: not a Parquet file"):
            opened = pq.ParquetFile(file)
        return cls(opened, name, list(opened.schema_arrow.names))

    def blocks(self) -> Iterator[ArrowBlock]:
        """Batches of rows, from the first one on; one empty batch if there are none."""
        import pyarrow as pa

        row, batches = 1, self.file.iter_batches(batch_size=BATCH_ROWS)
        if self.file.metadata.num_rows == 0:
            yield ArrowBlock(pa.RecordBatch.from_pylist([], schema=self.file.schema_arrow), row)
        while (batch := self._next(batches)) is not None:
            yield ArrowBlock(batch, row)
            row += batch.num_rows

    def _next(self, batches: Iterator[Any]) -> Any:
        with _refused(f"cannot read {self.name}: the Parquet file is damaged"):
            batch = next(batches, None)
            if batch is not None:
                batch.validate(full=True)  # text that is not UTF-8 would raise only where it is looked at
        return batch


@contextlib.contextmanager
def _refused(what: str) -> Iterator[None]:
    """What pyarrow makes of bytes that it cannot read, as bad input."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} ({str(error).splitlines()[0] if str(error) else type(error).__name__})") from error


class ParquetTarget:
    """A Parquet file that is being written: the columns of the input, then those that are added."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, block: Any, names: Sequence[str], added: dict[str, Any], repeat: int) -> None:
        """Append the rows of a block, each ``repeat`` times, with the added columns beside them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = block.batch if isinstance(block, ArrowBlock) else _strings(block, names)
        rows = rows.take(pa.array(np.repeat(np.arange(len(block)), repeat)))
        arrays = [*rows.columns, *map(_array, added.values())]
        table = pa.table(arrays, names=[*rows.schema.names, *added])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()


def _array(values: Any) -> Any:
    """Text, or numbers with ``nan`` as null."""
    import pyarrow as pa

    return pa.array(values, pa.string()) if isinstance(values, list) else pa.array(values, from_pandas=True)


def _strings(block: Any, names: Sequence[str]) -> Any:
    """Fields of text as columns of text."""
    import pyarrow as pa

    columns = zip(*block.fields(), strict=True) if len(block) else [()] * len(names)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], names=list(names))
