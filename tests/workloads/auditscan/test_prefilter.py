"""The law of the prefilter: a line that it leaves out has no match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.workloads.auditscan import Rule, RuleSet
from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._identify import UNKNOWN
from fanwise.workloads.auditscan._lines import Lines, finder_for
from fanwise.workloads.auditscan._match import Matcher
from fanwise.workloads.auditscan._regex import compiled, dissect
from fanwise.workloads.auditscan._search import Searcher, further_literals, narrowed, needed_literals

from .grammar import lines, patterns, texts


def plain_loop(pattern: str, text: str) -> list[int]:
    """Numbers of the lines that the pattern itself finds, one after the other."""
    found = compiled(pattern)
    whole = Lines(Decoded.of(text)).texts
    return [n for n, line in enumerate(whole) if "###" not in line and found.search(line)]


def candidates_of(rule: Rule, text: str, *, automaton: bool = True) -> list[int]:
    decoded = Decoded.of(text)
    of = Lines(decoded)
    needed = needed_literals(rule)
    if needed is None:
        return of.visible
    return of.candidates(finder_for(sorted(needed), automaton=automaton)(decoded.folded))


@pytest.mark.slow
@settings(max_examples=250)
@given(patterns, texts)
def test_no_matching_line_is_left_out(pattern: str, text: str) -> None:
    rule = Rule("r", pattern)
    candidates = candidates_of(rule, text)
    matching = plain_loop(pattern, text)
    assert set(matching) <= set(candidates)
    assert set(matching) <= set(narrowed(Lines(Decoded.of(text)).texts, candidates, further_literals(rule)))


@settings(max_examples=150)
@given(patterns, lines)
def test_a_match_contains_a_member_of_every_set(pattern: str, line: str) -> None:
    match = compiled(pattern).search(line)
    anatomy = dissect(pattern)
    if match is None or not line.isascii():
        return
    folded = match[0].lower()
    for members in ((anatomy.literals,) if anatomy.literals else ()) + anatomy.further:
        assert any(member in folded for member in members)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(patterns, min_size=1, max_size=4), texts)
def test_searching_candidates_is_searching_every_line(rules: list[str], text: str) -> None:
    made = tuple(Rule(f"r{n}", pattern, only_matching=bool(n % 2)) for n, pattern in enumerate(rules))
    decoded = Decoded.of(text)
    of = Lines(decoded)
    found = Searcher(RuleSet(made)).search(decoded, of, UNKNOWN)
    plain = [Matcher(rule).rows(of.texts, of.visible) for rule in made]
    assert [one.rows for one in found] == plain


@settings(max_examples=200)
@given(texts, st.sampled_from(["--", "Name", "(?i)kis", "^$", "."]), st.booleans())
def test_records_over_lines_are_the_same_too(text: str, delimiter: str, with_delimiter: bool) -> None:
    rule = Rule(
        "r",
        r"(?P<a>Name: \w*)|(?P<b>service)|mask",
        multiline=True,
        field_list=("a", "b"),
        rs_delimiter=delimiter if with_delimiter else None,
    )
    for compat in (None, "kpat"):
        decoded = Decoded.of(text)
        of = Lines(decoded)
        [found] = Searcher(RuleSet((rule,)), compat).search(decoded, of, UNKNOWN)
        assert found.rows == Matcher(rule, compat).rows(of.texts, of.visible)


@settings(max_examples=200)
@given(st.lists(st.text("aks:", min_size=2, max_size=4), min_size=1, max_size=6, unique=True), texts)
def test_the_automaton_and_the_loop_see_the_same_lines(literals: list[str], text: str) -> None:
    decoded = Decoded.of(text)
    of = Lines(decoded)
    by_automaton = of.candidates(finder_for(literals)(decoded.folded))
    assert by_automaton == of.candidates(finder_for(literals, automaton=False)(decoded.folded))


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"Users_Local::(Name: (?P<name>.*)|Uid: (?P<uid>\d+))", {"users_local::"}),
        ("^x(Vendor|Version): ", {"xvendor: ", "xversion: "}),
        ("(a|b)?c+", None),
        (r"(?i:root)\d", {"root"}),
        (r"(?-i:Kernel)\d", {"kernel"}),
        ("foo[ ]bar", {"foo bar"}),
        ("(?:abc)+", {"abc"}),
        ("(?:abc){0,3}", None),
        ("(?:abc)*+", None),
        ("(?>abc)d", {"abcd"}),
        ("ab(?=cde)", {"ab"}),
        ("(?<=longer)ab", {"ab"}),
        ("^ab$", {"ab"}),
        (r"\bab\b", {"ab"}),
        ("K\u212aelvin", {"elvin"}),
        ("abc|d", None),
        ("abc|", None),
        ("(?P<a>xyz)?(?(a)yes|no)tail", {"tail"}),
        (r"(abc)\1", {"abc"}),
        ("[ab]cd", {"cd"}),
        ("(?x) a b  c # comment", {"abc"}),
        ("(?a)kis", {"kis"}),
        ("é", None),
        ("", None),
        (".", None),
        ("(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen)", None),
    ],
)
def test_required_literals(pattern: str, literals: set[str] | None) -> None:
    assert dissect(pattern).literals == (frozenset(literals) if literals else None)


def test_further_sets_are_what_a_match_needs_besides() -> None:
    anatomy = dissect("Section::.*(on|off).*(?:alpha|beta)")
    assert anatomy.literals == {"section::"}
    assert anatomy.further == ({"alpha", "beta"}, {"on", "off"})


def test_of_two_branches_the_best_sets_are_joined_then_the_next() -> None:
    anatomy = dissect("(?:First::.*one|Second::.*two)")
    assert anatomy.literals == {"first::", "second::"}
    assert anatomy.further == ({"one", "two"},)


def test_a_delimiter_brings_its_own_lines() -> None:
    rule = Rule("r", "Name: (?P<a>.*)", multiline=True, field_list=("a",), rs_delimiter="^END")
    assert needed_literals(rule) == {"name: ", "end"}
    assert further_literals(rule) == ()
    assert needed_literals(Rule("r", "Name: (?P<a>.*)", multiline=True, field_list=("a",), rs_delimiter="^$")) is None


def test_texts_that_contain_another_are_not_looked_for() -> None:
    rule = Rule("r", "Users::(?P<a>.*)", multiline=True, field_list=("a",), rs_delimiter="^Users::--$")
    assert needed_literals(rule) == {"users::"}


@pytest.mark.parametrize("letter", list("\u0130\u0131\u017f\u212a"))
def test_the_four_letters_that_fold_to_ascii_make_a_line_a_candidate(letter: str) -> None:
    rule = Rule("r", "kiss")
    assert candidates_of(rule, f"nothing\nwith {letter}\n") == [1]


def test_without_the_parser_every_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanwise.workloads.auditscan._regex._module", lambda _: None)
    anatomy = dissect.__wrapped__("(?P<a>abc)")
    assert (anatomy.groups, anatomy.literals, anatomy.matches_empty) == (("a",), None, False)
    with pytest.raises(re.error):
        dissect.__wrapped__("(")


def test_without_the_package_the_loop_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ahocorasick_rs", None)
    assert finder_for(["ab"])(b"xab ab\nab") == [[1, 7]]


def test_narrowing_stops_where_most_lines_pass() -> None:
    texts = ["both here and there"] * 200 + ["only here"]
    numbers = list(range(len(texts)))
    assert narrowed(texts, numbers, (frozenset({"there"}),)) == numbers
    assert narrowed(texts[::-1] * 2, list(range(402)), (frozenset({"there"}),)) is not None
    few = ["only here"] * 200 + ["both here and there", "h\u00e9re"]
    assert narrowed(few, list(range(202)), (frozenset({"there"}),)) == [200, 201]


def test_what_the_parser_warns_of_is_told_once() -> None:
    assert dissect("x[[]foo").warnings == ("Possible nested set at position 2",)
    assert compiled("x[[]foo").search("x[foo")
