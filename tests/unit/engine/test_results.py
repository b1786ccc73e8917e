"""Outcomes on their way out: in order or not, counted, passed over, and the failure that decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._results import Results
from fanwise.records.outcomes import Batch, Failed, Lost, Ok, count_of, first_of
from fanwise.records.scheduling import Emit


def results(**config: object) -> tuple[Results, list[int]]:
    """Results and the indexes that they told, in order of telling."""
    told: list[int] = []

    def say(command: object) -> None:
        assert isinstance(command, Emit)
        first = first_of(command.settled)
        told.extend(range(first, first + count_of(command.settled)))

    return Results(SchedulerConfig(2, **config), say), told


def failed(index: int) -> Failed:
    return Failed(index=index, error=ValueError(f"item {index}"))


@given(st.permutations(list(range(8))), st.booleans())
def test_what_is_settled_is_told_once_in_the_order_asked_for(order: list[int], ordered: bool) -> None:
    made, told = results(ordered=ordered)
    made.expect(8)
    for index in order:
        made.settle(Ok(index=index, value=None))
    assert told == (sorted(order) if ordered else order)
    assert (made.open, made.held) == (0, 0)


def test_an_early_record_is_held_and_no_longer_open() -> None:
    made, told = results()
    made.expect(3)
    made.settle(Batch(1, ["b", "c"]))
    assert (told, made.open, made.held) == ([], 1, 3)
    made.settle(Ok(index=0, value="a"))
    assert (told, made.open, made.held) == ([0, 1, 2], 0, 0)


def test_a_consumer_that_sets_the_pace_holds_what_was_told() -> None:
    made, told = results(paced=True)
    made.expect(2)
    made.settle(Batch(0, ["a", "b"]))
    assert (told, made.held) == ([0, 1], 2)


@given(st.permutations([3, 5, 9]))
def test_the_lowest_failure_decides_whichever_comes_first(order: list[int]) -> None:
    made, _ = results()
    made.expect(10)
    for index in order:
        made.settle(failed(index))
    assert (made.fail_at, str(made.failure)) == (3, "item 3")
    assert [index for index in range(6) if made.wanted(index)] == [0, 1, 2]


def test_a_lost_item_is_a_failure_too() -> None:
    made, _ = results()
    made.expect(1)
    error = RuntimeError("gone")
    made.settle(Lost(index=0, error=error, reason="signal 9"))
    assert made.failure is error


def test_failures_that_are_returned_decide_nothing() -> None:
    made, told = results(raise_on_error=False)
    made.expect(2)
    made.settle(failed(0))
    made.settle(Ok(index=1, value=None))
    assert (made.fail_at, told, made.wanted(10**9)) == (None, [0, 1], True)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cancelled_item_holds_nobody_up(ordered: bool) -> None:
    made, told = results(ordered=ordered)
    made.expect(3)
    made.settle(Batch(1, ["b", "c"]))
    made.cancel(0)
    assert (told, made.open, made.held) == ([1, 2], 0, 0)


def test_ranges_resumed_and_items_before_the_first_are_passed_over() -> None:
    made, told = results(first=2, skip=((3, 5), (6, 7)))
    made.expect(3)
    for index in (7, 5, 2):
        made.settle(Ok(index=index, value=None))
    assert told == [2, 5, 7]


def test_behind_a_gap_that_will_not_close_all_is_told_ascending() -> None:
    made, told = results()
    made.expect(5)
    for index in (4, 2):
        made.settle(Ok(index=index, value=None))
    made.drain()
    assert (told, made.held) == ([2, 4], 3)
    made.drain()
    assert told == [2, 4]


def test_without_an_order_there_is_nothing_to_drain() -> None:
    made, told = results(ordered=False)
    made.expect(2)
    made.settle(Ok(index=1, value=None))
    made.drain()
    assert told == [1]
