"""The flat attributes of a report are views of its sections."""

from __future__ import annotations

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told


@pytest.fixture
def report():
    return report_of(
        [
            *fanned_out()[:-1],
            told.ItemRetried(1.0, 4, 2),
            told.ItemFailed(1.1, 4, "ValueError", "bad"),
            told.ItemLost(1.1, 5, "killed"),
            told.ChunkDone(1.2, 0, 12, 3, ok=3, cached=2, resumed=1, cache=0.1),
            told.RunEnded(1.3, "interrupted"),
        ],
        host=lambda: {"cores_usable": 2.0, "quota_cores": 2.0, "load_at_start": 0.5, "blas_threads": 1},
    )


def test_counts(report):
    counts = report.counts
    assert (report.items, report.ok, report.failed, report.lost) == (
        counts.total,
        counts.ok,
        counts.failed,
        counts.lost,
    )
    assert (report.cached, report.resumed, report.retried, report.missing) == (2, 1, 1, counts.not_run)


def test_plan(report):
    assert report.workers == report.plan.workers == 2
    assert report.backend == report.decision == report.plan.backend
    assert report.reason == report.plan.decisions[0].text
    assert report.start_method == report.host.start_method == "fork"
    assert report.ended == "interrupted"


def test_times(report):
    lanes = report.time.lanes_s
    assert report.wall == report.time.wall_s == 1.3
    assert report.serial_estimate == report.time.serial_estimate_s
    assert report.speedup == report.time.speedup_estimate
    assert report.efficiency == report.speedup / 2
    assert (report.user, report.user_time) == (lanes.work, lanes.work)
    assert (report.start, report.start_time) == (lanes.start, lanes.start)
    assert report.transfer == report.transfer_time == lanes.codec + lanes.cache
    assert report.dispatch == report.dispatch_time == lanes.other
    assert report.idle == lanes.wait
    assert report.coordinator_time == report.lanes[0].seconds.other


def test_workers(report):
    first = report.per_worker[0]
    assert [lane.lane for lane in report.per_worker] == [1, 2]
    assert (first.busy, first.idle) == (first.seconds.work, first.seconds.wait)
    assert (first.cpu_seconds, first.peak_rss, first.restarts, first.pid) == (0.49, 10_000, 0, 4001)


def test_surroundings(report):
    assert report.environment == {
        "python": report.host.python,
        "cores": 2.0,
        "quota": 2.0,
        "load": 0.5,
        "memory": report.host.memory_bytes,
        "blas_threads": 1,
    }


def test_lists(report):
    assert report.first_errors == report.failures
    assert [error.item for error in report.first_errors] == [4, 5]
    assert [note.kind for note in report.events] == ["retry", "lost"]
    assert report.slowest == ()


def test_times_follow_their_formulas():
    report = report_of(fanned_out())
    time = report.time
    work = sum(lane.seconds.work for lane in report.lanes)
    length = sum(lane.ended_s - lane.started_s for lane in report.lanes)
    assert time.work_s == pytest.approx(work)
    assert time.parallelism == pytest.approx(work / report.wall)
    assert time.utilisation == pytest.approx(work / length)
    assert time.speedup_estimate == pytest.approx(time.serial_estimate_s / report.wall)
    assert time.serial_measured_s is None


@pytest.mark.parametrize("items", [0, 1])
def test_a_run_without_length_has_no_ratios(items):
    report = report_of(serial_run(items=items, each=0.0))
    assert (report.speedup, report.efficiency, report.time.utilisation, report.time.contention) == (None,) * 4
    assert report.time.parallelism == 0.0
    assert report.idle_time == 0.0


def test_work_beside_the_workers_never_makes_idleness_negative():
    report = report_of(
        [*fanned_out()[:-1], told.ChunkDone(1.21, 0, 12, 1, ok=1, busy=1.0), told.RunEnded(1.21, "done")]
    )
    assert report.idle_time >= 0.0
    assert report.user > report.wall


def test_the_largest_number_alive_together_is_the_number_of_workers():
    def worker(number, start, end):
        return [told.WorkerStarted(start, number, number, "fork", 0.0), told.WorkerEnded(end, number, "retired")]

    one_after_another = [*worker(1, 0.0, 1.0), *worker(2, 1.0, 2.0), *worker(3, 2.0, 3.0)]
    assert report_of(one_after_another).workers == 1
    assert report_of([*worker(1, 0.0, 1.5), *worker(2, 1.0, 2.0), *worker(3, 1.6, 3.0)]).workers == 2
    assert report_of([]).workers == 1


def test_a_report_can_be_told_under_another_label_and_reason(report):
    told_so = report.told_as(label="ci", reason="Ran in this process: small work.")
    assert (told_so.run.label, told_so.reason, told_so.decision) == (
        "ci",
        "Ran in this process: small work.",
        report.decision,
    )
    assert told_so.plan.decisions[0].code == "serial.too-small"
    assert report.told_as() == report
