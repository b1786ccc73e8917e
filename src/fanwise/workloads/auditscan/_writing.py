"""All outputs of a scan, written to files that a port gives: lines copied, documents streamed, workbooks assembled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from fanwise.workloads.auditscan._contents import Book, RuleSheet, books, hits_by_rule
from fanwise.workloads.auditscan._model import FAMILIES, FileResult, RuleHits, ScanResult
from fanwise.workloads.auditscan._reports import (
    CSV_HEADER,
    csv_lines,
    line_prefix,
    rule_ids,
    run_document,
    sarif_result,
    sarif_rows,
    sarif_shell,
)
from fanwise.workloads.auditscan._sheet import Rendered
from fanwise.workloads.auditscan._spool import prefixed, raw_rows, row_values
from fanwise.workloads.auditscan._workbook import write_workbook

__all__ = ["Writer", "all_names"]

_DOCUMENTS = ("results.jsonl", "results.csv", "results.sarif", "run.json")


class Files(Protocol):
    """Gives files by their final names."""

    def file(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file open for writing."""


def all_names() -> tuple[str, ...]:
    """Every name that an output can have, those of interrupted scans at the end."""
    names = (*(f"{family}.xlsx" for family in FAMILIES), *_DOCUMENTS)
    return (*names, *(_partial(name) for name in names))


def _partial(name: str) -> str:
    stem, _, suffix = name.partition(".")
    return f"{stem}.partial.{suffix}"


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes a result in several formats.

    Attributes
    ----------
    render : callable
        Sheets to their finished members, in the same order: where workers come in.
    version : str
        Of fanwise, for documents that name their maker.
    """

    result: ScanResult
    files: Files
    render: Callable[[Sequence[RuleSheet]], Iterator[Rendered]]
    version: str
    began: float = field(default_factory=time.perf_counter)

    def write(self, formats: Sequence[str]) -> dict[str, str]:
        """Write all; returns names by format, workbooks by family, ``run.json`` last."""
        writers = {"jsonl": self._jsonl, "csv": self._csv, "sarif": self._sarif}
        by_rule = hits_by_rule(self.result)
        names: dict[str, str] = {}
        for name in formats:
            if name == "xlsx":
                names |= self._workbooks()
            else:
                names[name] = self._name(f"results.{name}")
                with self.files.file(names[name]) as file:
                    writers[name](file, by_rule)
        names["run"] = self._name("run.json")
        with self.files.file(names["run"]) as file:
            file.write(self._run_json())
        return names

    def _name(self, name: str) -> str:
        return _partial(name) if self.result.partial else name

    def _jsonl(self, file: BinaryIO, by_rule: ByRule) -> None:
        for hits in by_rule:
            file.writelines(prefixed(raw_rows(one.matches), line_prefix(one.rule, source)) for source, one in hits)

    def _csv(self, file: BinaryIO, by_rule: ByRule) -> None:
        file.write((",".join(CSV_HEADER) + "\r\n").encode())
        for hits in by_rule:
            file.writelines(
                csv_lines(one.rule, source, row_values(raw_rows(one.matches))).encode() for source, one in hits
            )

    def _sarif(self, file: BinaryIO, by_rule: ByRule) -> None:
        before, after = sarif_shell(self.result, self.version)
        file.write(before.encode())
        comma = b""
        for number, (name, hits) in enumerate(zip(rule_ids(self.result.rules.rules), by_rule, strict=True)):
            for source, one in hits:
                results = ",".join(sarif_result(name, number, one.rule, source, row) for row in sarif_rows(one))
                if results:
                    file.write(comma + results.encode())
                    comma = b","
        file.write(after.encode())

    def _workbooks(self) -> dict[str, str]:
        """One workbook a family. All sheets of all of them are one run; each is written as its sheets are finished."""
        made = books(self.result)
        rendered = self.render([sheet for book in made for sheet in book.rule_sheets])
        return {book.family: self._workbook(book, rendered) for book in made}

    def _workbook(self, book: Book, rendered: Iterator[Rendered]) -> str:
        name = self._name(f"{book.family}.xlsx")
        with self.files.file(name) as file:
            write_workbook(file, ((sheet, done.member) for sheet, done in book.sheets(rendered)))
        return name

    def _run_json(self) -> bytes:
        document = run_document(self.result, self.version, time.perf_counter() - self.began)
        return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


ByRule = Sequence[Sequence[tuple[FileResult, RuleHits]]]
