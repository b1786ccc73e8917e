"""Files of a command: what is found out before any work, and what is written after it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO

from fanwise._format import plural
from fanwise._whole import atomic
from fanwise.cli._errors import as_sentence, reason
from fanwise.cli._streams import tell
from fanwise.errors import InputError, UsageError

if TYPE_CHECKING:
    from fanwise.cli._options import RunOptions
    from fanwise.report import RunReport

__all__ = [
    "check_apart",
    "check_input",
    "check_new",
    "check_reports",
    "check_writable",
    "replace_text",
    "stdout_bytes",
    "tell_problems",
    "terminable",
    "write_reports",
]


def check_input(path: str, suffixes: Sequence[str]) -> None:
    """Find out before any work that an input cannot be read, or is of an unknown kind; ``-`` is standard input."""
    if path == "-":
        return
    _check_suffix(path, suffixes)
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):  # to open and close a pipe would end its writer
            open(path, "rb").close()
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}.") from error


def check_new(path: Path, suffixes: Sequence[str], *, force: bool) -> None:
    """Find out before any work that an output exists, cannot be written, or is of an unknown kind."""
    _check_suffix(str(path), suffixes)
    if path.exists() and not force:
        raise UsageError(f"{path} exists; use --force to overwrite it.")
    check_writable(path)


def _check_suffix(path: str, suffixes: Sequence[str]) -> None:
    if Path(path).suffix.lower() not in suffixes:
        raise UsageError(f"{path} has no known suffix; expected one of {', '.join(suffixes)}.")


def check_writable(*paths: Path | None, folder: Path | None = None) -> None:
    """Find out before any work that a file cannot be written; what exists is left alone.

    ``folder`` is one that the command makes for its results: a file in it may be asked for before it is there.
    """
    for path in paths:
        if path is not None and (path.parent.exists() or folder is None or path.parent.resolve() != folder.resolve()):
            known = path.exists()
            open(path, "ab").close()
            if not known:
                path.unlink()


def check_apart(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read, or twice into one file."""
    taken = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path is not None:
            if path.resolve() in taken:
                raise UsageError(f"{path} is named twice; an output needs a file of its own.")
            taken.add(path.resolve())


def check_reports(options: RunOptions, *others: Path | None, folder: Path | None = None) -> None:
    """Find out before any work that ``--report`` or ``--trace`` cannot be written, or would overwrite another file."""
    page = options.report
    files = (page, None if page is None else page.with_suffix(".json"), options.trace)
    check_apart(others, files)
    check_writable(*files, folder=folder)


@contextlib.contextmanager
def stdout_bytes() -> Iterator[BinaryIO]:
    """Standard output without encoding, so that a locale cannot spoil a file.

    With ``python -u`` it is a raw file, whose ``write`` may take a part of the data only.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed; name a file to write to.")
    stream = sys.stdout.buffer
    if not isinstance(stream, io.RawIOBase):
        yield stream
        stream.flush()
        return
    with open(stream.fileno(), "wb", closefd=False) as buffered:
        yield buffered


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM end a step as Ctrl-C does, so that temporary files go; not for runs, which see to it themselves."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def write_reports(
    report: RunReport | None, options: RunOptions, command: str, page: Callable[[], str] | None = None
) -> list[tuple[str, str]]:
    """Write what ``--report`` and ``--trace`` asked for; what could not be written is a problem, not a failure.

    If items failed, say how many, and where all of them are listed.

    ``page`` makes the page of a command that has one of its own.
    """
    if report is None:
        return []
    report = report.told_as(label=command)
    if report.failed + report.lost:
        tell(_failed(report, options.report))
    wanted: list[tuple[Path, Callable[[], str]]] = []
    if options.report is not None:
        wanted += [(options.report, page or report.to_html), (options.report.with_suffix(".json"), report.to_json)]
    if options.trace is not None:
        wanted += [(options.trace, report.to_trace)]
    return [problem for path, text in wanted if (problem := _problem(path, text()))]


def tell_problems(command: str, problems: Iterable[tuple[str, str]]) -> None:
    """Say each problem, and where it is unless its message says so."""
    for where, message in problems:
        tell(f"{command}: {message}" if where in message else f"{command}: {where}: {message}")


def _failed(report: RunReport, page: Path | None) -> str:
    first = report.failures[0]
    named = "" if first.label == f"item {first.item}" else f" ({first.label})"
    where = "--report FILE.html lists them." if page is None else f"All are in {page}."
    said = as_sentence(f"item {first.item}{named}: {first.type}: {first.message}")
    count = report.failed + report.lost
    return f"{count:,} of {plural(report.items, 'item')} failed; the first: {said} {where}"


def _problem(path: Path, text: str) -> tuple[str, str] | None:
    try:
        replace_text(path, text)
    except OSError as error:
        return str(path), f"cannot write {path}: {reason(error)}."
    return None


def replace_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it: what has the final name is complete.

    A device or pipe is written to: it must not be replaced by a file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    with atomic(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # names of files may be no text
