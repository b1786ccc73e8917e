"""Small tables beside a grid: thresholds, events, histories, kcal per g; each error names file and row."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fanwise.errors import InputError
from fanwise.workloads.envelope._crops import facts
from fanwise.workloads.envelope._labels import clean
from fanwise.workloads.envelope._words import listed

__all__ = ["MASS", "Row", "read_kcal", "read_table"]

MASS = {"mt": 1.0, "1000mt": 1000.0}
"""Metric tons of a unit of mass."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; columns by name in small letters."""

    file: str
    number: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """A cell in NFC without spaces around it; blank if there is no such column."""
        return clean(self.cells.get(column, ""))

    def wrong(self, column: str, expected: str) -> InputError:
        """The error for a cell."""
        return InputError(f"{self.file} row {self.number}, column {column}: {self.text(column)!r}; expected {expected}")

    def number_of(self, column: str, expected: str, accepts: Callable[[float], bool]) -> float:
        """A finite number that is accepted."""
        try:
            value = float(self.text(column))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and accepts(value)):
            raise self.wrong(column, expected)
        return value

    def unit(self) -> str:
        """``kcal``, ``mt`` or ``1000mt``."""
        unit = self.text("unit").casefold()
        if unit not in {"kcal", *MASS}:
            raise self.wrong("unit", "kcal, mt or 1000mt")
        return unit


def read_table(source: Any, required: Sequence[str]) -> list[Row]:
    """Rows of a CSV file or of a DataFrame.

    Raises
    ------
    InputError
        If it cannot be read or a column is missing.
    """
    if not isinstance(source, (str, os.PathLike)):
        records = source.to_dict("records") if hasattr(source, "to_dict") else source
        rows = [{str(k): _text(v) for k, v in record.items()} for record in records]
        return _rows("table", rows, required)
    path = os.fspath(source)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from error
    return _rows(os.path.basename(path), found, required)


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _rows(file: str, records: Sequence[Mapping[str | None, Any]] | Any, required: Sequence[str]) -> list[Row]:
    if not records:
        raise InputError(f"{file}: no data rows")
    rows = []
    for number, record in enumerate(records, 1):
        if None in record:
            raise InputError(f"{file} row {number}: more fields than the header")
        rows.append(Row(file, number, {name.strip().casefold(): value or "" for name, value in record.items()}))
    missing = [name for name in required if name not in rows[0].cells]
    if missing:
        raise InputError(f"{file}: no column {listed(missing)}; found {', '.join(rows[0].cells)}")
    return rows


def read_kcal(source: Any) -> dict[str, float]:
    """Kcal per g by crop: columns ``crop``, ``kcal_per_g``."""
    codes = {alias.casefold(): code for code, fact in facts().items() for alias in fact.names}
    found: dict[str, float] = {}
    for row in read_table(source, ("crop", "kcal_per_g")):
        name = row.text("crop")
        code = codes.get(name.casefold(), name.upper())
        if code in found:
            raise row.wrong("crop", "each crop once")
        found[code] = row.number_of("kcal_per_g", "a number > 0", lambda value: value > 0)
    return found
