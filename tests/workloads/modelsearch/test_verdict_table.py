"""Verdicts as columns: rows taken, stacked and printed."""

from __future__ import annotations

import copy
import csv
import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.modelsearch._verdicts import LISTS, RANKED, VERDICTS, VerdictTable, concatenate, lines, no_rows

LABELS = ["a:LV", "b:DF(1)@2", "c:AVG(3)"]


def table(ids: list[int], width: int = 2, extra: int = 0) -> VerdictTable:
    """Rows of ``width`` free items, list columns padded by ``extra``."""
    many = len(ids)
    pad = ((0, 0), (0, extra))
    coef = np.pad(np.outer(np.array(ids) + 0.5, np.arange(1.0, width + 1)), pad, constant_values=np.nan)
    indices = np.pad(np.tile(np.arange(width), (many, 1)), pad, constant_values=-1)
    columns = {"id": np.array(ids, dtype=np.int64), "k": np.full(many, width + 1), "coef": coef, "indices": indices}
    return VerdictTable({**columns, "r2": np.array(ids) / 7.0})


IDS = st.lists(st.integers(0, 99), max_size=6)


@given(IDS, IDS, st.integers(0, 3), st.integers(0, 3))
def test_tables_of_different_widths_stack_to_the_widest(one: list[int], two: list[int], a: int, b: int) -> None:
    whole = concatenate([table(one, a), table(two, b)])
    assert whole["id"].tolist() == one + two
    assert whole["coef"].shape == whole["indices"].shape == (len(one) + len(two), max(a, b))
    np.testing.assert_array_equal(whole["coef"][: len(one), :a], table(one, a)["coef"])
    assert np.isnan(whole["coef"][: len(one), a:]).all()
    assert (whole["indices"][len(one) :, b:] == -1).all()


def test_nothing_stacked_is_an_empty_table() -> None:
    assert len(concatenate([])) == 0


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.data())
def test_rows_are_taken_by_position_mask_or_slice(ids: list[int], data: st.DataObject) -> None:
    made, mask = table(ids), np.array(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))
    positions = np.flatnonzero(mask)
    expected = [ids[at] for at in positions]
    assert made.take(mask)["id"].tolist() == made.take(positions)["id"].tolist() == expected
    assert made.take(slice(1, None)).columns["coef"].shape == (len(ids) - 1, 2)


def test_columns_are_added_to_a_copy() -> None:
    made = table([1, 2])
    more = made.extended(bic=np.zeros(2), r2=np.ones(2))
    assert more.bic.tolist() == [0.0, 0.0]
    assert (more.r2.tolist(), made.r2.tolist()) == ([1.0, 1.0], [1 / 7, 2 / 7])
    assert "bic" not in made.columns


@pytest.mark.parametrize("name", ["nothing", "__deepcopy__", "__array__"])
def test_a_name_that_is_no_column_is_said_so(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no column '{name}'"):
        getattr(table([1]), name)


@pytest.mark.parametrize("again", [lambda made: pickle.loads(pickle.dumps(made)), copy.deepcopy, copy.copy])
def test_a_table_can_be_copied_and_sent(again: object) -> None:
    assert again(table([3, 4])).id.tolist() == [3, 4]


def test_a_table_without_rows_has_every_ranked_column() -> None:
    empty = no_rows()
    assert set(RANKED) | {"indices"} == set(empty.columns)
    assert len(empty) == 0
    assert all(empty[name].ndim == 2 for name in LISTS)
    assert list(lines(empty, RANKED, LABELS)) == []


@given(st.lists(st.integers(0, 99), min_size=1, max_size=5), st.integers(0, 3), st.integers(0, 2))
def test_lines_can_be_read_back(ids: list[int], width: int, extra: int) -> None:
    text = "".join(lines(table(ids, width, extra), ("id", "terms", "coef", "r2"), LABELS))
    for i, row in zip(ids, csv.reader(io.StringIO(text)), strict=True):
        shown, terms, coef, r2 = row
        assert (int(shown), terms) == (i, ";".join(LABELS[:width]))
        assert [float(v) for v in coef.split(";") if v] == pytest.approx([(i + 0.5) * (j + 1) for j in range(width)])
        assert float(r2) == pytest.approx(i / 7.0, rel=1e-11)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333"),
        (-0.0, "-0"),
        (1e-300, "1e-300"),
        (123456789012345.0, "1.23456789012e+14"),
        (np.inf, "inf"),
        (np.nan, ""),
        (2.0, "2"),
    ],
)
def test_numbers_have_twelve_digits_and_missing_ones_none(value: float, text: str) -> None:
    assert list(lines(table([1]).extended(r2=np.array([value])), ("r2",), LABELS)) == [f"{text}\n"]


@pytest.mark.parametrize(
    ("coef", "text"), [([np.nan, np.nan], ""), ([1.5, np.nan], "1.5;"), ([np.nan, 2.0], ";2"), ([1.0, 2.0], "1;2")]
)
def test_a_list_keeps_the_places_of_what_is_missing(coef: list[float], text: str) -> None:
    assert list(lines(table([1]).extended(coef=np.array([coef])), ("coef",), LABELS)) == [f"{text}\n"]


def test_the_columns_of_both_files_share_their_statistics() -> None:
    common = [name for name in RANKED if name in VERDICTS]
    assert common == [name for name in VERDICTS if name in RANKED]
    assert set(RANKED) - set(VERDICTS) == {"rank", "composite"}
    assert set(VERDICTS) - set(RANKED) == {"passed", "failed_at", "reason"}
    assert len(set(VERDICTS)) == len(VERDICTS)
