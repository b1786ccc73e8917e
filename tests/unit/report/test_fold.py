"""What each event adds to a report."""

from __future__ import annotations

import os

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told


def lane(report, number):
    return next(lane for lane in report.lanes if lane.lane == number)


def test_a_serial_run_has_one_lane_and_is_its_own_estimate():
    report = report_of(serial_run(items=4, each=0.1))
    assert [lane.name for lane in report.lanes] == ["caller"]
    assert (report.workers, report.backend, report.start_method) == (1, "serial", "none")
    assert report.time.work_s == pytest.approx(0.4)
    assert report.speedup == pytest.approx(1.0)
    assert report.reason == "Ran in this process because workers=1."
    assert report.ended == "done"


def test_a_fanned_out_run_says_who_did_what():
    report = report_of(fanned_out())
    assert (report.items, report.ok, report.missing) == (12, 12, 0)
    assert (report.workers, report.backend, report.start_method) == (2, "process", "fork")
    assert report.plan.fan_out_item == 2
    assert [lane.items for lane in report.lanes] == [2, 5, 5]
    assert [lane.pid for lane in report.lanes] == [os.getpid(), 4001, 4002]
    assert report.lanes[1].seconds.start == pytest.approx(0.01)
    assert report.lanes[1].seconds.codec == pytest.approx(0.01)
    assert report.lanes[1].seconds.wait == pytest.approx(0.5)
    assert report.lanes[0].seconds.wait == pytest.approx(1.01)
    assert (report.bytes_in, report.bytes_out, report.chunk_sizes) == (1_000, 100, (2, 5, 5))
    assert report.memory.workers_peak_bytes == 20_000
    assert report.time.contention == pytest.approx(1.0)


def test_chunks_that_went_together_count_as_those_that_were_asked_for():
    report = report_of(fanned_out(), chunk_size=2)
    assert (report.chunk_sizes, report.traffic.chunks) == ((1, 2, 2), 7)


def test_wall_times_workers_is_what_the_flat_times_add_up_to():
    report = report_of(fanned_out())
    spent = report.user_time + report.start_time + report.dispatch_time + report.transfer_time + report.idle_time
    assert report.wall * report.workers == pytest.approx(spent)
    assert report.idle == pytest.approx(sum(lane.seconds.wait for lane in report.lanes))
    assert report.efficiency == pytest.approx(report.speedup / 2)


@pytest.mark.parametrize(
    ("how", "status", "ended"),
    [
        ("done", "done", "done"),
        ("error", "failed", "error"),
        ("source", "failed", "error"),
        ("interrupted", "interrupted", "interrupted"),
        ("deadline", "partial", "deadline"),
        ("cancelled", "partial", "deadline"),
    ],
)
def test_how_a_run_ended_is_its_status(how, status, ended):
    report = report_of([told.RunStarted(0.0, 1, "f"), told.RunEnded(0.1, how)])
    assert (report.run.status, report.ended) == (status, ended)


def test_a_run_whose_end_was_not_heard_is_done_if_every_item_is():
    assert report_of(serial_run()[:-1]).ended == "done"
    assert report_of(serial_run()[:-2]).ended == "deadline"


def test_an_unknown_total_is_what_was_settled():
    events = [told.RunStarted(0.0, None, "f"), told.ChunkDone(0.1, 0, 0, 3, ok=2), told.ItemFailed(0.1, 1, "KeyError")]
    report = report_of(events)
    assert (report.items, report.ok, report.failed, report.missing) == (3, 2, 1, 0)


def test_failures_name_the_item_its_worker_and_how_often_it_was_tried():
    trace = "Traceback (most recent call last):\n  …\nValueError: bad 3\n"
    report = report_of(
        [
            *fanned_out()[:-1],
            told.ItemRetried(0.5, 3, 2),
            told.ItemFailed(0.7, 3, "ValueError", "bad 3", trace, 1, attempts=2),
            told.ItemFailed(0.8, 8, "ItemTimeoutError", "took longer than 0.5 s", "", 2),
            told.ItemLost(0.9, 9, "killed by SIGSEGV", 2, attempts=2, last_output="free(): invalid pointer\n"),
        ]
    )
    first, second, third = report.failures
    assert (first.label, first.kind, first.type, first.message) == ("item 3", "failed", "ValueError", "bad 3")
    assert (first.traceback, first.attempts, first.worker) == (trace, 2, "worker 1")
    assert (second.kind, second.traceback) == ("timeout", None)
    assert (third.kind, third.type, third.last_output) == ("lost", "WorkerLostError", "free(): invalid pointer\n")
    assert report.first_errors == report.failures
    assert [note.kind for note in report.events] == ["retry", "lost"]
    assert report.retried == 1


