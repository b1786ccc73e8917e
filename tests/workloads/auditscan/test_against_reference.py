"""Whole rules with all their options over random texts: the product finds what the plain reading of the rules finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.auditscan import MergeField, Rule, RuleSet, scan_text

from .reference import lines_of, results_of

SECTIONS = ("Users::", "Services::", "Patch::")
PIECES = (
    "Name: ", "Uid: ", "root", "Kernel", "service", "mask", "\u212aelvin", "\u017fervice", "\u0130d", "###", "--", "END", " ",
    "\t", "\x0b", "\x85", "\u2028", "\x00", "é", "7", "12", "=1+1", "Mark",
)  # fmt: skip
FRAGMENTS = (
    r"\w+", ".*", r"\d+", r"\s*", r"(?P<a>\w*)", r"(?P<b>.*)", r"(?P<c>[^ ]+)", "(root|mask)", "(k|s|i)", "$", "^", "Name: ",
    r"(?P<d>\d)?", "(?-i:Kernel)", "(?=r)", "(?!--)", r"\b", "(?:x|)", "é", "Mark",
)  # fmt: skip

lines = st.tuples(st.sampled_from((*SECTIONS, "")), st.lists(st.sampled_from(PIECES), max_size=4)).map(
    lambda parts: parts[0] + "".join(parts[1])
)
texts = st.lists(st.tuples(lines, st.sampled_from(["\n", "\n", "\r\n", "\r", ""])), max_size=14).map(
    lambda rows: "".join(line + end for line, end in rows)
)
names = st.lists(st.sampled_from(["a", "b", "c", "d", "ghost"]), max_size=4, unique=True).map(tuple)


@st.composite
def regexes(draw: st.DrawFn) -> str:
    fragments = draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4, unique=True))
    pattern = draw(st.sampled_from((*SECTIONS, ""))) + "".join(fragments)
    return f"(?:{pattern})|{draw(st.sampled_from(SECTIONS))}Mark" if draw(st.booleans()) else pattern


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    fields = draw(names)
    multiline = bool(fields) and draw(st.booleans())
    merges = st.builds(
        MergeField, st.lists(st.sampled_from("abcdx"), min_size=2, max_size=3).map(tuple), st.sampled_from("aexy")
    )
    return Rule(
        "r",
        draw(regexes()),
        field_list=fields,
        multiline=multiline,
        rs_delimiter=draw(st.sampled_from([None, "--", "^END", "(?i)mark", "."])) if multiline else None,
        only_matching=draw(st.booleans()),
        unique=draw(st.booleans()),
        max_results=draw(st.sampled_from([-1, -1, 1, 2, 3])),
        merge_fields=tuple(draw(st.lists(merges, max_size=2))) if fields else (),
        show_missing=draw(st.booleans()),
    )


def found(rule: Rule, text: str, compat: str | None) -> list:
    [hits] = scan_text(text, RuleSet((rule,)), compat=compat)
    return [
        (match.line, match.text, match.fields if match.fields is None else dict(match.fields)) for match in hits.matches
    ]


@settings(max_examples=150)
@given(rules(), texts)
def test_natively(rule: Rule, text: str) -> None:
    wanted = results_of(rule, text)
    assert found(rule, text, None) == wanted
    for (_, _, fields), (_, _, expected) in zip(found(rule, text, None), wanted, strict=True):
        assert list(fields or {}) == list(expected or {})


@pytest.mark.slow
@settings(max_examples=150)
@given(rules(), texts)
def test_as_kpat(rule: Rule, text: str) -> None:
    wanted = results_of(rule, text, kpat=True)
    assert found(rule, text, "kpat") == wanted
    for (_, _, fields), (_, _, expected) in zip(found(rule, text, "kpat"), wanted, strict=True):
        assert list(fields or {}) == list(expected or {})


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a\n"]),
        ("a\r\nb\rc\n\n", ["a\n", "b\n", "c\n", "\n"]),
        ("\r\r\n\n", ["\n", "\n", "\n"]),
        ("a\x0bb\u2028c", ["a\x0bb\u2028c"]),
    ],
)
def test_the_reference_reads_lines_as_it_should(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_the_reference_finds_what_a_person_does() -> None:
    rule = Rule("r", "Name: (?P<a>.*)|Uid: (?P<b>.*)", multiline=True, field_list=("a", "b"), rs_delimiter="^--$")
    text = "Name: root\nUid: 0\n--\nUid: 1\n"
    assert results_of(rule, text) == [
        (1, "Name: root\nUid: 0", {"a": "root", "b": "0"}),
        (4, "Uid: 1", {"a": "", "b": "1"}),
    ]
    assert results_of(Rule("r", "nothing", show_missing=True), text) == [(1, "NO RESULTS FOUND", None)]
