"""Why a rule finds what it finds."""

from __future__ import annotations

from fanwise.workloads.auditscan import Rule, SysFilter
from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._explain import describe, explain_in, listed

TEXT = Decoded.of("KPNIXVERSION: 0.6.22\nUsers::Name: root\nUsers::Uid: 0\nUsers::--\nroot ### hidden\n")


def explained(rule: Rule, **options: object) -> dict:
    return explain_in(rule, TEXT, clock=lambda: 0.0, **options)


def test_a_rule_in_a_list(load) -> None:
    rules = load(
        "a: {regex: 'Users::x', sys_filter: [{attr: os_family, comp: eq, value: Linux}]}\nb: {regex: '.'}"
    ).rules
    assert listed(rules[0]) == {
        "name": "a", "source": "main.yaml:1", "families": ["Linux"], "sheet": "a", "literals": ["users::x"],
    }  # fmt: skip
    assert listed(rules[1])["literals"] is None


def test_values_come_with_their_origin(load) -> None:
    [rule] = load("""
        global: {topic: T, sys_filter: [{attr: os_family, comp: eq, value: Linux}]}
        a: {regex: 'Users::x', excel_sheet_name: S, sys_filter: [{attr: ubr, comp: eq, value: 1}]}
    """).rules
    told = describe(rule)
    origins = {value["key"]: value["origin"] for value in told["values"]}
    assert (origins["regex"], origins["sheet"]) == ("rule, main.yaml", "rule, main.yaml")
    assert (origins["topic"], origins["unique"]) == ("global, main.yaml", "default")
    assert origins["sys_filter"] == "global and the rule, main.yaml"
    assert told["literals"] == ["users::x"]
    assert told["why"].startswith("every match contains one of these")
    assert "reads every line" in describe(Rule("r", "."))["why"]


def test_a_rule_that_finds_something_shows_it() -> None:
    told = explained(
        Rule("r", r"Users::(?P<key>\w+):", field_list=("key",), sys_filter=(SysFilter("os_family", "eq", "linux"),))
    )
    assert told["filters"] == [{"attr": "os_family", "comp": "eq", "value": "linux", "system": "Linux", "holds": True}]
    assert (told["candidates"], told["matching_lines"], told["verdict"]) == (3, 2, "2 results")
    assert told["results"][0] == {"line": 2, "text": "Users::Name: root", "fields": {"key": "Name"}}


def test_at_most_twenty_results_are_shown() -> None:
    told = explain_in(Rule("r", "aaa"), Decoded.of("aaa\n" * 30))
    assert (len(told["results"]), told["verdict"]) == (20, "30 results")


def test_each_condition_that_stops_a_rule_is_named() -> None:
    windows = (SysFilter("producer", "eq", "KPNIXAUDIT"), SysFilter("os_family", "eq", "Windows"))
    told = explained(Rule("r", "root", sys_filter=windows))
    assert [condition["holds"] for condition in told["filters"]] == [True, False]
    assert told["verdict"] == "filter 2 does not hold: the rule is not applied"
    assert explained(Rule("r", "nowhere"))["verdict"] == "no line contains any of the texts that a match needs"
    assert explained(Rule("r", "Users::Z"))["verdict"] == "no line contains any of the texts that a match needs"
    assert explained(Rule("r", "Users::[0-9]"))["verdict"] == "the pattern matches none of 3 candidate lines"
    empty = Rule("r", "Users::(?P<x>Z)?", multiline=True, field_list=("x",), rs_delimiter="--")
    assert explained(empty)["verdict"] == "3 lines match, but no named group took part in any of them"
    assert explained(Rule("r", "."))["candidates"] == 4


def test_a_pattern_without_end_is_stopped() -> None:
    told = explain_in(Rule("r", "(x+x+)+y"), Decoded.of("x" * 40), rule_timeout=0.1)
    assert told["verdict"] == "the pattern takes longer than 0.1 s in this file"
    assert told["seconds"] == 0.1


def test_under_compat_the_version_of_the_system_is_unknown() -> None:
    rule = Rule("r", "root", sys_filter=(SysFilter("os_version", "ge", "1"),))
    text = Decoded.of('KPNIXVERSION: 1\nSystem_VersionInformation::/etc/os-release::PRETTY_NAME="Ubuntu 22"\nroot')
    assert explain_in(rule, text)["filters"][0]["system"] == "22"
    assert explain_in(rule, text, compat="kpat")["filters"][0]["system"] is None
