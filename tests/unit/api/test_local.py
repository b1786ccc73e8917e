"""The loop in the calling process gives what the plain loop gives, whatever the blocks."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanwise
from fanwise._api import _local
from fanwise._api._again import SecondChances
from fanwise._api._local import CoreClock, LocalLoop
from fanwise._api._source import source_of
from fanwise._api.run import expand
from fanwise._clock import SystemClock
from fanwise.records.outcomes import Failed, Outcome


class Blocks:
    """A pace that is told its blocks."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self._sizes = iter(sizes)
        self.recorded = 0

    def block(self) -> int:
        return next(self._sizes, 5)

    def record(self, count: int, wall_s: float, cpu_s: float | None = None) -> None:
        assert wall_s >= 0
        self.recorded += count


def once() -> SecondChances:
    return SecondChances(None, SystemClock())


def through(loop: LocalLoop, pace: Blocks) -> list[Outcome]:
    while loop.advance(pace):
        pass
    return list(expand(loop.take()))


def halve(item: int) -> float:
    if item % 5 == 3:
        raise ValueError(f"{item} is bad")
    return item / 2


@given(st.lists(st.integers(0, 20), max_size=30), st.lists(st.integers(1, 9), max_size=9), st.booleans())
def test_outcomes_are_those_of_the_loop(items: list[int], blocks: list[int], drawn: bool) -> None:
    pace = Blocks(blocks)
    outcomes = through(LocalLoop(halve, source_of(iter(items) if drawn else items), once(), raises=False), pace)
    assert [o.index for o in outcomes] == list(range(len(items)))
    for outcome, item in zip(outcomes, items, strict=True):
        assert outcome.worker is None
        if item % 5 == 3:
            assert str(outcome.error) == f"{item} is bad"
        else:
            assert outcome.unwrap() == item / 2
    assert pace.recorded == len(items)


def test_the_first_failure_ends_a_loop_that_raises() -> None:
    loop = LocalLoop(halve, source_of([0, 1, 3, 4]), once(), raises=True)
    assert [o.unwrap() for o in through(loop, Blocks([1, 2, 3]))] == [0.0, 0.5]
    assert isinstance(loop.failure, Failed)
    assert loop.failure.index == 2
    assert "halve" in loop.failure.traceback


def test_a_stop_iteration_of_an_item_is_not_taken_for_the_end() -> None:
    def stop(item: int) -> int:
        if item == 2:
            raise StopIteration
        return item

    outcomes = through(LocalLoop(stop, source_of(range(5)), once(), raises=False), Blocks([4]))
    assert [o.ok for o in outcomes] == [True, True, False, True, True]
    assert isinstance(outcomes[2].error, StopIteration)


def test_a_failing_input_is_kept_behind_the_items_before_it() -> None:
    def source() -> Iterable[int]:
        yield 0
        yield 1
        raise OSError("gone")

    loop = LocalLoop(halve, source_of(source()), once(), raises=True)
    assert [o.unwrap() for o in through(loop, Blocks([5]))] == [0.0, 0.5]
    assert isinstance(loop.source_error, OSError)


def test_each_item_knows_its_index() -> None:
    def where(item: int) -> int:
        task = fanwise.current_task()
        assert task is not None
        assert (task.attempt, task.worker, task.interrupted) == (1, None, False)
        return task.index

    outcomes = through(LocalLoop(where, source_of(iter("abcdefgh")), once(), raises=True), Blocks([1, 2, 4]))
    assert [o.unwrap() for o in outcomes] == list(range(8))
    assert fanwise.current_task() is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_an_interrupt_passes_through_and_leaves_what_is_finished(error: type[BaseException]) -> None:
    def interrupted(item: int) -> int:
        if item == 3:
            raise error
        return item

    loop = LocalLoop(interrupted, source_of(range(9)), once(), raises=False)
    with pytest.raises(error):
        through(loop, Blocks([8]))
    assert [o.unwrap() for o in expand(loop.take())] == [0, 1, 2]
    assert loop.at == 3
    assert repr(loop) == "<LocalLoop at item 3>"


@pytest.mark.parametrize(("waits", "wanted"), [(0, 2.0), (3, 0.25)])
def test_work_on_a_shared_core_is_not_taken_for_waiting(
    waits: int, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine plain work takes longer than its processor time, but never gives up the processor itself."""
    given_up, used = iter([5, 5 + waits]), iter([1.0, 1.25])
    monkeypatch.setattr(_local, "_waits", lambda: next(given_up))
    monkeypatch.setattr(_local, "process_time", lambda: next(used))
    assert CoreClock().wanted(2.0) == wanted


def test_who_sleeps_wants_no_processor() -> None:
    clock = CoreClock()
    time.sleep(0.01)
    assert clock.wanted(0.01) < 0.005
