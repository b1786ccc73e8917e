"""What happened is told to the display and to the report, and made into events only where somebody looks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.api.chosen import options

import fanwise
from fanwise import _task
from fanwise._api._again import SecondChances
from fanwise._api._endings import DONE, Ending
from fanwise._api._local import LocalLoop, News, failed_here
from fanwise._api._planning import EvenPace
from fanwise._api._source import source_of
from fanwise._api._story import Story, Stretch, label_of
from fanwise._api._telling import events_of
from fanwise.engine._sentences import decide
from fanwise.records import run_events as told
from fanwise.records import scheduling as s
from fanwise.records.chunks import Chunk
from fanwise.testing import FakeClock, RecordingProgress


def story_of(progress: Any = "none", total: int | None = 10, clock: FakeClock | None = None) -> tuple[Story, FakeClock]:
    clock = clock or FakeClock()
    return Story(abs, total, options(on_error="return", progress=progress), clock), clock


def loop_of(items: list[Any]) -> LocalLoop:
    loop = LocalLoop(invert, source_of(items), SecondChances(None, FakeClock()), raises=False)
    pace = EvenPace()
    while loop.advance(pace):
        pass
    return loop


def invert(item: int) -> float:
    return 1 / item


class TestReport:
    def test_a_run_in_this_process_is_reported_with_its_failures(self) -> None:
        story, clock = story_of(total=4)
        clock.advance(0.5)
        story.stretch(loop_of([1, 0, 2, 4]))
        report = story.end(DONE, lambda: decide("serial.asked", {}))
        assert (report.items, report.ok, report.failed) == (4, 3, 1)
        assert report.failures[0].type == "ZeroDivisionError"
        assert report.reason == "Ran in this process because workers=1."
        assert report.ended == "done"

    def test_it_is_made_once(self) -> None:
        story, _ = story_of()
        assert story.end(DONE, lambda: decide("serial.asked", {})) is story.end(DONE)

    @pytest.mark.parametrize(
        ("how", "ended"), [("error", "error"), ("interrupted", "interrupted"), ("deadline", "deadline")]
    )
    def test_it_says_how_the_run_ended(self, how: str, ended: str) -> None:
        story, _ = story_of()
        assert story.end(Ending(how), lambda: decide("serial.asked", {})).ended == ended

    def test_resumed_items_are_counted_apart(self) -> None:
        story, _ = story_of(total=3)
        story.stretch(loop_of([1, 2, 4]), [0, 2])
        report = story.end(DONE, lambda: decide("serial.asked", {}))
        assert (report.ok, report.resumed) == (3, 2)

    def test_a_backend_of_another_kind_is_named(self) -> None:
        story, _ = story_of()
        story.hired("dask", 4)
        assert story.end(DONE, lambda: decide("serial.asked", {})).backend == "dask"

    def test_what_only_the_call_knows_is_in_the_report(self) -> None:
        story, _ = story_of()
        story.know(warnings=["the disk is slow"])
        story.know(bundles=[{"digest": "d", "names": ["panel"], "bytes": 8, "transfers": 2, "attached": 2}])
        report = story.end(DONE, lambda: decide("serial.asked", {}))
        assert report.warnings == ("the disk is slow",)
        assert report.bundles[0].names == ("panel",)

    def test_decisions_keep_their_order_and_item(self) -> None:
        story, clock = story_of()
        clock.advance(0.25)
        story.decide(decide("serial.few-items", n=2), 1)
        story.decide(decide("serial.asked", {}), 2)
        report = story.end(DONE)
        assert [(d.code, d.item) for d in report.plan.decisions] == [("serial.few-items", 1), ("serial.asked", 2)]
        assert report.plan.decisions[0].at_s == 0.25


class TestProgress:
    def test_an_object_hears_everything_in_order(self) -> None:
        progress = RecordingProgress()
        story, _ = story_of(progress)
        story.tick(0.0)
        story.decide(decide("serial.asked", {}))
        story.stretch(loop_of([1, 2]))
        report = story.end(DONE)
        assert progress.starts == [(10, "abs")]
        kinds = [type(event).__name__ for event in progress.events]
        assert kinds == ["RunStarted", "Planned", "ChunkDone", "RunEnded"]
        assert progress.reports == [report]

    def test_an_object_hears_of_a_short_run_at_its_end(self) -> None:
        progress = RecordingProgress()
        story, _ = story_of(progress)
        story.stretch(loop_of([1, 2]))
        story.end(DONE, lambda: decide("serial.asked", {}))
        assert len(progress.starts) == 1
        assert type(progress.events[0]).__name__ == "RunStarted"

    def test_a_name_is_not_looked_at_before_half_a_second(self) -> None:
        story, clock = story_of("auto")
        assert story.tick(clock.now()) == 0.5
        assert story._progress is None

    def test_none_never_ticks(self) -> None:
        story, clock = story_of("none")
        clock.advance(5)
        assert story.tick(clock.now()) is None

    def test_a_broken_object_does_not_break_the_run(self, caplog: pytest.LogCaptureFixture) -> None:
        class Broken(RecordingProgress):
            def on(self, event: Any) -> None:
                raise ZeroDivisionError

        story, _ = story_of(Broken())
        story.tick(0.0)
        story.decide(decide("serial.asked", {}))
        assert story.end(DONE).ended == "done"
        assert len(caplog.records) == 1


@pytest.fixture
def inside_an_item() -> Iterator[None]:
    before = _task.enter(_task.Place(0, [], 1, None, bool))
    yield
    _task.leave(before)


@pytest.mark.usefixtures("inside_an_item")
def test_a_run_inside_an_item_shows_nothing_of_its_own() -> None:
    progress = RecordingProgress()
    story, _ = story_of(progress)
    story.end(DONE, lambda: decide("serial.asked", {}))
    assert progress.starts == []


def test_steps_of_the_scheduler_become_events() -> None:
    progress = RecordingProgress()
    story, clock = story_of(progress)
    story.tick(clock.now())
    story.hear(s.WorkerReady(0.1, 1, 4711, "fork", 0.01), [s.Send(1, Chunk(0, 0, 5))])
    names = [type(event).__name__ for event in progress.events]
    assert names == ["RunStarted", "WorkerStarted", "ChunkSent"]


def test_a_stretch_is_one_event_and_one_for_each_failure() -> None:
    failures = [failed_here(ValueError("bad"), 3, 0.1)]
    events = list(events_of(Stretch(1.0, 0, News([(2, 0.2), (1, 0.3)], failures))))
    done, failed = events
    assert isinstance(done, told.ChunkDone)
    assert (done.first, done.count, done.ok) == (0, 4, 3)
    assert done.busy == pytest.approx(0.5)
    assert isinstance(failed, told.ItemFailed)
    assert (failed.index, failed.type, failed.message) == (3, "ValueError", "bad")


def test_an_empty_stretch_is_no_event() -> None:
    assert list(events_of(Stretch(1.0, 0, News()))) == []


class Named:
    def __call__(self, item: int) -> int:
        return item


@pytest.mark.parametrize(
    ("fn", "label"),
    [
        (abs, "abs"),
        (functools.partial(functools.partial(invert, 1)), "invert"),
        (Named(), "Named"),
        (lambda x: x, "<lambda>"),
    ],
)
def test_a_run_is_called_after_its_function(fn: Any, label: str) -> None:
    assert label_of(fn) == label


def test_a_story_shows_its_name() -> None:
    assert repr(story_of()[0]) == "<Story of abs, 1 events at hand>"


@pytest.mark.parametrize("verb", [fanwise.map, fanwise.run, lambda *a, **k: list(fanwise.stream(*a, **k))])
def test_every_verb_closes_the_display_once(verb: Any) -> None:
    recorded = RecordingProgress()
    verb(abs, [-1, 2], progress=recorded, workers=1)
    assert [report.items for report in recorded.reports] == [2]


def test_attempts_in_this_process_are_reported() -> None:
    from fanwise.testing import Raise, Scripted

    flaky = Scripted(abs, {1: [Raise(OSError("x"))], 2: [Raise(OSError("x")), Raise(OSError("y"))]})
    report = fanwise.run(flaky, [-1, -2, -3], retries=1, workers=1).report
    assert (report.ok, report.failed, report.retried) == (2, 1, 2)
    assert report.failures[0].attempts == 2
