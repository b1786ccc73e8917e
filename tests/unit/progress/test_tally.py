from __future__ import annotations

from fanwise.progress._tally import Tally
from fanwise.records import run_events as told


def tally(*events, total=10):
    made = Tally(total, "f")
    for event in events:
        made.on(event)
    return made


def test_a_tally_counts_outcomes_workers_and_hits():
    shown = tally(
        told.RunStarted(0.0, 10, "f"),
        told.WorkerStarted(0.1, 1, 7, "fork", 0.1),
        told.WorkerStarted(0.1, 2, 8, "fork", 0.1),
        told.ChunkDone(0.5, 1, 0, 4, ok=3, cached=1, busy=0.1),
        told.ItemFailed(0.5, 3, "E"),
        told.ItemLost(0.6, 9, "killed"),
        told.WorkerEnded(0.6, 2, "died"),
        told.MemoryLow(0.7, 1),
    ).snapshot(0.8)
    assert (shown.done, shown.failed, shown.lost, shown.cached, shown.workers) == (5, 1, 1, 1, 1)
    assert shown.elapsed == 0.8


def test_chunks_on_their_way_are_known_in_order():
    made = tally(
        told.WorkerStarted(0.0, 1, 7, "fork", 0.0),
        told.ChunkSent(0.1, 1, 0, 4),
        told.ChunkSent(0.1, 1, 4, 2),
        told.ChunkSent(0.2, 2, 6, 1),
        told.ChunkDone(0.5, 1, 0, 4, ok=4),
    )
    assert [(chunk.worker, chunk.items, chunk.since) for chunk in made.running()] == [(1, 2, 0.5), (2, 1, 0.2)]
    made.on(told.WorkerEnded(0.6, 1, "died"))
    assert [chunk.worker for chunk in made.running()] == [2]


def test_the_time_left_is_worked_out_once_a_second():
    made = tally(*(told.ChunkDone(0.5 * n, 0, n, 1, ok=1, busy=0.5) for n in range(1, 5)), total=100)
    first = made.snapshot(2.0).eta
    made.on(told.ChunkDone(2.5, 0, 5, 1, ok=1, busy=0.5))
    assert made.snapshot(2.9).eta is first
    assert made.snapshot(3.0).eta is not first


def test_workers_that_are_still_starting_add_to_the_time_left():
    plan = told.Planned(1.0, "fan-out", "Started 2 workers.", {"workers": 2, "start_s": 8.0})
    events = [told.ChunkDone(0.3 * n, 0, n, 1, ok=1, busy=0.3) for n in range(1, 5)]
    waiting = tally(*events, plan, total=50).snapshot(2.0).eta.seconds
    without = tally(*events, total=50).snapshot(2.0).eta.seconds
    assert waiting == without + 7.0


def test_a_plan_without_figures_adds_nothing():
    plan = told.Planned(1.0, "fan-out", "Started some workers.", {"workers": "two", "start_s": None})
    events = [told.ChunkDone(0.3 * n, 0, n, 1, ok=1, busy=0.3) for n in range(1, 5)]
    assert tally(*events, plan, total=50).snapshot(2.0).eta == tally(*events, total=50).snapshot(2.0).eta


def test_time_never_goes_back():
    made = tally(told.ChunkDone(3.0, 0, 0, 1, ok=1))
    assert made.snapshot(1.0).elapsed == 3.0


def test_an_unknown_total_has_no_time_left():
    assert (
        tally(*(told.ChunkDone(n, 0, n, 1, ok=1, busy=1.0) for n in range(1, 9)), total=None).snapshot(9.0).eta is None
    )
