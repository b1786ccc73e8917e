"""Laws over all outputs of one result: every match is in each of them once, and the numbers agree."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

import openpyxl
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.auditscan import FileResult, Match, Rule, RuleHits, ScanResult, SysFilter, System
from fanwise.workloads.auditscan._families import admitted
from fanwise.workloads.auditscan._model import FAMILIES
from fanwise.workloads.auditscan._reports import counts

from .made import several
from .test_reports import written

FORMATS = ("xlsx", "jsonl", "csv", "sarif")
TEXTS = st.text("ab=,\"<\n'é", max_size=5)
PRODUCERS = {"Linux": "KPNIXAUDIT", "Windows": "KPWINAUDIT", "Darwin": "KPMACAUDIT", "Other": "Other"}


def filters(families: frozenset[str]) -> tuple[SysFilter, ...]:
    return (SysFilter("os_family", "in", tuple(sorted(families))),) if families else ()


RULES = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from(["one", "two", "Two", "three"]),
        regex=st.just("x"),
        comment=st.none() | TEXTS,
        sheet=st.sampled_from(["", "A sheet", "a sheet", "Summary", "other"]),
        topic=st.sampled_from([None, "Network", "Users"]),
        field_list=st.sampled_from([(), ("key",), ("key", "Line Number")]),
        sys_filter=st.frozensets(st.sampled_from(FAMILIES), max_size=2).map(filters),
        source=st.sampled_from(["a.yaml", "b.yaml"]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def results(draw: st.DrawFn) -> ScanResult:
    rules = tuple(draw(RULES))
    files = []
    for number in range(draw(st.integers(0, 4))):
        family = draw(st.sampled_from(FAMILIES))
        system = System(f"s{number}", family, PRODUCERS[family])
        hits = [RuleHits(rule, tuple(draw(matches(rule)))) for rule in rules if admitted(rule, family)]
        files.append(FileResult(f"s{number}.txt", "0" * 64, "utf-8", system, tuple(hits), size=10))
    if draw(st.booleans()):
        files.append(FileResult("README.txt", status="skipped", reason="not an audit report"))
    return several(files, rules)


def matches(rule: Rule) -> st.SearchStrategy[list[Match]]:
    fields = st.none() | st.fixed_dictionaries(dict.fromkeys(rule.field_list, TEXTS))
    return st.lists(st.builds(Match, st.integers(1, 99), TEXTS, fields if rule.field_list else st.none()), max_size=3)


def told(result: ScanResult) -> list[tuple[str, str, str, int, str]]:
    """Every match in the order of ``results.jsonl``."""
    return [
        (rule.name, rule.source, file.path, match.line, match.text)
        for rule in result.rules.rules
        for file in result.files
        for hits in file.hits
        if hits.rule is rule
        for match in hits.matches
    ]


@settings(max_examples=40)
@given(results())
def test_every_match_is_in_every_output_once(result: ScanResult) -> None:
    content = written(result, *FORMATS)
    wanted = told(result)
    lines = [json.loads(line) for line in content["results.jsonl"].decode().split("\n")[:-1]]
    assert [(r["rule"], r["source"], r["file"], r["line"], r["text"]) for r in lines] == wanted
    rows = list(csv.DictReader(io.StringIO(content["results.csv"].decode(), newline="")))
    assert [(r["rule"], r["source"], r["file"], int(r["line"]), r["text"].removeprefix("'")) for r in rows] == [
        (*row[:4], row[4].removeprefix("'")) for row in wanted
    ]
    [run] = json.loads(content["results.sarif"])["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(ids)) == len(result.rules.rules)
    assert [(ids[r["ruleIndex"]], r["message"]["text"]) for r in run["results"]] == [
        (r["ruleId"], text) for r, (*_, text) in zip(run["results"], wanted, strict=True)
    ]
    summary = json.loads(content["run.json"])
    assert summary["counts"]["matches"] == counts(result)["matches"] == len(wanted)
    assert (
        sum(rule["matches"] for rule in summary["rules"])
        == sum(file["matches"] for file in summary["files"])
        == len(wanted)
    )


@settings(max_examples=30)
@given(results())
def test_workbooks_share_the_matches_out_among_families(result: ScanResult) -> None:
    content = written(result, "xlsx")
    scanned = {file.system.os_family for file in result.files if file.system}
    assert {name.removesuffix(".xlsx") for name in content if name.endswith(".xlsx")} == scanned
    found: Counter[tuple[str, int, str]] = Counter()
    for family in scanned:
        book = openpyxl.load_workbook(io.BytesIO(content[f"{family}.xlsx"]))
        found += rows_of(book)
        check_summary(book, [rule for rule in result.rules.rules if admitted(rule, family)])
    systems = {file.path: file.system.name for file in result.files if file.system}
    assert found == Counter((systems[path], line, text) for _, _, path, line, text in told(result))


def rows_of(book: Any) -> Counter[tuple[str, int, str]]:
    found: Counter[tuple[str, int, str]] = Counter()
    for sheet in book.worksheets[2:]:
        if sheet.title == "Notices":
            continue
        assert (sheet["A3"].value == "Search Results") is (not sheet.tables)
        for row in sheet.iter_rows(min_row=4, max_col=3, values_only=True):
            if isinstance(row[1], int):
                found[row[0], row[1], row[2] or ""] += 1
    return found


def check_summary(book: Any, rules: list[Rule]) -> None:
    rows = list(book["Summary"].iter_rows(min_row=3, max_row=2 + len(rules)))
    assert Counter(row[0].value for row in rows) == Counter(rule.name for rule in rules)
    for row in rows:
        sheet = book[row[2].value]
        assert row[2].hyperlink.location == f"'{sheet.title}'!A1"
        facts = {label.value: value.value for label, value in facts_of(sheet)}
        assert (facts["Name:"], facts["Total Results:"]) == (row[0].value, row[3].value)
        assert facts["Unique Systems:"] == row[4].value


def facts_of(sheet: Any) -> list[tuple[Any, Any]]:
    """Label and value, two columns right of the table."""
    [left] = [cell.column for cell in sheet[3] if cell.value == "Search Configuration:"]
    return [(sheet.cell(n, left), sheet.cell(n, left + 1)) for n in range(3, 12)]
