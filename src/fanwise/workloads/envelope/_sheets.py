"""One file as a table: CSV (plain or gzip) and Parquet, decoded, with the place of whatever is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError

__all__ = ["MISSING", "Rows", "Sheet", "load", "of_frame", "open_sheet"]

MISSING = ("", "NA", "NaN")
NUMBER = "a number with a decimal point"
_HEADER_BYTES = 1 << 20


class Columns(Protocol):
    """Columns of a table by name, as pyarrow has them; what is popped takes no room any more."""

    def __getitem__(self, name: str, /) -> Any: ...

    def pop(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A table with a name for messages; columns are found in any letter case.

    Attributes
    ----------
    columns : mapping
        Names in small letters to names as written.
    read : callable
        Columns by name as written, those of numbers first, then those of text, and how many rows they have.
    """

    name: str
    columns: Mapping[str, str]
    read: Callable[[Sequence[str], Sequence[str]], tuple[Columns, int]]
    warnings: tuple[str, ...] = ()

    def written(self, *names: str) -> list[str]:
        """Names as written, for messages."""
        return [self.columns[name] for name in names]

    def table(self, numbers: Sequence[str], texts: Sequence[str]) -> Rows:
        """Read some columns, named in small letters."""
        columns, count = self.read(self.written(*numbers), self.written(*texts))
        if not count:
            raise InputError(f"{self.name}: no data rows")
        return Rows(self, columns, count)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Columns that were read, as pyarrow has them, by name as written."""

    sheet: Sheet
    columns: Columns
    count: int

    def __len__(self) -> int:
        return self.count

    def column(self, name: str) -> Any:
        """A column as pyarrow has it."""
        return self.columns[self.sheet.columns[name]]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Take a column of numbers out; missing ones are NaN.

        Whoever takes one after the other needs room for the table and one column, and not for two tables.
        """
        column = self.columns.pop(self.sheet.columns[name])
        return np.array(column.to_numpy(zero_copy_only=False) if len(column) else [], dtype=np.float64)


