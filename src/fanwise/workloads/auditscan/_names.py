"""Names that Excel accepts: sheets, table columns."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SHEET_LENGTH", "column_names", "sheet_name", "unique_sheet_names"]

SHEET_LENGTH = 31
_COLUMN_LENGTH = 255
_RESERVED = ("history", "summary", "systems summary", "notices")


def sheet_name(name: str) -> str:
    """One name as Excel accepts it; it may still be taken.

    Examples
    --------
    >>> sheet_name("01 Users/groups")
    '01_Users_groups'
    """
    plain = re.sub(r"[\\/*?:\[\]\x00-\x1f\x7f-\x9f]", "_", re.sub(r"\s+", "_", name)).strip("_'")
    if not plain:
        return "Unnamed_Sheet"
    return plain if _units(plain) <= SHEET_LENGTH else _cut(plain, SHEET_LENGTH - 3) + "..."


def unique_sheet_names(names: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Acceptable names in the same order, told apart without regard to case, and from ``reserved`` ones."""
    taken = {*_RESERVED, *map(str.casefold, reserved)}
    return [_free(sheet_name(name), taken, SHEET_LENGTH) for name in names]


def column_names(names: Iterable[str]) -> list[str]:
    """Column headings of a table: one line, not empty, told apart without regard to case."""
    taken: set[str] = set()
    return [_free(_heading(name), taken, _COLUMN_LENGTH) for name in names]


def _heading(name: str) -> str:
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", name).strip()
    return _cut(plain, _COLUMN_LENGTH) or "Unnamed"


def _free(name: str, taken: set[str], longest: int) -> str:
    """The name, or the name with the first of `` (2)``, `` (3)`` … that is not taken."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        mark = f" ({number})"
        free = _cut(name, longest - len(mark)) + mark
    taken.add(free.casefold())
    return free


def _units(text: str) -> int:
    """Length as Excel counts it: a character beyond U+FFFF is two."""
    return len(text) + sum(c > "\uffff" for c in text)


def _cut(text: str, longest: int) -> str:
    while _units(text) > longest:
        text = text[: longest - _units(text)]
    return text
