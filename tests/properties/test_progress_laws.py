"""Laws of progress: it counts what the report counts, and shows nothing that a pipe cannot bear."""

from __future__ import annotations

import io
import json

from hypothesis import given, settings
from tests.runs import Story, noise, report_of, stories

from fanwise import progress
from fanwise.progress._tally import Tally
from fanwise.records.run_events import RunEvent
from fanwise.testing import RecordingProgress
from fanwise.typing import Progress

FEWER = settings(max_examples=50)


def tell(shown: Progress, events: list[RunEvent], total: int | None) -> None:
    shown.start(total, "f")
    for event in events:
        shown.on(event)
    shown.finish(report_of(events))


@FEWER
@given(stories())
def test_progress_and_report_count_alike(story: Story) -> None:
    tally = Tally(story.total, "f")
    for event in story.events:
        tally.on(event)
    report = story.report()
    shown = tally.snapshot(1e3)
    counted = (shown.done, shown.failed, shown.lost, shown.cached)
    assert counted == (report.items - report.missing, report.failed, report.lost, report.cached)
    assert counted == (story.settled, story.failed, story.lost, story.cached)


@FEWER
@given(stories())
def test_what_json_says_at_the_end_is_what_the_report_says(story: Story) -> None:
    stream = io.StringIO()
    tell(progress.json(stream=stream, environ={}, command=True), story.events, story.total)
    end = json.loads(stream.getvalue().splitlines()[-1])
    assert (end["total"], end["done"], end["failed"]) == (story.total, story.settled, story.failed)


@FEWER
@given(noise())
def test_a_pipe_sees_neither_escape_nor_carriage_return_whatever_is_told(events: list[RunEvent]) -> None:
    for make in (progress.auto, progress.rich, progress.plain):
        stream = io.StringIO()
        tell(make(stream=stream, environ={}, command=True), events, 10)
        assert "\x1b" not in stream.getvalue()
        assert "\r" not in stream.getvalue()
        assert stream.getvalue().endswith("\n")


@FEWER
@given(stories())
def test_several_hear_the_same(story: Story) -> None:
    first, second = RecordingProgress(), RecordingProgress()
    tell(progress.tee(first, second), story.events, story.total)
    assert first.events == second.events == story.events