def load(path: str) -> bytes:
    """Every byte of a file.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or is of no known kind.
    """
    if not path.lower().endswith((".csv", ".csv.gz", ".parquet")):
        raise InputError(f"{path}: expected a .csv, .csv.gz or .parquet file")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise InputError(f"cannot read {path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if not data:
        raise InputError(f"{path}: the file is empty")
    return data


def open_sheet(path: str, data: bytes, encoding: str) -> Sheet:
    """A file's columns; rows are read when asked for."""
    name = os.path.basename(path)
    if path.lower().endswith(".parquet"):
        return _parquet(name, data)
    if path.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{name}: not a whole gzip file ({error})") from error
    text, warnings = _utf8(name, data, encoding)
    header = _header(name, text)
    return Sheet(name, _columns(name, header), lambda *asked: _split(_read_csv(name, text, *asked)), warnings)


def _split(table: Any) -> tuple[dict[str, Any], int]:
    """The columns of a table, each of its own."""
    return dict(zip(table.column_names, table.columns, strict=True)), int(table.num_rows)


def _columns(name: str, header: Sequence[str]) -> dict[str, str]:
    """Names in small letters to names as written."""
    columns: dict[str, str] = {}
    for column in header:
        other = columns.setdefault(column.strip().casefold(), column)
        if other is not column:
            raise InputError(f"{name}: columns {other!r} and {column!r} differ at most in letter case; rename one")
    return columns


def _utf8(name: str, data: bytes, encoding: str) -> tuple[bytes, tuple[str, ...]]:
    """Text as UTF-8 without a byte order mark."""
    if encoding != "auto":
        try:
            return data.decode(encoding).removeprefix("\ufeff").encode(), ()
        except (LookupError, UnicodeError) as error:
            raise InputError(f"{name}: cannot be read as {encoding} ({error})") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        warning = f"{name}: not UTF-8, read as cp1252; give the encoding if names look wrong"
        return data.decode("cp1252", "replace").encode(), (warning,)
    return data, ()


def _header(name: str, text: bytes) -> list[str]:
    if b"\0" in text[:_HEADER_BYTES]:
        raise InputError(f"{name}: not a CSV file")
    first = next(csv.reader(io.StringIO(text[:_HEADER_BYTES].decode(errors="ignore"), newline="")), [])
    if not any(cell.strip() for cell in first):
        raise InputError(f"{name}: no header line")
    return first


def _read_csv(name: str, text: bytes, numbers: Sequence[str], texts: Sequence[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {column: pa.float64() for column in numbers} | {column: pa.string() for column in texts}
    convert = arrow_csv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=list(MISSING), strings_can_be_null=False
    )
    parse = arrow_csv.ParseOptions(newlines_in_values=b'"' in text)
    try:
        reader = pa.BufferReader(text)
        return arrow_csv.read_csv(reader, parse_options=parse, convert_options=convert, memory_pool=_pool())
    except pa.ArrowInvalid as error:
        for message in _faults(text, numbers):
            raise InputError(f"{name} {message}") from error
        if pa.float64() not in types.values():
            raise InputError(f"{name}: {error}") from error
        return as_numbers(name, _read_csv(name, text, [], [*numbers, *texts]), numbers)


def _pool() -> Any:
    """The allocator that gives freed columns back at once, where there is one: 1.2 GB for 800,000 cells of 42 crops, not 1.4."""
    import pyarrow as pa

    there = "jemalloc" in pa.supported_memory_backends()
    return pa.jemalloc_memory_pool() if there else pa.default_memory_pool()


def _faults(text: bytes, numbers: Sequence[str]) -> Iterator[str]:
    """What is wrong, in file order; only looked for after reading has failed."""
    rows = csv.reader(io.StringIO(text.decode(), newline=""))
    header = next(rows)
    places = {column: header.index(column) for column in numbers}
    for number, row in enumerate(filter(None, rows), 1):
        if len(row) != len(header):
            more = (
                "a decimal comma needs quotes, or a decimal point" if len(row) > len(header) else "a field is missing"
            )
            yield f"row {number}: {len(row)} fields, the header has {len(header)}: {row[:8]}; {more}"
            return
        for column, at in places.items():
            if not _is_number(row[at]):
                yield f"row {number}, column {column}: {row[at]!r} is not {NUMBER}"


def _is_number(text: str) -> bool:
    try:
        float(text.strip() or "nan")
    except ValueError:
        return text.strip() in MISSING
    return "_" not in text and text.strip().isascii()


def _parquet(name: str, data: bytes) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(name, error) from error

    def read(numbers: Sequence[str], _: Sequence[str]) -> tuple[Columns, int]:
        return _ParquetColumns(name, file, frozenset(numbers)), file.metadata.num_rows

    return Sheet(name, _columns(name, file.schema_arrow.names), read)


def _damaged(name: str, why: Exception | str) -> InputError:
    return InputError(f"{name}: not a whole Parquet file ({str(why).strip().partition(chr(10))[0]})")


@dataclass(frozen=True, slots=True)
class _ParquetColumns:
    """Reads each column when it is asked for: 800,000 cells of 42 crops are 0.5 GB that need not be there twice."""

    name: str
    file: Any
    numbers: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        import pyarrow as pa

        try:
            table = self.file.read(columns=[name])
            table.validate(full=True)  # text that is not UTF-8 would raise only where it is looked at
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.name, error) from error
        if table.num_rows != self.file.metadata.num_rows:
            raise _damaged(self.name, f"column {name} has {table.num_rows} of {self.file.metadata.num_rows} rows")
        return as_numbers(self.name, table, [name] if name in self.numbers else []).column(name)

    pop = __getitem__


def of_frame(name: str, frame: Any) -> Sheet:
    """A pandas DataFrame as a sheet."""
    import pyarrow as pa

    def read(numbers: Sequence[str], texts: Sequence[str]) -> tuple[Columns, int]:
        table = pa.Table.from_pandas(frame[[*numbers, *texts]], preserve_index=False)
        return _split(as_numbers(name, table, numbers))

    return Sheet(name, _columns(name, list(map(str, frame.columns))), read)


def as_numbers(name: str, table: Any, numbers: Sequence[str]) -> Any:
    """The table with these columns as float64; a text that is no number is named."""
    import pyarrow as pa

    for column in numbers:
        values = table.column(column)
        if values.type == pa.float64():
            continue
        try:
            made = _cast(values)
        except pa.ArrowInvalid:
            wrong = ((i, v) for i, v in enumerate(values.to_pylist(), 1) if isinstance(v, str) and not _is_number(v))
            row, value = next(wrong, (0, ""))
            place = f" row {row}, column {column}: {value!r}" if row else f", column {column}: {values.type}"
            raise InputError(f"{name}{place} is not {NUMBER}") from None
        except pa.ArrowNotImplementedError:
            raise InputError(f"{name}, column {column}: {values.type} is not {NUMBER}") from None
        table = table.set_column(table.schema.get_field_index(column), column, made)
    return table


def _cast(values: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        stripped = pc.utf8_trim_whitespace(values)
        plain = pc.replace_substring_regex(stripped, r"^\+([0-9.])", r"\1")
        values = pc.if_else(pc.is_in(plain, value_set=pa.array(MISSING, plain.type)), None, plain)
    if pa.types.is_boolean(values.type):
        raise pa.ArrowNotImplementedError("truth values")
    return values.cast(pa.float64(), safe=not pa.types.is_integer(values.type))  # past 2**53 the nearest float64
