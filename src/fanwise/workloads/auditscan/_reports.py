"""Results as lines and documents: JSONL, CSV, SARIF, run.json. Everything here is text made from values."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from fanwise.workloads.auditscan._checks import as_expected, level, verdict
from fanwise.workloads.auditscan._match import NO_RESULTS
from fanwise.workloads.auditscan._model import FileResult, Rule, RuleHits, RuleSet, ScanResult
from fanwise.workloads.auditscan._spool import raw_rows, row_values

__all__ = [
    "CSV_HEADER",
    "csv_lines",
    "line_prefix",
    "rule_ids",
    "run_document",
    "sarif_result",
    "sarif_rows",
    "sarif_shell",
]

CSV_HEADER = ("rule", "source", "topic", "system", "os_family", "file", "line", "text", "fields", "missing")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def compact(value: object) -> str:
    """JSON without blanks and without escapes for what UTF-8 can say."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _identity(rule: Rule, file: FileResult) -> dict[str, str | None]:
    """The members of a result that are the same for all results of a rule in a file."""
    system = file.system
    return {
        "rule": rule.name,
        "source": rule.source,
        "topic": rule.topic,
        "system": system.name if system else None,
        "os_family": system.os_family if system else None,
        "file": file.path,
    }


def line_prefix(rule: Rule, file: FileResult) -> bytes:
    """The beginning of the rule's lines in ``results.jsonl`` for this file."""
    return (compact(_identity(rule, file))[:-1] + ",").encode()


def csv_lines(rule: Rule, file: FileResult, rows: Iterable[dict[str, Any]]) -> str:
    """The rule's lines in ``results.csv`` for this file; a cell that a spreadsheet would run gets a leading ``'``."""
    identity = [_harmless(value or "") for value in _identity(rule, file).values()]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [*identity, row["line"], _harmless(row["text"]), compact(row["fields"]), compact(row["missing"])]
        for row in rows
    )
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def rule_ids(rules: Sequence[Rule]) -> list[str]:
    """One identifier a rule: its name, or ``name (source)`` where names meet, numbered where that is not enough."""
    names = Counter(rule.name for rule in rules)
    ids: list[str] = []
    for rule in rules:
        plain = rule.name if names[rule.name] == 1 else f"{rule.name} ({rule.source})"
        free, number = plain, 1
        while free in ids:
            number += 1
            free = f"{plain} ({number})"
        ids.append(free)
    return ids


def sarif_shell(result: ScanResult, version: str) -> tuple[str, str]:
    """What stands before and after the results of a SARIF 2.1.0 log."""
    rules = [
        _sarif_rule(name, rule) for name, rule in zip(rule_ids(result.rules.rules), result.rules.rules, strict=True)
    ]
    run = {
        "tool": {"driver": {"name": "fanwise", "version": version, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not result.partial and all(f.status != "failed" for f in result.files),
                "toolExecutionNotifications": list(_notifications(result)),
            }
        ],
        "results": [],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    text = compact(log)
    return text[: -len("]}]}")], text[-len("]}]}") :] + "\n"


def _sarif_rule(name: str, rule: Rule) -> dict[str, Any]:
    about: dict[str, Any] = {"id": name, "name": rule.name, "shortDescription": {"text": rule.sheet}}
    if rule.comment:
        about["fullDescription"] = {"text": rule.comment}
    about["defaultConfiguration"] = {"level": level(rule)}
    about["properties"] = {"source": rule.source, "topic": rule.topic}
    return about


def sarif_rows(hits: RuleHits) -> Iterable[dict[str, Any]]:
    """The results of a log; a check that wants a match and has none fails with a row that says so."""
    if hits.rule.expect == "some" and hits.status == "ok" and not len(hits.matches):
        return [{"line": 1, "text": NO_RESULTS, "fields": None, "missing": True}]
    return row_values(raw_rows(hits.matches))


def sarif_result(name: str, index: int, rule: Rule, file: FileResult, row: dict[str, Any]) -> str:
    """One result of a SARIF log; what is no failure has no level (SARIF 2.1.0, 3.27.10)."""
    kind = verdict(rule, missing=row["missing"])
    value: dict[str, Any] = {
        "ruleId": name,
        "ruleIndex": index,
        "kind": kind,
        "level": level(rule) if kind == "fail" else "none",
        "message": {"text": row["text"]},
        "locations": [_location(file.path, row["line"])],
    }
    if row["fields"]:
        value["properties"] = {"fields": row["fields"]}
    return compact(value)


def _location(path: str, line: int | None = None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(path)}}
    if line:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def _notifications(result: ScanResult) -> Iterator[dict[str, Any]]:
    for file in result.files:
        if file.status != "done":
            level = "error" if file.status == "failed" else "warning"
            yield _notification(level, f"{file.status}: {file.reason}" if file.reason else file.status, file.path)
        for hits in _incomplete(file):
            yield _notification("error", f"rule {hits.rule.name}: {hits.status}: {hits.reason}", file.path)


