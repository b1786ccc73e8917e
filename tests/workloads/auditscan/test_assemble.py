"""Names of systems, and what kpat calls missing."""

from __future__ import annotations

import pytest

from fanwise.errors import UsageError
from fanwise.workloads.auditscan import FileResult, Match, Rule, RuleHits
from fanwise.workloads.auditscan._assemble import system_names, without_false_missing
from fanwise.workloads.auditscan._options import check_options, checked_formats

from .made import LINUX, hits

MISSING = Match(1, "NO RESULTS FOUND", None, missing=True)


@pytest.mark.parametrize(
    ("shown", "paths", "native", "kpat"),
    [
        (["a.txt", "b.c.txt"], ["x/a.txt", "x/b.c.txt"], ["a", "b.c"], ["a", "b.c"]),
        (["p/a.txt", "q/a.txt", "b"], ["x/p/a.txt", "x/q/a.txt", "x/b"], ["p/a", "q/a", "b"], ["a", "a", "b"]),
        (["a.txt", "a.txt"], ["x/a.txt", "y/a.txt"], ["x/a", "y/a"], ["a", "a"]),
        ([".txt"], [".txt"], [".txt"], [".txt"]),
    ],
)
def test_systems_are_called_by_their_files(shown: list, paths: list, native: list, kpat: list) -> None:
    assert system_names(shown, paths, None) == native
    assert system_names(shown, paths, "kpat") == kpat


def test_kpat_knows_systems_by_name_only() -> None:
    rule, other = Rule("r", "x", show_missing=True), Rule("o", "x", show_missing=True)
    files = [
        FileResult("p/web1.txt", system=LINUX, hits=(hits(rule, "found"), hits(other, MISSING))),
        FileResult("q/web1.txt", system=LINUX, hits=(hits(rule, MISSING), hits(other, MISSING))),
        FileResult("x.txt", status="skipped"),
    ]
    first, second, third = without_false_missing(files)
    assert [len(h.matches) for h in first.hits] == [1, 1]
    assert [len(h.matches) for h in second.hits] == [0, 1]
    assert third is files[2]


def test_timeouts_stay_what_they_are() -> None:
    slow = RuleHits(Rule("r", "x"), (), "timeout")
    [file] = without_false_missing([FileResult("a", system=LINUX, hits=(slow,))])
    assert file.hits == (slow,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("nessus", "skip", None, 5.0), "compat is 'nessus'; expected kpat"),
        ((None, "ask", None, 5.0), "unknown is 'ask'; expected skip or scan"),
        ((None, "skip", "utf-99", 5.0), "encoding is 'utf-99'"),
        ((None, "skip", "rot13", 5.0), "encoding is 'rot13'"),
        ((None, "skip", "base64", 5.0), "encoding is 'base64'"),
        ((None, "skip", None, -1.0), "rule_timeout is -1.0; expected seconds"),
        ((None, "skip", None, float("inf")), "rule_timeout is inf"),
    ],
)
def test_options_that_nobody_can_mean_are_refused(options: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_options(*options)


def test_options_that_can_be_meant() -> None:
    check_options("kpat", "scan", "cp1252", 0)
    check_options(None, "skip", None, None)
    assert checked_formats(["csv", "xlsx", "csv"]) == ("xlsx", "csv")
    for formats, message in ((["pdf"], "format is 'pdf'; expected xlsx, jsonl, csv, sarif"), ([], "format is empty")):
        with pytest.raises(UsageError, match=message):
            checked_formats(formats)
