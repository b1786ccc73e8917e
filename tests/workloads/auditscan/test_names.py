"""Names of sheets and columns that Excel accepts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.auditscan._names import column_names, sheet_name, unique_sheet_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("05 SSH server", "05_SSH_server"),
        ("a/b\\c*d?e:f[g]h", "a_b_c_d_e_f_g_h"),
        ("  a \t b\n", "a_b"),
        ("'quoted'", "quoted"),
        ("_'_a_'_", "a"),
        ("it's", "it's"),
        ("", "Unnamed_Sheet"),
        ("///", "Unnamed_Sheet"),
        ("x" * 31, "x" * 31),
        ("x" * 32, "x" * 28 + "..."),
        ("é" * 40, "é" * 28 + "..."),
    ],
)
def test_one_name(name: str, expected: str) -> None:
    assert sheet_name(name) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A", "a", "A"], ["A", "a (2)", "A (3)"]),
        (
            ["Summary", "systems summary", "HISTORY", "Notices"],
            ["Summary (2)", "systems_summary", "HISTORY (2)", "Notices (2)"],
        ),
        (["x" * 31, "x" * 31], ["x" * 31, "x" * 27 + " (2)"]),
        (["x" * 40, "x" * 41], ["x" * 28 + "...", "x" * 27 + " (2)"]),
        (["a (2)", "a", "a"], ["a_(2)", "a", "a (2)"]),
        (["straße", "STRASSE"], ["straße", "STRASSE (2)"]),
    ],
)
def test_names_are_told_apart_without_regard_to_case(names: list[str], expected: list[str]) -> None:
    assert unique_sheet_names(names) == expected


def test_columns_are_told_apart_against_the_first_three() -> None:
    names = column_names(["System Name", "Line Number", "Matched Text", "line number", "", " \n ", "a\tb"])
    assert names == ["System Name", "Line Number", "Matched Text", "line number (2)", "Unnamed", "Unnamed (2)", "a b"]


@given(st.lists(st.text(max_size=40), max_size=12))
def test_excel_accepts_any_set_of_names(names: list[str]) -> None:
    made = unique_sheet_names(names)
    assert len(made) == len(names)
    assert (
        len({name.casefold() for name in made} | {"history", "summary", "systems summary", "notices"}) == len(names) + 4
    )
    for name in made:
        assert 1 <= len(name.encode("utf-16-le", "surrogatepass")) // 2 <= 31
        assert not re.search(r"[\\/*?:\[\]]", name)
        assert not name.startswith("'")
        assert not name.endswith("'")


@given(st.lists(st.text(max_size=300), max_size=6))
def test_a_table_accepts_any_set_of_columns(names: list[str]) -> None:
    made = column_names(names)
    assert len({name.casefold() for name in made}) == len(names)
    assert all(0 < len(name) <= 255 and "\n" not in name for name in made)
