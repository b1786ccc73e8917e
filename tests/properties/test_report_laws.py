"""Laws of reports: whatever happens in a run, its views agree and its times add up."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from functools import cache
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import given, settings
from tests.runs import Story, noise, report_of, stories

from fanwise.records.run_events import RunEvent
from fanwise.report import ReportBuilder, RunFacts, RunReport

FEWER = settings(max_examples=50)


@cache
def schema() -> jsonschema.Draft202012Validator:
    text = files("fanwise.report").joinpath("schema-1.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def parts_of(lane: object) -> float:
    seconds = lane.seconds
    return sum(getattr(seconds, part) for part in ("start", "work", "codec", "cache", "wait", "lost", "other"))


@FEWER
@given(stories())
def test_counts_of_a_report_are_those_of_the_run(story: Story) -> None:
    report = story.report()
    counted = (report.items, report.ok, report.failed, report.lost, report.cached, report.retried, report.missing)
    expected = (story.total, story.ok, story.failed, story.lost, story.cached, story.retried)
    assert counted == (*expected, story.total - story.settled)
    assert sum(lane.items for lane in report.lanes) == story.ok + story.failed


@FEWER
@given(stories())
def test_trace_and_report_count_alike(story: Story) -> None:
    report = story.report()
    slices = [event for event in json.loads(report.to_trace())["traceEvents"] if event["ph"] == "X"]
    items = [event for event in slices if event["cat"] not in {"start", "cache", "codec", "lost"}]
    retried = story.retried
    assert sum(event["args"]["items"] for event in items) == report.ok + report.failed + retried
    for event in slices:
        assert event["dur"] >= 0


@FEWER
@given(stories())
def test_the_time_of_every_lane_adds_up(story: Story) -> None:
    report = story.report()
    for lane in report.lanes:
        assert parts_of(lane) == pytest.approx(lane.ended_s - lane.started_s, rel=0.01, abs=1e-9)
        assert min(lane.started_s, lane.seconds.wait, lane.seconds.other) >= 0.0


@FEWER
@given(noise())
def test_the_time_of_every_lane_adds_up_whatever_is_told(events: list[RunEvent]) -> None:
    for lane in report_of(events).lanes:
        assert parts_of(lane) == pytest.approx(lane.ended_s - lane.started_s, rel=0.01, abs=1e-9)


@FEWER
@given(stories())
def test_work_and_losses_are_all_there_is(story: Story) -> None:
    report = story.report()
    beside = sum(loss.seconds for loss in report.losses if not loss.inside_work)
    places = max(1, report.workers)
    assert beside + report.time.work_s == pytest.approx(places * report.wall, rel=0.01, abs=1e-6)


@FEWER
@given(stories())
def test_spans_of_a_lane_never_overlap(story: Story) -> None:
    for lane in story.report().lanes:
        for before, after in zip(lane.spans, lane.spans[1:], strict=False):
            assert before.start_s <= before.end_s <= after.start_s


@FEWER
@given(stories())
def test_json_is_valid_and_reads_back_equal(story: Story) -> None:
    report = story.report(options={"retries": 1, "timeout": float("inf")})
    text = report.to_json()
    schema().validate(json.loads(text))
    again = RunReport.from_json(text)
    assert again == report
    assert again.to_json() == text
    assert again.to_trace() == report.to_trace()


@FEWER
@given(noise())
def test_json_is_valid_whatever_is_told(events: list[RunEvent]) -> None:
    text = report_of(events).to_json()
    schema().validate(json.loads(text))
    assert RunReport.from_json(text).to_json() == text


@FEWER
@given(stories())
def test_pages_refer_to_nothing_outside(story: Story) -> None:
    page = story.report().to_html()
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(?!#)""", page)
    assert "<script" not in page
    assert page.count("<h1") == 1


@FEWER
@given(stories())
def test_folding_in_batches_changes_nothing(story: Story) -> None:
    whole = story.report(id="0" * 32)
    builder = ReportBuilder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fanwise.report._builder._KEPT", 3)
        for event in story.events:
            builder.on(event)
    facts = RunFacts(function="mymodule.score", started_at=1767323045.678, id="0" * 32)
    batched = builder.finish(story.events[-1].at, facts)
    assert replace(batched, memory=whole.memory) == whole  # the high water of this process may have risen


@FEWER
@given(stories())
def test_a_report_can_be_pickled_before_it_is_read(story: Story) -> None:
    report = story.report(id="0" * 32)
    assert pickle.loads(pickle.dumps(report)) == report
