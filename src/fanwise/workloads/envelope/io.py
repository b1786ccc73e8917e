"""Reading grids: which file is what, and the grid they make."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fanwise.errors import FanwiseWarning, InputError, UsageError
from fanwise.workloads.envelope._digests import digest_of
from fanwise.workloads.envelope._forms import SPAM_IDS, Read, form_of, kind_of, read_long, read_pair, read_wide
from fanwise.workloads.envelope._grid import Grid, Notes, make_grid
from fanwise.workloads.envelope._sheets import Sheet, load, of_frame, open_sheet

__all__ = ["Source", "frames_to_grid", "read_grid", "source_of"]

Path = str | os.PathLike[str]

READER = 3
"""Raise it when the same file would give another grid: cached columns of older readers are then not found."""

TECHNOLOGIES = "AIRHLS"


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one grid and how they are read; ``roles`` names harvest and production where that was said."""

    files: Mapping[str, bytes]
    roles: Mapping[str, str]
    technology: str
    encoding: str
    strict: bool

    def key(self) -> str:
        """32 hexadecimal digits over every byte of the files and all that counts in reading them."""
        parts: list[Any] = ["columns", str(READER), self.technology, self.encoding, str(self.strict)]
        for path, data in self.files.items():
            parts += [os.path.basename(path), self.roles.get(path, ""), data]
        return digest_of(parts)

    def grid(self) -> Grid:
        """Read it."""
        sheets = {path: open_sheet(path, data, self.encoding) for path, data in self.files.items()}
        read = self._read(sheets)
        noted = [text for sheet in sheets.values() for text in sheet.warnings]
        names = " and ".join(sheet.name for sheet in sheets.values())
        if read.unpaired:
            text = f"{names}: {read.unpaired} cells are in only one of the files and were dropped"
            if self.strict:
                raise InputError(text.replace(" and were dropped", ""))
            noted.append(text)
        if self.strict and read.bad:
            raise InputError(str(read.bad[0]))
        notes = Notes(tuple(noted), tuple(map(str, read.bad)), read.unpaired, read.aliases or {})
        return make_grid(read.ids, read.labels, read.pairs, {}, notes)

    def _read(self, sheets: Mapping[str, Sheet]) -> Read:
        forms = {path: form_of(sheet) for path, sheet in sheets.items()}
        if self.roles or "spam" in forms.values():
            harvest, production = pair_of(sheets, forms, self.roles)
            return read_pair(harvest, production, self.technology)
        if len(sheets) > 1:
            raise InputError(f"{len(sheets)} files: expected one wide or long file, or two files in the layout of SPAM")
        (path, form) = next(iter(forms.items()))
        return read_wide(sheets[path]) if form == "wide" else read_long(sheets[path])


def pair_of(sheets: Mapping[str, Sheet], forms: Mapping[str, str], roles: Mapping[str, str]) -> tuple[Sheet, Sheet]:
    """Which of two files holds harvested area and which production."""
    hint = "give both files, or --harvest FILE and --production FILE"
    for path, form in forms.items():
        if form != "spam":
            raise InputError(f"{sheets[path].name} is not in the layout of SPAM (no column grid_code or cell5m)")
    kinds = {path: kind_of(sheet) for path, sheet in sheets.items()}
    if len(sheets) == 1:
        raise InputError(f"{next(iter(sheets.values())).name} alone is half of a pair; {hint}")
    if len(sheets) > 2:
        raise InputError(f"{len(sheets)} files in the layout of SPAM; expected two: harvested area and production")
    kinds |= {path: role[0] for path, role in roles.items()}
    if len(roles) == 1:
        ((named, role),) = roles.items()
        kinds |= {path: "p" if role == "harvest" else "h" for path in sheets if path != named}
    first, second = sheets
    if sorted(map(str, kinds.values())) != ["h", "p"]:
        raise InputError(
            f"{sheets[first].name} and {sheets[second].name}: which holds harvested area and which production "
            f"cannot be told (rec_type, or _H_ and _P_ in the names); {hint}"
        )
    return (sheets[first], sheets[second]) if kinds[first] == "h" else (sheets[second], sheets[first])


def source_of(
    paths: Sequence[Path],
    production: Path | None = None,
    harvest: Path | None = None,
    technology: str = "A",
    encoding: str = "auto",
    *,
    strict: bool = False,
) -> Source:
    """Load the files of a grid.

    Raises
    ------
    InputError, UsageError
        If one cannot be read, or there is none.
    """
    if technology.upper() not in TECHNOLOGIES or len(technology) != 1:
        raise UsageError(f"technology {technology!r}: expected one of {', '.join(TECHNOLOGIES)}")
    roles = {os.fspath(p): role for p, role in ((harvest, "harvest"), (production, "production")) if p is not None}
    names = list(dict.fromkeys([*(os.fspath(path) for path in paths), *roles]))
    if not names:
        raise UsageError("no input; give a .csv, .csv.gz or .parquet file")
    return Source({name: load(name) for name in names}, roles, technology.upper(), encoding, strict)


def read_grid(
    *paths: Path,
    production: Path | None = None,
    harvest: Path | None = None,
    technology: str = "A",
    encoding: str = "auto",
    strict: bool = False,
) -> Grid:
    r"""Read a grid from a wide or long file, or from a pair of files in the layout of SPAM.

    Parameters
    ----------
    *paths : path
        CSV (also gzipped) or Parquet; the form is recognised by the columns.
    production, harvest : path, optional
        Which file of a pair is which.
    technology : {"A", "I", "R", "H", "L", "S"}
        Columns of a pair: all, irrigated, rainfed, …
    encoding : str
        ``auto``: UTF-8, else cp1252 with a warning.
    strict : bool
        Negative and infinite values and unpaired ids are errors.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If something is wrong; file, row, column and value are named.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "grid.csv"
    >>> _ = path.write_text("cell,country,WHEA_H,WHEA_P\n1,Utopia,10.0,30.5\n")
    >>> read_grid(path).crops
    ('WHEA',)
    """
    grid = source_of(paths, production, harvest, technology, encoding, strict=strict).grid()
    warn(grid)
    return grid


def warn(grid: Grid) -> None:
    """Say what a user should know of a grid."""
    for text in grid.notes.warnings:
        warnings.warn(text, FanwiseWarning, stacklevel=3)


def frames_to_grid(production: Any, harvest: Any) -> Grid:
    """A grid from two pandas DataFrames in the layout of SPAM; which is which is said by their places."""
    sheets = of_frame("harvest", harvest), of_frame("production", production)
    for sheet in sheets:
        if not any(name in sheet.columns for name in SPAM_IDS):
            raise InputError(f"the {sheet.name} frame has no column grid_code or cell5m")
    read = read_pair(*sheets, "A")
    noted = (f"{read.unpaired} cells are in only one of the frames and were dropped",) if read.unpaired else ()
    notes = Notes(noted, tuple(map(str, read.bad)), read.unpaired, read.aliases or {})
    return make_grid(read.ids, read.labels, read.pairs, {}, notes)
