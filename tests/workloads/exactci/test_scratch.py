"""Arrays that are not in memory: what was written is read, before and after there is a file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.exactci import _scratch as module
from fanwise.workloads.exactci._scratch import CountRows, Scratch, Spilled, scratch


@pytest.fixture(params=[1 << 24, 100], ids=["in memory", "on disk"])
def sized(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", request.param)


@pytest.mark.usefixtures("sized")
def test_arrays_are_read_as_they_were_written() -> None:
    arrays = [np.arange(5.0 * n).reshape(5, n) for n in (3, 0, 1, 40)]
    with scratch() as place:
        spilled = [Spilled.of(array, place) for array in arrays]
        for array, kept in reversed(list(zip(arrays, spilled, strict=True))):
            np.testing.assert_array_equal(kept.load(), array)


@pytest.mark.usefixtures("sized")
def test_an_array_of_any_order_comes_back_by_rows() -> None:
    turned = np.asfortranarray(np.arange(20.0).reshape(5, 4))
    with scratch() as place:
        np.testing.assert_array_equal(Spilled.of(turned, place).load(), turned)


@given(sizes=st.lists(st.integers(0, 9), max_size=6), first=st.integers(0, 60), more=st.integers(0, 60))
def test_rows_are_sliced_as_those_of_an_array(sizes: list[int], first: int, more: int) -> None:
    whole = np.arange(4 * sum(sizes)).reshape(-1, 4)
    ends = [0, *itertools.accumulate(sizes)]
    with scratch() as place:
        rows = CountRows(place)
        for start, stop in itertools.pairwise(ends):
            rows.append(whole[start:stop])
        assert len(rows) == len(whole)
        np.testing.assert_array_equal(rows[first : first + more], whole[first : first + more])
        np.testing.assert_array_equal(rows[:], whole)


def test_counts_that_come_back_can_be_written_as_the_kernel_knows_them(place: Scratch) -> None:
    """Numba would compile the kernel again for arrays that cannot be written."""
    rows = CountRows(place)
    rows.append(np.ones((3, 4), np.int64))
    assert rows[:2].flags.writeable
    assert rows[:2].flags.c_contiguous


def test_a_place_is_gone_when_it_is_left() -> None:
    with scratch() as place:
        kept = Spilled.of(np.ones(3), place)
    with pytest.raises(ValueError, match="closed"):
        kept.load()
