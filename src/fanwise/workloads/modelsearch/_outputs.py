"""The output directory: files appear whole or not at all, and finished chunks wait in it for ``resume``."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from fanwise.errors import UsageError
from fanwise.workloads.modelsearch._config import Rank
from fanwise.workloads.modelsearch._identity import Identity
from fanwise.workloads.modelsearch._tally import Tally, ranked
from fanwise.workloads.modelsearch._verdicts import RANKED, VerdictTable, concatenate, lines, no_rows

__all__ = ["Folder", "Sorted", "Staging", "sort_rows"]

PUBLISHED = ("ranked.csv", "ranked.partial.csv", "verdicts.csv", "summary.json", "funnel.html", "run.json")
_CHUNKS, _MANIFEST, _RECORDS = ".chunks", "manifest.json", "records"


class Folder:
    """Where a search writes, and what a search before it left there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> Path:
        return self.path / _CHUNKS / _RECORDS

    @property
    def _manifest(self) -> Path:
        return self.path / _CHUNKS / _MANIFEST

    def enter(self, identity: Identity, *, resume: bool, force: bool) -> bool:
        """Whether to start afresh in the directory, rather than to go on; it is made if it is not there.

        Raises
        ------
        UsageError
            If results are there and neither was asked for, or what is there belongs to another search.
        """
        if resume and not force:
            self.check(identity)
        elif self._occupied() and not force:
            raise UsageError(f"{self.path} exists; use --resume to go on, or --force to overwrite it.")
        self.records.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return force or not resume

    def sign(self, identity: Identity, *, fresh: bool) -> None:
        """Write whose directory it is; a fresh start takes the results before it away."""
        for name in PUBLISHED if fresh else ():
            (self.path / name).unlink(missing_ok=True)
        with Staging(self._manifest.parent) as staging:
            staging.write(_MANIFEST, [json.dumps({"sections": dict(identity.sections)}, indent=1)])

    def _occupied(self) -> bool:
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; -o takes a directory.")
        return self._manifest.exists() or any((self.path / name).exists() for name in PUBLISHED)

    def check(self, identity: Identity) -> None:
        """Refuse a directory that another search wrote; one without a readable manifest says nothing."""
        before = self.sections()
        changed = [] if before is None else identity.changed(before)
        if changed:
            raise UsageError(
                f"{self.path} belongs to another search: {', '.join(changed)} changed; use --force to start afresh."
            )

    def sections(self) -> Mapping[str, str] | None:
        """Hashes of the search that wrote this directory; None if there are none or they cannot be read."""
        try:
            found = json.loads(self._manifest.read_text("utf-8"))["sections"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, dict) else None


class Staging:
    """Files written under hidden names; leaving the block without an error gives them their own, all at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def _hidden(self, name: str) -> Path:
        return self._folder / f".{name}.tmp"

    def write(self, name: str, parts: Iterable[str | bytes]) -> int:
        """Write a file from pieces of text; returns how many pieces there were."""
        self._names.append(name)
        count = 0
        with self._hidden(name).open("wb") as file:
            for part in parts:
                file.write(part if isinstance(part, bytes) else part.encode())
                count += 1
            file.flush()
            os.fsync(file.fileno())
        return count

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = os.fspath(self._folder)  # a full disk is told by a call that knows no name
        for name in self._names:
            if kind is None:
                self._hidden(name).replace(self._folder / name)
            else:
                self._hidden(name).unlink(missing_ok=True)


class Sorted:
    """Ranked rows: a table if they fit into memory, else the best of them and sorted files of all."""

    def __init__(self, table: VerdictTable, runs: Sequence[IO[str]], total: int) -> None:
        self.table, self._runs, self.total = table, runs, total

    def csv(self, labels: Sequence[str], top: int) -> Iterator[str]:
        """Lines of ``ranked.csv``, header first."""
        yield ",".join(RANKED) + "\n"
        limit = top or self.total
        if not self._runs:
            yield from lines(self.table.take(slice(0, limit)), RANKED, labels)
            return
        for run in self._runs:
            run.seek(0)
        merged = heapq.merge(*(map(_sorting_key, run) for run in self._runs))
        for rank, (_, _, line) in zip(range(1, limit + 1), merged, strict=False):
            yield f"{rank},{line}"


def _sorting_key(line: str) -> tuple[float, int, str]:
    key, id, row = line.split("\t", 2)
    return float(key), int(id), row


@contextlib.contextmanager
def sort_rows(
    blocks: Iterable[VerdictTable], tally: Tally, rank: Rank, labels: Sequence[str], held: int
) -> Iterator[Sorted]:
    """Rank passed rows that come in blocks of about ``held``; more than one block goes through sorted files.

    The files have no names: whatever ends this process, they go with it.
    """
    source = iter(blocks)
    first, second = next(source, VerdictTable({})), next(source, None)
    if second is None:
        table, _ = ranked(first, tally, rank)
        yield Sorted(_numbered(table), (), len(table))
        return
    with contextlib.ExitStack() as stack:
        best, runs = VerdictTable({}), []
        for block in _chain(first, second, source):
            table, keys = ranked(block, tally, rank)
            runs.append(stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")))
            ids = table["id"].tolist()
            rows = lines(table, RANKED[1:], labels)
            runs[-1].writelines(f"{k!r}\t{i}\t{line}" for k, i, line in zip(keys.tolist(), ids, rows, strict=True))
            both = concatenate([best, table]) if len(best) else table
            best = ranked(both, tally, rank)[0].take(slice(0, held))
        yield Sorted(_numbered(best), runs, tally.passed)


def _chain(*parts: Any) -> Iterator[VerdictTable]:
    for part in parts:
        if isinstance(part, VerdictTable):
            yield part
        else:
            yield from part


def _numbered(table: VerdictTable) -> VerdictTable:
    return table.extended(rank=np.arange(1, len(table) + 1)) if len(table) else no_rows()
