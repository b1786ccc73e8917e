"""Chunks on their way: every item settles once, what is open is known at any time, and workers turn to the next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._flights import Flight, Worker
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Failed, Ok, Said


def flight(first: int = 10, count: int = 10, id: int = 1) -> Flight:
    return Flight(Chunk(id, first, count), 1, suspect=False)


def batch(first: int, stop: int) -> Batch:
    """Items that return their own index, each with its own seconds."""
    return Batch(first, list(range(first, stop)), [float(i) for i in range(first, stop)])


def opened(of: Flight) -> set[int]:
    return {i for low, high in of.open() for i in range(low, high)}


class TestAccepting:
    def test_records_in_order_are_taken_whole(self) -> None:
        one = flight()
        record = batch(10, 15)
        assert one.accept(record) is record
        assert (one.next, one.open()) == (15, [(15, 20)])
        assert one.accept(Ok(index=15, value=None)) is not None
        assert opened(one) == {16, 17, 18, 19}

    @pytest.mark.parametrize(("first", "stop"), [(0, 10), (20, 25), (3, 5)])
    def test_what_is_not_of_the_chunk_is_not_taken(self, first: int, stop: int) -> None:
        one = flight()
        assert one.accept(batch(first, stop)) is None
        assert opened(one) == set(range(10, 20))

    def test_a_batch_that_overlaps_is_cut_to_what_is_new(self) -> None:
        one = flight()
        one.accept(batch(10, 14))
        fresh = one.accept(batch(12, 25))
        assert fresh == Batch(14, list(range(14, 20)), [float(i) for i in range(14, 20)])
        assert one.open() == []

    def test_what_an_item_said_goes_with_it(self) -> None:
        one = flight()
        one.accept(batch(10, 12))
        said = tuple(Said(i, "stdout", str(i)) for i in (11, 12, 19, 20))
        fresh = one.accept(Batch(11, list(range(10)), 0.5, said=said))
        assert [s.index for s in fresh.said] == [12, 19]
        assert fresh.seconds == 0.5

    def test_a_failure_heard_twice_counts_once(self) -> None:
        one = flight()
        failure = Failed(index=10, error=ValueError())
        assert one.accept(failure) is failure
        assert one.accept(failure) is None

    def test_a_record_ahead_leaves_a_gap_that_stays_open(self) -> None:
        one = flight()
        one.accept(batch(13, 15))
        one.accept(batch(17, 20))
        assert one.open() == [(10, 13), (15, 17)]
        assert one.at is None, "it is through; what is open is given back"

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=12))
    def test_no_item_is_taken_twice_whatever_comes(self, records: list[tuple[int, int]]) -> None:
        one, seen = flight(), []
        for first, count in records:
            fresh = one.accept(batch(first, first + count))
            if fresh is not None:
                assert fresh.values == list(range(fresh.first, fresh.first + len(fresh)))
                seen += fresh.values
        assert len(seen) == len(set(seen))
        assert set(seen) | opened(one) == set(range(10, 20))
        assert not set(seen) & opened(one)


class TestMovingOut:
    def test_an_item_goes_another_way_once(self) -> None:
        one = flight()
        assert one.move_out(12)
        assert not one.move_out(12)
        assert not one.holds(12)
        assert one.open() == [(10, 12), (13, 20)]

    def test_a_settled_or_foreign_item_cannot(self) -> None:
        one = flight()
        one.accept(batch(10, 13))
        assert not any(map(one.move_out, (9, 10, 12, 20)))

    def test_the_worker_is_at_the_next_that_stayed(self) -> None:
        one = flight(0, 4)
        for index in (0, 1):
            one.move_out(index)
        assert one.at == 2
        for index in (2, 3):
            one.move_out(index)
        assert (one.at, one.open()) == (None, [])

    @given(st.sets(st.integers(10, 19)), st.integers(10, 20))
    def test_ranges_are_those_of_the_set(self, out: set[int], settled: int) -> None:
        one = flight()
        if settled > 10:
            one.accept(batch(10, settled))
        for index in out:
            one.move_out(index)
        left = set(range(settled, 20)) - out
        assert opened(one) == left
        assert all(low < high for low, high in one.open())
        assert {i for i in range(5, 25) if one.holds(i)} == left

    def test_nothing_is_open_of_what_was_abandoned(self) -> None:
        one = flight()
        one.accept(batch(13, 15))
        one.abandon()
        assert (one.open(), one.at, one.holds(10)) == ([], None, False)
        assert one.accept(batch(10, 20)) is None


class TestWorker:
    def test_time_counts_from_the_first_chunk_it_has(self) -> None:
        worker = Worker(1, 4711)
        assert worker.at is None
        worker.take(flight(0, 2), 5.0)
        worker.take(flight(2, 2), 6.0)
        assert (worker.began, worker.at, worker.since) == (5.0, 0, 5.0)

    def test_it_turns_to_the_next_chunk_when_one_is_done(self) -> None:
        worker, first = Worker(1, None), flight(0, 2)
        worker.take(first, 5.0)
        worker.take(flight(2, 2), 6.0)
        first.accept(batch(0, 2))
        worker.turn_to_next(7.0)
        assert (worker.at, worker.since, worker.began) == (2, 7.0, 5.0)
        worker.drop(first, 8.0)
        assert (worker.at, worker.since, worker.began) == (2, 7.0, 8.0)

    def test_a_chunk_taken_back_from_behind_changes_no_clock(self) -> None:
        worker, behind = Worker(1, None), flight(2, 2)
        worker.take(flight(0, 2), 5.0)
        worker.take(behind, 6.0)
        worker.drop(behind, 9.0)
        assert (worker.at, worker.began, worker.holds(2), worker.holds(1)) == (0, 5.0, False, True)

    def test_with_nothing_left_it_is_nowhere(self) -> None:
        worker, only = Worker(1, None), flight(0, 1)
        worker.take(only, 5.0)
        worker.drop(only, 6.0)
        assert (worker.at, worker.since) == (None, 6.0)

    @pytest.mark.parametrize(("now", "left"), [(0.0, 10.0), (4.0, 6.0), (10.0, 0.0), (13.0, 3.0)])
    def test_a_chunk_late_by_some_time_is_expected_to_take_as_long_again(self, now: float, left: float) -> None:
        worker = Worker(1, None)
        worker.take(flight(0, 5), 0.0)
        assert worker.remains(2.0, now) == pytest.approx(left)
