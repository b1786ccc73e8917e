"""One search: what is known already, what is to be done, what came of it, and what is kept when it is interrupted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fanwise.errors import RunInterrupted
from fanwise.workloads.auditscan import io
from fanwise.workloads.auditscan._assemble import file_result, system_names, without_false_missing
from fanwise.workloads.auditscan._examine import Reading
from fanwise.workloads.auditscan._model import FileResult, RuleSet, ScanResult
from fanwise.workloads.auditscan._spool import Spooled

__all__ = ["ScanInterrupted", "Session", "identity_of"]


class ScanInterrupted(RunInterrupted):
    """Ctrl-C or SIGTERM ended a scan; ``result`` holds every finished file and lists the others as unfinished."""

    result: ScanResult


def identity_of(rules: RuleSet, reading: Reading, version: str) -> dict[str, object]:
    """All that decides results besides bytes, in the words of a user."""
    return {
        "fanwise version": version,
        "rule set": rules.digest,
        "compat mode": reading.compat,
        "encoding": reading.encoding,
        "rule timeout": reading.rule_timeout,
        "treatment of unknown files": reading.unknown,
    }


@dataclass(slots=True)
class Session:
    """The files of one search and their results as they come.

    Attributes
    ----------
    journal : io.Journal
        Keeps each finished file before it counts as done.
    cache : object with ``get`` and ``put``, or None
        Keeps results from scan to scan.
    key : tuple
        Beside the digest of a file, all that decides its results.
    recall : bool
        Whether the journal may hold files of an earlier search.
    """

    sources: Sequence[io.Source]
    rules: RuleSet
    reading: Reading
    journal: io.Journal
    cache: Any = None
    key: tuple[object, ...] = ()
    recall: bool = False
    began: float = field(default_factory=time.perf_counter)
    resumed: int = 0
    cached: int = 0
    report: Any = None
    _kept: dict[int, tuple[Spooled, io.SpoolFile | None]] = field(default_factory=dict)

    def pending(self) -> list[int]:
        """Numbers of the files to be searched, largest first; what is known is taken from journal and cache."""
        rest = [n for n, source in enumerate(self.sources) if not source.status and not self._recalled(n)]
        return sorted(rest, key=lambda n: (-self.sources[n].size, n))

    def _recalled(self, number: int) -> bool:
        """Take a file's results from where they are kept, if its bytes are the same."""
        if not self.recall and self.cache is None:
            return False
        sha256 = io.sha256_of(self.sources[number].path)
        known = self.journal.get(sha256) if self.recall else None
        if known is not None:
            self.resumed += 1
        elif self.cache is not None and sha256 is not None:
            known = self.journal.restore(sha256, self.cache.get((*self.key, sha256)))
            self.cached += known is not None
        if known is None:
            return False
        self._kept[number] = known
        return True

    def keep(self, number: int, outcome: Any) -> None:
        """Into the journal first; then the file counts as done."""
        if number in self._kept:
            return
        spooled = outcome.value if outcome.ok else _not_searched(outcome)
        place = None
        if spooled.status == "done":
            place = self.journal.put(spooled)
            if self.cache is not None and not spooled.timed_out:
                self.cache.put((*self.key, spooled.sha256), self.journal.entry(spooled.sha256))
        self._kept[number] = replace(spooled, body=b""), place

    def interrupted(self, stop: BaseException) -> ScanInterrupted:
        """The error that carries what is finished."""
        result = self.result(partial=True)
        done = sum(file.status == "done" for file in result.files)
        error = ScanInterrupted(f"{done:,} of {len(result.files):,} files are kept.")
        error.result, error.run, error.signal = result, getattr(stop, "run", None), getattr(stop, "signal", 2)
        return error

    def result(self, *, partial: bool = False) -> ScanResult:
        """All files in order, with what is known of each."""
        names = system_names([s.shown for s in self.sources], [s.path for s in self.sources], self.reading.compat)
        files = [self._file(n, source, name) for n, (source, name) in enumerate(zip(self.sources, names, strict=True))]
        return ScanResult(
            files=tuple(without_false_missing(files) if self.reading.compat else files),
            rules=self.rules,
            partial=partial,
            report=self.report,
            compat=self.reading.compat,
            resumed=self.resumed,
            cached=self.cached,
            rule_timeout=self.reading.rule_timeout,
            seconds=time.perf_counter() - self.began,
        )

    def _file(self, number: int, source: io.Source, name: str) -> FileResult:
        spooled, read = self._kept.get(number, (Spooled(size=source.size, status="unfinished"), None))
        if source.status:
            spooled = Spooled(status=source.status, reason=source.reason)
        return file_result(source.shown, name, spooled, self.rules, read, named=source.named)


def _not_searched(outcome: Any) -> Spooled:
    """Why there is nothing: the worker died twice, ran out of memory, or the search itself failed."""
    reason = getattr(outcome, "reason", "")
    if reason:
        return Spooled(status="failed", reason=f"worker lost: {reason}")
    if isinstance(outcome.error, MemoryError):
        return Spooled(status="failed", reason="worker lost: out of memory")
    return Spooled(status="failed", reason=f"{type(outcome.error).__name__}: {outcome.error}")
