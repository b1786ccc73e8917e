"""Small records that many layers share: costs, tasks, seeds, times."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.costs_of import histogram, slowest

import fanwise
from fanwise import _task
from fanwise._clock import SystemClock
from fanwise._seeds import generator
from fanwise.records.costs import BINS, bin_bounds, bin_of, of_blocks

SECONDS = st.floats(1e-9, 1e5)


class TestCosts:
    @given(SECONDS)
    def test_a_cost_lies_in_its_bin_unless_it_is_off_the_scale(self, seconds: float) -> None:
        low, high = bin_bounds(bin_of(seconds))
        if 1e-6 < seconds < 1e4:
            assert low * (1 - 1e-9) <= seconds <= high * (1 + 1e-9)
        else:
            assert bin_of(seconds) in {0, BINS - 1}

    @given(st.lists(SECONDS))
    def test_no_item_is_lost_in_the_histogram(self, costs: list[float]) -> None:
        pairs = histogram(costs)
        assert sum(items for _, items in pairs) == len(costs)
        assert [index for index, _ in pairs] == sorted({bin_of(cost) for cost in costs})

    def test_bins_meet_without_gaps(self) -> None:
        for index in range(BINS - 1):
            assert bin_bounds(index)[1] == pytest.approx(bin_bounds(index + 1)[0])
        assert bin_bounds(0)[0] == pytest.approx(1e-6)
        assert bin_bounds(BINS - 1)[1] == pytest.approx(1e4)

    def test_the_slowest_come_first(self) -> None:
        assert slowest(10, [0.1, 0.5, 0.3, 0.4]) == ((11, 0.5), (13, 0.4), (12, 0.3))
        assert slowest(0, []) == ()

    @given(st.lists(st.tuples(st.integers(1, 50), st.floats(1e-6, 10)), max_size=20))
    def test_blocks_count_every_item_at_its_mean(self, blocks: list[tuple[int, float]]) -> None:
        pairs, slow = of_blocks(5, blocks)
        assert sum(items for _, items in pairs) == sum(items for items, _ in blocks)
        assert len(slow) <= 3
        assert all(index >= 5 for index, _ in slow)
        assert [seconds for _, seconds in slow] == sorted((seconds for _, seconds in slow), reverse=True)

    def test_an_empty_block_counts_for_nothing(self) -> None:
        assert of_blocks(0, [(0, 0.0)]) == ((), ())


class TestTasks:
    def test_outside_an_item_there_is_none(self) -> None:
        assert fanwise.current_task() is None

    def test_the_index_grows_with_the_results(self) -> None:
        done: list[int] = []
        before = _task.enter(_task.Place(10, done, 2, 4711, lambda: True))
        try:
            first = fanwise.current_task()
            done.append(0)
            second = fanwise.current_task()
        finally:
            _task.leave(before)
        assert first is not None
        assert second is not None
        assert (first.index, second.index) == (10, 11)
        assert (first.attempt, first.worker, first.interrupted) == (2, 4711, True)
        assert fanwise.current_task() is None

    def test_places_nest(self) -> None:
        outer = _task.enter(_task.Place(1, [], 1, None, bool))
        inner = _task.enter(_task.Place(2, [], 1, None, bool))
        task = fanwise.current_task()
        assert task is not None
        assert task.index == 2
        _task.leave(inner)
        task = fanwise.current_task()
        assert task is not None
        assert task.index == 1
        _task.leave(outer)

    def test_threads_do_not_see_each_others_items(self) -> None:
        before = _task.enter(_task.Place(1, [], 1, None, bool))
        seen: list[object] = []
        thread = threading.Thread(target=lambda: seen.append(fanwise.current_task()))
        thread.start()
        thread.join()
        _task.leave(before)
        assert seen == [None]


class TestSeeds:
    def test_the_generator_depends_on_seed_and_index_alone(self) -> None:
        assert generator(7, 3).random() == generator(7, 3).random()
        assert generator(7, 3).random() != generator(7, 4).random()
        assert generator(7, 3).random() != generator(8, 3).random()

    def test_it_is_the_one_that_is_documented(self) -> None:
        expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(3,))))
        assert (generator(7, 3).integers(0, 1 << 40, 8) == expected.integers(0, 1 << 40, 8)).all()

    def test_streams_of_many_items_do_not_meet(self) -> None:
        assert len({generator(0, index).integers(0, 1 << 62) for index in range(2000)}) == 2000


def test_the_clock_goes_on_and_sleeps() -> None:
    clock = SystemClock()
    begin = clock.now()
    clock.sleep(0.001)
    assert clock.now() - begin >= 0.001
    assert clock.time() > 1.7e9
