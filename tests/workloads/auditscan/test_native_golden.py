"""The native mode on three small reports that meet every difference from kpat.

``golden/expected.jsonl`` was read line by line against the reports by a person; `reference` agrees with it too.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from fanwise.workloads import auditscan

from .reference import results_of

GOLDEN = Path(__file__).with_name("golden")


def expected() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / "expected.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def rules() -> auditscan.RuleSet:
    return auditscan.load_rules(GOLDEN / "rules/all.yaml")


@pytest.fixture(scope="module")
def out(rules: auditscan.RuleSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    result = auditscan.scan([GOLDEN / "audit"], rules, workers=1, progress="none")
    auditscan.write(result, folder, formats=["xlsx", "jsonl", "csv", "sarif"], workers=1, progress="none")
    return folder


def test_lines_are_the_approved_ones(out: Path) -> None:
    assert (out / "results.jsonl").read_bytes() == (GOLDEN / "expected.jsonl").read_bytes()


def test_the_table_has_the_same_rows(out: Path) -> None:
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, wanted in zip(rows, expected(), strict=True):
        assert (row["rule"], row["source"], row["system"]) == (wanted["rule"], wanted["source"], wanted["system"])
        assert int(row["line"]) == wanted["line"]
        assert row["text"].removeprefix("'") == wanted["text"]
        assert json.loads(row["fields"]) == wanted["fields"]
        assert json.loads(row["missing"]) is wanted["missing"]
        assert (row["topic"] or None) == wanted["topic"]


def test_the_log_has_the_same_results(out: Path) -> None:
    [run] = json.loads((out / "results.sarif").read_text("utf-8"))["runs"]
    found = [(r["ruleId"], r["message"]["text"], r["locations"][0]["physicalLocation"]) for r in run["results"]]
    names = {("plain", "all.yaml"): "plain (all.yaml)", ("plain", "more.yaml"): "plain (more.yaml)"}
    assert found == [
        (
            names.get((row["rule"], row["source"]), row["rule"]),
            row["text"],
            {"artifactLocation": {"uri": row["file"]}, "region": {"startLine": row["line"]}},
        )
        for row in expected()
    ]


@pytest.mark.parametrize("family", ["Linux", "Windows", "Darwin"])
def test_workbooks_have_the_rows_of_their_systems_and_no_formula(out: Path, family: str) -> None:
    book = openpyxl.load_workbook(out / f"{family}.xlsx")
    wanted = [row for row in expected() if row["os_family"] == family]
    summary = {row[0:3] for row in book["Summary"].iter_rows(min_row=3, values_only=True)}
    assert {name for name, _, _ in summary} >= {row["rule"] for row in wanted}
    found = []
    for sheet in book.worksheets[2:]:
        assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
        if sheet.title != "Notices":
            found += [
                tuple(c.value for c in row)[:3] for row in sheet.iter_rows(min_row=4) if isinstance(row[1].value, int)
            ]
    assert sorted(found) == sorted((row["system"], row["line"], row["text"]) for row in wanted)


def test_the_file_without_a_system_is_in_the_notices(out: Path) -> None:
    notices = openpyxl.load_workbook(out / "Linux.xlsx")["Notices"]
    told = [row[:2] for row in notices.iter_rows(min_row=3, values_only=True)]
    assert told == [("skipped", "README.txt"), ("warning", "rules"), ("warning", "rules")]


def test_the_reference_agrees(rules: auditscan.RuleSet) -> None:
    wanted: dict[tuple[str, str, str], list] = {}
    for row in expected():
        wanted.setdefault((row["rule"], row["source"], row["file"]), []).append(
            (row["line"], row["text"], row["fields"])
        )
    for name, encoding in (("web1.txt", "utf-8"), ("dc1.txt", "utf-16"), ("site-b/web1.txt", "ascii")):
        text = (GOLDEN / "audit" / name).read_bytes().decode(encoding)
        for hits in auditscan.scan_text(text, rules):
            rule = hits.rule
            assert results_of(rule, text) == wanted.pop((rule.name, rule.source, name), []), rule.name
    assert wanted == {}


def test_under_compat_the_differences_are_kpats(rules: auditscan.RuleSet) -> None:
    kpat = auditscan.load_rules(GOLDEN / "rules/all.yaml", compat="kpat")
    text = (GOLDEN / "audit/web1.txt").read_text("utf-8")
    found = {(h.rule.name, h.rule.source): h.matches for h in auditscan.scan_text(text, kpat)}
    native = {(h.rule.name, h.rule.source): h.matches for h in auditscan.scan_text(text, rules)}
    assert ("new_scripts", "all.yaml") in native
    assert ("new_scripts", "all.yaml") not in found  # "0.10.2" < "0.6.18" as text
    assert [m.fields for m in found["fields_without_only_matching", "all.yaml"]] == [None, None]
    assert [m.text for m in found["only_matching", "all.yaml"]] == ["pid=7\n", "pid=12\n"]
    assert found["records", "all.yaml"][-1].text == "Users_Local::Marker\nUsers_Local::Name: last"
    assert len(found["plain", "all.yaml"]) == len(found["plain", "more.yaml"]) == 4 + 2
    assert found["patches", "more.yaml"][0].fields == {"when": "2024-01-02"}
