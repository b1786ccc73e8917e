"""How many items go together."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._chunks import ChunkAim, Chunks
from fanwise.records.chunks import ChunkStats


def sizes(items: int, cost: float, workers: int, aim: ChunkAim = ChunkAim(), *, known: bool = True) -> list[int]:
    """Chunk sizes of a whole run in which every item costs the same."""
    chunks, found = Chunks(aim, cost if known else None), []
    while items:
        size = min(items, chunks.size(items, workers))
        found.append(size)
        items -= size
        chunks.heard(size, ChunkStats(busy=size * cost), workers)
    return found


def test_a_fixed_size_is_kept():
    assert set(sizes(20, 1.0, 2, ChunkAim(size=5))) == {5}
    assert Chunks(ChunkAim(size=5), None).full(2) == 5


def test_short_chunks_of_a_fixed_size_travel_together_once_their_cost_is_known():
    found = sizes(10_000, 1e-6, 2, ChunkAim(size=5, together=True), known=False)
    assert found[:2] == [5, 80]
    assert {size % 5 for size in found} == {0}
    assert max(found) <= 10_000 / 32
    assert found[-3:] == [5, 5, 5]


@given(st.integers(1, 7), st.floats(1e-7, 0.1), st.integers(1, 300), st.integers(1, 3000))
def test_what_travels_together_takes_a_millisecond_and_is_a_small_part_of_the_rest(size, cost, workers, items):
    for found in sizes(items, cost, workers, ChunkAim(size=size, overhead_s=0.0, together=True))[:-1]:
        assert found % size == 0
        assert found == size or (found * cost <= 0.00101 and found * 16 * workers <= items)


def test_where_somebody_waits_for_each_result_chunks_travel_alone():
    assert set(sizes(1000, 1e-6, 2, ChunkAim(size=5))) == {5}


def test_uneven_chunks_of_a_fixed_size_travel_alone():
    chunks = Chunks(ChunkAim(size=1, together=True), None)
    chunks.heard(1, ChunkStats(busy=1e-6), 2)
    assert chunks.size(10_000, 2) == 16
    chunks.heard(16, ChunkStats(busy=1e-4, greatest=9e-5), 2)
    assert chunks.size(10_000, 2) == 1


def test_what_items_cost_in_the_mean_is_known_once_a_chunk_has_ended():
    chunks = Chunks(ChunkAim(), 5.0)
    assert chunks.mean is None
    chunks.heard(1, ChunkStats(busy=4.0), 2)
    chunks.heard(3, ChunkStats(busy=2.0), 2)
    chunks.heard(0, ChunkStats(busy=9.0), 2)  # all of it was given back
    assert chunks.mean == 1.5


def test_only_what_went_together_may_be_divided():
    fixed, remote = Chunks(ChunkAim(size=5), None), Chunks(ChunkAim(longest_s=1.0), None)
    assert [fixed.may_split(5), fixed.may_split(6), Chunks(ChunkAim(), None).may_split(2)] == [False, True, True]
    assert not remote.may_split(100)


def test_forty_milliseconds_of_work_while_there_is_enough():
    assert set(sizes(10_000, 1e-4, 2)[:20]) == {400}


def test_less_towards_the_end():
    last = sizes(10_000, 1e-4, 2)[-12:]
    assert last == sorted(last, reverse=True)
    assert last[-1] <= 20


def test_not_so_little_that_the_coordinator_would_be_the_bottleneck():
    assert min(sizes(100_000, 1e-6, 2)[:-1]) >= 200
    assert sizes(1_000_000, 1e-3, 1000)[2000] >= 100


def test_long_items_go_one_by_one():
    assert set(sizes(10, 0.5, 2)) == {1}


def test_without_a_probe_sizes_grow_step_by_step():
    assert sizes(100_000, 1e-6, 1, known=False)[:4] == [1, 16, 256, 4096]
    assert Chunks(ChunkAim(), None).full(2) == 1
    assert Chunks(ChunkAim(), None).block(0.01) == 1


def test_a_heavy_tail_halves_the_aim_for_a_while():
    chunks = Chunks(ChunkAim(), 1e-4)
    chunks.heard(100, ChunkStats(busy=0.01, greatest=0.006), 2)
    assert chunks.size(10_000, 2) == 200
    for _ in range(4):
        chunks.heard(100, ChunkStats(busy=0.01, greatest=1e-4), 2)
    assert chunks.size(10_000, 2) == 400


def test_remote_chunks_begin_long_and_come_down_to_the_aim():
    found = sizes(100_000, 0.01, 10, ChunkAim(work_s=0.1, longest_s=2.0, overhead_s=1.6e-3))
    assert found[0] == 200
    assert min(found[:-1]) == 10


def test_a_mean_that_follows_and_forgets():
    chunks = Chunks(ChunkAim(), 1e-3)
    for _ in range(60):
        chunks.heard(10, ChunkStats(busy=0.1), 2)
    assert chunks.cost == pytest.approx(0.01, rel=0.05)


def test_figures_without_time_teach_nothing():
    chunks = Chunks(ChunkAim(), 1e-3)
    chunks.heard(10, ChunkStats(), 2)
    chunks.heard(0, ChunkStats(busy=1.0), 2)
    assert chunks.cost == 1e-3


@given(
    waiting=st.integers(1, 10**7),
    workers=st.integers(1, 20_000),
    cost=st.one_of(st.none(), st.floats(0.0, 1e4)),
    remote=st.booleans(),
)
def test_a_chunk_has_an_item_and_leaves_some_to_others(waiting, workers, cost, remote):
    chunks = Chunks(ChunkAim(longest_s=10.0 if remote else None), cost)
    size = chunks.size(waiting, workers)
    assert 1 <= size <= max(1, ceil(waiting / (2 * workers)))
    assert chunks.full(workers) >= 1
    assert chunks.block(0.01) >= 1
