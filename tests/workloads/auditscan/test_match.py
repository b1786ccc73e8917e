"""What a rule makes of the lines it sees, natively and as kpat does where they differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan import MergeField, Rule
from fanwise.workloads.auditscan._decode import Decoded
from fanwise.workloads.auditscan._lines import Lines
from fanwise.workloads.auditscan._match import Matcher, clean, columns_of, merged


def rows(rule: Rule, text: str, compat: str | None = None) -> list[Any]:
    lines = Lines(Decoded.of(text))
    return Matcher(rule, compat).rows(lines.texts, lines.visible)


def rule(regex: str, **values: Any) -> Rule:
    return Rule("r", regex, **values)


class TestOneLine:
    def test_the_stripped_line_is_the_text(self) -> None:
        assert rows(rule("ab"), "x\n  ab c \n") == [(2, "ab c", None)]

    def test_only_matching_takes_the_match_as_it_is(self) -> None:
        assert rows(rule(r"\s+ab\s", only_matching=True), "x  ab c") == [(1, "  ab ", None)]

    def test_only_the_first_match_of_a_line_counts(self) -> None:
        assert rows(rule(r"\d", only_matching=True), "1 2 3\n4") == [(1, "1", None), (2, "4", None)]

    def test_case_does_not_matter_unless_the_pattern_says_so(self) -> None:
        assert len(rows(rule("ab"), "AB\naB\nab")) == 3
        assert len(rows(rule("(?-i:ab)"), "AB\naB\nab")) == 1

    def test_no_other_flag_is_set(self) -> None:
        assert rows(rule("^b"), "a\nb") == [(2, "b", None)]
        assert rows(rule("a.b"), "a\nb") == []

    def test_the_pattern_sees_the_final_line_end(self) -> None:
        assert rows(rule(r"a\s", only_matching=True), "a\na", "kpat") == [(1, "a\n", None)]
        assert rows(rule(r"a\s", only_matching=True), "a\na") == [(1, "a", None)]

    def test_lines_with_three_hashes_are_invisible_but_counted(self) -> None:
        assert rows(rule("ab"), "ab\nab ### note\n####\nab") == [(1, "ab", None), (4, "ab", None)]

    def test_an_empty_match_is_a_match(self) -> None:
        assert rows(rule("(zz)?", only_matching=True), "a\nzz") == [(1, "", None), (2, "zz", None)]

    def test_max_results_ends_the_rule(self) -> None:
        assert [r[0] for r in rows(rule("a", max_results=2), "a\na\na")] == [1, 2]

    def test_unique_compares_text_without_case_and_blanks(self) -> None:
        found = rows(rule(r"\w+\s?", only_matching=True, unique=True), "Abc x\nabc\nABC \nd")
        assert [r[0] for r in found] == [1, 4]

    def test_max_results_counts_after_unique(self) -> None:
        assert [r[0] for r in rows(rule(r"\w", unique=True, max_results=2), "a\na\na\nb\nc")] == [1, 4]

    def test_control_characters_go(self) -> None:
        text = "a\x00b\x0b\x1f\x7f\x85\x9fc\td\u2028e"
        assert rows(rule("a"), text) == [(1, "abc\td\u2028e", None)]

    def test_cleaning_comes_before_unique(self) -> None:
        assert len(rows(rule("a", unique=True), "a\x01b\nab")) == 1

    def test_stripping_comes_before_cleaning(self) -> None:
        assert rows(rule("a"), "\x1c a \x85") == [(1, "a", None)]
        assert rows(rule("a"), "\x01 a") == [(1, " a", None)]


class TestFields:
    RULE = rule(r"(?P<key>\w+)=(?P<value>\w+)?(?P<rest>.*)", field_list=("value", "ghost", "key"))

    def test_come_in_the_order_of_the_list(self) -> None:
        [(_, text, fields)] = rows(self.RULE, " a=b c")
        assert text == "a=b c"
        assert list(fields.items()) == [("value", "b"), ("ghost", ""), ("key", "a")]

    def test_a_group_without_part_is_empty(self) -> None:
        assert rows(self.RULE, "a= c")[0][2]["value"] == ""

    def test_kpat_has_them_only_beside_only_matching(self) -> None:
        assert rows(self.RULE, "a=b", "kpat")[0][2] is None
        assert rows(replace(self.RULE, only_matching=True), "a=b", "kpat")[0][2] == {
            "value": "b",
            "ghost": "",
            "key": "a",
        }

    def test_line_ends_at_their_right_go_natively(self) -> None:
        swallowing = rule(r"a(?P<x>\s*)(?P<y>[^q]*)", field_list=("x", "y"), only_matching=True)
        assert rows(swallowing, "a \nb")[0][2] == {"x": " ", "y": ""}
        assert rows(swallowing, "a \nb", "kpat")[0][2] == {"x": " \n", "y": ""}

    def test_control_characters_go(self) -> None:
        assert rows(rule("(?P<x>.+)", field_list=("x",)), "a\x00\x85b")[0][2] == {"x": "ab"}


class TestMerging:
    def test_the_first_source_that_is_not_empty_counts_and_sources_go(self) -> None:
        merges = [MergeField(("b", "a"), "m"), MergeField(("a", "ghost"), "n")]
        assert list(merged({"a": "1", "b": "", "c": "3"}, merges, keep_destinations=True).items()) == [
            ("c", "3"),
            ("m", "1"),
            ("n", "1"),
        ]

    def test_without_any_value_there_is_no_destination(self) -> None:
        assert merged({"a": "", "b": ""}, [MergeField(("a", "b"), "m")], keep_destinations=True) == {}

    def test_a_destination_that_is_a_source_is_kept_natively_only(self) -> None:
        merges = [MergeField(("a", "b"), "a")]
        assert merged({"a": "1", "b": "2"}, merges, keep_destinations=True) == {"a": "1"}
        assert merged({"a": "1", "b": "2"}, merges, keep_destinations=False) == {}

    def test_a_destination_that_is_a_column_keeps_its_place(self) -> None:
        merges = [MergeField(("a", "b"), "c")]
        assert list(merged({"c": "x", "a": "1", "b": "", "d": "y"}, merges, keep_destinations=True).items()) == [
            ("c", "1"),
            ("d", "y"),
        ]

    names = st.sampled_from("abcd")

    @given(
        st.dictionaries(names, st.sampled_from(["", "1", "2"])),
        st.lists(st.tuples(st.lists(names, min_size=2, max_size=3), names), max_size=3),
        st.booleans(),
    )
    def test_agrees_with_copying_then_removing(self, values: dict, pairs: list, keep: bool) -> None:
        merges = [MergeField(tuple(sources), dest) for sources, dest in pairs]
        expected = dict(values)
        for merge in merges:
            for name in merge.source_columns:
                if values.get(name):
                    expected[merge.dest_column] = values[name]
                    break
        sources = {name for merge in merges for name in merge.source_columns}
        if keep:
            given = {m.dest_column for m in merges if any(values.get(name) for name in m.source_columns)}
            sources -= given
        expected = {name: value for name, value in expected.items() if name not in sources}
        assert merged(values, merges, keep_destinations=keep) == expected

    def test_columns_of_a_rule(self) -> None:
        made = rule("(?P<a>x)(?P<b>y)(?P<c>z)", field_list=("a", "b", "c"), merge_fields=(MergeField(("a", "b"), "m"),))
        assert columns_of(made) == ("c", "m")
        assert columns_of(made, "kpat") == ()
        assert columns_of(replace(made, only_matching=True), "kpat") == ("c", "m")
        assert columns_of(rule("abc")) == ()


RECORDS = rule(
    r"U::(?:Name: (?P<name>.*)|Uid: (?P<uid>\d+)|Mark)",
    multiline=True,
    field_list=("name", "uid"),
    rs_delimiter="^U::--$",
)


class TestRecords:
    def test_a_delimiter_ends_a_record(self) -> None:
        text = "U::Name: root\nnoise\nU::Uid: 0\nU::--\nU::Name: bin\nU::--\n"
        assert rows(RECORDS, text) == [
            (1, "U::Name: root\nU::Uid: 0", {"name": "root", "uid": "0"}),
            (5, "U::Name: bin", {"name": "bin", "uid": ""}),
        ]

    def test_a_delimiter_is_case_sensitive(self) -> None:
        ends = replace(RECORDS, rs_delimiter="^end$")
        assert len(rows(ends, "U::Name: a\nEND\nU::Name: b\nend\n")) == 1

    def test_a_delimiter_in_a_hidden_line_is_none(self) -> None:
        assert len(rows(RECORDS, "U::Name: a\nU::--###\nU::Name: b\n")) == 1

    def test_a_delimiter_is_tested_on_the_matching_line_itself(self) -> None:
        each = replace(RECORDS, rs_delimiter="Uid")
        assert [r[0] for r in rows(each, "U::Name: a\nU::Uid: 1\nU::Uid: 2\n")] == [1, 3]

    def test_without_a_delimiter_all_fields_end_it(self) -> None:
        found = rows(replace(RECORDS, rs_delimiter=None), "U::Name: a\nU::Name: b\nU::Uid: 1\nU::Uid: 2\nU::Name: c\n")
        assert found == [
            (1, "U::Name: a\nU::Name: b\nU::Uid: 1", {"name": "b", "uid": "1"}),
            (4, "U::Uid: 2\nU::Name: c", {"name": "c", "uid": "2"}),
        ]

    def test_a_field_that_is_no_group_makes_one_record_of_a_file(self) -> None:
        found = rows(replace(RECORDS, rs_delimiter=None, field_list=("name", "ghost")), "U::Name: a\nU::Name: b\n")
        assert found == [(1, "U::Name: a\nU::Name: b", {"name": "b", "ghost": ""})]

    def test_what_is_pending_at_the_end_is_a_record(self) -> None:
        assert rows(RECORDS, "U::Name: a") == [(1, "U::Name: a", {"name": "a", "uid": ""})]

    def test_a_record_without_groups_is_dropped_natively_and_lives_on_in_kpat(self) -> None:
        text = "U::Mark\nU::--\nU::Name: a\nU::--\n"
        assert rows(RECORDS, text) == [(3, "U::Name: a", {"name": "a", "uid": ""})]
        assert rows(RECORDS, text, "kpat") == [(1, "U::Mark\nU::Name: a", {"name": "a", "uid": ""})]

    def test_a_group_that_matched_nothing_counts(self) -> None:
        assert rows(RECORDS, "U::Name: \nU::--\n") == [(1, "U::Name:", {"name": "", "uid": ""})]

    def test_max_results_and_unique_count_records(self) -> None:
        text = "U::Name: a\nU::--\n" * 3 + "U::Name: b\nU::--\nU::Name: c\n"
        assert [r[0] for r in rows(replace(RECORDS, unique=True), text)] == [1, 7, 9]
        assert [r[0] for r in rows(replace(RECORDS, unique=True, max_results=2), text)] == [1, 7]
        assert [r[0] for r in rows(replace(RECORDS, max_results=1), text)] == [1]

    def test_kpat_drops_blank_lines_at_the_front_of_a_record(self) -> None:
        blanks = rule(r"^\s*$|(?P<x>a)", multiline=True, field_list=("x", "ghost"))
        assert rows(blanks, "\n\na\n\na", "kpat") == [(1, "a\n\na", {"x": "a", "ghost": ""})]
        assert rows(blanks, "\n\na\n\na") == [(1, "\n\na\n\na", {"x": "a", "ghost": ""})]
        assert rows(rule(r"(?P<x>\s*)$", multiline=True, field_list=("x", "g")), "\n\n", "kpat")[0][1] == ""

    def test_merging_applies_to_records(self) -> None:
        merging = replace(RECORDS, merge_fields=(MergeField(("uid", "name"), "who"),))
        assert rows(merging, "U::Name: a\nU::--\n")[0][2] == {"who": "a"}


@given(st.text(st.characters(max_codepoint=0x2100)))
def test_cleaned_text_has_no_character_that_a_workbook_refuses(text: str) -> None:
    refused = {*range(9), 0xB, 0xC, *range(0xE, 0x20), *range(0x7F, 0xA0)}
    assert [c for c in clean(text) if ord(c) in refused] == []
    assert clean(clean(text)) == clean(text)
    assert [c for c in text if ord(c) not in refused] == list(clean(text))


@pytest.mark.parametrize("compat", [None, "kpat"])
def test_patterns_that_warn_search_in_silence(compat: str | None) -> None:
    noisy = rule("x[[]a", multiline=True, field_list=("a",), rs_delimiter="[[]b")
    assert rows(noisy, "x[a", compat) == []
