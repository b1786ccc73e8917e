"""Lanes: spans placed by durations, time split into what it went into, neighbours merged when there are many."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.records.run_events import ChunkDone, ChunkSent, WorkerEnded, WorkerStarted
from fanwise.report._lanes import SPANS_PER_LANE, STATES, LaneFold


def done(at, first=0, count=1, busy=0.0, **more):
    return ChunkDone(at, 1, first, count, **{"ok": count} | more, busy=busy)


def lane(*events, started=0.0, state="ok"):
    made = LaneFold(1, started)
    for event in events:
        match event:
            case ChunkDone():
                made.finish(event, state, 0)
            case ChunkSent():
                made.send(event)
            case WorkerStarted():
                made.begin(event)
            case WorkerEnded():
                made.end(event)
    return made


def spans(made, limit=SPANS_PER_LANE):
    return [(round(span.start_s, 6), round(span.end_s, 6), span.first_item, span.items) for span in made.spans(limit)]


def record(made, wall=10.0, fan_out=10.0):
    return made.record(wall, "host-a", fan_out, SPANS_PER_LANE)


def test_a_chunk_ends_when_it_is_received_and_began_its_durations_before():
    made = lane(done(1.0, busy=0.25), done(2.0, first=1, busy=0.5, codec=0.1, cache=0.15))
    assert spans(made) == [(0.75, 1.0, 0, 1), (1.25, 2.0, 1, 1)]
    last = made.spans(9)[-1]
    assert (last.codec_s, last.cache_s) == (0.1, 0.15)


def test_a_chunk_that_was_received_late_does_not_reach_into_the_one_before():
    made = lane(done(1.0, busy=0.9), done(1.2, first=1, busy=0.9))
    assert spans(made) == [(0.1, 1.0, 0, 1), (1.0, 1.2, 1, 1)]


def test_times_that_go_back_give_spans_without_length():
    assert spans(lane(done(1.0, busy=0.5), done(0.2, first=1, busy=0.1))) == [(0.5, 1.0, 0, 1), (1.0, 1.0, 1, 1)]


def test_no_chunk_begins_before_its_lane():
    assert spans(lane(done(0.4, busy=3.0), started=0.3)) == [(0.3, 0.4, 0, 1)]


def test_a_chunk_that_was_cut_short_is_placed_at_its_beginning():
    made = lane(ChunkSent(0.5, 1, 0, 8), done(2.0, count=3, busy=0.6))
    assert spans(made) == [(0.5, 1.1, 0, 3)]


def test_a_chunk_that_was_cut_short_ends_no_later_than_the_message_about_it():
    made = lane(ChunkSent(0.5, 1, 0, 8), done(0.7, count=3, busy=0.6))
    assert spans(made) == [(0.5, 0.7, 0, 3)]


def test_the_rest_of_a_chunk_is_lost_with_its_worker():
    made = lane(ChunkSent(0.5, 1, 0, 8), done(2.0, count=3, busy=0.6), WorkerEnded(2.0, 1, "died", "SIGKILL"))
    assert spans(made) == [(0.5, 1.1, 0, 3), (1.1, 2.0, 3, 5)]
    assert made.lost == pytest.approx(0.9)
    assert [span.state for span in made.spans(9)] == ["ok", "lost"]


def test_a_prefetched_chunk_begins_when_the_one_before_it_ends():
    made = lane(
        ChunkSent(0.0, 1, 0, 2), ChunkSent(0.0, 1, 2, 2), done(1.0, count=2, busy=1.0), WorkerEnded(1.5, 1, "died", "x")
    )
    assert spans(made) == [(0.0, 1.0, 0, 2), (1.0, 1.5, 2, 2)]


def test_a_worker_that_ends_as_it_should_loses_nothing():
    made = lane(ChunkSent(0.0, 1, 0, 2), WorkerEnded(1.5, 1, "retired"))
    assert (made.lost, made.ended_by, made.ended, made.exit) == (0.0, "retired", 1.5, None)


@pytest.mark.parametrize(
    ("how", "said"), [("done", "end"), ("retired", "retired"), ("killed", "killed"), ("died", "crashed")]
)
def test_how_a_worker_ended_is_said_in_the_words_of_the_report(how, said):
    assert record(lane(WorkerEnded(1.0, 1, how))).ended_by == said


def test_time_that_nothing_claims_is_waiting():
    shown = record(lane(done(1.0, busy=0.25, codec=0.1, cache=0.05, cpu=0.2, rss=77)))
    assert shown.seconds.wait == pytest.approx(9.6)
    assert (shown.seconds.work, shown.seconds.codec, shown.seconds.cache) == pytest.approx((0.25, 0.1, 0.05))
    assert (shown.cpu_s, shown.peak_bytes, shown.name, shown.host) == (0.2, 77, "worker 1", "host-a")


def test_before_the_fan_out_the_calling_process_waits_for_no_one():
    made = LaneFold(0, 0.0)
    made.finish(ChunkDone(2.0, 0, 0, 1, ok=1, busy=1.5), "ok", 0)
    shown = record(made, wall=10.0, fan_out=3.0)
    assert shown.name == "caller"
    assert (shown.seconds.other, shown.seconds.wait) == pytest.approx((1.5, 7.0))
    assert record(made, wall=10.0, fan_out=99.0).seconds.wait == pytest.approx(0.0)


def test_durations_that_do_not_fit_are_scaled_down():
    shown = record(lane(done(1.0, busy=3.0, codec=1.0)), wall=1.0)
    assert (shown.seconds.work, shown.seconds.codec, shown.seconds.wait) == pytest.approx((0.75, 0.25, 0.0))


def test_a_lane_is_cut_to_the_length_of_the_run():
    shown = record(lane(WorkerEnded(9.0, 1, "done"), started=3.0), wall=5.0)
    assert (shown.started_s, shown.ended_s) == (3.0, 5.0)
    late = record(lane(started=7.0), wall=5.0)
    assert (late.started_s, late.ended_s, late.seconds.wait) == (5.0, 5.0, 0.0)


def test_starting_counts_from_the_end_of_the_worker_before():
    made = lane(
        WorkerStarted(0.5, 1, 7, "fork", 0.5), WorkerEnded(1.0, 1, "retired"), WorkerStarted(1.2, 2, 8, "fork", 0.5)
    )
    assert made.start == pytest.approx(0.7)
    assert (made.pid, made.ended) == (8, None)


def test_neighbours_are_merged_into_the_graver_state():
    made = LaneFold(1, 0.0)
    for index, state in enumerate(["ok", "failed", "cached", "ok", "ok"]):
        made.finish(done(float(index + 1), first=10 * index, count=2, busy=0.5, codec=0.1), state, 0)
    pairs = made.spans(3)
    assert [(span.first_item, span.items, span.state) for span in pairs] == [
        (0, 4, "failed"),
        (20, 4, "cached"),
        (40, 2, "ok"),
    ]
    assert pairs[0].codec_s == pytest.approx(0.2)
    (whole,) = made.spans(1)
    assert (whole.start_s, whole.end_s, whole.items, whole.state) == (0.4, 5.0, 10, "failed")


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.0, 0.3), st.floats(0.0, 0.3), st.sampled_from(STATES[:-1])), max_size=60),
    st.integers(1, 40),
)
def test_merging_keeps_order_items_and_room(chunks: list[tuple[float, float, str]], limit: int) -> None:
    made, at = LaneFold(1, 0.0), 0.0
    for index, (pause, busy, state) in enumerate(chunks):
        at += pause + busy
        made.finish(done(at, first=index, busy=busy), state, 0)
    kept = made.spans(limit)
    assert len(kept) <= limit
    assert sum(span.items for span in kept) == len(chunks)
    assert all(a.end_s <= b.start_s for a, b in pairwise(kept))
    if chunks:
        gravest = max((state for _, _, state in chunks), key=STATES.index)
        assert gravest in {span.state for span in kept}
