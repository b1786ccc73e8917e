"""The page that a worker shares with its coordinator."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process._cell import Cell, Phase, make_page


@pytest.fixture
def both() -> Iterator[tuple[Cell, Cell, int]]:
    page = make_page()
    worker, coordinator = Cell(page), Cell(page)
    yield worker, coordinator, page
    worker.close()
    coordinator.close()
    os.close(page)


@given(st.integers(0, 2**64 - 2), st.integers(1, 2**32), st.floats(0, 1e12))
def test_what_is_marked_is_seen_on_the_other_side(index: int, count: int, now: float) -> None:
    page = make_page()
    worker, coordinator = Cell(page), Cell(page)
    os.close(page)
    try:
        worker.mark(index, count, now)
        assert coordinator.running() == (now, index, count)
    finally:
        worker.close()
        coordinator.close()


def test_an_item_that_is_over_is_still_the_one_to_blame(both: tuple[Cell, Cell, int]) -> None:
    worker, coordinator, _ = both
    worker.mark(5, 1, 1.0)
    worker.settle()
    assert coordinator.running() == (1.0, 5, 0)
    worker.rest()
    assert coordinator.running()[1:] == (2**64 - 1, 0)


def test_a_block_is_at_work_until_it_is_sent(both: tuple[Cell, Cell, int]) -> None:
    worker, coordinator, _ = both
    worker.mark(5, 20, 1.0)
    worker.settle()
    assert coordinator.running() == (1.0, 5, 20)
    worker.rest()
    assert coordinator.running() == (0.0, 2**64 - 1, 0)


def test_size_phase_and_frames_do_not_touch_each_other(both: tuple[Cell, Cell, int]) -> None:
    worker, coordinator, _ = both
    worker.rss, worker.phase, worker.frames = 1 << 40, Phase.INITIALIZING, 3_000_000_000
    assert (coordinator.rss, coordinator.phase, coordinator.frames) == (1 << 40, Phase.INITIALIZING, 3_000_000_000)
    worker.phase = Phase.READY
    assert (coordinator.rss, coordinator.phase, coordinator.frames) == (1 << 40, Phase.READY, 3_000_000_000)


def test_a_chunk_is_wanted_back_until_a_new_run_begins(both: tuple[Cell, Cell, int]) -> None:
    worker, coordinator, _ = both
    assert not worker.is_halted(0)
    coordinator.give_back(0)
    assert (worker.is_halted(0), worker.is_halted(1), worker.is_stopping()) == (True, False, False)
    coordinator.stop(wanted=True)
    assert (worker.is_halted(0), worker.is_halted(1), worker.is_stopping()) == (True, True, True)
    coordinator.stop(wanted=False)
    assert (worker.is_halted(0), worker.is_halted(1), worker.is_stopping()) == (False, False, False)


def test_last_words_are_what_is_written_to_the_descriptor(both: tuple[Cell, Cell, int]) -> None:
    _, coordinator, page = both
    assert coordinator.last_words() == ""
    os.write(page, b"Fatal Python error: ")
    os.write(page, b"Segmentation fault\n")
    assert coordinator.last_words() == "Fatal Python error: Segmentation fault\n"


def test_a_cell_says_what_it_shows(both: tuple[Cell, Cell, int]) -> None:
    worker, coordinator, _ = both
    worker.mark(5, 20, 1.0)
    assert repr(coordinator) == "<Cell STARTING at item 5 (+20), 0 bytes>"
    coordinator.close()
    assert repr(coordinator) == "<Cell closed>"