def _notification(level: str, text: str, path: str) -> dict[str, Any]:
    return {"level": level, "message": {"text": text}, "locations": [_location(path)]}


def _incomplete(file: FileResult) -> list[RuleHits]:
    return [hits for hits in file.hits if hits.status != "ok"]


def timing(result: ScanResult, write_s: float) -> dict[str, float | int]:
    """Where the time of a scan went: seconds of search and of writing, and how many workers there were."""
    return {
        "scan_s": round(result.seconds, 6),
        "write_s": round(write_s, 6),
        "total_s": round(result.seconds + write_s, 6),
        "workers": result.report.workers if result.report is not None else 1,
    }


def run_document(result: ScanResult, version: str, write_s: float) -> dict[str, Any]:
    """The content of ``run.json``: nothing in it but ``resumed``, ``cached`` and ``timing`` differs between runs."""
    timeouts = [
        {"rule": hits.rule.name, "file": file.path, "seconds": result.rule_timeout}
        for file in result.files
        for hits in file.hits
        if hits.status == "timeout"
    ]
    return {
        "version": version,
        "compat": result.compat,
        "rules_digest": result.rules.digest,
        "partial": result.partial,
        "counts": counts(result),
        "files": [_file(file) for file in result.files],
        "rules": _rules(result.rules, result.files),
        "timeouts": timeouts,
        "warnings": list(result.rules.warnings),
        "resumed": result.resumed,
        "cached": result.cached,
        "timing": timing(result, write_s),
    }


def counts(result: ScanResult) -> dict[str, int]:
    """How many files ended how, and how much was found."""
    ended = Counter(file.status for file in result.files)
    states = [(hits.status, len(hits.matches)) for file in result.files for hits in file.hits]
    return {
        "files": len(result.files),
        **{status: ended[status] for status in ("done", "skipped", "failed", "unfinished")},
        "rules": len(result.rules.rules),
        "matches": sum(n for _, n in states),
        "timeouts": sum(status == "timeout" for status, _ in states),
    }


def _file(file: FileResult) -> dict[str, Any]:
    return {
        "path": file.path,
        "sha256": file.sha256,
        "bytes": file.size,
        "encoding": file.encoding,
        "status": file.status,
        "reason": file.reason,
        "system": asdict(file.system) if file.system else None,
        "matches": sum(len(hits.matches) for hits in file.hits),
    }


def _rules(rules: RuleSet, files: Sequence[FileResult]) -> list[dict[str, Any]]:
    """One entry a rule: files it applied to, results in all of them, its worst state, where it is not as expected."""
    found: dict[int, list[tuple[FileResult, RuleHits]]] = {id(rule): [] for rule in rules.rules}
    for file in files:
        for hits in file.hits:
            found[id(hits.rule)].append((file, hits))
    return [_rule(rule, found[id(rule)]) for rule in rules.rules]


def _rule(rule: Rule, found: Sequence[tuple[FileResult, RuleHits]]) -> dict[str, Any]:
    states = [hits.status for _, hits in found if hits.status != "ok"]
    entry = {
        "name": rule.name,
        "source": rule.source,
        "files": len(found),
        "matches": sum(len(hits.matches) for _, hits in found),
        "status": states[-1] if states else "ok",
    }
    if rule.expect:
        entry |= {"expect": rule.expect, "unmet": [file.path for file, hits in found if not as_expected(hits)]}
    return entry


def unmet(result: ScanResult) -> list[tuple[str, list[str]]]:
    """Rules with an expectation and the files that do not meet it."""
    rules = _rules(result.rules, result.files)
    return [(rule["name"], rule["unmet"]) for rule in rules if rule.get("unmet")]
