"""What changed between two scans."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.errors import InputError
from fanwise.workloads.auditscan import io
from fanwise.workloads.auditscan._diff import Change, changes, read_results


def line(rule: str, text: str, number: int = 1, **fields: str) -> str:
    result = {
        "rule": rule,
        "source": "a.yaml",
        "file": "web1.txt",
        "line": number,
        "text": text,
        "fields": fields or None,
    }
    return json.dumps(result) + "\n"


def read(*lines: str) -> Counter:
    return read_results(lines, "results.jsonl")


def test_a_result_that_moved_is_the_same() -> None:
    assert changes(read(line("a", "x", 1)), read(line("a", "x", 99))) == []


def test_new_and_gone_results() -> None:
    found = changes(
        read(line("a", "x"), line("b", "y"), line("b", "y")), read(line("a", "x"), line("b", "y"), line("c", "z"))
    )
    assert found == [Change("-", "b", "a.yaml", "web1.txt", "y", 1), Change("+", "c", "a.yaml", "web1.txt", "z", 1)]


def test_other_fields_are_another_result() -> None:
    found = changes(read(line("a", "x", k="1")), read(line("a", "x", k="2")))
    assert [change.sign for change in found] == ["+", "-"]


@pytest.mark.parametrize("text", ["{", "[]", '{"rule": "a"}', "3"])
def test_what_is_no_result_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InputError, match=r"results\.jsonl, line 2: not a result"):
        read(line("a", "x"), text)


def test_folders_and_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(line("a", "x\u2028y"))
    assert io.read_jsonl(str(tmp_path)) == io.read_jsonl(str(tmp_path / "results.jsonl"))
    with pytest.raises(InputError, match=r"cannot read .*: no such file"):
        io.read_jsonl(str(tmp_path / "gone"))
    (tmp_path / "bad").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        io.read_jsonl(str(tmp_path / "bad"))


results = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=8)


@given(results, results)
def test_changes_turn_one_scan_into_the_other(before: list, after: list) -> None:
    old, new = (read(*(line(rule, text) for rule, text in rows)) for rows in (before, after))
    tally: Counter = Counter((rule, text) for rule, text in before)
    for change in changes(old, new):
        tally[change.rule, change.text] += change.count if change.sign == "+" else -change.count
    assert +tally == Counter(after)
