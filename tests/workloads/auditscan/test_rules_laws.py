"""Laws of rule files: whatever stands in them, they are read or refused with a line; never anything else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan._ruleset import assemble, digest_of
from fanwise.workloads.auditscan._schema import ATTRIBUTES, OPERATORS

TEXTS = st.sampled_from(
    ["", "abc", "Users::(?P<a>.*)", "(", "[", "a{2", "x|y", "Linux", "yes", "(?P<a>.)(?P<b>.)", "\\d+"]
)
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.integers(-3, 3), st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 1)), st.none()
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
CONDITION = st.fixed_dictionaries(
    {"attr": st.sampled_from([*ATTRIBUTES, "nonsense"]), "comp": st.sampled_from([*OPERATORS, "is"]), "value": ANYTHING}
)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "regex": TEXTS,
    "excel_sheet_name": SCALARS,
    "comment": SCALARS,
    "topic": SCALARS,
    "max_results": st.integers(-3, 5) | SCALARS,
    "field_list": st.lists(st.sampled_from(["a", "b", "ghost"]), max_size=3) | ANYTHING,
    "only_matching": st.booleans() | SCALARS,
    "unique": st.booleans() | SCALARS,
    "full_scan": st.booleans(),
    "multiline": st.booleans(),
    "rs_delimiter": TEXTS,
    "merge_fields": st.lists(
        st.fixed_dictionaries({"source_columns": st.lists(st.sampled_from("ab"), max_size=3), "dest_column": SCALARS}),
        max_size=2,
    )
    | ANYTHING,
    "show_missing": st.booleans(),
    "sys_filter": st.lists(CONDITION, max_size=2) | ANYTHING,
    "severity": st.sampled_from(["note", "error", "loud"]),
    "expect": st.sampled_from(["some", "none", "maybe"]),
    "colour": SCALARS,
}
RULE = st.fixed_dictionaries({}, optional=KEYS)
FILES = st.dictionaries(
    st.sampled_from(["a", "b", "global", "x-notes", "include_more", "c"]), RULE | ANYTHING, min_size=1, max_size=4
)


def read(document: Any, compat: str | None) -> auditscan.RuleSet:
    text = yaml.safe_dump(document, allow_unicode=True)
    return assemble(["rules/a.yaml"], "rules", lambda _: text, compat=compat)


@settings(max_examples=200)
@given(FILES, st.sampled_from([None, "kpat"]))
def test_a_file_is_read_or_refused_with_lines(document: dict[str, Any], compat: str | None) -> None:
    try:
        rules = read(document, compat)
    except InputError as error:
        for line in str(error).split("\n"):
            assert re.match(r"rules/a\.yaml:\d+: ", line), line
        return
    names = [rule.name for rule in rules.rules]
    assert len(names) == len(set(names))
    for rule in rules.rules:
        assert rule.line >= 1
        assert rule.max_results == -1 or rule.max_results >= 1
        assert rule.field_list or not rule.multiline
        assert not rule.rs_delimiter or rule.multiline
        assert all(len(merge.source_columns) >= 2 for merge in rule.merge_fields)
        assert all(isinstance(c.value, tuple) is (c.comp == "in") for c in rule.sys_filter)
        re.compile(rule.regex, re.IGNORECASE)


@settings(max_examples=100)
@given(FILES)
def test_rules_that_were_read_search_any_text(document: dict[str, Any]) -> None:
    try:
        rules = read(document, None)
    except InputError:
        return
    text = "KPNIXVERSION: 0.6.1\nUsers::root\nabc x\n\n### abc\nxy\n"
    for hits in auditscan.scan_text(text, rules, rule_timeout=5):
        assert hits.status == "ok"
        assert all(1 <= match.line <= 6 for match in hits.matches)


@settings(max_examples=60)
@given(FILES)
def test_reading_twice_gives_the_same_set(document: dict[str, Any]) -> None:
    first, second = outcome(document), outcome(document)
    assert first == second
    if isinstance(first, auditscan.RuleSet):
        assert digest_of(first.rules) == second.digest


def outcome(document: dict[str, Any]) -> auditscan.RuleSet | str:
    try:
        return read(document, None)
    except InputError as error:
        return str(error)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["one", "two", "three"]), max_size=3, unique=True), st.booleans())
def test_splitting_a_file_does_not_change_its_rules(tmp_path: Path, names: list[str], together: bool) -> None:
    """Rules without ``global`` are the same in one file and in several."""
    rules = {name: {"regex": f"Section::{name}", "comment": name} for name in names or ["only"]}
    folder = tmp_path / ("one" if together else "several")
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    if together:
        (folder / "main.yaml").write_text(yaml.safe_dump(rules, sort_keys=False))
    else:
        for name, rule in rules.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump({name: rule}))
        (folder / "main.yaml").write_text(
            yaml.safe_dump({"include_all": {"files": [f"{name}.yaml" for name in rules]}})
        )
    read_back = auditscan.load_rules(folder / "main.yaml").rules
    assert [(rule.name, rule.regex, rule.comment) for rule in read_back] == [
        (name, rule["regex"], rule["comment"]) for name, rule in rules.items()
    ]


def test_json_is_yaml(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(json.dumps({"a": {"regex": "Users::\\w+", "unique": True}}, indent=1))
    [rule] = auditscan.load_rules(tmp_path / "rules.yaml").rules
    assert (rule.regex, rule.unique, rule.line) == ("Users::\\w+", True, 2)
