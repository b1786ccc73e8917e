"""Chunks follow from the tables alone, and a change stays where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.exactci import _chunks
from fanwise.workloads.exactci._chunks import LONGEST, PAYS_S, cost_s, cut, pays, total_s

seeds = st.integers(0, 2**32 - 1)


def some_tables(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60, (rows, 4))


@given(seed=seeds, rows=st.integers(0, 400), chunk=st.floats(1e-6, 1e-3))
def test_ranges_cover_every_row_once_and_in_order(seed: int, rows: int, chunk: float) -> None:
    ranges = cut(some_tables(seed, rows), "conditional", chunk)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(rows))
    assert all(start < stop for start, stop in ranges)


@given(seed=seeds, chunk=st.floats(1e-5, 1e-3))
def test_no_chunk_is_much_too_long(seed: int, chunk: float) -> None:
    tables = some_tables(seed, 300)
    cost = cost_s(tables, "blaker")
    for start, stop in cut(tables, "blaker", chunk):
        assert stop == start + 1 or cost[start:stop].sum() <= LONGEST * chunk * (1 + 1e-9)


@given(seed=seeds, at=st.integers(0, 1999), change=st.sampled_from(["changed", "added", "removed"]))
def test_a_changed_row_changes_few_chunks(seed: int, at: int, change: str) -> None:
    before = some_tables(seed, 2000)
    row = np.array([[7, 9, 11, 2]])
    after = {
        "changed": np.concatenate([before[:at], row, before[at + 1 :]]),
        "added": np.concatenate([before[:at], row, before[at:]]),
        "removed": np.concatenate([before[:at], before[at + 1 :]]),
    }[change]
    old, new = ({t[i:j].tobytes() for i, j in cut(t, "midp", 5e-5)} for t in (before, after))
    assert len(old) > 20
    assert len(new - old) <= 8


@given(seed=seeds, window=st.integers(150, 400))
def test_rows_are_cut_alike_however_many_are_looked_at_together(seed: int, window: int) -> None:
    tables = some_tables(seed, 900)
    whole = cut(tables, "midp", 2e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_chunks, "WINDOW", window)
        assert cut(tables, "midp", 2e-5) == whole
        assert total_s(tables, ["midp", "unconditional"]) == pytest.approx(18.0 + cost_s(tables, "midp").sum())


def test_equal_rows_are_cut_too() -> None:
    tables = np.tile([[5, 6, 7, 8]], (50_000, 1))
    assert 3 <= len(cut(tables, "conditional")) < 100


def test_small_work_is_one_chunk_and_no_work_is_none() -> None:
    assert cut(some_tables(1, 50), "conditional") == [(0, 50)]
    assert cut(some_tables(1, 0), "conditional") == []


def test_unconditional_tables_go_one_by_one() -> None:
    assert cut(some_tables(1, 3), "unconditional") == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("method", ["blaker", "minlike"])
def test_two_tails_cost_twice(method: str) -> None:
    tables = some_tables(3, 10)
    np.testing.assert_allclose(cost_s(tables, method), 2 * cost_s(tables, "midp"))


@pytest.mark.parametrize("asked", [{"workers": 2}, {"workers": 1}, {"executor": object()}, {"backend": "process"}])
def test_what_the_caller_asks_for_is_not_second_guessed(asked: dict[str, object]) -> None:
    assert pays(0.0, asked)


def test_small_work_stays_here_if_nothing_is_asked() -> None:
    assert not pays(PAYS_S / 2, {"workers": None, "executor": None, "backend": "auto"})
    assert not pays(PAYS_S / 2, {})
    assert pays(PAYS_S, {})


def test_the_work_of_a_study_is_the_sum_over_tables_and_methods() -> None:
    tables = some_tables(1, 100)
    assert total_s(tables, ["midp", "blaker"]) == pytest.approx(3 * cost_s(tables, "midp").sum())
    assert total_s(tables[:50], ["unconditional"]) == pytest.approx(1.0)
    assert total_s(tables[:0], ["midp"]) == 0.0
