"""The drawings: everything inside the frame, few enough shapes, nothing grave hidden by merging."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.costs_of import histogram as bins
from tests.runs import Story, fanned_out, report_of, serial_run, stories

from fanwise.records import run_events as told
from fanwise.report import _charts as charts

BOX = re.compile(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" class="k-(\w+)">')


def boxes(drawing):
    return [(float(x), float(y), float(w), float(h), kind) for x, y, w, h, kind in BOX.findall(drawing)]


def timeline(report):
    return charts.timeline(report.lanes, report.events, report.wall)


def test_a_lane_is_drawn_as_long_as_it_lasted():
    drawn = boxes(charts.lane_bars(report_of(fanned_out()).lanes))
    rows = sorted({y for _, y, *_ in drawn})
    length = [sum(w for _, y, w, *_ in drawn if y == row) for row in rows]
    assert len(rows) == 3
    assert length[0] == pytest.approx(856, abs=2)
    assert length[1] == pytest.approx(856 * 1.01 / 1.21, abs=3)


def test_a_long_part_says_how_much_it_is():
    drawing = charts.lane_bars(report_of(serial_run(items=4, each=0.5)).lanes)
    assert "2.0 s · 100 %" in drawing
    assert "caller, the function: 2.0 s (100 %)" in drawing


def test_lanes_without_length_are_drawn_without_bars():
    assert boxes(charts.lane_bars(report_of([told.RunStarted(0.0, 0, "f")]).lanes)) == []


def test_a_chunk_is_a_box_with_a_tooltip():
    drawing = timeline(report_of(fanned_out()))
    assert "<title>5 items from 2 on: ok, 0.50 s, at 0.21 s</title>" in drawing
    assert "<title>2 items from 0 on: ok, 0.20 s, at 0 s</title>" in drawing
    assert len(boxes(drawing)) == 3


def test_one_item_is_called_by_its_number():
    assert "<title>item 3: failed, 0.10 s, at 0 s</title>" in timeline(
        report_of([told.ChunkDone(0.1, 0, 3, 1, 0, busy=0.1)])
    )


def test_what_happened_is_marked_in_the_row_of_its_lane():
    drawing = timeline(
        report_of([*fanned_out()[:-3], told.WorkerEnded(1.0, 2, "died", "SIGKILL"), told.Interrupted(1.1, 2)])
    )
    assert "<title>1.0 s: worker 2 died: SIGKILL</title>" in drawing
    assert "<title>1.1 s: The run was interrupted by SIGINT.</title>" in drawing


def test_thousands_of_chunks_become_a_few_hundred_boxes_and_failures_stay_visible():
    events = [told.ChunkDone(0.01 * (n + 1), 1 + n % 4, n, 1, ok=n != 5_000, busy=0.04) for n in range(12_000)]
    drawn = boxes(timeline(report_of(events)))
    assert len(drawn) < 1_500
    assert [kind for *_, kind in drawn].count("failed") == 1


def test_no_more_than_fifty_lanes_are_drawn():
    events = [told.WorkerStarted(0.0, n, n, "fork", 0.0) for n in range(1, 101)]
    events += [told.ChunkDone(1.0, n, n, 1, ok=1, busy=0.9) for n in range(1, 101)]
    report = report_of(events)
    assert len(boxes(timeline(report))) == charts.LANES_SHOWN - 1
    assert charts.lane_bars(report.lanes).count('text-anchor="end">worker') == charts.LANES_SHOWN - 1


@settings(max_examples=40)
@given(stories())
def test_every_box_lies_inside_the_frame(story: Story) -> None:
    report = story.report()
    for drawing in (timeline(report), charts.lane_bars(report.lanes)):
        height = float(re.search(r'viewBox="0 0 960 ([\d.]+)"', drawing)[1])
        for x, y, w, h, _ in boxes(drawing):
            assert 92 <= x <= x + w <= 950
            assert 0 <= y <= y + h <= height


@settings(max_examples=100)
@given(st.floats(1e-6, 1e6))
def test_axes_have_few_round_steps(length: float) -> None:
    step = charts._step(length)
    assert length / 8 * 0.999 <= step <= length * 1.001
    digits = f"{step:.6e}".partition("e")[0].rstrip("0").rstrip(".")
    assert digits in {"1", "2", "5"}


def test_the_histogram_has_a_column_for_each_filled_bin_and_its_number():
    costs = [0.001] * 7 + [0.004] * 2 + [0.2]
    report = report_of([told.ChunkDone(1.0, 0, 0, 10, ok=10, busy=sum(costs), costs=bins(costs), least=0.001)])
    drawing = charts.histogram(report.costs)
    assert [kind for *_, kind in boxes(drawing)] == ["ok"] * 3
    assert "<title>1.0 ms to 1.8 ms: 7 items</title>" in drawing
    tallest = max(boxes(drawing), key=lambda box: box[3])
    assert tallest[3] == 190


def test_a_wide_histogram_leaves_out_some_of_its_words():
    costs = [10 ** (n / 10 - 6) for n in range(95)]
    report = report_of([told.ChunkDone(1.0, 0, 0, 95, ok=95, busy=sum(costs), costs=bins(costs), least=1e-6)])
    drawing = charts.histogram(report.costs)
    assert drawing.count("<text") < len(boxes(drawing))
    assert report.costs.histogram.counts.count(0) == 2


def test_without_costs_or_samples_nothing_is_drawn():
    report = report_of([])
    assert charts.histogram(report.costs) == ""
    assert charts.memory_chart(report.memory.samples, 1.0) == ""


def test_memory_is_two_curves_over_time():
    samples = [told.MemorySample(at / 10, 10**9, 10**7, ((1, 10**7 * at),)) for at in range(5)]
    report = report_of([told.WorkerStarted(0.0, 1, 1, "fork", 0.0), *samples])
    drawing = charts.memory_chart(report.memory.samples, report.wall)
    assert drawing.count("<polyline") == 2
    assert "At most 50 MB in all" in drawing
    points = re.search(r'points="([^"]+)" class="curve total"', drawing)[1].split()
    heights = [float(point.partition(",")[2]) for point in points]
    assert heights == sorted(heights, reverse=True)


def test_meters_are_relative_to_the_greatest_loss():
    tail, before, *_ = report_of(fanned_out()).losses
    assert "width:100%" in charts.share_bar(tail, tail.seconds)
    assert "width:40%" in charts.share_bar(before, tail.seconds)
    assert "width:0%" in charts.share_bar(before, 0.0)
