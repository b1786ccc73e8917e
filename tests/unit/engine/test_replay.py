"""What items said is said again through the streams, loggers and filters of the calling process."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from typing import Any

import pytest

from fanwise.engine._replay import Replay
from fanwise.errors import FanwiseWarning
from fanwise.records.outcomes import Said


def test_text_goes_to_the_stream_it_was_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    Replay().say([Said(0, "stdout", "one\n"), Said(0, "stderr", "two\n"), Said(1, "stdout", "three\n")])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("one\nthree\n", "two\n")


def test_records_reach_the_loggers_handlers_once_and_name_their_item(caplog: pytest.LogCaptureFixture) -> None:
    payload = {"name": "app.model", "levelno": logging.INFO, "levelname": "INFO", "msg": "fitted", "args": None}
    with caplog.at_level(logging.INFO):
        Replay().say([Said(3, "log", payload)])
    assert [(record.name, record.message, record.fanwise_item) for record in caplog.records] == [
        ("app.model", "fitted", 3)
    ]


def test_levels_of_the_calling_process_apply(caplog: pytest.LogCaptureFixture) -> None:
    payload = {"name": "app.quiet", "levelno": logging.DEBUG, "levelname": "DEBUG", "msg": "detail", "args": None}
    with caplog.at_level(logging.WARNING):
        Replay().say([Said(3, "log", payload)])
    assert not caplog.records


def warning(text: str) -> Said:
    return Said(0, "warning", {"message": text, "category": UserWarning, "filename": "app.py", "lineno": 3})


def test_warnings_are_deduplicated_by_the_callers_filters() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        Replay().say([warning("old"), warning("old"), warning("new")])
    assert [str(w.message) for w in caught] == ["old", "new"]


def test_what_items_warned_of_is_remembered_once_each_and_up_to_a_bound() -> None:
    replay = Replay()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        replay.say([warning("old"), warning("new"), warning("old"), warning("x" * 1_000)])
        assert replay.warned()[:2] == ["UserWarning: old", "UserWarning: new"]
        assert len(replay.warned()[2]) == 300
        replay.say([warning(str(number)) for number in range(200)])
    assert len(replay.warned()) == 100


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError("the reader has gone")


def test_a_broken_stream_is_dropped_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken())
    replay = Replay()
    with pytest.warns(FanwiseWarning, match="stdout cannot be written to") as caught:
        replay.say([Said(0, "stdout", "a"), Said(1, "stdout", "b")])
    assert len(caught) == 1
    assert repr(replay) == "<Replay, dropped ['stdout']>"


def test_no_stream_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    Replay().write("stdout", "text")


def test_a_closed_file_is_dropped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: Any = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.warns(FanwiseWarning, match="closed file"):
        Replay().write("stderr", "text")
