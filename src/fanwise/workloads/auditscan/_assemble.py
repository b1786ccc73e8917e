"""Spooled files put together as the results of the public API: names of systems, hits in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from fanwise.workloads.auditscan._model import FileResult, RuleHits, RuleSet
from fanwise.workloads.auditscan._spool import Spooled, SpooledMatches, count_found

__all__ = ["file_result", "system_names", "without_false_missing"]


def system_names(shown: Sequence[str], paths: Sequence[str], compat: str | None) -> list[str]:
    """The name of the system in each file: its stem; where stems meet, the relative path without suffix.

    Files of one relative path, in two folders, are told apart by the path as it was given. Under ``compat`` all keep
    their stems.
    """
    stems = [PurePosixPath(name).stem for name in shown]
    if compat:
        return stems
    relative = [str(PurePosixPath(name).with_suffix("")) for name in shown]
    given = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    often, again = Counter(stems), Counter(relative)
    return [
        stem if often[stem] == 1 else inside if again[inside] == 1 else whole
        for stem, inside, whole in zip(stems, relative, given, strict=True)
    ]


def file_result(
    shown: str, name: str, spooled: Spooled, rules: RuleSet, read: Callable[[int, int], bytes] | None, *, named: bool
) -> FileResult:
    """One file's result; its matches stay where ``read`` finds them."""
    hits: Iterable[RuleHits] = ()
    if read is not None:
        hits = (RuleHits(rules.rules[b.rule], SpooledMatches(b, read), b.status, b.reason) for b in spooled.blocks)
    return FileResult(
        path=shown,
        sha256=spooled.sha256,
        encoding=spooled.encoding,
        system=replace(spooled.system, name=name) if spooled.system else None,
        hits=tuple(hits),
        status=spooled.status,
        reason=spooled.reason,
        size=spooled.size,
        excused=spooled.excusable and not named,
    )


def without_false_missing(files: Sequence[FileResult]) -> list[FileResult]:
    """As kpat keeps results by the name of the system: if one file of a name has some, no other is "missing"."""
    found = {
        (hits.rule.name, file.system.name)
        for file in files
        if file.system is not None
        for hits in file.hits
        if count_found(hits.matches)
    }
    return [
        replace(file, hits=tuple(_cleared(hits, file, found) for hits in file.hits))
        if file.system is not None
        else file
        for file in files
    ]


def _cleared(hits: RuleHits, file: FileResult, found: set[tuple[str, str]]) -> RuleHits:
    name = file.system.name if file.system else ""
    only_missing = not count_found(hits.matches)
    return replace(hits, matches=()) if only_missing and (hits.rule.name, name) in found else hits
