"""What is called a loss, how large it is, and what advice goes with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told


def losses(events, **facts):
    return {loss.code: loss for loss in report_of(events, **facts).losses}


def two_workers(*more, busy=1.0, cpu=None, until=1.0):
    return [
        told.RunStarted(0.0, 20, "f"),
        told.WorkerStarted(0.0, 1, 7, "fork", 0.0),
        told.WorkerStarted(0.0, 2, 8, "fork", 0.0),
        *more,
        told.ChunkSent(0.0, 1, 0, 10),
        told.ChunkSent(0.0, 2, 10, 10),
        told.ChunkDone(1.0, 1, 0, 10, ok=10, busy=busy, cpu=busy if cpu is None else cpu),
        told.ChunkDone(1.0, 2, 10, 10, ok=10, busy=busy, cpu=busy if cpu is None else cpu),
        told.RunEnded(until, "done"),
    ]


def test_a_run_that_only_worked_lost_nothing():
    assert losses(two_workers()) == {}
    assert losses(serial_run()) == {}


def test_the_serial_part_counts_once_for_every_other_worker():
    found = losses(fanned_out())
    assert found["before-fan-out"].seconds == pytest.approx(0.2)
    assert found["before-fan-out"].text == "The first 2 items ran alone, to see whether workers would pay."
    alone = [
        replace(event, count=1, ok=1) if event.at == 0.2 and hasattr(event, "ok") else event for event in fanned_out()
    ]
    assert losses(alone)["before-fan-out"].text.startswith("The first item ran alone")


def test_the_tail_names_the_item_that_was_awaited():
    events = fanned_out()
    found = losses(events)["tail"]
    assert found.seconds == pytest.approx(0.5)
    assert found.text == "Workers were idle at the end, waiting for items 7 to 11."
    assert found.advice == "Put the longest items first."
    slow = told.ChunkDone(1.21, 2, 7, 5, ok=5, busy=0.99, slowest=((9, 0.9), (8, 0.02)))
    assert losses([*events[:8], slow, *events[9:]])["tail"].text.endswith("waiting for item 9.")
    single = told.ChunkDone(1.21, 2, 11, 1, ok=1, busy=0.99)
    assert losses([*events[:8], single, *events[9:]])["tail"].text.endswith("waiting for item 11.")


def test_a_worker_that_retired_early_leaves_an_idle_place():
    events = [event for event in two_workers(until=3.0) if not isinstance(event, told.RunEnded)]
    found = losses([*events, told.WorkerEnded(1.0, 1, "retired"), told.RunEnded(3.0, "done")])
    assert found["tail"].seconds == pytest.approx(4.0)


def test_starting_counts_until_each_place_has_its_worker():
    events = [
        told.RunStarted(0.0, 2, "f"),
        told.WorkerStarted(0.5, 1, 7, "spawn", 0.5),
        told.WorkerStarted(1.0, 2, 8, "spawn", 0.5),
        told.ChunkDone(2.0, 1, 0, 1, ok=1, busy=1.5),
        told.ChunkDone(2.0, 2, 1, 1, ok=1, busy=1.0),
    ]
    found = losses(events)["start"]
    assert found.seconds == pytest.approx(1.5)
    assert "executor=" in found.advice


def beside_one_worker(until=2.2):
    """The calling process runs items for 0.2 s, has a worker from 0.4 s on, and works beside it."""
    return [
        told.RunStarted(0.0, 20, "f"),
        told.ChunkDone(0.2, 0, 0, 2, ok=2, busy=0.2),
        told.WorkerStarted(0.4, 1, 7, "fork", 0.2),
        told.ChunkSent(0.4, 1, 2, 10),
        told.ChunkSent(0.4, 0, 12, 8),
        told.ChunkDone(2.0, 1, 2, 10, ok=10, busy=1.6),
        told.ChunkDone(2.2, 0, 12, 8, ok=8, busy=1.8),
        told.RunEnded(until, "done"),
    ]


def test_a_caller_in_place_of_a_worker_keeps_its_place():
    found = losses(beside_one_worker(until=2.4), workers=2)
    assert found["before-fan-out"].seconds == pytest.approx(0.2)
    assert found["start"].seconds == pytest.approx(0.2)
    assert found["tail"].seconds == pytest.approx(0.4 + 0.2)
    assert found["tail"].text == "Workers were idle at the end, waiting for items 12 to 19."
    report = report_of(beside_one_worker(until=2.4), workers=2)
    assert sum(loss.seconds for loss in report.losses) + report.time.work_s == pytest.approx(2 * 2.4)


def test_one_that_only_helps_until_its_workers_are_there_has_none():
    assert "before-fan-out" not in losses(beside_one_worker(), workers=1)


def test_a_worker_that_was_sent_items_early_is_starting_until_it_begins():
    events = two_workers(busy=0.7)
    events.insert(3, told.WorkerBegan(0.4, 1, 0.3))
    events.insert(4, told.WorkerBegan(0.4, 2, 0.3))
    found = losses(events)
    assert set(found) == {"start"}
    assert found["start"].seconds == pytest.approx(0.6)


def test_one_that_says_so_late_has_been_at_work_since():
    events = two_workers()
    events.insert(-1, told.WorkerBegan(1.0, 1, 0.3))
    assert losses(events) == {}


def test_long_idleness_in_the_middle_is_the_callers_to_mend_and_short_is_the_way_to_and_fro():
    long = losses(two_workers(busy=0.5))["starved"]
    assert long.seconds == pytest.approx(1.0)
    assert "iterator" in long.advice
    chunks = [told.ChunkDone(0.002 * (n + 1), 1, n, 1, ok=1, busy=0.0015) for n in range(100)]
    short = losses([told.WorkerStarted(0.0, 1, 7, "fork", 0.0), *chunks])["starved"]
    assert short.text == "Workers waited 500 µs a chunk for the next: the way to the calling process and back."
    assert short.advice is None


def test_pickling_is_a_loss_of_its_own_above_five_percent_of_the_work():
    worker = told.WorkerStarted(0.0, 1, 7, "fork", 0.0)
    dear = told.ChunkDone(1.0, 1, 0, 9, ok=9, busy=0.9, codec=0.1, bytes_in=180_000_000, bytes_out=2_000)
    found = losses([worker, dear])["codec"]
    assert found.seconds == pytest.approx(0.1)
    assert found.text == "Pickling took its time: 180 MB to the workers and 2.0 kB back."
    assert "fanwise.freeze" in found.advice
    cheap = losses([worker, told.ChunkDone(1.0, 1, 0, 9, ok=9, busy=0.96, codec=0.04)])
    assert cheap["other"].text == "Everything else: pickling 40 ms."


def test_cache_lost_work_and_retries_have_lines_of_their_own():
    found = losses(
        [
            told.WorkerStarted(0.0, 1, 7, "fork", 0.0),
            told.ItemRetried(0.3, 0, 2),
            told.ChunkDone(0.3, 1, 0, 1, ok=0, busy=0.3, cpu=0.3),
            told.ChunkDone(0.6, 1, 1, 1, ok=1, busy=0.1, cpu=0.1, cache=0.2),
            told.ChunkSent(0.6, 1, 2, 1),
            told.WorkerEnded(1.0, 1, "died", "killed", 2),
        ]
    )
    assert {code: round(loss.seconds, 6) for code, loss in found.items()} == {
        "lost-work": 0.4,
        "retries": 0.3,
        "cache": 0.2,
    }


def test_losses_are_sorted_and_what_is_inside_the_work_comes_last():
    halved = [replace(event, cpu=0.5 * event.busy) if hasattr(event, "cpu") else event for event in fanned_out()]
    found = report_of(halved).losses
    assert [loss.code for loss in found] == ["tail", "before-fan-out", "start", "other", "cores-busy"]
    assert found[3].text == "Everything else: pickling 20 ms."


@pytest.mark.parametrize(("cpu", "reported"), [(1.0, False), (0.85, False), (0.8, True), (0.5, True), (0.05, False)])
def test_busy_cores_are_told_from_free_ones_and_from_waiting(cpu, reported):
    found = losses(two_workers(cpu=cpu))
    assert ("cores-busy" in found) == reported
    if reported:
        assert found["cores-busy"].seconds == pytest.approx(2 * (1 - cpu))
        assert found["cores-busy"].inside_work


def test_threads_below_an_item_are_a_loss_where_they_outnumber_the_cores():
    crowded = losses(two_workers(cpu=2.0), host=lambda: {"cores_usable": 2.0})["nested-threads"]
    assert crowded.seconds == pytest.approx(1.0)
    assert crowded.text == "Each item kept 2.0 cores busy: 2 workers shared 2 cores."
    assert losses(two_workers(cpu=2.0), host=lambda: {"cores_usable": 8.0}) == {}


def test_a_slow_consumer_of_a_serial_run_is_named():
    found = losses([told.ChunkDone(0.1, 0, 0, 1, ok=1, busy=0.1), told.ChunkDone(1.0, 0, 1, 1, ok=1, busy=0.1)])
    assert found["other"].seconds == pytest.approx(0.8)
    assert "handing over results" in found["other"].text


def test_what_the_caller_works_while_workers_start_hides_their_start():
    events = [
        told.RunStarted(0.0, 20, "f"),
        told.WorkerStarted(0.4, 1, 7, "spawn", 0.4),
        told.WorkerStarted(0.4, 2, 8, "spawn", 0.4),
        told.ChunkDone(0.3, 0, 0, 3, ok=3, busy=0.3, cpu=0.3),
        told.ChunkDone(1.0, 1, 3, 9, ok=9, busy=0.6, cpu=0.6),
        told.ChunkDone(1.0, 2, 12, 8, ok=8, busy=0.6, cpu=0.6),
        told.RunEnded(1.0, "done"),
    ]
    assert losses(events)["start"].seconds == pytest.approx(0.5)
    assert losses([event for event in events if event.at != 0.3])["start"].seconds == pytest.approx(0.8)
