"""Running the items of a chunk: blocks, failures, statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise._seeds import bind
from fanwise._task import Place, current_task
from fanwise.backends import _execution
from fanwise.backends._execution import Failure, Function, Streak, Tally, execute


class Follower:
    """A watch that notes what it hears, and may stop before an index."""

    caught = BaseException

    def __init__(self, stop_at: int | None = None) -> None:
        self.marks: list[tuple[int, int]] = []
        self._stop_at = stop_at

    def begin(self, streak: Streak) -> Place:
        return Place(streak.first, streak.values, 1, None, lambda: False)

    def mark(self, index: int, count: int, now: float) -> None:
        self.marks.append((index, count))

    def halted(self) -> bool:
        return self._stop_at is not None and sum(count for _, count in self.marks) >= self._stop_at


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let every call of the clock advance it by so much."""

    def use(step: float) -> None:
        now = iter(range(10**9))
        monkeypatch.setattr(_execution, "monotonic", lambda: step * next(now))

    return use


def outcomes(settled: list[Streak | Failure]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for each in settled:
        if isinstance(each, Failure):
            found[each.index] = type(each.error)
        else:
            found |= dict(enumerate(each.values, each.first))
    return found


def reciprocal(x: int) -> float:
    if x < 0:
        raise StopIteration
    return 1 / x


@given(st.lists(st.integers(-1, 5), max_size=300), st.booleans(), st.integers(0, 50))
def test_it_is_the_loop_that_goes_on_after_failures(items: list[int], single: bool, first: int) -> None:
    expected: dict[int, Any] = {}
    for index, item in enumerate(items, first):
        try:
            expected[index] = reciprocal(item)
        except (ZeroDivisionError, StopIteration) as error:
            expected[index] = type(error)
    settled = list(execute(Function(reciprocal, single), items, first, Follower()))
    assert outcomes(settled) == expected


def test_short_items_run_in_blocks_of_a_quarter_of_a_millisecond(ticking: Callable[[float], None]) -> None:
    ticking(5e-6)
    follower = Follower()
    (streak,) = execute(Function(abs), list(range(200)), 0, follower)
    assert follower.marks[:3] == [(0, 1), (1, 50), (51, 98)]
    assert isinstance(streak, Streak)
    assert streak.values == list(range(200))
    assert sum(streak.seconds) == pytest.approx(5e-6 * len(follower.marks))


def test_long_items_run_one_by_one_and_are_sent_every_fifty_milliseconds(ticking: Callable[[float], None]) -> None:
    ticking(20e-3)
    follower = Follower()
    settled = list(execute(Function(abs), list(range(7)), 0, follower))
    assert follower.marks == [(i, 1) for i in range(7)]
    assert [s.values for s in settled if isinstance(s, Streak)] == [[0, 1, 2], [3, 4, 5], [6]]


def test_single_items_never_share_a_block(ticking: Callable[[float], None]) -> None:
    ticking(1e-7)
    follower = Follower()
    list(execute(Function(abs, single=True), list(range(50)), 0, follower))
    assert follower.marks == [(i, 1) for i in range(50)]


def test_it_stops_where_it_is_told_to() -> None:
    settled = list(execute(Function(abs, single=True), list(range(50)), 10, Follower(stop_at=3)))
    assert outcomes(settled) == {10: 0, 11: 1, 12: 2}


def test_a_failure_ends_at_the_users_own_frame() -> None:
    (failure,) = execute(Function(reciprocal), [0], 0, Follower())
    assert isinstance(failure, Failure)
    assert failure.error.__traceback__ is not None
    assert failure.error.__traceback__.tb_frame.f_code is reciprocal.__code__
    (failure,) = execute(Function(len), [0], 0, Follower())
    assert isinstance(failure, Failure)
    assert failure.error.__traceback__ is None


def test_what_is_not_caught_passes_through_and_leaves_no_task() -> None:
    follower = Follower()
    follower.caught = ValueError  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        list(execute(Function(reciprocal), [0], 0, follower))
    assert current_task() is None


def test_an_item_in_a_block_knows_its_index(ticking: Callable[[float], None]) -> None:
    ticking(1e-6)
    seen = []

    def look(_: int) -> None:
        task = current_task()
        assert task is not None
        seen.append(task.index)

    list(execute(Function(look), [0] * 200, 1000, Follower()))
    assert seen == list(range(1000, 1200))


def test_a_seed_gives_each_index_its_own_generator() -> None:
    np = pytest.importorskip("numpy")
    (streak,) = execute(Function(bind(lambda x, rng: x + rng.random(), 7)), [0.0, 0.0], 3, Follower())
    assert isinstance(streak, Streak)
    expected = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(i,)))).random() for i in (3, 4)
    ]
    assert streak.values == expected


COSTS = st.floats(1e-7, 100)
SPANS = st.lists(st.tuples(COSTS, st.integers(1, 40), st.booleans()), max_size=20)


@given(SPANS, st.lists(COSTS, max_size=3))
def test_a_tally_adds_up(spans: list[tuple[float, int, bool]], failed: list[float]) -> None:
    tally = Tally()
    streak = Streak(100)
    spans = [(cost, count if block else 1, block) for cost, count, block in spans]
    for cost, count, block in spans:
        streak.note(cost, count, block=block)
    tally.add(streak)
    for index, seconds in enumerate(failed):
        tally.add(Failure(1000 + index, ValueError(), seconds))
    stats = tally.stats(cpu=0.5, codec=0.25, sizes=(1, 2, 3), counts=(4.0,))
    every = [*streak.seconds, *failed]
    assert stats.busy == pytest.approx(sum(every))
    assert stats.greatest == max(every, default=0.0)
    assert (stats.cpu, stats.codec, stats.bytes_in, stats.bytes_out, stats.rss) == (0.5, 0.25, 1, 2, 3)
    assert stats.counts == (4.0,)
    assert tally.failed == bool(failed)


@given(SPANS.filter(bool))
def test_costs_are_one_number_only_if_all_ran_in_blocks(spans: list[tuple[float, int, bool]]) -> None:
    streak = Streak(0)
    for cost, count, block in spans:
        streak.note(cost, count if block else 1, block=block)
    streak.values = [None] * len(streak.seconds)
    if len(streak.values) == 1 or all(block for _, _, block in spans):
        assert streak.spread == pytest.approx(sum(streak.seconds) / len(streak.values))
    else:
        assert streak.spread == tuple(streak.seconds)


def test_the_mean_stands_for_a_streak_of_blocks_only() -> None:
    streak = Streak(0)
    streak.values = [1, 2, 3]
    streak.note(1.0, 1, block=True)
    streak.note(4.0, 2, block=True)
    assert streak.batch(7, 2).seconds == 3.0
    mixed = Streak(0)
    mixed.values = [1, 2, 3]
    mixed.note(1.0, 1, block=False)
    mixed.note(4.0, 2, block=True)
    assert mixed.batch(None, 1).seconds == (1.0, 4.0, 4.0)


def test_a_failure_ends_the_chunk_if_the_run_is_to_stop_at_it() -> None:
    settled = list(execute(Function(reciprocal, stops=True), [1, 0, 2], 5, Follower()))
    assert [(type(one).__name__, getattr(one, "index", None)) for one in settled] == [("Streak", None), ("Failure", 6)]
