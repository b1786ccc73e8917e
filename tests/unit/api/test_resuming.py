"""What a journal holds is not run again: in the calling process by the function, for workers by the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise import _task
from fanwise._api._resuming import JournaledFn, JournaledSource, open_journal
from fanwise._api._source import IteratorSource, SequenceSource, Source
from fanwise.engine._journal import Journal
from fanwise.errors import UsageError
from fanwise.records.outcomes import Batch, Failed, Ok
from fanwise.testing import FakeClock

ITEMS = st.lists(st.integers(0, 4), max_size=12)


def journal(folder: Path | str, fn: Callable[..., Any] = abs, seed: int | None = None) -> Journal:
    return open_journal(Path(folder) / "j", fn, seed, FakeClock())


def as_item(fn: Callable[[Any], Any], index: int, item: Any) -> Any:
    """Call a function as item ``index`` of a run."""
    before = _task.enter(_task.Place(index, [], 1, None, lambda: False))
    try:
        return fn(item)
    finally:
        _task.leave(before)


def source_of(items: list[int], drawn: bool) -> Source:
    return IteratorSource(iter(items)) if drawn else SequenceSource(items)


def drawn_all(source: JournaledSource, sizes: Iterable[int]) -> tuple[int, dict[int, Any]]:
    """Draw to the end; how many items came, and what was known of them."""
    count, known = 0, {}
    for size in sizes:
        drawing = source.draw(size)
        count += drawing.count
        known |= {batch.first: batch.values[0] for batch in drawing.known}
        if drawing.ended:
            break
    return count, known


class TestFunction:
    def test_an_item_is_run_once_in_two_calls(self, tmp_path: Path) -> None:
        ran: list[int] = []

        def square(x: int) -> int:
            ran.append(x)
            return x * x

        for expected in ([], [0, 1]):
            with journal(tmp_path, square) as kept:
                fn = JournaledFn(square, kept)
                assert [as_item(fn, index, item) for index, item in enumerate([3, 4])] == [9, 16]
                assert (fn.resumed(), fn.resumed()) == (expected, [])
        assert ran == [3, 4]

    def test_a_failure_is_not_written_down(self, tmp_path: Path) -> None:
        for _ in range(2):
            with journal(tmp_path) as kept, pytest.raises(TypeError):
                as_item(JournaledFn(abs, kept), 0, "text")
        with journal(tmp_path) as kept:
            assert kept.recall("text", 0)[1] is False

    def test_outside_an_item_it_refuses(self, tmp_path: Path) -> None:
        with journal(tmp_path) as kept, pytest.raises(RuntimeError, match="as an item only"):
            JournaledFn(abs, kept)(3)

    @settings(max_examples=25)
    @given(ITEMS, ITEMS)
    def test_each_record_serves_one_occurrence(self, before: list[int], now: list[int]) -> None:
        with TemporaryDirectory() as folder:
            with journal(folder) as kept:
                for index, item in enumerate(before):
                    as_item(JournaledFn(abs, kept), index, item)
            with journal(folder) as kept:
                fn = JournaledFn(abs, kept)
                assert [as_item(fn, index, item) for index, item in enumerate(now)] == [abs(item) for item in now]
                assert len(fn.resumed()) == (Counter(before) & Counter(now)).total()


class TestSource:
    @settings(max_examples=40)
    @given(ITEMS, st.data(), st.booleans())
    def test_what_was_kept_is_known_to_the_next_call_and_nothing_else(
        self, items: list[int], data: st.DataObject, drawn: bool
    ) -> None:
        done = data.draw(st.sets(st.integers(0, len(items) - 1))) if items else set()
        sizes = data.draw(st.lists(st.integers(1, 5), min_size=14, max_size=14))
        with TemporaryDirectory() as folder:
            with journal(folder) as kept:
                source = JournaledSource(source_of(items, drawn), kept)
                assert drawn_all(source, sizes) == (len(items), {})
                for index in sorted(done):
                    source.keep(Batch(index, [-items[index]]))
            with journal(folder) as kept:
                count, known = drawn_all(JournaledSource(source_of(items, not drawn), kept), sizes)
        assert count == len(items)
        assert all(value == -items[index] for index, value in known.items())
        assert Counter(items[index] for index in known) == Counter(items[index] for index in done)

    def test_outcomes_are_kept_if_they_are_good(self, tmp_path: Path) -> None:
        with journal(tmp_path) as kept:
            source = JournaledSource(SequenceSource([5, 6, 7]), kept)
            source.draw(3)
            source.keep(Ok(index=0, value="five"))
            source.keep(Failed(index=1, error=ValueError()))
            source.keep(Batch(2, ["seven"]))
            assert kept.kept == 2
        with journal(tmp_path) as kept:
            known = JournaledSource(SequenceSource([5, 6, 7]), kept).draw(3).known
        assert [(batch.first, batch.values) for batch in known] == [(0, ["five"]), (2, ["seven"])]

    def test_a_sequence_is_drawn_no_further_than_it_goes(self, tmp_path: Path) -> None:
        with journal(tmp_path) as kept:
            source = JournaledSource(SequenceSource([1, 2, 3]), kept)
            first, second = source.draw(2), source.draw(5)
        assert [(d.count, d.ended) for d in (first, second)] == [(2, False), (1, True)]
        assert (source.total, source.inheritable, source.at_hand) == (3, True, False)

    def test_what_the_loop_left_is_drawn_from_there(self, tmp_path: Path) -> None:
        with journal(tmp_path) as kept:
            source = JournaledSource(IteratorSource(iter("abcdef")), kept)
            block, _ = source.block(0, 4)
            taken = [next(iter(block)), next(iter(block))]
            source.reclaim(2)
            drawing = source.draw(10)
            assert (taken, list(source.take(2, drawing.count))) == (["a", "b"], ["c", "d", "e", "f"])
            source.keep(Ok(index=2, value="C"))
        with journal(tmp_path) as kept:
            assert kept.recall("c", 99)[1:] == (True, "C")


@pytest.mark.parametrize("other", [(repr, None), (abs, 1)], ids=["function", "seed"])
def test_a_journal_of_another_call_is_refused(tmp_path: Path, other: tuple[Any, int | None]) -> None:
    journal(tmp_path).close()
    with pytest.raises(UsageError, match="was written by abs"):
        journal(tmp_path, *other)


def test_with_a_seed_the_index_counts_as_well(tmp_path: Path) -> None:
    with journal(tmp_path, seed=1) as kept:
        key, _, _ = kept.recall("x", 3)
        kept.keep(3, key, "third")
    with journal(tmp_path, seed=1) as kept:
        assert kept.recall("x", 2)[1] is False
        assert kept.recall("x", 3)[1:] == (True, "third")
