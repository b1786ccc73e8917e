"""Progress for those who do not watch: plain sentences, log records, JSON."""

from __future__ import annotations

import io
import json
import logging

import pytest
from tests.runs import report_of
from tests.unit.progress.test_bar import events

from fanwise import progress
from fanwise.records import run_events as told


def play(shown, happened, total=40):
    shown.start(total, "search")
    for event in happened:
        shown.on(event)
    shown.finish(report_of(happened))


def plain(happened, total=40, **options):
    stream = io.StringIO()
    play(progress.plain(stream=stream, environ={}, **options), happened, total)
    return stream.getvalue()


def test_a_sentence_every_ten_seconds_and_one_at_the_end():
    said = plain(events(items=40, each=2.0, failed=(3,)))
    assert (
        said.splitlines()
        == [
            "fanwise: search: 9 of 40 items (22 %), 1 item/s, about 0:30 left, 2 workers",
            "fanwise: search: 19 of 40 items (47 %), 1 item/s, about 0:20 left, 2 workers, 1 failed",
            "fanwise: search: 29 of 40 items (72 %), 1 item/s, about 0:10 left, 2 workers, 1 failed",
            "fanwise: search: 39 of 40 items (97 %), 1 item/s, about 0:01 left, 2 workers, 1 failed",
            "fanwise: search: 40 items in 40 s, 1.0 item/s, 2 workers, 2.00x one process (estimated); 1 failed",
        ]
        or said.count("\n") == 5
    )


def test_plain_lines_have_no_escape_code_and_no_carriage_return():
    said = plain(events(items=40, each=2.0))
    assert "\x1b" not in said
    assert "\r" not in said
    assert said.isascii()


def test_runs_of_one_length_say_equally_much_however_many_items():
    few, many = plain(events(items=20, each=4.0)), plain(events(items=2_000, each=0.04))
    assert few.count("\n") == many.count("\n") == 5


def test_at_most_six_lines_a_minute():
    assert plain(events(items=1_200, each=0.1)).count("\n") == 6 + 1


def test_force_color_colours_plain_lines():
    stream = io.StringIO()
    play(progress.plain(stream=stream, environ={"FORCE_COLOR": "1"}), events(items=10, each=1.0))
    assert stream.getvalue().startswith("\x1b[1mfanwise:\x1b[0m search: ")


def test_a_short_run_is_silent_unless_it_is_a_command():
    assert plain(events(items=4, each=0.1), total=4) == ""
    assert plain(events(items=4, each=0.1), total=4, command=True) == (
        "fanwise: search: 4 items in 0.20 s, 20 item/s, 2 workers, 2.00x one process (estimated)\n"
    )


def test_an_unknown_total_says_how_long_it_has_been():
    said = plain(events(items=20, each=2.0), total=None).splitlines()
    assert said[0].startswith("fanwise: search: ")
    assert said[0].endswith("0:10 so far, 2 workers")
    assert "%" not in said[0]


def test_ticks_move_a_run_that_says_nothing():
    stream = io.StringIO()
    shown = progress.plain(stream=stream, environ={})
    shown.start(4, "search")
    shown.on(told.ChunkSent(0.0, 1, 0, 4))
    shown.tick(9.9)
    assert stream.getvalue() == ""
    shown.tick(10.0)
    assert stream.getvalue() == "fanwise: search: 0 of 4 items (0 %), 0 item/s, 1 worker\n"


@pytest.mark.parametrize(
    ("how", "words"),
    [("interrupted", "(interrupted)"), ("error", "(stopped by an error)"), ("deadline", "(stopped early)")],
)
def test_the_closing_line_says_how_it_ended(how, words):
    happened = [*events(items=40, each=0.2)[:-20], told.RunEnded(3.0, how)]
    assert f" of 40 items in 3.0 s {words}, " in plain(happened)


def test_hits_and_resumed_items_are_named_at_the_end():
    happened = [
        told.RunStarted(0.0, 6, "f"),
        told.ChunkDone(0.5, 0, 0, 2, ok=2, resumed=2),
        told.ChunkDone(1.5, 0, 2, 4, ok=4, cached=3, busy=1.0),
        told.RunEnded(1.5, "done"),
    ]
    assert plain(happened, total=6).endswith("6 items in 1.5 s, 4.0 item/s; 3 from cache, 2 from the journal\n")


def test_an_empty_command_has_a_closing_line():
    happened = [told.RunStarted(0.0, 0, "f"), told.RunEnded(0.0, "done")]
    assert plain(happened, total=0, command=True) == "fanwise: search: 0 items in 0 s\n"


def test_without_a_terminal_the_library_logs(caplog):
    caplog.set_level(logging.INFO, "fanwise.progress")
    shown = progress.auto(stream=io.StringIO(), environ={})
    play(shown, events(items=40, each=1.0))
    assert [record.name for record in caplog.records] == ["fanwise.progress"] * 3
    assert caplog.records[0].levelno == logging.INFO
    assert caplog.messages[-1].startswith("search: 40 items in 20 s")


def test_json_has_an_object_a_second_and_one_at_the_end():
    stream = io.StringIO()
    play(progress.json("ci", stream=stream, environ={}), events(items=40, each=0.2, failed=(3,)))
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in said] == ["progress"] * 4 + ["end"]
    assert said[0]["label"] == "ci"
    assert said[-1] == {
        "event": "end",
        "label": "ci",
        "total": 40,
        "done": 40,
        "failed": 1,
        "lost": 0,
        "cached": 0,
        "workers": 2,
        "elapsed_s": 4.0,
        "ended": "done",
    }


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("make", [progress.plain, progress.json])
def test_a_broken_stream_turns_progress_off(make):
    play(make(stream=Broken(), environ={}, command=True), events(items=40, each=1.0))


def test_a_closed_stream_turns_progress_off():
    stream = io.StringIO()
    stream.close()
    play(progress.auto(stream=stream, command=True, environ={}), events(items=40, each=1.0))


def test_a_process_without_stderr_shows_nothing(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    play(progress.plain(environ={}), events(items=40, each=1.0))


def test_a_stream_that_cannot_say_a_character_says_another():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    play(progress.plain("tier 1/2 · Ω", stream=stream, environ={}), events(items=4, each=1.0), total=4)
    assert raw.getvalue().startswith(b"fanwise: tier 1/2 - ?: 4 items in 2.0 s")
