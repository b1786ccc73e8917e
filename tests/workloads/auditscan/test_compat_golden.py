"""Match for match with KP Analysis Toolkit 2.1.3: its own results on its own files and rules, order included."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from fanwise.workloads import auditscan

from .conftest import read_gz, rows_of, search

REPORTS = (
    "macos-13.3.1-kp0.1.0",
    "rhel86-kp0.6.16-1",
    "ubuntu-22.04-0.6.22",
    "windows11-0.4.8",
    "windows2016-cb14393-kp0.4.4-1",
)
CASES = ("lin-lf.txt", "mac-cr.txt", "mixed.txt", "utf16.txt", "win-crlf.txt")


def assert_same(rules: auditscan.RuleSet, data: bytes, expected: dict) -> None:
    system, found = search(rules, data, "kpat")
    assert {name: getattr(system, name) for name in expected["system"] if name != "encoding"} == {
        name: value for name, value in expected["system"].items() if name != "encoding"
    }
    rows = rows_of(rules, found)
    assert list(rows) == expected["rules"]
    for name, wanted in expected["results"].items():
        assert json.dumps(rows[name]) == json.dumps(wanted), name  # as text: the order of fields counts


@pytest.fixture(scope="module")
def kpat_rules(shared_data: Path) -> auditscan.RuleSet:
    return auditscan.load_rules(shared_data / "auditscan/rules/audit-all.yaml", compat="kpat")


@pytest.mark.parametrize("name", REPORTS)
def test_every_search_of_a_real_report_is_identical(
    name: str, shared_data: Path, kpat_rules: auditscan.RuleSet
) -> None:
    folder = shared_data / "auditscan"
    with gzip.open(folder / f"files/{name}.txt.gz") as file:
        data = file.read()
    assert_same(kpat_rules, data, read_gz(folder / f"reference/{name}.json.gz"))


@pytest.mark.parametrize("name", CASES)
def test_every_trap_gives_what_kpat_gives(name: str, shared_data: Path) -> None:
    folder = shared_data / "auditscan/cases"
    rules = auditscan.load_rules(folder / "rules/main.yaml", compat="kpat")
    assert_same(rules, (folder / "files" / name).read_bytes(), read_gz(folder / "expected.json.gz")[name])


def test_the_whole_rule_set_is_read(kpat_rules: auditscan.RuleSet) -> None:
    assert len(kpat_rules.rules) == 142
    assert len({rule.source for rule in kpat_rules.rules}) == 11


def test_native_results_of_real_reports_differ_only_where_the_modes_do(
    shared_data: Path, kpat_rules: auditscan.RuleSet
) -> None:
    folder = shared_data / "auditscan"
    native = auditscan.load_rules(folder / "rules/audit-all.yaml")
    with gzip.open(folder / "files/rhel86-kp0.6.16-1.txt.gz") as file:
        data = file.read()
    as_kpat = rows_of(kpat_rules, search(kpat_rules, data, "kpat")[1])
    as_native = rows_of(native, search(native, data)[1])
    shared = as_kpat.keys() & as_native.keys()
    assert len(shared) > 50
    for name in shared:
        assert [row[0] for row in as_kpat[name]] == [row[0] for row in as_native[name]], name
