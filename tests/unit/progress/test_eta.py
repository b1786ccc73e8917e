"""Time left: by cost, over a sliding window."""

from __future__ import annotations

import json

import pytest

from fanwise.progress._eta import Running, Window, remaining
from fanwise.progress._tally import Tally
from fanwise.records import run_events as told

CASES = ["constant", "hits-first", "late-worker", "straggler", "growing"]


def heard(case):
    """The published case as run events: each event is a number of items, one on each worker."""
    running: dict[int, int] = {}
    for at, kind, items, busy in case["events"]:
        if kind == "hit":
            yield told.ChunkDone(at, 0, 0, items, ok=items, cached=items)
            continue
        for worker in range(1, items + 1):
            if worker not in running:
                yield told.WorkerStarted(max(0.0, at - busy), worker, worker, "fork", 0.0)
                yield told.ChunkSent(max(0.0, at - busy), worker, 0, 1)
                running[worker] = 1
            yield told.ChunkDone(at, worker, 0, 1, ok=1, busy=busy)
            yield told.ChunkSent(at, worker, 0, 1)


@pytest.mark.parametrize("name", CASES)
def test_published_cases(name, shared_data):
    cases = json.loads((shared_data / "eyes" / "eta-cases.json").read_text("utf-8"))
    case = next(case for case in cases if case["name"] == name)
    for expected in case["expect"]:
        tally = Tally(case["total"], "f")
        for event in heard(case):
            if event.at <= expected["at"]:
                tally.on(event)
        eta = tally.snapshot(expected["at"]).eta
        if "text" in expected:
            assert eta.text == expected["text"]
        else:
            tolerance = {key: expected[key] for key in ("rel", "abs") if key in expected}
            assert eta.seconds == pytest.approx(expected["eta_s"], **tolerance)


def window(*chunks):
    made = Window()
    for at, computed, hits, busy in chunks:
        made.add(at, computed, hits, busy)
    return made


def test_nothing_is_said_before_three_items_and_a_second():
    assert remaining(10, window((1.5, 2, 0, 0.2)), [], 1, 1.5) is None
    assert remaining(10, window((0.9, 9, 0, 0.2)), [], 1, 0.9) is None
    assert remaining(10, window((1.5, 3, 0, 0.2)), [], 1, 1.5) is not None


def test_hits_are_free_and_what_is_left_is_expected_to_hit_as_often():
    half = window(*((0.1 * n, 1, 1, 0.1) for n in range(1, 21)))
    assert remaining(100, half, [], 1, 2.0).seconds == pytest.approx(100 * 0.5 * 0.1, rel=0.02)
    only_hits = window((0.5, 3, 0, 0.3), *((6 + 0.1 * n, 0, 5, 0.0) for n in range(20)))
    assert remaining(100, only_hits, [], 1, 8.0).seconds == 0.0


def test_items_longer_than_the_window_count_by_what_was_seen_of_them():
    slow = window((30.0, 1, 0, 30.0), (30.0, 1, 0, 30.0), (60.0, 1, 0, 30.0), (60.0, 1, 0, 30.0))
    running = [Running(1, 1, 60.0), Running(2, 1, 60.0)]
    eta = remaining(10, slow, running, 2, 85.0)
    assert eta.seconds == pytest.approx(10 * 30.0 / 2, rel=0.01)


def test_the_rest_of_the_start_is_added():
    started = window((1.0, 10, 0, 1.0))
    without = remaining(100, started, [], 1, 1.0).seconds
    assert remaining(100, started, [], 1, 1.0, start_s=3.0).seconds == pytest.approx(without + 3.0)


def test_at_the_end_the_worker_that_needs_longest_decides():
    seen = window((4.0, 40, 0, 8.0))
    running = [Running(1, 1, 3.9), Running(2, 5, 3.9), Running(2, 5, None)]
    assert remaining(11, seen, running, 2, 4.0).seconds == pytest.approx(10 * 0.2 - 0.1)


def test_when_all_that_is_left_takes_too_long_the_age_is_said():
    seen = window((4.0, 40, 0, 8.0))
    running = [Running(1, 1, 3.9), Running(2, 3, None)]
    assert not remaining(4, seen, running, 2, 4.0).finishing
    late = remaining(1, seen, [Running(1, 1, 4.0)], 2, 4.0 + 250)
    assert (late.text, late.finishing) == ("finishing: 1 item running, oldest 4:10", True)
    assert remaining(0, seen, [], 2, 5.0).text == "0:00"


def test_a_window_keeps_few_buckets_whatever_the_number_of_chunks():
    many = Window()
    for n in range(200_000):
        many.add(n / 1_000, 1, 0, 0.001)
    figures = many.figures(200.0)
    assert len(many._buckets) < 1_200
    assert figures.rate == pytest.approx(1_000, rel=0.02)
    assert figures.mean_s == pytest.approx(0.001)
    assert figures.parallel == pytest.approx(1.0, rel=0.05)


def test_figures_of_nothing_are_zero():
    figures = Window().figures(0.0)
    assert (figures.rate, figures.mean_s, figures.parallel, figures.hit_share) == (0.0, 0.0, 0.0, 0.0)
