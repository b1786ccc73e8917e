"""Searching files and rendering sheets as fanwise runs; the only file of this workload that calls fanwise."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, Self

import fanwise
from fanwise.typing import InterruptPolicy, Progress
from fanwise.workloads.auditscan import io
from fanwise.workloads.auditscan._alarm import ALARMS, can_be_set
from fanwise.workloads.auditscan._contents import RuleSheet
from fanwise.workloads.auditscan._examine import Reading, examine
from fanwise.workloads.auditscan._model import RuleSet, ScanResult
from fanwise.workloads.auditscan._options import check_options, checked_formats
from fanwise.workloads.auditscan._progress import Part
from fanwise.workloads.auditscan._search import Searcher
from fanwise.workloads.auditscan._session import ScanInterrupted, Session, identity_of
from fanwise.workloads.auditscan._sheet import Rendered
from fanwise.workloads.auditscan._spool import Spooled
from fanwise.workloads.auditscan._writing import Writer

__all__ = ["ScanFile", "ScanInterrupted", "ScanService", "scan", "write"]

Paths = Sequence[str | os.PathLike[str]]
Resume = str | os.PathLike[str] | None


class Writable(Protocol):
    """Anything that text can be written to."""

    def write(self, text: str, /) -> object: ...


@dataclass(frozen=True)
class ScanFile:
    """Search one file by its path. The rules travel to a worker once; patterns are compiled where they are needed."""

    rules: RuleSet
    reading: Reading

    @cached_property
    def searcher(self) -> Searcher:
        return Searcher(self.rules, self.reading.compat)

    def __call__(self, path: str) -> Spooled:
        if self.reading.rule_timeout and not can_be_set():
            searched: list[Spooled] = fanwise.map(self, [path], backend="process", workers=1)
            return searched[0]
        try:
            data = io.read_bytes(path)
        except OSError as error:
            return Spooled(status="failed", reason=io.why(error))
        return examine(data, self.searcher, self.reading)

    def __getstate__(self) -> dict[str, Any]:
        return {"rules": self.rules, "reading": self.reading}


class Lease(Protocol):
    """An executor for as long as it is needed."""

    def get(self, workers: int | None) -> fanwise.Executor:
        """The executor."""

    def close(self) -> None:
        """It is not needed any more."""


class Warm:
    """Makes an executor when it is first needed and keeps it for the next call."""

    def __init__(self, make: Callable[[int | None], fanwise.Executor]) -> None:
        self._make = make
        self._executor: fanwise.Executor | None = None
        self._shutdown: Callable[[], object] | None = None

    def get(self, workers: int | None) -> fanwise.Executor:
        if self._executor is None:
            self._executor = self._make(workers)
            self._shutdown = weakref.finalize(self, self._executor.shutdown)
        return self._executor

    def close(self) -> None:
        shutdown, self._shutdown, self._executor = self._shutdown, None, None
        if shutdown is not None:
            shutdown()


@dataclass(frozen=True, slots=True)
class Borrowed:
    """An executor that belongs to somebody else."""

    executor: fanwise.Executor

    def get(self, workers: int | None) -> fanwise.Executor:
        return self.executor

    def close(self) -> None:
        """Leave it as it is."""


def _lease(executor: fanwise.Executor | None, backend: str) -> Lease:
    if executor is not None:
        return Borrowed(executor)
    return Warm(lambda workers: fanwise.Executor(workers, backend=backend))


@dataclass(frozen=True, slots=True)
class _Scanner:
    """Searching and writing with given collaborators; the executor is closed on every way out but a good search."""

    lease: Lease
    progress: Progress | str
    output: Writable | None = None

    def search(
        self, paths: Paths, rules: RuleSet, glob: str, reading: Reading, workers: int | None, cache: Any, resume: Resume
    ) -> ScanResult:
        began = time.perf_counter()
        identity = identity_of(rules, reading, fanwise.__version__)
        session = Session(
            sources=io.find_sources(paths, glob),
            rules=rules,
            reading=reading,
            journal=io.Journal(None if resume is None else os.fspath(resume), identity),
            cache=fanwise.Cache(cache) if isinstance(cache, str | os.PathLike) else cache,
            key=("auditscan", *identity.values()),
            recall=resume is not None,
            began=began,
        )
        with self._closed_on_error():
            self._run(session, workers)
        result = session.result()
        self._tell(result)
        return result

    def _run(self, session: Session, workers: int | None) -> None:
        pending = session.pending()
        paths = [session.sources[n].path for n in pending]
        work = ScanFile(session.rules, session.reading)
        part = self._part("Searching", [session.sources[n].size for n in pending])
        where: dict[str, Any] = {"executor": self.lease.get(workers), "progress": part}
        # One file a message: what is finished is told at once, so it is in the journal whatever comes after.
        stream = fanwise.stream(work, paths, ordered=False, on_error="return", chunk_size=1, **where)
        try:
            for outcome in stream:
                session.keep(pending[outcome.index], outcome)
        except KeyboardInterrupt as stop:
            run = getattr(stop, "run", None)
            for outcome in run.outcomes if run is not None else ():
                session.keep(pending[outcome.index], outcome)
            session.report = stream.report
            raise session.interrupted(stop) from stop
        session.report = stream.report

    def write(
        self,
        result: ScanResult,
        out_dir: str | os.PathLike[str],
        formats: Sequence[str],
        workers: int | None,
        *,
        force: bool,
    ) -> list[Path]:
        wanted = checked_formats(formats)
        if not force:
            io.refuse_earlier(out_dir)
        try:
            with io.Outputs(out_dir) as outputs:
                Writer(result, outputs, partial(self._render, result, workers), fanwise.__version__).write(wanted)
        finally:
            self.lease.close()
        if not result.partial:
            io.remove_stale(outputs.folder, keep=outputs.names())
        return outputs.names()

    def _render(self, result: ScanResult, workers: int | None, sheets: Sequence[RuleSheet]) -> Iterator[Rendered]:
        """Sheets as they are finished, in order. A partial result is written here: it has to be quick and certain."""
        part = self._part("Writing", [sheet.sheet.count for sheet in sheets])
        where: dict[str, Any] = {"workers": 1} if result.partial else {"executor": self.lease.get(workers)}
        yield from fanwise.stream(RuleSheet.render, sheets, progress=part, **where)

    def _part(self, label: str, weights: Sequence[int]) -> Part:
        return Part(_display(self.progress, label), label, weights)

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.lease.close()
            raise

    def _tell(self, result: ScanResult) -> None:
        output = self.output or getattr(self.progress, "stream", None)
        if output is not None:
            for line in problems(result):
                output.write(line + "\n")


def problems(result: ScanResult) -> Iterator[str]:
    """One line for each file that failed and each rule that did not end."""
    for file in result.files:
        if file.status == "failed":
            yield f"{file.path}: failed: {file.reason}"
        for hits in file.hits:
            if hits.status != "ok":
                yield f"{file.path}: rule '{hits.rule.name}': {hits.status}: {hits.reason}"


def _display(progress: Progress | str, label: str) -> Progress:
    return fanwise.progress.by_name(progress, label) if isinstance(progress, str) else progress


def _reading(
    compat: str | None, rules: RuleSet, unknown: str, encoding: str | None, rule_timeout: float | None
) -> Reading:
    mode = compat or rules.compat
    check_options(mode, unknown, encoding, rule_timeout)
    return Reading(mode, unknown, encoding, float(rule_timeout or 0.0) if ALARMS else 0.0)


def new_executor(workers: int | None = None, *, interrupts: InterruptPolicy | None = None) -> fanwise.Executor:
    """A warm executor as fanwise makes it."""
    return fanwise.Executor(workers, interrupts=interrupts)


@dataclass(frozen=True)
class ScanService:
    """A scan whose collaborators are handed in: where items run, what is shown, what ends a run, where messages go.

    One warm executor serves `search` and `export`. It is closed by `export`, by an error, at the end of a ``with``
    block, and at the latest with the service itself.

    Parameters
    ----------
    executor_factory : callable
        ``executor_factory(workers, interrupts=policy)`` returns a `fanwise.Executor`.
    progress : Progress or str
        A display that hears two runs: files by bytes, sheets by rows.
    interrupts : fanwise.typing.InterruptPolicy or None
        None: fanwise's own.
    output : object with ``write(str)``, or None
        Gets one line for each file that failed and each rule that ran out of time. None: the stream of ``progress``.

    Examples
    --------
    >>> ScanService(progress="none").interrupts is None
    True
    """

    executor_factory: Callable[..., fanwise.Executor] = new_executor
    progress: Progress | str = "auto"
    interrupts: InterruptPolicy | None = None
    output: Writable | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scanner.lease.close()

    @cached_property
    def _scanner(self) -> _Scanner:
        make, interrupts = self.executor_factory, self.interrupts
        return _Scanner(Warm(lambda workers: make(workers, interrupts=interrupts)), self.progress, self.output)

    def search(
        self,
        paths: Paths,
        rules: RuleSet,
        *,
        glob: str = "*.txt",
        compat: str | None = None,
        unknown: str = "skip",
        encoding: str | None = None,
        rule_timeout: float | None = 5.0,
        workers: int | None = None,
        cache: Any = None,
        resume: Resume = None,
    ) -> ScanResult:
        """Search files; see `scan` for the options.

        Raises
        ------
        ScanInterrupted
            With the partial result.
        """
        reading = _reading(compat, rules, unknown, encoding, rule_timeout)
        return self._scanner.search(paths, rules, glob, reading, workers, cache, resume)

    def write(
        self,
        result: ScanResult,
        out_dir: str | os.PathLike[str],
        formats: Sequence[str] = ("xlsx",),
        *,
        workers: int | None = None,
        force: bool = False,
    ) -> list[Path]:
        """Write a result; returns all paths. See the function `write`."""
        return self._scanner.write(result, out_dir, formats, workers, force=force)

    def export(
        self,
        result: ScanResult,
        out_dir: str | os.PathLike[str],
        formats: Sequence[str] = ("xlsx",),
        *,
        workers: int | None = None,
        force: bool = False,
    ) -> dict[str, Path]:
        """Write a result; returns the workbook of each family. See `write` for the options."""
        paths = self.write(result, out_dir, formats, workers=workers, force=force)
        return {path.name.partition(".")[0]: path for path in paths if path.suffix == ".xlsx"}


def scan(
    paths: Paths,
    rules: RuleSet,
    *,
    glob: str = "*.txt",
    compat: str | None = None,
    unknown: str = "skip",
    encoding: str | None = None,
    rule_timeout: float | None = 5.0,
    workers: int | None = None,
    backend: str = "auto",
    executor: fanwise.Executor | None = None,
    cache: Any = None,
    progress: Progress | str = "auto",
    resume: Resume = None,
) -> ScanResult:
    """Search audit files with every rule that applies to the system each of them describes.

    Parameters
    ----------
    paths : sequence of path
        Files, and folders that are searched for files that match ``glob``.
    rules : RuleSet
        From `load_rules`.
    compat : {None, "kpat"}
        None: as the rules were loaded. ``"kpat"``: match for match as KP Analysis Toolkit 2.1.3.
    unknown : {"skip", "scan"}
        What to do with a text that names no collection script.
    encoding : str or None
        None: found out for each file.
    rule_timeout : float or None
        Seconds that one rule may take in one file; 0 or None: no limit. On Windows there is none.
    workers, backend, executor
        As in `fanwise.map`.
    cache : fanwise.Cache, path or None
        Where results are kept from scan to scan. Audit files are confidential, so None keeps nothing.
    progress : Progress or {"auto", "rich", "plain", "none", "json"}
    resume : path or None
        A folder that keeps each finished file; with the same rules and options a later scan takes them from there.

    Returns
    -------
    ScanResult
        Files in order. Matches stay on disk until they are looked at.

    Raises
    ------
    fanwise.errors.InputError
        If a path does not exist or nothing matches.
    ScanInterrupted
        After Ctrl-C, with what is finished.

    Examples
    --------
    >>> import tempfile
    >>> import fanwise.workloads.auditscan as auditscan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     auditscan.write_samples(folder, systems=1)
    ...     rules = auditscan.load_rules(auditscan.example_rules())
    ...     result = auditscan.scan([folder], rules, workers=1, progress="none")
    >>> [file.status for file in result.files]
    ['done']
    """
    reading = _reading(compat, rules, unknown, encoding, rule_timeout)
    lease = _lease(executor, backend)
    with contextlib.closing(lease):
        return _Scanner(lease, progress).search(paths, rules, glob, reading, workers, cache, resume)


def write(
    result: ScanResult,
    out_dir: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("xlsx",),
    workers: int | None = None,
    backend: str = "auto",
    executor: fanwise.Executor | None = None,
    progress: Progress | str = "auto",
    force: bool = False,
) -> list[Path]:
    """Write a result into a folder: workbooks, lines, documents, and ``run.json``.

    Parameters
    ----------
    result : ScanResult
    out_dir : path
        Created if need be. Files get their final names together, when all are complete.
    formats : sequence of {"xlsx", "jsonl", "csv", "sarif"}
    workers, backend, executor, progress
        As in `scan`; a worker renders one sheet.
    force : bool
        Overwrite what an earlier scan wrote there, and remove what this one does not write.

    Returns
    -------
    list of Path
        Final names, ``run.json`` last.

    Raises
    ------
    fanwise.errors.UsageError
        If outputs of an earlier scan are there.
    fanwise.errors.InputError
        If a file cannot be written; nothing has a final name then.

    Examples
    --------
    >>> import tempfile
    >>> import fanwise.workloads.auditscan as auditscan
    >>> empty = auditscan.ScanResult((), auditscan.RuleSet(()), partial=False, report=None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in auditscan.write(empty, folder, formats=["jsonl"], workers=1, progress="none")]
    ['results.jsonl', 'run.json']
    """
    return _Scanner(_lease(executor, backend), progress).write(result, out_dir, formats, workers, force=force)
