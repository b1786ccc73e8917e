"""Laws of the time left: right for steady runs, whatever their shape, and never absurd."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs import noise

from fanwise.progress._eta import Running, Window, remaining
from fanwise.progress._tally import Tally
from fanwise.records import run_events as told
from fanwise.records.run_events import RunEvent


def steady(items: int, cost: float, workers: int, chunk: int) -> list[RunEvent]:
    """A run of equal items on workers that never wait."""
    events: list[RunEvent] = [told.WorkerStarted(0.0, worker, worker, "fork", 0.0) for worker in range(1, workers + 1)]
    free = [(0.0, worker) for worker in range(1, workers + 1)]
    for first in range(0, items, chunk):
        at, worker = heapq.heappop(free)
        count = min(chunk, items - first)
        events.append(told.ChunkSent(at, worker, first, count))
        events.append(told.ChunkDone(at + count * cost, worker, first, count, ok=count, busy=count * cost))
        heapq.heappush(free, (at + count * cost, worker))
    return sorted(events, key=lambda event: event.at)


@settings(max_examples=50)
@given(st.integers(1, 8), st.integers(1, 12), st.floats(0.05, 4.0), st.floats(0.2, 0.8))
def test_the_time_left_of_a_steady_run_is_right_within_a_chunk(
    workers: int, chunk: int, cost: float, share: float
) -> None:
    items = 60 * workers * chunk
    events = steady(items, cost, workers, chunk)
    end = max(event.at for event in events)
    now = share * end
    tally = Tally(items, "f")
    for event in events:
        if event.at <= now:
            tally.on(event)
    eta = tally.snapshot(now).eta
    if tally.ok >= 3 and now >= 1.0:
        assert eta.seconds == pytest.approx(end - now, rel=0.1, abs=1.5 * chunk * cost)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 100.0), st.integers(0, 50), st.integers(0, 50), st.floats(0.0, 50.0)), max_size=30
    ),
    st.lists(st.builds(Running, st.integers(0, 4), st.integers(1, 9), st.floats(0.0, 100.0)), max_size=5),
    st.integers(0, 10**6),
    st.integers(1, 64),
)
def test_the_time_left_is_never_negative_and_grows_with_what_is_left(
    chunks: list[tuple[float, int, int, float]], running: list[Running], left: int, workers: int
) -> None:
    def told_of(left: int) -> float | None:
        window = Window()
        for chunk in sorted(chunks):
            window.add(*chunk)
        eta = remaining(left, window, running, workers, 100.0)
        return None if eta is None else eta.seconds

    more = left + sum(chunk.items for chunk in running) + 1
    seconds, longer = told_of(more), told_of(2 * more)
    if seconds is not None:
        assert 0.0 <= seconds <= longer
        assert told_of(left) >= 0.0


@settings(max_examples=50)
@given(noise(), st.floats(0.0, 100.0))
def test_a_tally_bears_whatever_is_told(events: list[RunEvent], at: float) -> None:
    tally = Tally(20, "f")
    for event in events:
        tally.on(event)
    shown = tally.snapshot(at)
    assert shown.workers >= 0
    assert shown.rate >= 0.0
    assert shown.eta is None or shown.eta.seconds >= 0.0
