"""A directory of results: written under other names and renamed together, so that what is there is complete."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fanwise.errors import UsageError, UsageValueError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "Folder", "check_free", "slugs"]

FORMATS = ("parquet", "csv", "both")
NAMES = ("curves", "summary", "crossings", "risk", "bands", "scenarios", "changes", "run")
SUFFIXES = ("csv", "parquet", "json")


def check_free(directory: str | os.PathLike[str], *, overwrite: bool) -> list[Path]:
    """Results that a directory holds; none, unless they may be replaced.

    Raises
    ------
    UsageError
        If there are some, or the name is not that of a directory.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a directory")
    there = [file for name in NAMES for suffix in SUFFIXES if (file := folder / f"{name}.{suffix}").exists()]
    there += sorted((folder / "figures").glob("*.*"))
    if there and not overwrite:
        raise UsageError(f"{folder} holds results ({there[0].name}); use --force to replace them, or another directory")
    return there


class Folder:
    """Files of one run; nothing has its final name before the block has ended well."""

    def __init__(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.path = Path(directory)
        self._old = check_free(self.path, overwrite=overwrite)
        self._files: dict[Path, Path] = {}

    @property
    def paths(self) -> list[str]:
        """Final names of what was written."""
        return [str(path) for path in self._files]

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = os.fspath(self.path)  # a full disk is told by a call that knows no name
        if kind is not None:
            for temporary in self._files.values():
                temporary.unlink(missing_ok=True)
            return
        for path in self._old:
            if path not in self._files:
                path.unlink(missing_ok=True)
        for path, temporary in self._files.items():
            temporary.replace(path)
        with contextlib.suppress(OSError):  # not empty, or never there
            (self.path / "figures").rmdir()

    def place(self, name: str) -> Path:
        """Where a file is written to for now."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        return self._files[path]

    def add(self, name: str, content: bytes) -> None:
        """One file."""
        self.place(name).write_bytes(content)

    def add_csv(self, name: str, table: pd.DataFrame) -> None:
        """A table with floats that read back as they were, and empty fields for what is undefined."""
        truths = {c: table[c].map({True: "true", False: "false"}) for c in map(str, table) if table[c].dtype == bool}
        table.assign(**truths).to_csv(self.place(f"{name}.csv"), index=False, lineterminator="\n", encoding="utf-8")

    def add_parquet(self, name: str, table: pd.DataFrame) -> None:
        """A table with names as dictionaries."""
        with self.place(f"{name}.parquet").open("wb") as file:  # pyarrow opens no name that is not UTF-8
            table.to_parquet(file, index=False)

    def add_curves(self, table: pd.DataFrame, format: str) -> None:
        """Curves in one format or both."""
        if format not in FORMATS:
            raise UsageValueError(f"format {format!r}: expected {', '.join(FORMATS)}")
        if format != "csv":
            self.add_parquet("curves", table)
        if format != "parquet":
            self.add_csv("curves", table)


def slugs(names: Iterable[Any]) -> list[str]:
    """Names as file names in ASCII, each once.

    >>> slugs(["Côte d'Émeraude", "東の国", "cote-d-emeraude", "東の国2"])
    ['Cote-d-Emeraude', 'x', 'cote-d-emeraude-2', '2']
    """
    made: list[str] = []
    seen: set[str] = set()
    for name in names:
        plain = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_") or "x"
        numbered = (f"{stem}-{number}" for number in itertools.count(2))
        slug = next(slug for slug in itertools.chain([stem], numbered) if slug.casefold() not in seen)
        seen.add(slug.casefold())
        made.append(slug)
    return made