def test_a_flood_of_failures_is_counted_and_the_first_thousand_kept():
    events = [told.ItemFailed(0.1, i, "ValueError", "m" * 5_000, "t" * 50_000) for i in range(1_500)]
    report = report_of([told.RunStarted(0.0, 1_500, "f"), *events])
    assert (report.failed, len(report.failures), report.failures_left_out) == (1_500, 1_000, 500)
    assert report.failures[0].traceback == "t" * 4_096
    assert [failure.item for failure in report.failures if failure.traceback] == list(range(97))
    assert all(len(failure.message) == 300 for failure in report.failures)


def test_a_flood_of_notes_is_counted():
    report = report_of([told.ItemRetried(0.1, index, 2) for index in range(700)])
    assert (report.retried, len(report.events), report.events_left_out) == (700, 500, 200)


def test_attempts_that_failed_are_lost_time_and_no_finished_items():
    report = report_of(
        [
            told.RunStarted(0.0, 1, "f"),
            told.ItemRetried(0.3, 0, 2),
            told.ChunkDone(0.3, 0, 0, 1, ok=0, busy=0.3, cpu=0.3),
            told.ChunkDone(0.5, 0, 0, 1, ok=1, busy=0.2, cpu=0.2),
        ]
    )
    caller = report.lanes[0]
    assert (caller.items, caller.seconds.work, caller.seconds.lost) == (1, pytest.approx(0.2), pytest.approx(0.3))
    assert [span.state for span in caller.spans] == ["retried", "ok"]
    assert report.time.cpu_s == pytest.approx(0.2)


def test_what_a_dead_worker_was_at_is_lost_time():
    report = report_of(
        [
            told.RunStarted(0.0, 4, "f"),
            told.WorkerStarted(0.1, 1, 7, "spawn", 0.1),
            told.ChunkSent(0.1, 1, 0, 4),
            told.ChunkDone(0.8, 1, 0, 3, ok=3, busy=0.3),
            told.WorkerEnded(0.8, 1, "died", "killed by SIGKILL", 3),
            told.RunEnded(0.8, "done"),
        ]
    )
    dead = lane(report, 1)
    assert (dead.ended_by, dead.exit, dead.items) == ("crashed", "killed by SIGKILL", 3)
    assert dead.seconds.lost == pytest.approx(0.4)
    assert [(span.state, span.first_item, span.items) for span in dead.spans] == [("ok", 0, 3), ("lost", 3, 1)]
    assert report.events[0].text == "worker 1 died: killed by SIGKILL"


def test_a_chunk_whose_unknown_part_was_lost_shows_all_of_it():
    report = report_of(
        [
            told.WorkerStarted(0.0, 1, None, "remote", 0.0),
            told.ChunkSent(0.1, 1, 5, 4),
            told.WorkerEnded(0.6, 1, "killed", "timeout"),
        ]
    )
    assert [(span.first_item, span.items, span.state) for span in lane(report, 1).spans] == [(5, 4, "lost")]
    assert lane(report, 1).ended_by == "killed"
    assert report.host.start_method == "remote"


def test_a_chunk_given_back_leaves_no_trace_of_its_rest():
    report = report_of(
        [
            told.WorkerStarted(0.0, 1, 7, "fork", 0.0),
            told.ChunkSent(0.0, 1, 0, 9),
            told.ChunkDone(0.3, 1, 0, 2, ok=2, busy=0.2),
            told.ChunkSent(0.3, 1, 20, 1),
            told.ChunkDone(0.5, 1, 20, 1, ok=1, busy=0.1),
            told.WorkerEnded(0.9, 1, "died", "oops"),
        ]
    )
    assert [(span.first_item, span.items) for span in lane(report, 1).spans] == [(0, 2), (20, 1)]
    assert lane(report, 1).seconds.lost == 0.0


def test_hits_are_spans_of_their_own_and_no_costs():
    report = report_of(
        [
            told.ChunkDone(0.1, 0, 0, 5, ok=5, cached=5, cache=0.05),
            told.ChunkDone(0.2, 0, 5, 3, ok=3, resumed=3),
            told.ChunkDone(0.3, 0, 8, 2, ok=2, cached=1, busy=0.1),
        ]
    )
    assert [span.state for span in report.lanes[0].spans] == ["cached", "cached", "ok"]
    assert (report.cached, report.resumed, report.costs.count) == (6, 3, 1)
    assert report.serial_estimate == pytest.approx(0.15)


