"""Reading configurations and data."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from fanwise.errors import InputError
from fanwise.workloads.modelsearch._config import Config, Instant
from fanwise.workloads.modelsearch._frame import Table
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._validate import config_from

__all__ = ["load_config", "read_table"]

MISSING = frozenset({"", "NA", "NaN", "nan", "."})
LARGEST = 1e100  # sums of products of two columns must stay numbers
_PLAIN = re.compile(r"[+\-0-9.a-zA-Z]+", re.ASCII)  # Python would also read 1_000 and the digits of other scripts
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)  # as many digits as fit into 64 bits
_HEADER = 1  # lines before the first row


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read and check a configuration.

    Parameters
    ----------
    path : path-like
        A TOML file.

    Returns
    -------
    Config
        Frozen; what the file leaves out has its default.

    Raises
    ------
    InputError
        If the file cannot be read or says something that cannot be meant; names section, key and value.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> load_config(path).search.max_terms
    4
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name}: not a TOML document: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
    return config_from(document, path)


def read_table(config: Config, file: Path | None = None, *, after: Table | None = None) -> Table:
    """Read the columns that a configuration uses.

    Parameters
    ----------
    file : Path, optional
        Another file of the same columns (rows of the future); the configuration's own if left out.
    after : Table, optional
        Rows that come before; times must go on from there and its rows are put in front.
    """
    path = file or config.data.file
    wanted = _columns_of(config)
    heading = {name: config.data.alias.get(name, name) for name in wanted}
    raw = _raw(path, [config.data.time, *dict.fromkeys(heading.values())], _places(config, heading))
    time, ordinals, months = _times(raw[config.data.time], path.name, config.data.time, dated=_dated(config))
    numbers = {column: _numbers(raw[column], path.name, column) for column in dict.fromkeys(heading.values())}
    columns = {name: numbers[heading[name]] for name in wanted}
    if after is not None:
        time = (*after.time, *time)
        ordinals = np.concatenate([after.ordinals, ordinals])
        months = None if months is None or after.months is None else np.concatenate([after.months, months])
        columns = {name: np.concatenate([after.columns[name], column]) for name, column in columns.items()}
    _check_increasing(time, ordinals, path.name, 0 if after is None else len(after.time))
    for column in columns.values():
        column.setflags(write=False)
    return Table(path.name, time, ordinals, months, columns, heading, _hash_of(time, heading, columns))


def _columns_of(config: Config) -> tuple[str, ...]:
    """Every variable the configuration names, once, in order of appearance."""
    items = [config.data.target, *config.search.forced, *(i for group in config.search.groups for i in group.items)]
    return tuple(dict.fromkeys(item.variable for item in items))


def _dated(config: Config) -> bool:
    return isinstance(config.data.train[0], str)


def _hash_of(time: Sequence[Instant], heading: Mapping[str, str], columns: Mapping[str, Floats]) -> str:
    """BLAKE2b-128 of what is used of the file: times and values."""
    known = hashlib.blake2b(digest_size=16)
    known.update("\n".join(map(str, time)).encode())
    for name in sorted(columns):
        known.update(f"\n{heading[name]}\n".encode())
        known.update(np.ascontiguousarray(columns[name], "<f8").tobytes())
    return known.hexdigest()


def _places(config: Config, heading: Mapping[str, str]) -> dict[str, str]:
    """Where the configuration names each column, for messages."""
    search = config.search
    named = {config.data.time: "[data] time", heading[config.data.target.variable]: "[data] target"}
    for place, items in (
        ("[search] forced", search.forced),
        *((f"[search.group {at}]", group.items) for at, group in enumerate(search.groups, 1)),
    ):
        for item in items:
            named.setdefault(heading[item.variable], f'{place} "{item}"')
    return {column: f"{config.path.name}: {place}" for column, place in named.items()}


def _raw(path: Path, names: Sequence[str], places: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    """The named columns of a CSV or Parquet file, values as they stand there."""
    try:
        read = _parquet(path, names) if path.suffix.lower() == ".parquet" else _csv(path)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)  # pyarrow's own strerror is a sentence
        raise InputError(f"cannot read {path}: {why.lower()}") from None
    for name in names:
        if name not in read:
            near = get_close_matches(name, read, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{places[name]}: {path.name} has no column {name}{hint}")
    return {name: read[name] for name in names}


def _csv(path: Path) -> dict[str, Sequence[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            rows = list(csv.reader(stream))
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path.name} is not a CSV file in UTF-8: {error}") from None
    if not rows:
        raise InputError(f"{path.name} is empty; expected a header and rows")
    while len(rows) > 1 and not rows[-1]:
        rows.pop()  # blank lines at the end
    header, *rows = rows
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if "".join(header).count(mark) >= len(header):
            raise InputError(f"{path.name} has {word} between its fields; write it with commas and decimal points")
    header = [name.strip() for name in header]
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputError(f"{path.name}: the column {min(twice)} is there twice")
    for at, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"{path.name}, {_where(at)}: {len(row)} fields, the header has {len(header)}")
    return dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ())


def _parquet(path: Path, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"reading {path.name} needs pyarrow: pip install pyarrow") from None
    try:
        with path.open("rb") as stream:  # pyarrow opens no name that is not UTF-8
            file = parquet.ParquetFile(stream)
            there = file.schema_arrow.names
            table = file.read(columns=[name for name in names if name in there])
            columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (ValueError, OverflowError) as error:  # ArrowInvalid is a ValueError; a date beyond 9999 overflows
        raise InputError(f"cannot read {path}: not a Parquet file, or a damaged one ({error})") from None
    return {**dict.fromkeys(there, ()), **columns}


def _where(row: int) -> str:
    """A row of data, counted from 1, and its line in the file."""
    return f"row {row} (line {row + _HEADER})"


def _numbers(cells: Iterable[Any], file: str, column: str) -> Floats:
    """Values of a numeric column; empty, NA, NaN and . are missing, infinite too."""
    values = [_number(cell, at, file, column) for at, cell in enumerate(cells, 1)]
    found = np.array(values, dtype=np.float64)
    beyond = np.flatnonzero(np.isfinite(found) & (np.abs(found) > LARGEST))
    if len(beyond):
        at = int(beyond[0]) + 1
        raise InputError(f'{file}, {_where(at)}, column "{column}": {values[at - 1]!r} is beyond ±{LARGEST:g}')
    return np.where(np.isfinite(found), found, np.nan)


def _number(cell: Any, row: int, file: str, column: str) -> float:
    if cell is None:
        return np.nan
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str) and text in MISSING:
        return np.nan
    try:
        return float(text if not isinstance(text, str) or _PLAIN.fullmatch(text) else "text")
    except (TypeError, ValueError, OverflowError):
        says = f'"{cell}" is not a number (empty, NA, NaN and . are missing values)'
        raise InputError(f'{file}, {_where(row)}, column "{column}": {says}') from None


def _times(cells: Sequence[Any], file: str, column: str, *, dated: bool) -> tuple[tuple[Instant, ...], Any, Any]:
    """Times as they are written, as whole numbers for comparing, and their months if they are dates."""
    if not len(cells):
        raise InputError(f"{file} has no rows")
    if not dated:
        whole = [_whole_time(cell, at, file, column) for at, cell in enumerate(cells, 1)]
        return tuple(whole), np.array(whole, dtype=np.int64), None
    dates = [_date(cell, at, file, column) for at, cell in enumerate(cells, 1)]
    ordinals = np.array([date.toordinal() for date in dates], dtype=np.int64)
    return tuple(date.isoformat() for date in dates), ordinals, np.array([date.month for date in dates], dtype=np.int64)


def _whole_time(cell: Any, row: int, file: str, column: str) -> int:
    text = str(cell).strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    says = f'"{cell}" is not a whole number; train is given in whole numbers'
    raise InputError(f'{file}, {_where(row)}, column "{column}": {says}')


def _date(cell: Any, row: int, file: str, column: str) -> dt.date:
    try:
        return dt.datetime.fromisoformat(str(cell).strip()).date()
    except ValueError:
        says = f'"{cell}" is not an ISO date such as 2004-03-31'
        raise InputError(f'{file}, {_where(row)}, column "{column}": {says}') from None


def _check_increasing(time: Sequence[Instant], ordinals: Any, file: str, before: int) -> None:
    stuck = np.flatnonzero(np.diff(ordinals) <= 0)
    if len(stuck):
        at = int(stuck[0])
        earlier = "the last row of the history" if at + 1 == before else _where(at + 1 - before)
        raise InputError(
            f"{file}: time must increase from row to row: {earlier} has {time[at]}, "
            f"{_where(at + 2 - before)} has {time[at + 1]}"
        )
