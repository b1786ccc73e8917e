"""Tables and sentences on stdout: columns stand under each other, nothing is cut, pages of the demo nest."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pages import read_page
from tests.runs import report_of, serial_run

from fanwise.cli import main
from fanwise.cli._demo_jobs import DemoJob, Measured
from fanwise.cli._page import bars, page
from fanwise.cli._scan_lists import as_table
from fanwise.cli.envelope_show import _lines, _shown
from fanwise.cli.scan_diff import _as_text
from fanwise.cli.search_show import _funnel_lines, _miss_lines, _ranked_lines, _same_fit, _why_lines

CELLS = st.none() | st.integers() | st.text(st.characters(categories=["L", "N", "P"]), max_size=12)
COLUMNS = ("file", "lines", "note")


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, CELLS)), max_size=6))
def test_columns_begin_under_their_headings(rows: list[dict[str, Any]]) -> None:
    lines = as_table(rows, COLUMNS).split("\n")
    assert len(lines) == 1 + len(rows)
    starts = [lines[0].index(name) for name in COLUMNS]
    for row, line in zip(rows, lines[1:], strict=True):
        for at, name in zip(starts, COLUMNS, strict=True):
            cell = "" if row[name] is None else str(row[name])
            assert line[at : at + len(cell)] == cell
        assert line == line.rstrip()


def test_a_table_without_rows_has_its_headings() -> None:
    assert as_table([], COLUMNS) == "file  lines  note"


class TestNumbersAndRecords:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (1234567, "1,234,567"),
            (True, "True"),
            (0.1234567, "0.123457"),
            (float("nan"), ""),
            (math.inf, "inf"),
            (0.0, "0"),
            ("wheat", "wheat"),
            (None, "None"),
        ],
    )
    def test_a_value_is_said_as_people_read_it(self, value: Any, said: str) -> None:
        assert _shown(value) == said

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (5, ["cells: 5"]),
            ([], ["cells: "]),
            (["a", "b"], ["cells: a, b"]),
            ([{"crop": "wheat", "n": 1200}], ["cells:", "  crop   n", "  wheat  1,200"]),
            ([{"crop": "y", "n": float("nan")}, {"crop": "x", "n": 2}], ["cells:", "  crop  n", "  y", "  x     2"]),
        ],
    )
    def test_records_are_a_table_and_anything_else_a_line(self, rows: Any, said: list[str]) -> None:
        assert list(_lines("cells", rows)) == said


class TestSearch:
    CHECK = {"name": "r2", "statistic": 0.91234567, "threshold": ">= 0.5", "passed": True, "reason": ""}

    def told(self, **changes: Any) -> dict[str, Any]:
        base = {"id": 7, "terms": "x1:LV", "passed": True, "failed_at": None, "checks": [self.CHECK]}
        return base | {"information": {}, "neighbours": []} | changes

    @pytest.mark.parametrize(
        ("changes", "first"),
        [
            ({}, "7 x1:LV: passes"),
            ({"terms": ""}, "7 (forced only): passes"),
            ({"passed": False, "failed_at": "vif"}, "7 x1:LV: falls at vif"),
        ],
    )
    def test_the_first_line_is_the_verdict(self, changes: dict[str, Any], first: str) -> None:
        assert next(iter(_why_lines(self.told(**changes)))) == first

    @pytest.mark.parametrize(("passed", "mark"), [(True, "pass"), (False, "FAIL")])
    def test_each_check_says_statistic_threshold_and_outcome(self, passed: bool, mark: str) -> None:
        check = self.CHECK | {"passed": passed, "reason": "" if passed else "too low"}
        line = list(_why_lines(self.told(checks=[check])))[1]
        assert re.split(r"\s+", line.strip())[:5] == ["r2", "0.912346", ">=", "0.5", mark]
        assert line.endswith("pass" if passed else "too low")

    def test_a_check_without_figure_and_what_would_pass_are_said(self) -> None:
        neighbour = {"change": "drop", "item": "x2:LV", "id": 3}
        said = list(
            _why_lines(
                self.told(checks=[self.CHECK | {"statistic": None}], information={"aic": None}, neighbours=[neighbour])
            )
        )
        assert said[1].split()[1] == ">="
        assert said[2].endswith("(for information)")
        assert said[3] == "  would pass: drop x2:LV (id 3)"

    @given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
    def test_a_funnel_ends_with_those_that_are_left(self, fell: list[int]) -> None:
        entered, steps = sum(fell) + 5, []
        for number, count in enumerate(fell):
            steps.append({"filter": f"f{number}", "entered": entered, "fell": count})
            entered -= count
        lines = list(_funnel_lines(steps))
        assert lines[-1].split() == ["passed", "5"]
        assert len({len(line) for line in lines[:-1]}) == 1

    def test_a_near_miss_says_only_what_was_computed(self) -> None:
        miss = {"id": 4, "terms": ["a", "b"], "failed_at": "vif", "r2": 0.5, "max_p": None, "max_vif": 11.25}
        assert list(_miss_lines([miss | {"group_p": None}])) == ["4 a;b fell at vif (r2 0.5, max_vif 11.25)"]

    def test_ranked_rows_stand_under_their_names(self) -> None:
        row = dict.fromkeys(("rank", "id", "r2", "adj_r2", "bic", "max_p", "oos_rmse", "wf_rmse"), "1.25")
        lines = list(_ranked_lines([row | {"terms": "x1;x2", "bic": "", "id": "123456"}]))
        assert lines[0].split()[-1] == "terms"
        assert lines[0].index("  terms") == lines[1].index("  x1;x2")

    @given(
        st.lists(st.tuples(st.sampled_from(["0.5", "0.5000000000001", "0.6", ""]), st.sampled_from("23")), max_size=8)
    )
    def test_equal_fits_are_grouped_and_single_ones_are_not(self, fits: list[tuple[str, str]]) -> None:
        rows = [{"id": str(n), "k": k, "r2": r2, "dw": "2", "bg_p": ""} for n, (r2, k) in enumerate(fits)]
        groups = _same_fit(rows)
        assert all(len(group) > 1 for group in groups)
        named = [number for group in groups for number in group]
        assert len(named) == len(set(named))
        keys = [(fits[n][1], fits[n][0][:3]) for n in range(len(fits))]
        assert set(named) == {n for n, key in enumerate(keys) if keys.count(key) > 1}


class TestScanDiff:
    def change(self, sign: str, count: int = 1, text: str = "x") -> Any:
        return SimpleNamespace(sign=sign, rule="ssh", file="web1.txt", count=count, text=text)

    @pytest.mark.parametrize(
        ("changes", "last"),
        [("", "0 new, 0 gone"), ("+", "1 new, 0 gone"), ("+-+", "2 new, 1 gone"), ("-", "0 new, 1 gone")],
    )
    def test_the_last_line_counts_both_sides(self, changes: str, last: str) -> None:
        said = _as_text([self.change(sign) for sign in changes]).split("\n")
        assert said[-1] == last
        assert len(said) == 1 + len(changes)

    def test_a_result_of_several_lines_is_indented_and_repeats_are_counted(self) -> None:
        said = _as_text([self.change("+", 3, "a\nb")])
        assert said.split("\n")[:2] == ["+ ssh  web1.txt (3 times): a", "    b"]

    @pytest.mark.parametrize(("words", "code"), [([], 0), (["--fail"], 3)])
    def test_a_difference_is_a_failure_only_on_request(
        self, words: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        row = {"rule": "ssh", "source": "main.yaml", "file": "web1.txt", "line": 1, "text": "Protocol 2", "fields": {}}
        (tmp_path / "old.jsonl").write_text("")
        (tmp_path / "new.jsonl").write_text(json.dumps(row) + "\n")
        names = [str(tmp_path / "old.jsonl"), str(tmp_path / "new.jsonl")]
        assert main(["scan", "diff", *names, *words]) == code
        assert capsys.readouterr().out.endswith("1 new, 0 gone\n")
        assert main(["scan", "diff", names[0], names[0], *words]) == 0


class TestTable:
    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("12,5,8", "3 counts; expected four"),
            ("12,5,8,10,1", "5 counts; expected four"),
            ("", "1 counts; expected four"),
            ("a,5,8,10", 'a is "a", not a count'),
            ("12,-5,8,10", 'b is "-5", not a count'),
            ("12,5,8.5,10", 'c is "8.5", not a count'),
            ("12,5,8,", 'd is "", not a count'),
            ("12,5,8,nan", 'd is "nan", not a count'),
            ("12,5,8,1e99", "d is"),
        ],
    )
    def test_what_is_no_table_is_said_with_the_cell(
        self, table: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["ci", "--table", table]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err

    @pytest.mark.parametrize("table", ["12,5,8,10", " 12 , 5,8, 10 ", "12.0,5,8,10"])
    def test_a_table_is_read_however_it_is_spaced(self, table: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ci", "--table", table, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["table"] == [12, 5, 8, 10]
        assert {one["method"] for one in found["intervals"]} == set(found["methods"])
        assert all(one["lower"] <= one["odds_ratio"] == 3.0 <= one["upper"] for one in found["intervals"])

    def test_an_endless_interval_is_a_word_for_machines(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ci", "--table", "5,0,2,3", "--json"]) == 0
        (first, *_) = json.loads(capsys.readouterr().out)["intervals"]
        assert (first["odds_ratio"], first["upper"]) == ("inf", "inf")

    def test_a_line_for_each_method_under_one_head(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["ci", "--table", "12,5,8,10"]) == 0
        first, head, *rows = capsys.readouterr().out.splitlines()
        assert first.startswith("odds ratio 3, conditional estimate 2.9")
        assert "95 % interval" in first
        assert {len(line) for line in (head, *rows)} == {50}


JOBS = st.lists(
    st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), st.floats(0, 99), st.floats(0.001, 99)),
    max_size=4,
)


class TestDemoPage:
    @settings(max_examples=30)
    @given(JOBS, st.booleans())
    def test_a_page_nests_and_asks_for_nothing_whatever_jobs_are_called(
        self, jobs: list[tuple[str, float, float]], same: bool
    ) -> None:
        report = report_of(serial_run())
        done = [
            Measured(
                DemoJob(name, 3, name, bytes, lambda: (b"", report)), loop, ours, "a", "a" if same else "b", report
            )
            for name, loop, ours in jobs
        ]
        text = read_page(page(done))
        assert (text.faults, text.requests) == ([], [])
        assert text.tags.count("a") == len(jobs)
        assert ("Results differ." in text.text) is (bool(jobs) and not same)

    @given(JOBS)
    def test_no_bar_is_longer_than_the_longest_or_shorter_than_can_be_seen(
        self, jobs: list[tuple[str, float, float]]
    ) -> None:
        drawn = read_page(bars(jobs))
        wide = [float(value) for tag, name, value in drawn.attributes if (tag, name) == ("rect", "width")]
        assert len(wide) == 2 * len(jobs)
        assert all(1.0 <= width <= 360.0 for width in wide)
        assert not jobs or max(wide) == 360.0