def test_memory_is_kept_as_extremes_and_a_few_hundred_points():
    events = [told.MemorySample(i / 2, 10**9 - i, 10**6 + i, ((1, 5 * 10**5 + i), (9, 7))) for i in range(2_000)]
    report = report_of([told.WorkerStarted(0.0, 1, 7, "fork", 0.0), *events])
    memory = report.memory
    assert memory.lowest_free_bytes == 10**9 - 1_999
    assert memory.caller_peak_bytes == 10**6 + 1_999
    assert memory.workers_peak_bytes == 5 * 10**5 + 1_999
    assert 200 < len(memory.samples) <= 501
    assert memory.samples[0].at_s == 0.0


def test_trouble_on_the_way_is_noted():
    report = report_of(
        [
            told.MemoryLow(0.1, 1),
            told.MemoryLow(0.2, 2),
            told.MemoryLow(0.3, 0),
            told.Interrupted(0.4, 2),
            told.Interrupted(0.5, 99),
        ]
    )
    assert [note.text for note in report.events] == [
        "Memory ran low: less than 10 % was free.",
        "Memory ran out: less than 2 % was free.",
        "Memory is free again.",
        "The run was interrupted by SIGINT.",
        "The run was interrupted by 99.",
    ]


def test_very_many_workers_share_lanes():
    events = []
    for number in range(1, 2_001):
        at = number * 0.01
        events += [
            told.WorkerStarted(at, number, number, "fork", 0.002),
            told.ChunkSent(at, number, number, 1),
            told.ChunkDone(at + 0.005, number, number, 1, ok=1, busy=0.005),
            told.WorkerEnded(at + 0.005, number, "retired"),
        ]
    report = report_of(events)
    assert len(report.lanes) == 400
    assert sum(lane.restarts + 1 for lane in report.lanes[1:]) == 2_000
    assert sum(lane.items for lane in report.lanes) == 2_000
    assert report.workers == 1
    assert {lane.ended_by for lane in report.lanes[1:]} == {"retired"}


def test_a_backend_is_read_from_the_first_decision():
    for code, backend in [("fallback.no-gain", "fallback"), ("threads.asked", "thread"), ("remote.asked", "remote")]:
        events = [told.Planned(0.0, code, "A whole sentence.", {}), told.ChunkDone(0.1, 1, 0, 1, ok=1)]
        assert report_of(events).backend == backend
    assert report_of([told.ChunkDone(0.1, 1, 0, 1, ok=1)]).backend == "thread"
    assert report_of([told.WorkerStarted(0.1, 1, 5, "fork", 0.1)]).backend == "process"
    assert report_of([told.WorkerStarted(0.1, 1, 5, "teleport", 0.1)]).start_method == "none"


def test_the_chunk_size_is_what_the_plan_decided_last():
    sizes = [told.Planned(0.1, "chunk.size", "Chunks of some items.", {"chunk_size": size}) for size in (3, 25)]
    assert report_of(sizes).plan.chunk_size == 25
    assert report_of(sizes, chunk_size=7).plan.chunk_size == 7
    assert report_of([told.Planned(0.1, "chunk.size", "Chunks of some items.", {})]).plan.chunk_size is None


def test_only_the_first_decisions_are_kept():
    events = [told.Planned(0.1, "chunk.size", "Chunks of 3 items.", {"nan": float("nan")}) for _ in range(500)]
    report = report_of(events)
    assert len(report.plan.decisions) == 200
    assert report.plan.decisions[0].facts == {"nan": None}


@pytest.mark.slow
def test_a_million_items_take_no_more_room_than_a_thousand():
    from tests.sizes import deep_size

    lost = [told.ItemLost(40.0, i, "r" * 999, 1, traceback="t" * 9_999, last_output="o" * 9_999) for i in range(1_000)]
    chunks = [told.ChunkDone(0.001 * i, 1 + i % 64, i * 25, 25, ok=25, busy=0.06) for i in range(40_000)]
    report = report_of([told.RunStarted(0.0, 1_000_000, "f"), *chunks, *lost])
    assert report.ok == 1_000_000
    assert deep_size(report) < 2 * 2**20
    assert len(report.to_html()) < 300_000
