"""Rule files: what is read, what is refused with file, line and expectation, what is only odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanwise.errors import InputError, UsageError
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan import MergeField, SysFilter
from fanwise.workloads.auditscan._families import families_of
from fanwise.workloads.auditscan._ruleset import only, strict

COLUMNS = "source_columns, dest_column"
NO_REGEX = "main.yaml:1: rule 'ssh': 'regex' is not a regular expression: "


def test_a_rule_with_every_key(load) -> None:
    rules = load("""
        accounts:
          regex: 'Users::(Name: (?P<name>.*)|Uid: (?P<uid>\\d+))'
          excel_sheet_name: 01 Accounts
          comment: One row each.
          topic: Users
          max_results: 7
          only_matching: true
          unique: true
          full_scan: true
          multiline: true
          rs_delimiter: '^--$'
          show_missing: true
          field_list: [name, uid]
          merge_fields: [{source_columns: [name, uid], dest_column: who}]
          sys_filter: [{attr: OS_Family, comp: IN, value: [Linux, Darwin]}]
          severity: warning
          expect: none
    """)
    [rule] = rules.rules
    assert (rule.name, rule.sheet, rule.comment, rule.topic) == ("accounts", "01 Accounts", "One row each.", "Users")
    assert (rule.max_results, rule.only_matching, rule.unique, rule.full_scan) == (7, True, True, True)
    assert (rule.multiline, rule.rs_delimiter, rule.show_missing) == (True, "^--$", True)
    assert rule.field_list == ("name", "uid")
    assert rule.merge_fields == (MergeField(("name", "uid"), "who"),)
    assert rule.sys_filter == (SysFilter("os_family", "in", ("Linux", "Darwin")),)
    assert (rule.severity, rule.expect) == ("warning", "none")
    assert (rule.source, rule.line) == ("main.yaml", 2)
    assert rules.warnings == ()


def test_defaults(load) -> None:
    [rule] = load("ssh: {regex: PermitRootLogin}").rules
    assert (rule.sheet, rule.max_results, rule.only_matching, rule.topic) == ("ssh", -1, False, None)
    assert rule.field_list == rule.merge_fields == rule.sys_filter == ()


def test_an_empty_value_counts_as_not_given(load) -> None:
    [rule] = load("ssh: {regex: PermitRootLogin, comment: , topic: ~, field_list: }").rules
    assert (rule.comment, rule.topic, rule.field_list) == (None, None, ())


class TestGlobal:
    def test_fills_topic_and_max_results_only_where_there_is_none(self, load) -> None:
        first, second, third = load("""
            global: {topic: T, max_results: 5}
            a: {regex: aaa}
            b: {regex: bbb, topic: own, max_results: 2}
            c: {regex: ccc, topic: '', max_results: -1}
        """).rules
        assert (first.topic, first.max_results) == ("T", 5)
        assert (second.topic, second.max_results) == ("own", 2)
        assert (third.topic, third.max_results) == ("T", 5)

    def test_a_rule_cannot_switch_a_flag_off(self, load) -> None:
        [rule] = load("global: {unique: true, full_scan: false}\na: {regex: aaa, unique: false, full_scan: true}").rules
        assert rule.unique
        assert rule.full_scan

    def test_filters_add_up_global_first(self, load) -> None:
        [rule] = load("""
            global: {sys_filter: [{attr: os_family, comp: eq, value: Linux}]}
            a: {regex: aaa, sys_filter: [{attr: distro_family, comp: eq, value: deb}]}
        """).rules
        assert [f.attr for f in rule.sys_filter] == ["os_family", "distro_family"]

    def test_holds_for_its_own_file_only(self, load) -> None:
        first, second = load(
            "global: {topic: T}\na: {regex: aaa}\ninclude_more: {files: [two.yaml]}", two="b: {regex: bbb}"
        ).rules
        assert (first.topic, second.topic) == ("T", None)

    def test_says_what_a_rule_has_from_it(self, load) -> None:
        [rule] = load("global: {topic: T, unique: true}\na: {regex: aaa, topic: own}").rules
        assert rule.inherited == ("unique",)
        assert set(rule.given) == {"regex", "topic"}


class TestOnlyMatchingUnderCompat:
    """kpat switches ``only_matching`` on if there are fields and anything makes its check run."""

    @pytest.mark.parametrize(
        ("text", "on"),
        [
            ("a: {regex: '(?P<x>y)zz', field_list: [x]}", False),
            ("a: {regex: '(?P<x>y)zz', field_list: [x], only_matching: false}", True),
            ("global: {}\na: {regex: '(?P<x>y)zz', field_list: [x]}", True),
            ("global: {topic: T}\na: {regex: '(?P<x>y)zz', field_list: [x]}", True),
            ("global: {topic: T}\na: {regex: yzz}", False),
        ],
    )
    def test_is_switched_on(self, load, text: str, on: bool) -> None:
        assert load(text, compat="kpat").rules[0].only_matching is on
        assert load(text).rules[0].only_matching is False


class TestIncludes:
    def test_own_rules_first_then_includes_depth_first(self, load) -> None:
        rules = load(
            "include_1: {files: [two.yaml, four.yaml]}\na: {regex: aaa}",
            two="include_x: {files: [three.yaml]}\nb: {regex: bbb}",
            three="c: {regex: ccc}",
            four="d: {regex: ddd}",
        )
        assert [r.name for r in rules.rules] == ["a", "b", "c", "d"]
        assert [r.source for r in rules.rules] == ["main.yaml", "two.yaml", "three.yaml", "four.yaml"]

    def test_paths_are_relative_to_the_including_file(self, load, tmp_path: Path) -> None:
        inner = tmp_path / "rules/sub/deep"
        inner.mkdir(parents=True)
        (inner / "x.yaml").write_text("x: {regex: xxx}\ninclude_y: {files: [../y.yaml]}")
        (inner.parent / "y.yaml").write_text("y: {regex: yyy}")
        assert [r.source for r in load("include_a: {files: [sub/deep/x.yaml]}").rules] == [
            "sub/deep/x.yaml",
            "sub/y.yaml",
        ]

    def test_a_file_included_twice_is_read_once_but_as_often_as_kpat_does_under_compat(self, load) -> None:
        files = {"two": "b: {regex: bbb}", "three": "include_2: {files: [two.yaml]}\nc: {regex: ccc}"}
        text = "include_1: {files: [two.yaml, three.yaml]}"
        assert [r.name for r in load(text, **files).rules] == ["b", "c"]
        assert [r.name for r in load(text, compat="kpat", **files).rules] == ["b", "c", "b"]

    def test_a_cycle_is_an_error_that_shows_it(self, problems) -> None:
        [line] = problems(
            "include_1: {files: [two.yaml]}\na: {regex: aaa}", two="include_2: {files: [main.yaml]}\nb: {regex: bb}"
        )
        assert line.startswith("two.yaml:1: include_2: include cycle: main.yaml -> two.yaml -> ")

    def test_a_missing_include_is_an_error_with_its_line(self, problems) -> None:
        assert problems("a: {regex: aaa}\ninclude_1:\n  files:\n    - nowhere.yaml") == [
            "main.yaml:4: include_1: 'nowhere.yaml' not found"
        ]

    @pytest.mark.parametrize(
        "text", ["include_1: two.yaml", "include_1: {file: [two.yaml]}", "include_1: {files: two.yaml}"]
    )
    def test_includes_need_a_list_of_files(self, problems, text: str) -> None:
        assert "files" in problems(text + "\na: {regex: aaa}")[0]


class TestFolders:
    def test_files_in_name_order_and_none_twice(self, tmp_path: Path) -> None:
        (tmp_path / "b.yml").write_text("b: {regex: bbb}")
        (tmp_path / "a.yaml").write_text("a: {regex: aaa}\ninclude_1: {files: [c.yaml]}")
        (tmp_path / "c.yaml").write_text("c: {regex: ccc}")
        (tmp_path / "notes.txt").write_text("no rules")
        assert [r.name for r in auditscan.load_rules(tmp_path).rules] == ["a", "c", "b"]

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no rule files"):
            auditscan.load_rules(tmp_path)


class TestProblems:
    """Each names file, line, rule, value and what is expected; all come at once."""

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("{comment: x}", "main.yaml:1: rule 'ssh': 'regex' is missing"),
            ("12", "main.yaml:1: rule 'ssh': expected a mapping with at least 'regex'"),
            ("{regex: 5}", "main.yaml:1: rule 'ssh': 'regex' is 5; expected text (put it in quotes)"),
            ("{regex: [a]}", "main.yaml:1: rule 'ssh': 'regex' is a list; expected text"),
            (
                "{regex: abc, max_results: 0}",
                "main.yaml:1: rule 'ssh': 'max_results' is 0; expected -1 or a positive whole number",
            ),
            (
                "{regex: abc, max_results: -2}",
                "main.yaml:1: rule 'ssh': 'max_results' is -2; expected -1 or a positive whole number",
            ),
            (
                "{regex: abc, max_results: true}",
                "main.yaml:1: rule 'ssh': 'max_results' is true; expected -1 or a positive whole number",
            ),
            (
                "{regex: abc, max_results: 2.0}",
                "main.yaml:1: rule 'ssh': 'max_results' is 2.0; expected -1 or a positive whole number",
            ),
            ("{regex: abc, unique: 'yes'}", "main.yaml:1: rule 'ssh': 'unique' is 'yes'; expected true or false"),
            ("{regex: abc, unique: 1}", "main.yaml:1: rule 'ssh': 'unique' is 1; expected true or false"),
            (
                "{regex: abc, field_list: name}",
                "main.yaml:1: rule 'ssh': 'field_list' is 'name'; expected a list of names",
            ),
            ("{regex: abc, multiline: true}", "main.yaml:1: rule 'ssh': 'multiline' needs 'field_list'"),
            (
                "{regex: '(?P<a>b)cd', field_list: [a], rs_delimiter: x}",
                "main.yaml:1: rule 'ssh': 'rs_delimiter' needs 'multiline' and 'field_list'",
            ),
            (
                "{regex: 'a(b'}",
                NO_REGEX + "missing ), unterminated subpattern at position 1",
            ),
            (
                "{regex: '(?<=a+)b'}",
                NO_REGEX + "look-behind requires fixed-width pattern",
            ),
            (
                "{regex: 'a{99999999999999}'}",
                NO_REGEX + "the repetition number is too large",
            ),
            (
                "{regex: '(?P<a>b)cd', field_list: [a], multiline: true, rs_delimiter: '['}",
                NO_REGEX.replace("regex", "rs_delimiter") + "unterminated character set at position 0",
            ),
            (
                "{regex: abc, merge_fields: x}",
                "main.yaml:1: rule 'ssh': 'merge_fields' is 'x'; expected a list of mappings with " + COLUMNS,
            ),
            (
                "{regex: abc, merge_fields: [{dest_column: d}]}",
                "main.yaml:1: rule 'ssh': 'merge_fields' entry 1 has no source_columns",
            ),
            (
                "{regex: abc, merge_fields: [{source_columns: [a], dest_column: d}]}",
                "main.yaml:1: rule 'ssh': 'source_columns' has 1; expected at least 2 names",
            ),
            (
                "{regex: abc, sys_filter: [{attr: os_family}]}",
                "main.yaml:1: rule 'ssh': 'sys_filter' entry 1 has no comp or value",
            ),
            (
                "{regex: abc, severity: fatal}",
                "main.yaml:1: rule 'ssh': 'severity' is 'fatal'; expected note, warning or error",
            ),
            ("{regex: abc, expect: maybe}", "main.yaml:1: rule 'ssh': 'expect' is 'maybe'; expected none or some"),
        ],
    )
    def test_in_a_rule(self, problems, rule: str, expected: str) -> None:
        assert problems(f"ssh: {rule}") == [expected]

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ("attr: family, comp: eq, value: x", "'attr' is 'family'; expected os_family, distro_family,"),
            ("attr: ubr, comp: equals, value: x", "'comp' is 'equals'; expected eq, gt, lt, ge, le or in"),
            ("attr: ubr, comp: in, value: x", "'value' is 'x'; expected a list (comp is in)"),
            ("attr: ubr, comp: gt, value: [1]", "'value' is a list; expected one text or number (comp is gt)"),
            ("attr: ubr, comp: eq, value: [1]", "'value' is a list; expected one text or number (comp is eq)"),
            ("attr: ubr, comp: eq, value: true", "'value' is true; expected one text or number (comp is eq)"),
            (
                "attr: ubr, comp: eq, value: 2024-01-01",
                "'value' is 2024-01-01; expected one text or number (comp is eq)",
            ),
        ],
    )
    def test_in_a_filter(self, problems, condition: str, expected: str) -> None:
        [line] = problems(f"ssh: {{regex: abc, sys_filter: [{{{condition}}}]}}")
        assert line.startswith(f"main.yaml:1: rule 'ssh': {expected}")

    def test_all_of_all_files_at_once(self, problems) -> None:
        lines = problems(
            "a: {regex: '('}\nb: {max_results: 0, regex: abc, unique: 3}\ninclude_1: {files: [two.yaml, gone.yaml]}",
            two="c: [1]",
        )
        assert [line.split(": ")[0] for line in lines] == [
            "main.yaml:1",
            "main.yaml:2",
            "main.yaml:2",
            "two.yaml:1",
            "main.yaml:3",
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "main.yaml:1: the file is empty"),
            ("{}", "main.yaml:1: the file is empty"),
            ("- a\n- b", "main.yaml:1: expected a mapping of rules"),
            ("just text", "main.yaml:1: expected a mapping of rules"),
            ("a: {regex: b\nc: d", "main.yaml:2: not valid YAML: "),
            ("global: 3\na: {regex: bbb}", "main.yaml:1: 'global' must be a mapping"),
            ("global: {max_results: 0}\na: {regex: bbb}", "main.yaml:1: global: 'max_results' is 0; expected -1"),
            ("on: {regex: bbb}", "main.yaml:1: 'on' is not a name but a bool; put it in quotes"),
            ("a: {regex: bbb, regex: ccc}", "main.yaml:1: rule 'a': 'regex' is given twice"),
        ],
    )
    def test_in_a_file(self, problems, text: str, expected: str) -> None:
        assert problems(text)[0].startswith(expected)

    def test_not_utf8(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"a: {regex: caf\xe9}")
        with pytest.raises(InputError, match="not UTF-8: byte 0xe9 at offset 14"):
            auditscan.load_rules(tmp_path / "a.yaml")

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read: no such file"):
            auditscan.load_rules(tmp_path / "nowhere.yaml")

    def test_a_byte_order_mark_is_no_part_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: {regex: abc}")
        assert auditscan.load_rules(tmp_path / "a.yaml").rules[0].name == "a"

    def test_nesting_without_end(self, problems) -> None:
        assert "nested too deeply" in problems("a: {regex: '" + "(" * 2000 + ")" * 2000 + "'}")[0]


class TestSameKeyTwice:
    def test_is_an_error(self, problems) -> None:
        assert problems("a: {regex: aaa}\na: {regex: bbb}") == ["main.yaml:2: 'a' is in this file twice; rename one"]

    def test_under_compat_the_last_counts(self, load) -> None:
        assert [r.regex for r in load("a: {regex: aaa}\na: {regex: bbb}", compat="kpat").rules] == ["bbb"]


class TestWarnings:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "a: {regex: abc, feild_list: [x]}",
                "main.yaml:1: rule 'a': 'feild_list': unknown key, did you mean 'field_list'?",
            ),
            ("a: {regex: abc, colour: red}", "main.yaml:1: rule 'a': 'colour': unknown key"),
            (
                "global: {topics: x}\na: {regex: abc}",
                "main.yaml:1: global: 'topics': unknown key, did you mean 'topic'?",
            ),
            (
                "a: {regex: abc, field_list: [x]}",
                "main.yaml:1: rule 'a': 'field_list': 'x' is no group of 'regex'; its column stays empty",
            ),
            (
                "a: {regex: '.'}",
                "main.yaml:1: rule 'a': 'regex' has no text that every match contains: the rule reads every line",
            ),
            ("a: {regex: '(x)?'}", "main.yaml:1: rule 'a': 'regex' matches the empty string, so every line"),
            ("a: {regex: 'x[[]foo'}", "main.yaml:1: rule 'a': 'regex': Possible nested set at position 2"),
            (
                "a: {regex: abc, sys_filter: [{attr: ubr, comp: eq, value: 1.10}]}",
                "main.yaml:1: rule 'a': 'value' 1.10 is read as the number 1.1; quote it",
            ),
            (
                "a: {regex: abc, sys_filter: [{attr: ubr, comp: eq, value: 1, valeu: 2}]}",
                "main.yaml:1: rule 'a': 'sys_filter' entry 1: 'valeu': unknown key, did you mean 'value'?",
            ),
            ("x-notes: [1]\nglobal: {topic: T}", "no rules"),
        ],
    )
    def test_one(self, warnings, text: str, expected: str) -> None:
        [line] = warnings(text)
        assert line.endswith(expected)

    def test_a_destination_that_is_a_source(self, warnings) -> None:
        merge = "{source_columns: [x, y], dest_column: x}"
        text = f"a: {{regex: '(?P<x>b)(?P<y>c)de', field_list: [x, y], merge_fields: [{merge}]}}"
        assert warnings(text) == ["main.yaml:1: rule 'a': 'merge_fields': 'x' is source and destination; it is kept"]
        assert warnings(text, compat="kpat") == []

    def test_names_and_sheets_used_twice(self, warnings) -> None:
        lines = warnings(
            "a: {regex: aaa, excel_sheet_name: One}\nb: {regex: bbb, excel_sheet_name: one}\n"
            "include_1: {files: [two.yaml]}",
            two="a: {regex: ccc}",
        )
        assert lines == [
            "main.yaml:2: rule 'b': sheet name 'one' is also that of rule 'a'",
            "two.yaml:1: rule 'a': the name is also used in main.yaml:1",
        ]

    def test_sheets_of_different_families_do_not_meet(self, warnings) -> None:
        rule = "{{regex: {0}, excel_sheet_name: Same, sys_filter: [{{attr: os_family, comp: eq, value: {1}}}]}}"
        assert warnings(f"a: {rule.format('aaa', 'Linux')}\nb: {rule.format('bbb', 'Windows')}") == []

    def test_a_shortened_sheet_name(self, warnings) -> None:
        [line] = warnings("a: {regex: aaa, excel_sheet_name: A name of more than thirty-one characters}")
        assert line.endswith("is shortened to 'A_name_of_more_than_thirty-o...'")

    def test_unknown_keys_are_nothing_under_compat(self, warnings) -> None:
        assert warnings("a: {regex: abc, colour: red, severity: x}", compat="kpat") == []

    def test_strict_makes_them_errors(self, load) -> None:
        with pytest.raises(InputError, match="colour"):
            strict(load("a: {regex: abc, colour: red}"))
        assert strict(load("a: {regex: abc}")).rules


def test_top_level_keys_with_x_are_ignored_but_rules_under_compat(load, problems) -> None:
    assert [r.name for r in load("x-anchors: &a [1]\na: {regex: abc}").rules] == ["a"]
    assert "x-anchors" in problems("x-anchors: [1]\na: {regex: abc}", compat="kpat")[0]


class TestDigest:
    def test_tells_rule_sets_apart_by_content(self, load) -> None:
        first = load("a: {regex: abc}").digest
        assert load("\n\n# moved\na: {regex: abc}").digest == first
        assert load("a: {regex: abd}").digest != first
        assert load("a: {regex: abc, unique: true}").digest != first


class TestOnly:
    def test_chooses_by_shell_pattern(self, load) -> None:
        rules = load("win_a: {regex: aaa}\nwin_b: {regex: bbb}\nlin_a: {regex: ccc}")
        chosen = only(rules, ["win_*", "lin_a"])
        assert [r.name for r in chosen.rules] == ["win_a", "win_b", "lin_a"]
        assert [r.name for r in only(rules, ["*_a"]).rules] == ["win_a", "lin_a"]
        assert only(rules, ["win_a"]).digest != rules.digest

    def test_a_pattern_without_a_rule_is_an_error(self, load) -> None:
        with pytest.raises(UsageError, match="no rule is called 'mac_"):
            only(load("a: {regex: abc}"), ["mac_*"])


class TestFamilies:
    @pytest.mark.parametrize(
        ("filters", "native", "kpat"),
        [
            ("", ("Linux", "Windows", "Darwin", "Other"), ()),
            ("{attr: os_family, comp: eq, value: linux}", ("Linux",), ("Linux",)),
            ("{attr: os_family, comp: in, value: [Linux, Darwin]}", ("Linux", "Darwin"), ("Linux", "Darwin")),
            ("{attr: distro_family, comp: eq, value: deb}", ("Linux", "Windows", "Darwin", "Other"), ()),
            ("{attr: os_family, comp: gt, value: Linux}", ("Windows", "Other"), ("Linux",)),
            (
                "{attr: os_family, comp: in, value: [Linux, Darwin]}, {attr: os_family, comp: eq, value: Darwin}",
                ("Darwin",),
                ("Linux", "Darwin"),
            ),
        ],
    )
    def test_follow_from_the_filters(self, load, filters: str, native: tuple, kpat: tuple) -> None:
        [rule] = load(f"a: {{regex: abc, sys_filter: [{filters}]}}").rules
        assert families_of(rule) == native
        assert families_of(rule, "kpat") == kpat


class TestExampleRules:
    def test_use_every_key_and_raise_no_warning(self) -> None:
        rules = auditscan.load_rules(auditscan.example_rules())
        assert len(rules.rules) >= 25
        assert rules.warnings == ()
        given = {key for rule in rules.rules for key in rule.given}
        assert given == {
            "regex", "excel_sheet_name", "comment", "topic", "max_results", "only_matching", "field_list", "unique",
            "full_scan", "multiline", "rs_delimiter", "merge_fields", "show_missing", "sys_filter", "severity",
            "expect",
        }  # fmt: skip
        assert {key for rule in rules.rules for key in rule.inherited} == {
            "topic", "max_results", "only_matching", "unique", "full_scan", "sys_filter",
        }  # fmt: skip

    def test_find_something_in_the_samples_of_each_family(self, tmp_path: Path) -> None:
        rules = auditscan.load_rules(auditscan.example_rules())
        for path in auditscan.write_samples(tmp_path, 3):
            hits = auditscan.scan_text(path.read_text("utf-8"), rules)
            assert sum(len(h.matches) for h in hits) > 10, path.name
