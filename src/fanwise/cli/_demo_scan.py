"""The demo's scan: the example rules over made-up audit files, with the plain loop and with fanwise."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fanwise import __version__
from fanwise.cli._demo_jobs import DemoJob
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan._assemble import file_result
from fanwise.workloads.auditscan._examine import Reading, examine
from fanwise.workloads.auditscan._search import Searcher
from fanwise.workloads.auditscan._writing import Writer

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["job"]

FILES = 48
KILOBYTES = 1024


def job() -> DemoJob:
    """Every rule on every file, as lines of JSON."""
    rules = auditscan.load_rules(auditscan.example_rules())
    folder = tempfile.mkdtemp(prefix=f"fanwise-demo-{os.getpid()}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = auditscan.write_samples(folder, FILES, kilobytes=KILOBYTES)

    def loop() -> bytes:
        searcher = Searcher(rules)
        files = [_searched(path, rules, searcher) for path in sorted(paths)]
        return _lines(auditscan.ScanResult(tuple(files), rules, partial=False, report=None))

    def fanned() -> tuple[bytes, RunReport]:
        result = auditscan.scan([folder], rules, rule_timeout=0, progress="none")
        if result.report is None:
            raise RuntimeError("a scan of files has a report")
        return _lines(result), result.report

    what = f"audit files of {KILOBYTES // 1024} MB, {len(rules.rules)} rules"
    return DemoJob("scan", len(paths), what, loop, fanned)


def _searched(path: Path, rules: auditscan.RuleSet, searcher: Searcher) -> auditscan.FileResult:
    found = examine(path.read_bytes(), searcher, Reading())
    body = found.body
    return file_result(path.name, path.stem, found, rules, lambda at, size: body[at : at + size], named=False)


class _Memory:
    """Files that are kept as bytes."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        out = io.BytesIO()
        yield out
        self.content[name] = out.getvalue()


def _lines(result: auditscan.ScanResult) -> bytes:
    files = _Memory()
    Writer(result, files, lambda sheets: (sheet.render() for sheet in sheets), __version__).write(["jsonl"])
    return files.content["results.jsonl"]
