"""A label is the user's text: whatever is in it, lines stay lines, and no terminal obeys it."""

from __future__ import annotations

import io
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs import report_of
from tests.unit.progress.terminal import Terminal

from fanwise import progress
from fanwise.progress._tally import Part, Snapshot
from fanwise.progress._words import Closing, closing_line, plain_line
from fanwise.records import run_events as told
from fanwise.typing import Progress

EVENTS = [
    told.RunStarted(0.0, 4, "f"),
    told.ChunkDone(11.0, 0, 0, 2, ok=2, busy=11.0),
    told.ChunkDone(22.0, 0, 2, 2, ok=2, busy=11.0),
    told.RunEnded(22.0, "done"),
]
HOSTILE = [
    "a\nb",
    "a\r\nfanwise: all is lost",
    "\x1b[2J\x1b[1;1Hgone",
    "bell\x07",
    "\x9b31m",
    "tab\there",
    "\u202eright to left",
    "nul\x00",
    "line\u2028separator",
]
LABELS = st.text(max_size=60) | st.sampled_from(HOSTILE)


def tell(shown: Progress, label: str = "f") -> None:
    shown.start(4, label)
    for event in EVENTS:
        shown.on(event)
    shown.finish(report_of(EVENTS))


@pytest.mark.parametrize("label", HOSTILE)
def test_plain_lines_hold_nothing_that_a_terminal_obeys(label: str) -> None:
    stream = io.StringIO()
    tell(progress.plain(label, stream=stream))
    lines = stream.getvalue().split("\n")
    assert len(lines) == 4  # at 11 s, at 22 s, at the end, and what follows the last line end
    assert all(line.startswith("fanwise: ") for line in lines[:-1])
    assert all(line.isprintable() for line in lines)


@settings(max_examples=60)
@given(LABELS)
def test_any_label_gives_one_printable_line_each_time(label: str) -> None:
    stream = io.StringIO()
    tell(progress.plain(stream=stream, environ={}), label)
    lines = stream.getvalue().split("\n")
    assert [len(lines), lines[-1]] == [4, ""]
    assert all(line.isprintable() for line in lines)


@settings(max_examples=60)
@given(LABELS)
def test_lines_of_json_give_the_label_back_as_it_was(label: str) -> None:
    stream = io.StringIO()
    tell(progress.json(stream=stream, environ={}), label)
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["label"] for line in said} == {label}
    assert said[-1]["event"] == "end"


@pytest.mark.parametrize("label", HOSTILE)
def test_a_log_record_is_one_line(label: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fanwise.progress")
    tell(progress.auto(label, stream=io.StringIO(), environ={}))
    assert len(caplog.messages) == 3
    assert all(message.isprintable() for message in caplog.messages)


@pytest.mark.parametrize("label", HOSTILE)
def test_what_stays_on_a_terminal_is_one_line(label: str, terminal: Terminal) -> None:
    tell(progress.rich(label, stream=terminal.stream, environ={}))
    (line,) = terminal.screen()
    assert "4 items in 22 s" in line


@pytest.mark.parametrize("columns", [20, 24, 40, 80, 200])
@pytest.mark.parametrize(
    "label",
    ["", "検索" * 40, "e\u0301" * 90, "\x1b[2J", "word " * 30],
    ids=["empty", "wide", "combining", "escape", "long"],
)
def test_a_bar_takes_one_line_of_the_screen_whatever_it_is_called(columns: int, label: str) -> None:
    screen = Terminal(columns)
    with screen.in_place():
        shown = progress.rich(label, stream=screen.stream, environ={})
        shown.start(4, "f")
        for event in EVENTS[:-1]:
            shown.on(event)
        lines = screen.screen()
        shown.finish(report_of(EVENTS))  # to a terminal that is closed by now
    assert len([line for line in lines if line]) == 1


def test_a_stream_without_the_letters_of_a_label_shows_others() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    tell(progress.plain("étude 検", stream=stream, environ={}))
    assert raw.getvalue().startswith(b"fanwise: ?tude ?: 2 of 4 items")


def closing(label: str) -> Closing:
    return Closing(
        label=label,
        total=3,
        missing=0,
        failed=0,
        lost=0,
        cached=0,
        resumed=0,
        workers=1,
        wall=1.0,
        serial_estimate=1.0,
        ended="done",
    )


def snapshot(label: str) -> Snapshot:
    return Snapshot(label, 3, 1, 0, 0, 0, 0, 1.0, 1.0, None)


@given(LABELS)
def test_sentences_say_the_label_once_and_first(label: str) -> None:
    for said in (closing_line(closing(label)), plain_line(snapshot(label))):
        assert said.isprintable()
        if label.isprintable():
            assert said.startswith(f"{label}: ")


@given(st.text(max_size=10), st.text(max_size=10), st.integers(1, 9), st.integers(1, 9))
def test_a_part_is_named_after_the_whole(whole: str, label: str, number: int, parts: int) -> None:
    title = Part(whole, label, number, parts, 0.0).title
    assert title.startswith(f"{whole} {number}/{parts}")
    assert title.endswith(f" · {label}" if label else f"/{parts}")
