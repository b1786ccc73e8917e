"""Reading tables and writing intervals as CSV, TSV and Parquet; the text of a file is never in memory as a whole."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.exactci._counts import settle
from fanwise.workloads.exactci._delimited import TextSource
from fanwise.workloads.exactci._parquet import ParquetSource, ParquetTarget
from fanwise.workloads.exactci._records import Status
from fanwise.workloads.exactci._scratch import CountRows, Scratch

__all__ = [
    "BadCell",
    "Block",
    "Source",
    "Tables",
    "Target",
    "Wanted",
    "listed",
    "open_source",
    "open_target",
    "read_tables",
]

DELIMITERS = {".csv": ",", ".tsv": "\t"}
BAD_CELLS_KEPT = 100
LISTED, LONGEST_NAME = 40, 40  # of the columns that a message names


class Block(Protocol):
    """Consecutive rows of an input."""

    def __len__(self) -> int: ...

    def line(self, row: int, /) -> int:
        """Where the row is, for messages."""

    def cell(self, row: int, column: int, /) -> str:
        """Text of one field."""

    def counts(self, columns: Sequence[int], /) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Counts and what is wrong with them, shape (rows, columns) each."""

    def fields(self) -> list[list[str]]:
        """Text of each field."""


class Source(Protocol):
    """An input that can be read as often as wanted. ``unit`` is what its rows are counted by."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def columns(self) -> Sequence[str]: ...
    def blocks(self) -> Iterator[Any]:
        """The rows, a block at a time; at least one block, which may be empty."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that hold the counts; with ``events`` they are events and totals of the two rows."""

    names: tuple[str, str, str, str]
    events: bool = False

    def places(self, source: Source) -> list[int]:
        """Find the columns: by their exact names, else in any case."""
        return [_place(name, source, "--events" if self.events else "--columns") for name in self.names]

    def tables(
        self, counts: NDArray[np.int64], status: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Cells of the tables, and what is wrong with the columns they come from."""
        if not self.events:
            return counts, status
        cells = counts.copy()
        for event, total in ((0, 1), (2, 3)):
            cells[:, total] = counts[:, total] - counts[:, event]
            more = (cells[:, total] < 0) & (status[:, event] == 0) & (status[:, total] == 0)
            status[more, event] = Status.NEGATIVE
        return cells, status


def _place(name: str, source: Source, option: str) -> int:
    for fold in (str, str.lower):
        found = [i for i, column in enumerate(source.columns) if fold(column) == fold(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{source.name}: {len(found)} columns are called {name}; give them different names")
    other = "--events" if option == "--columns" else "--columns"
    raise InputError(
        f"{source.name}: no column {name}; there are {listed(source)} (name the four with {option}, or use {other})"
    )


def listed(source: Source) -> str:
    """Names of the columns for a message, long ones and long lists cut."""
    names = ", ".join(
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in source.columns[:LISTED]
    )
    return names if len(source.columns) <= LISTED else f"{names} and {len(source.columns) - LISTED:,} more"


@dataclass(frozen=True, slots=True)
class BadCell:
    """A cell that is not a count."""

    line: int
    column: str
    value: str
    status: Status


@dataclass(slots=True)
class Tables:
    """All tables of an input: counts (zeros in bad rows), status, and what is to be said about bad rows."""

    counts: CountRows
    status: NDArray[np.uint8]
    bad_cells: list[BadCell] = field(default_factory=list)

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Rows that hold no table."""
        return self.status > Status.EMPTY_MARGIN


def read_tables(source: Source, wanted: Wanted, place: Scratch) -> Tables:
    """Read the counts of all rows into ``place``, and the first hundred cells that are not counts."""
    places = wanted.places(source)
    counts, statuses, bad = CountRows(place), [np.zeros(0, np.uint8)], list[BadCell]()
    for block in source.blocks():
        cells, cell_status = wanted.tables(*block.counts(places))
        for row in np.flatnonzero(cell_status.any(axis=1))[: BAD_CELLS_KEPT - len(bad)]:
            bad.append(_bad_cell(block, int(row), cell_status[row], wanted, places))
        settled, status = settle(cells, cell_status)
        counts.append(settled)
        statuses.append(status)
    return Tables(counts, np.concatenate(statuses), bad)


def _bad_cell(block: Block, row: int, status: NDArray[np.uint8], wanted: Wanted, places: Sequence[int]) -> BadCell:
    first = int((status != 0).argmax())
    value = block.cell(row, places[first])
    names, values = [wanted.names[first]], [value]
    if wanted.events and status[first] == Status.NEGATIVE and not value.strip().startswith("-"):
        names.append(wanted.names[first + 1])
        values.append(block.cell(row, places[first + 1]))
    return BadCell(block.line(row), ", ".join(names), ", ".join(values), Status(int(status[first])))


@contextlib.contextmanager
def _kept(stream: BinaryIO) -> Iterator[BinaryIO]:
    """A stream as a temporary file, to be read as often as wanted."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file)
        file.seek(0)
        yield file


@contextlib.contextmanager
def open_source(path: str, standard_input: BinaryIO | None = None) -> Iterator[Source]:
    """Open an input by its suffix; ``-`` is CSV on standard input. What cannot be read twice is kept in a temporary file.

    Raises
    ------
    InputError
        If it cannot be read, has no header or an unknown suffix.
    """
    with contextlib.ExitStack() as stack:
        if path == "-" and standard_input is not None:
            yield TextSource.open(stack.enter_context(_kept(standard_input)), "standard input", ",")
            return
        suffix = Path(path).suffix.lower()
        file: BinaryIO = stack.enter_context(open(path, "rb"))
        if not file.seekable():
            file = stack.enter_context(_kept(file))
        if suffix == ".parquet":
            yield ParquetSource.open(file, path)
        else:
            yield TextSource.open(file, path, DELIMITERS[suffix])


class Target(Protocol):
    """An output that takes rows block by block."""

    def write(self, block: Any, names: Sequence[str], added: dict[str, Any], repeat: int) -> None:
        """Append the rows of a block, each ``repeat`` times, with the added columns beside them."""

    def close(self) -> None:
        """Write what belongs at the end."""


class TextTarget:
    """Delimited text that is being written."""

    def __init__(self, file: BinaryIO, delimiter: str, columns: Sequence[str], same_as: Source) -> None:
        self._file = file
        self._delimiter = delimiter
        self._verbatim = isinstance(same_as, TextSource) and same_as.delimiter == delimiter
        self._file.write(f"{_record(columns, delimiter)}\n".encode())

    def write(self, block: Any, names: Sequence[str], added: dict[str, Any], repeat: int) -> None:
        """Append the rows of a block, each ``repeat`` times, with the added columns beside them."""
        records = block.records() if self._verbatim else [_record(row, self._delimiter) for row in block.fields()]
        repeated = records if repeat == 1 else [record for record in records for _ in range(repeat)]
        columns = [_texts(values) for values in added.values()]
        lines = map(self._delimiter.join, zip(repeated, *columns, strict=True))
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """Nothing belongs at the end."""


def _record(fields: Sequence[str], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow(fields)
    return text.getvalue()


def _texts(values: Any) -> list[str]:
    """Numbers in their shortest form that reads back the same, ``nan`` as nothing; text as it is."""
    if isinstance(values, list):
        return values
    if values.strides == (0,):  # one number all the way down
        return [repr(values[:1].tolist()[0])] * len(values) if len(values) else []
    texts = list(map(repr, values.tolist()))
    for i in np.flatnonzero(np.isnan(values)).tolist():
        texts[i] = ""
    return texts


def open_target(file: BinaryIO, suffix: str, columns: Sequence[str], source: Source) -> Target:
    """Begin an output in the format that the suffix names; the header is written at once."""
    if suffix == ".parquet":
        return ParquetTarget(file)
    return TextTarget(file, DELIMITERS[suffix], columns, source)
