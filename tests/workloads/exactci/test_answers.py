"""Parts of a run put together again: any cut, any block, any failure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.exactci import Status
from fanwise.workloads.exactci._adjust import adjust
from fanwise.workloads.exactci._answers import ADDED, Answers, Part, added_columns, gather


@st.composite
def cut_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[Part]]:
    """Numbers and status of some rows, and the parts they were computed in; some parts failed."""
    count = draw(st.integers(1, 40))
    values = np.arange(5.0 * count).reshape(5, count)
    status = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 4]), min_size=count, max_size=count)), np.uint8)
    cuts = sorted({0, count, *draw(st.lists(st.integers(0, count), max_size=6))})
    failed = draw(st.sets(st.integers(0, 7), max_size=3))
    parts = [
        Part("midp", start, stop, None if i in failed else values[:, start:stop])
        for i, (start, stop) in enumerate(itertools.pairwise(cuts))
    ]
    return values, status, parts


@given(rows=cut_rows())
def test_parts_become_the_whole(rows: tuple[np.ndarray, np.ndarray, list[Part]]) -> None:
    values, status, parts = rows
    found, marked = gather(parts, status)
    for part in parts:
        for i in range(part.start, part.stop):
            if status[i] > Status.EMPTY_MARGIN:
                assert marked[i] == status[i]
                assert np.isnan(found[:, i]).all()
            elif part.values is None:
                assert marked[i] == Status.FAILED
                assert np.isnan(found[:, i]).all()
            else:
                assert marked[i] == status[i]
                assert (found[:, i] == values[:, i]).all()


@given(rows=cut_rows(), data=st.data())
def test_any_block_of_rows_is_a_slice_of_the_whole(
    rows: tuple[np.ndarray, np.ndarray, list[Part]], data: st.DataObject
) -> None:
    _, status, parts = rows
    start = data.draw(st.integers(0, len(status)))
    stop = data.draw(st.integers(start, len(status)))
    found, marked = Answers({"midp": parts}, status, 0.05).rows("midp", start, stop)
    whole, all_marked = gather(parts, status)
    np.testing.assert_array_equal(found, whole[:, start:stop])
    np.testing.assert_array_equal(marked, all_marked[start:stop])


def some_answers(**options: object) -> Answers:
    status = np.array([0, 1, 2], np.uint8)
    one = Part("midp", 0, 3, np.arange(15.0).reshape(5, 3))
    two = [Part("wald", 0, 2, 100 + np.arange(10.0).reshape(5, 2)), Part("wald", 2, 3, np.zeros((5, 1)))]
    return Answers({"midp": [one], "wald": two}, status, 0.05, **options)


def test_methods_take_turns_row_by_row() -> None:
    added = some_answers().added(0, 3)
    assert list(added) == list(ADDED)
    assert added["method"] == ["midp", "wald"] * 3
    assert added["lower"].tolist()[:4] == [0.0, 100.0, 1.0, 101.0]
    assert added["status"] == ["ok", "ok", "empty_margin", "empty_margin", "missing", "missing"]
    assert np.isnan(added["upper"][4:]).all()
    assert added["alpha"].tolist() == [0.05] * 6


def test_added_columns_have_their_prefix() -> None:
    assert list(some_answers(prefix="x_").added(1, 2)) == added_columns("x_", None)
    assert added_columns("", "bh")[-1] == "p_adjusted"


@pytest.mark.parametrize("how", ["bh", "bonferroni"])
def test_adjustment_sees_all_rows_of_a_method(how: str) -> None:
    parts = {"midp": [Part("midp", 0, 3, np.tile([[0.0], [1.0], [0.01], [1.0], [1.0]], 3) * [1.0, 2.0, 3.0])]}
    answers = Answers(parts, np.zeros(3, np.uint8), 0.05, adjustment=how)
    wanted = adjust(np.array([0.01, 0.02, 0.03]), how)
    assert answers.added(1, 2)["p_adjusted"].tolist() == [wanted[1]]
    assert answers.added(0, 3)["p_adjusted"].tolist() == wanted.tolist()


def test_a_row_that_a_method_cannot_do_is_too_large() -> None:
    values = np.ones((5, 2))
    values[:, 1] = np.nan
    _, marked = gather([Part("unconditional", 0, 2, values)], np.zeros(2, np.uint8))
    assert marked.tolist() == [Status.OK, Status.TOO_LARGE]


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=30), st.sampled_from(["bh", "bonferroni"]))
def test_adjusted_p_values_keep_their_order_and_never_shrink(p: list[float], how: str) -> None:
    values = np.array(p)
    adjusted = adjust(values, how)
    known = ~np.isnan(values)
    assert (np.isnan(adjusted) == ~known).all()
    assert (adjusted[known] >= values[known] - 1e-15).all()
    assert (adjusted[known] <= 1.0).all()
    order = np.argsort(values[known], kind="stable")
    assert (np.diff(adjusted[known][order]) >= 0.0).all()
