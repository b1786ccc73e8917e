"""Ranking, the composite, one fit under several names, and tables as they are printed."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import context, evaluated, with_test, world

from fanwise.workloads.modelsearch import VerdictTable
from fanwise.workloads.modelsearch._chunks import Cut, Finished
from fanwise.workloads.modelsearch._config import Rank
from fanwise.workloads.modelsearch._outputs import sort_rows
from fanwise.workloads.modelsearch._ranking import composite, extents, order_of, ranking_keys, same_fit, widened
from fanwise.workloads.modelsearch._tally import Tally, blocks, ranked
from fanwise.workloads.modelsearch._verdicts import RANKED, concatenate, lines, no_rows

GROUPS = [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3", "x4"]}]
ALL_PASS = {"r2_min": False, "p_max": False, "vif_max": False, "stationary": False, "group_p_max": False}


def test_small_is_best_but_for_fit_and_composite() -> None:
    values = np.array([3.0, 1.0, np.nan, 2.0])
    assert order_of(ranking_keys("bic", values), np.arange(4)).tolist() == [1, 3, 0, 2]
    for by in ("r2", "adj_r2", "composite"):
        assert order_of(ranking_keys(by, values), np.arange(4)).tolist() == [0, 3, 1, 2]


def test_equal_to_12_digits_is_a_tie_and_goes_by_id() -> None:
    keys = ranking_keys("aic", np.array([1.0000000000004, 1.0, 0.9999999999996, 1.00000000001]))
    assert order_of(keys, np.array([9, 7, 8, 1])).tolist() == [1, 2, 0, 3]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), max_size=20))
def test_any_values_have_an_order_with_nan_last(values: list[float]) -> None:
    column = np.array(values, dtype=float)
    order = order_of(ranking_keys("rmse", column), np.arange(len(values)))
    known = [v for v in column[order] if not math.isnan(v)]
    assert sorted(order.tolist()) == list(range(len(values)))
    assert np.isnan(column[order][len(known) :]).all()
    assert [float(f"{v:.12g}") for v in known] == sorted(float(f"{v:.12g}") for v in known)


def table_of(**columns: list[float]) -> VerdictTable:
    rows = len(next(iter(columns.values())))
    names = ("r2", "adj_r2", "in_max", "in_mean", "rmse", "out_max", "out_mean", "oos_rmse")
    base = {name: np.full(rows, np.nan if name.startswith("o") else 1.0) for name in names}
    return VerdictTable({**base, **{name: np.array(values, dtype=float) for name, values in columns.items()}})


def test_the_composite_runs_from_0_at_the_worst_to_1_at_the_best() -> None:
    table = table_of(r2=[0.2, 0.4, 0.6], adj_r2=[0.1, 0.2, 0.3], in_max=[3, 2, 1], in_mean=[3, 2, 1], rmse=[3, 2, 1])
    np.testing.assert_allclose(composite(table, extents(table), (1, 1, 1)), [0, 0.5, 1])


def test_measures_that_are_all_equal_count_half() -> None:
    table = table_of(r2=[0.2, 0.4])
    np.testing.assert_allclose(composite(table, extents(table), (1, 1, 1)), [(0.25 + 0.5) / 2, (0.75 + 0.5) / 2])


def test_weights_choose_what_counts_and_test_errors_only_where_there_are_some() -> None:
    table = table_of(r2=[0, 1], adj_r2=[0, 1], out_max=[1, 2], out_mean=[1, 2], oos_rmse=[1, 2])
    np.testing.assert_allclose(composite(table, extents(table), (1, 0, 0)), [0, 1])
    np.testing.assert_allclose(composite(table, extents(table), (0, 0, 1)), [1, 0])
    np.testing.assert_allclose(composite(table, extents(table), (1, 0, 3)), [0.75, 0.25])
    without = table_of(r2=[0, 1])
    assert np.isnan(composite(without, extents(without), (0, 0, 1))).all()


def test_extents_of_parts_are_those_of_the_whole() -> None:
    whole = table_of(r2=[0.1, 0.9, 0.5], rmse=[3, 1, 2])
    parts = [whole.take([0]), whole.take([1, 2])]
    assert widened(extents(parts[0]), extents(parts[1])) == extents(whole)
    assert widened({}, extents(whole)) == extents(whole)


def test_one_fit_under_several_names_is_given_once(tmp_path: Path) -> None:
    groups = [{"name": "all", "items": ["x1:LV,DF(1)@0..1", "x2"]}]
    config = world(tmp_path, {"filters": ALL_PASS, "search": {"per_variable": 2, "max_terms": 2}}, groups)
    rows = evaluated(config)
    names = dict(zip(rows["id"].tolist(), rows["terms"], strict=True))
    groups_of_names = [{names[i] for i in ids} for ids in same_fit(rows)]
    assert {"x1:LV;x1:LV@1", "x1:LV;x1:DF(1)", "x1:LV@1;x1:DF(1)"} in groups_of_names
    assert all(len(ids) > 1 for ids in same_fit(rows))


def test_different_fits_are_kept_apart() -> None:
    table = VerdictTable(
        {
            "id": np.arange(4),
            "k": np.array([3, 3, 4, 3]),
            "r2": np.array([0.5, 0.5 + 1e-12, 0.5, 0.5001]),
            "dw": np.full(4, 2.0),
            "bg_p": np.full(4, 0.3),
        }
    )
    assert same_fit(table) == ((0, 1),)


def finished(tmp_path: Path, size: int) -> tuple[list[Finished], Tally, list[str]]:
    from fanwise.workloads.modelsearch._chunks import finish

    ctx = context(world(tmp_path, {"filters": ALL_PASS, **with_test()}, GROUPS))
    cut = Cut(0, ctx.space.count(), size)
    chunks = [finish(ctx, cut.bounds(chunk), full=False) for chunk in cut.chunks()]
    tally = Tally()
    for chunk in chunks:
        tally.add(chunk)
    return chunks, tally, [str(item) for item in ctx.frame.items]


@pytest.mark.parametrize("by", ["bic", "r2", "composite", "wf_rmse"])
@pytest.mark.parametrize("held", [1, 5, 1000])
def test_rows_beyond_memory_are_merged_from_files_into_the_same_order(tmp_path: Path, by: str, held: int) -> None:
    chunks, tally, labels = finished(tmp_path, 4)
    rank = Rank(by=by)
    table, _ = ranked(concatenate([chunk.assessment.table for chunk in chunks]), tally, rank)
    expected = [",".join(RANKED) + "\n", *lines(table.extended(rank=np.arange(1, len(table) + 1)), RANKED, labels)]
    with sort_rows(blocks(chunks, held), tally, rank, labels, held) as rows:
        assert list(rows.csv(labels, 0)) == expected
        assert list(rows.csv(labels, 3)) == expected[:4]
        assert rows.total == len(table)
        kept = table.take(slice(0, held if held < 1000 else None))
        assert rows.table["id"].tolist()[: len(kept)] == kept["id"].tolist()


def test_no_rows_make_a_file_with_a_header(tmp_path: Path) -> None:
    with sort_rows([], Tally(), Rank(), [], 10) as rows:
        assert list(rows.csv([], 0)) == [",".join(RANKED) + "\n"]
        assert len(rows.table) == 0
        assert rows.table["r2"].tolist() == []


def test_numbers_are_printed_with_12_digits_and_missing_ones_empty() -> None:
    table = VerdictTable(
        {
            "k": np.array([3, 1]),
            "indices": np.array([[0, 2], [-1, -1]]),
            "r2": np.array([1 / 3, np.nan]),
            "coef": np.array([[1e-20, 123456789.123456789, np.nan], [np.nan] * 3]),
            "cov": np.array(["HAC(4)", ""]),
        }
    )
    printed = list(lines(table, ("terms", "cov", "coef", "r2"), ["a", "b", "c"]))
    assert printed == ["a;c,HAC(4),1e-20;123456789.123,0.333333333333\n", ",,,\n"]


def test_a_table_is_read_by_name_and_travels() -> None:
    table = VerdictTable({"id": np.array([1, 2]), "r2": np.array([0.1, 0.2])})
    assert table.r2 is table["r2"]
    assert pickle.loads(pickle.dumps(table)).r2.tolist() == [0.1, 0.2]
    with pytest.raises(AttributeError, match="no column 'r3'"):
        _ = table.r3
    assert len(VerdictTable({})) == len(concatenate([])) == len(no_rows()) == 0


def test_chunk_borders_are_multiples_of_the_chunk_size() -> None:
    cut = Cut(5, 23, 10)
    assert [cut.bounds(chunk) for chunk in cut.chunks()] == [(5, 10), (10, 20), (20, 23)]
    assert list(Cut(3, 3, 10).chunks()) == []
    assert [Cut(0, 20, 10).bounds(chunk) for chunk in Cut(0, 20, 10).chunks()] == [(0, 10), (10, 20)]
