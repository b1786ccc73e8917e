"""What items said is said again through the streams, loggers and filters of the calling process."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from contextlib import redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.engine._replay import Replay
from fanwise.errors import FanwiseWarning
from fanwise.records.outcomes import Said


def test_text_goes_to_the_stream_it_was_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    Replay().say([Said(0, "stdout", "one\n"), Said(0, "stderr", "two\n"), Said(1, "stdout", "three\n")])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("one\nthree\n", "two\n")


@pytest.mark.parametrize(
    ("said", "out", "err"),
    [
        ([Said(17, "stdout", "a\nb\n")], "[item 17] a\n[item 17] b\n", ""),
        ([Said(0, "stdout", "a\n\nb")], "[item 0] a\n[item 0] \n[item 0] b", ""),
        ([Said(0, "stdout", "a\r50 %\x0cb\u2028c\r\n")], "[item 0] a\r50 %\x0cb\u2028c\r\n", ""),
        ([Said(0, "stdout", "."), Said(1, "stdout", ".\nb\n")], "[item 0] ..\n[item 1] b\n", ""),
        ([Said(0, "stdout", "a"), Said(0, "stdout", ""), Said(1, "stdout", "\n")], "[item 0] a\n", ""),
        ([Said(0, "stdout", ""), Said(1, "stdout", "a\n"), Said(2, "stdout", "")], "[item 1] a\n", ""),
        ([Said(0, "stdout", "a"), Said(0, "stderr", "b\n"), Said(0, "stdout", "c")], "[item 0] ac", "[item 0] b\n"),
    ],
    ids=["each line", "an empty line", "line ends only", "one line of two", "its end alone", "nothing", "both streams"],
)
def test_lines_can_begin_with_their_item(
    said: list[Said], out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Replay(label_items=True).say(said)
    assert capsys.readouterr() == (out, err)


def test_what_was_written_past_python_has_no_item_but_ends_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    replay = Replay(label_items=True)
    replay.say([Said(3, "stdout", "a")])
    replay.write("stdout", "raw\nraw\n")
    replay.say([Said(3, "stdout", "b\n")])
    assert capsys.readouterr().out == "[item 3] araw\nraw\n[item 3] b\n"


@given(st.lists(st.builds(Said, st.integers(0, 99), st.just("stdout"), st.text("ab\r\n", max_size=9))))
def test_without_its_labels_a_text_is_what_was_said_and_each_line_has_one(said: list[Said]) -> None:
    heard = io.StringIO()
    with redirect_stdout(heard):
        Replay(label_items=True).say(said)
    lines = heard.getvalue().split("\n")
    shown = [line for line in lines if line]
    assert all(line.startswith("[item ") and line.count("[item ") == 1 for line in shown)
    assert lines[:-1] == shown[: len(lines) - 1]
    assert "\n".join(line.partition("] ")[2] for line in lines) == "".join(str(one.payload) for one in said)


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
