"""Rules that say what a healthy system shows: what passes, what fails, and how grave that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fanwise.workloads.auditscan._model import FileResult, Rule, RuleHits
from fanwise.workloads.auditscan._spool import count_found

__all__ = ["COLUMNS", "as_expected", "findings", "level", "verdict"]

COLUMNS = ("Rule", "Severity", "Expected", "Result", "System Name", "Matches", "Comment")
"""Headings of `findings`."""


def level(rule: Rule) -> str:
    """SARIF level of a failure: the rule's own, else ``warning`` for a check and ``note`` for a plain rule."""
    return rule.severity or ("warning" if rule.expect else "note")


def verdict(rule: Rule, *, missing: bool) -> str:
    """SARIF kind of one result; ``missing``: the result says that nothing was found.

    >>> verdict(Rule("root login", "x", expect="none"), missing=False)
    'fail'
    """
    if rule.expect is None:
        return "open" if missing else "fail"
    return "fail" if missing == (rule.expect == "some") else "pass"


def as_expected(hits: RuleHits) -> bool:
    """Whether a file shows what the rule expects of a healthy system; a rule that did not end shows nothing."""
    if hits.rule.expect is None:
        return True
    return hits.status == "ok" and verdict(hits.rule, missing=not count_found(hits.matches)) == "pass"


def findings(by_rule: Iterable[Iterable[tuple[FileResult, RuleHits]]], family: str) -> Iterator[tuple[str | int, ...]]:
    """One row for each check of each system of a family, in the order of rules and files."""
    for found in by_rule:
        for file, hits in found:
            if hits.rule.expect and file.system is not None and file.system.os_family == family:
                result = hits.status if hits.status != "ok" else "pass" if as_expected(hits) else "FAIL"
                head = (hits.rule.name, level(hits.rule), hits.rule.expect, result)
                yield (*head, file.system.name, count_found(hits.matches), hits.rule.comment or "")
