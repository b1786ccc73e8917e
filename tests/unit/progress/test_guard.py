"""Progress objects of others: what they raise never ends a run."""

from __future__ import annotations

import logging

import pytest
from tests.runs import report_of, serial_run

from fanwise import progress
from fanwise.progress import Guard
from fanwise.records import run_events as told
from fanwise.testing import RecordingProgress
from fanwise.typing import Progress


class Failing:
    """Raises in one of its methods."""

    def __init__(self, where):
        self.where = where
        self.calls = []

    def _call(self, name):
        self.calls.append(name)
        if name == self.where:
            raise RuntimeError(f"broken in {name}")

    def start(self, total, label):
        self._call("start")

    def on(self, event):
        self._call("on")

    def tick(self, at):
        self._call("tick")

    def finish(self, report):
        self._call("finish")


def tell(shown):
    happened = serial_run(items=3)
    shown.start(3, "f")
    for event in happened:
        shown.on(event)
    shown.tick(1.0)
    shown.finish(report_of(happened))


@pytest.mark.parametrize("where", ["start", "on", "tick", "finish"])
def test_the_first_exception_is_logged_once_and_the_object_dropped(where, caplog):
    failing = Failing(where)
    guard = Guard(failing)
    tell(guard)
    tell(guard)
    assert failing.calls.count(where) == 1
    assert failing.calls[-1] == where
    assert guard.dropped
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("fanwise.progress", logging.ERROR)
    assert "failed and is no longer told" in record.getMessage()
    assert isinstance(record.exc_info[1], RuntimeError)


def test_what_ends_the_run_is_not_held_back():
    class Stop:
        def start(self, total, label):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guard(Stop()).start(1, "f")


def test_an_object_without_ticks_is_told_the_rest():
    recording = RecordingProgress()
    guard = Guard(recording)
    tell(guard)
    assert not guard.dropped
    assert recording.starts == [(3, "f")]
    assert len(recording.events) == 6
    assert recording.reports[0].items == 3


def test_several_are_told_everything_and_one_that_fails_does_not_stop_the_others():
    first, failing, last = RecordingProgress(), Failing("on"), RecordingProgress()
    tell(progress.tee(first, failing, last, label="both"))
    assert first.starts == last.starts == [(3, "both")]
    assert first.events == last.events
    assert first.reports == last.reports


@pytest.mark.parametrize("make", [progress.auto, progress.rich, progress.plain, progress.json, progress.none])
def test_every_progress_is_one_of_the_protocol_and_takes_a_label(make):
    assert isinstance(make(label="Scanning"), Progress)
    assert isinstance(progress.tee(make(), label="Scanning"), Progress)


def test_the_formatter_of_json_logs_is_loaded_when_asked_for():
    assert progress.JsonLogFormatter.__name__ == "JsonLogFormatter"
    with pytest.raises(AttributeError, match=r"module 'fanwise\.progress' has no attribute 'colour'"):
        _ = progress.colour


def test_parts_end_early_when_one_does_not_finish(capsys):
    shown = progress.plain("study", parts=3, environ={})
    happened = [*serial_run(items=8, each=0.5)[:-2], told.RunEnded(3.6, "interrupted")]
    shown.start(8, "sweep")
    for event in happened:
        shown.on(event)
    shown.finish(report_of(happened))
    assert capsys.readouterr().err == "fanwise: study: 7 of 8 items in 3.6 s (interrupted), 1.9 item/s\n"
