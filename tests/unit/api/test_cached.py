"""How a run looks items up: blocks of hits or one miss, draws that say what is known, counts that add up."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise
from fanwise._api._cached import CachedFn, CachedSource, Counting, Recalling, Reuse, reuse_of
from fanwise._api._source import source_of
from fanwise.cache import Counters
from fanwise.errors import FanwiseWarning
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch
from fanwise.records.scheduling import ChunkFinished, Command, Event, Interrupt
from fanwise.testing import MemoryCache


def double(x: int) -> int:
    return 2 * x


def reuse_with(known: Sequence[int], *, adaptive: bool = False) -> Reuse:
    """What a run has whose cache holds the results of some items; if it adapts, it may step aside after 64 calls."""
    cache = MemoryCache()
    memo = cache.memoize(double, adaptive=adaptive)
    for item in known:
        memo(item)
    return Reuse(memo, None)


def source_over(items: Any, known: Sequence[int]) -> tuple[Reuse, CachedSource]:
    reuse = reuse_with(known)
    return reuse, reuse.over(source_of(items))


def run_blocks(reuse: Reuse, source: CachedSource, size: int, stop: int = 10**9) -> list[int]:
    """Run blocks as the loop does until the input ends or so many items are done."""
    call = reuse.here(journaled=False)
    values: list[int] = []
    while len(values) < stop:
        items, drawing = source.block(len(values), size)
        before = len(values)
        values.extend(map(call, items))
        assert len(values) - before == drawing.count
        if drawing.ended:
            break
    return values


INPUTS: dict[str, Callable[[Sequence[int]], Any]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "generator": lambda items: (item for item in items),
}


class TestBlocks:
    @pytest.mark.parametrize("kind", INPUTS)
    @settings(max_examples=30)
    @given(
        items=st.lists(st.integers(0, 30), max_size=40),
        known=st.sets(st.integers(0, 30)),
        size=st.integers(1, 7),
    )
    def test_values_are_those_of_the_loop(self, kind: str, items: list[int], known: set[int], size: int) -> None:
        reuse, source = source_over(INPUTS[kind](items), sorted(known))
        assert run_blocks(reuse, source, size) == [2 * x for x in items]

    @pytest.mark.parametrize("kind", INPUTS)
    @settings(max_examples=30)
    @given(items=st.lists(st.integers(0, 30), unique=True, max_size=31), known=st.sets(st.integers(0, 30)))
    def test_hits_are_told_as_spans(self, kind: str, items: list[int], known: set[int]) -> None:
        reuse, source = source_over(INPUTS[kind](items), sorted(known))
        run_blocks(reuse, source, 5)
        told = [index for first, count in reuse.hits() for index in range(first, first + count)]
        assert told == [index for index, item in enumerate(items) if item in known]
        assert reuse.hits() == []

    def test_a_block_ends_before_the_first_miss_and_a_miss_is_a_block(self) -> None:
        reuse, source = source_over([0, 1, 2, 3, 4, 5], [0, 1, 2, 5])
        call = reuse.here(journaled=False)
        found: list[int] = []
        blocks = []
        while len(found) < 6:
            items, drawing = source.block(len(found), 10)
            found.extend(map(call, items))
            blocks.append((drawing.count, drawing.ended))
        assert blocks == [(3, False), (1, False), (1, False), (1, True)]

    def test_the_error_of_the_input_comes_behind_its_items(self) -> None:
        def broken() -> Iterator[int]:
            yield from (1, 2, 3)
            raise OSError("the input")

        reuse, source = source_over(broken(), [1, 2, 3])
        items, drawing = source.block(0, 1)
        found = [reuse.here(journaled=False)(item) for item in items]
        while not drawing.ended:
            assert drawing.error is None
            items, drawing = source.block(len(found), 8)
            found += [reuse.here(journaled=False)(item) for item in items]
        assert found == [2, 4, 6]
        assert str(drawing.error) == "the input"

    def test_in_bypass_blocks_are_as_large_as_asked_for(self) -> None:
        reuse = reuse_with([], adaptive=True)
        source = reuse.over(source_of(range(2000)))
        run_blocks(reuse, source, 10, stop=500)
        assert reuse.fn.memo.bypassing
        items, drawing = source.block(500, 300)
        assert (drawing.count, len(list(items))) == (300, 300)

    def test_a_failing_item_is_found_again(self) -> None:
        cache = MemoryCache()
        reuse = Reuse(cache.for_run(reciprocal), None)
        source = reuse.over(source_of(iter([1, 0, 2])))
        items, _ = source.block(0, 3)
        assert list(map(reuse.here(journaled=False), items)) == [1.0]
        items, drawing = source.block(1, 3)
        with pytest.raises(ZeroDivisionError):
            list(map(reuse.here(journaled=False), items))
        assert drawing.count == 1
        assert source.item(1) == 0
        items, _ = source.block(2, 3)
        assert list(map(reuse.here(journaled=False), items)) == [0.5]


def reciprocal(x: int) -> float:
    return 1 / x


class TestDraws:
    @pytest.mark.parametrize("kind", INPUTS)
    @settings(max_examples=30)
    @given(
        items=st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=31),
        known=st.sets(st.integers(0, 30)),
        here=st.integers(0, 31),
        sizes=st.lists(st.integers(1, 9), min_size=40, max_size=40),
    )
    def test_after_any_block_draws_go_on_where_the_loop_ended(
        self, kind: str, items: list[int], known: set[int], here: int, sizes: list[int]
    ) -> None:
        reuse, source = source_over(INPUTS[kind](items), sorted(known))
        done = run_blocks(reuse, source, 4, stop=here) if here else []
        source.reclaim(len(done))
        at, cached, ended = len(done), {}, len(done) == len(items)
        for size in sizes:
            if ended:
                break
            drawing = source.draw(size)
            assert list(source.take(at, drawing.count)) == items[at : at + drawing.count]
            for batch in drawing.cached:
                assert isinstance(batch, Batch)
                cached.update(enumerate(batch.values, batch.first))
            at += drawing.count
            ended = drawing.ended
            source.release(at)
        assert at == len(items)
        wanted = {index: 2 * item for index, item in enumerate(items) if item in known and index >= len(done)}
        assert cached == wanted

    def test_neighbours_come_as_one_batch(self) -> None:
        _, source = source_over(range(10), [1, 2, 3, 7, 8, 9])
        drawing = source.draw(10)
        assert [(batch.first, list(batch.values)) for batch in drawing.cached] == [(1, [2, 4, 6]), (7, [14, 16, 18])]
        assert drawing.ended

    def test_an_item_whose_key_fails_is_left_to_its_worker(self) -> None:
        _, source = source_over([Sour(), 3], [3])
        assert [batch.first for batch in source.draw(2).cached] == [1]

    def test_costly_keys_are_left_to_the_workers(self) -> None:
        reuse, source = source_over(range(4), range(4))
        reuse.fn.memo._policy.key.value = 0.01
        assert source.draw(4).cached == ()

    def test_threads_make_keys_in_turns_so_they_are_made_here(self) -> None:
        reuse = reuse_with(range(4))
        reuse.fn.memo._policy.key.value = 0.01
        assert len(reuse.over(source_of(range(4)), threads=True).draw(4).cached[0]) == 4

    def test_it_describes_itself_and_what_is_below(self) -> None:
        reuse, source = source_over(range(4), [])
        assert (source.total, source.inheritable, source.at_hand) == (4, True, False)
        assert repr(source) == "<CachedSource over <SequenceSource of 4 items>>"
        assert "double" in repr(reuse)
        assert "double" in repr(reuse.fn)
        source.keep(Batch(0, [0]))  # there is no journal


class Sour:
    def __fanwise_key__(self) -> str:
        raise OSError("no key today")


class TestCounts:
    def test_at_home_nothing_is_sent(self) -> None:
        reuse = reuse_with([1])
        assert reuse.fn(1) == 2
        assert reuse.fn.__fanwise_account__() == ()

    def test_elsewhere_each_look_is_told_once(self, tmp_path: Path) -> None:
        with fanwise.Cache(tmp_path / "c") as cache:
            sent = pickle.dumps(Reuse(cache.for_run(double), None).fn)
            there = pickle.loads(sent)
            assert there.__fanwise_account__() == ()
            assert [there(3), there(3)] == [6, 6]
            found, seconds, *counts = there.__fanwise_account__()
            counted = Counters.of(counts)
            assert (found, counted.hits, counted.misses, counted.computes) == (1, 1, 1, 1)
            assert seconds == counted.seconds_spent
            assert there.__fanwise_account__() == ()
            there.memo.cache.close()

    def test_a_forked_child_begins_at_zero(self) -> None:
        reuse = reuse_with([1, 2, 3])
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            reuse.fn(9)
            os.write(write, repr(Counters.of(reuse.fn.__fanwise_account__()[2:]).misses).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 10) == b"1"
        os.close(read)
        os.close(write)

    @given(st.lists(st.integers(0, 1 << 40), min_size=17, max_size=17))
    def test_counts_survive_the_wire(self, numbers: list[int]) -> None:
        counters = Counters(*numbers)
        assert Counters.of([float(value) for value in counters.values()]) == counters

    def test_what_workers_counted_reaches_statistics_and_report(self) -> None:
        reuse = reuse_with([])
        news = Counters(hits_memory=2, misses=3, computes=3, stores=3, seconds_saved=0.5, seconds_spent=0.25)
        reuse.absorb(ChunkStats(counts=(2, 0.25, *news.values())))
        reuse.absorb(ChunkStats())
        stats = reuse.fn.memo.cache.stats()
        assert (stats.hits, stats.misses, stats.computes) == (2, 3, 3)
        (memory,) = reuse.facts()
        assert (memory["level"], memory["lookups"], memory["hits"], memory["stored"]) == ("memory", 5, 2, 3)
        assert (memory["saved_s"], memory["spent_s"]) == (0.5, 0.25)

    def test_a_listener_hears_everything_and_counts_are_taken_out(self) -> None:
        heard: list[Event] = []

        class Listener:
            def hear(self, event: Event, commands: Sequence[Command]) -> None:
                heard.append(event)

            def tick(self, now: float) -> float | None:
                return now + 1

        reuse = reuse_with([])
        counting = Counting(Listener(), reuse)
        events = [
            ChunkFinished(1.0, 1, 1, ChunkStats(counts=(1, 0.0, *Counters(hits_disk=1).values()))),
            Interrupt(2.0, 1, 2),
        ]
        for event in events:
            counting.hear(event, [])
        assert heard == events
        assert counting.tick(5.0) == 6.0
        assert reuse.fn.memo.cache.stats().hits_disk == 1

    def test_the_report_has_a_row_for_each_level(self, tmp_path: Path) -> None:
        with fanwise.Cache(tmp_path / "c") as cache:
            rows = cache.uses(Counters(hits_memory=2, hits_disk=3, misses=5, stores=5, refused=1, corrupt=1, evicted=4))
        assert [(row["level"], row["lookups"], row["hits"]) for row in rows] == [("memory", 10, 2), ("disk", 8, 3)]
        assert (rows[0]["stored"], rows[1]["stored"], rows[1]["evicted"], rows[1]["refused"]) == (0, 5, 4, 2)
        (row,) = cache.uses(Counters(misses=1))
        assert row["bytes"] == 0, "closed"


class TestFunctions:
    def test_without_a_cache_there_is_nothing(self) -> None:
        assert reuse_of(double, None, None) is None

    def test_a_memoised_function_is_taken_apart(self) -> None:
        memo = MemoryCache().memoize(double)
        reuse = reuse_of(memo, None, None)
        assert reuse is not None
        assert reuse.fn.memo is memo

    def test_a_generator_function_runs_without_the_cache(self) -> None:
        def numbers(x: int) -> Iterator[int]:
            yield x

        with pytest.warns(FanwiseWarning, match="generator function; its result is not the value"):
            assert reuse_of(numbers, MemoryCache(), None) is None

    def test_a_seeded_item_gets_the_generator_of_its_place(self) -> None:
        reuse = Reuse(MemoryCache().for_run(noisy), 7)
        found, compute = reuse.fn.begin(1, 5)
        assert not found
        value = compute()
        assert reuse.fn.begin(1, 5) == (True, value)
        assert not reuse.fn.begin(1, 6)[0]
        assert value == fanwise.map(noisy, [0, 0, 0, 0, 0, 1], seed=7, workers=1)[5]

    def test_behind_a_journal_an_item_is_looked_up_when_it_is_called(self) -> None:
        hits: list[tuple[int, int]] = []
        call = Recalling(CachedFn(MemoryCache().for_run(double), None), hits)
        assert [call(4), call(4)] == [8, 8]
        assert hits == [(0, 1)]


def noisy(x: int, rng: Any) -> float:
    return x + float(rng.random())
