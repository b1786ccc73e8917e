"""The bar on a pseudo terminal: what a person sees while a run lasts and when it is over."""

from __future__ import annotations

import atexit
import io
import logging
import os
import re
import sys

import pytest
from tests.runs import report_of
from tests.unit.progress.terminal import Terminal

from fanwise import progress
from fanwise.records import run_events as told
from fanwise.testing import FakeClock

CLOSING = "search: 40 items in 2.0 s, 20 item/s, 2 workers, 2.00x one process (estimated)"
PLAIN_TERMINAL = {"TERM": "xterm", "LANG": "C.UTF-8"}


def events(items=40, each=0.1, failed=()):
    """Two workers, one item a chunk."""
    happened = [told.WorkerStarted(0.0, worker, 4000 + worker, "fork", 0.0) for worker in (1, 2)]
    for index in range(items):
        worker, sent, done = 1 + index % 2, each * (index // 2), each * (index // 2 + 1)
        happened.append(told.ChunkSent(sent, worker, index, 1))
        happened.append(told.ChunkDone(done, worker, index, 1, ok=index not in failed, busy=each, cpu=each))
        if index in failed:
            happened.append(told.ItemFailed(done, index, "ValueError", "bad", worker=worker))
    happened.sort(key=lambda event: event.at)
    return [told.RunStarted(0.0, items, "search"), *happened, told.RunEnded(each * items / 2, "done")]


def play(bar, happened, total=40, between=lambda event: None):
    """Tell a progress object a whole run."""
    bar.start(total, "search")
    for event in happened:
        bar.on(event)
        between(event)
    report = report_of(happened)
    bar.finish(report)
    return report


def test_the_screen_ends_with_the_closing_line_alone(terminal):
    play(progress.rich(environ=PLAIN_TERMINAL), events(failed=(3,)))
    assert terminal.screen() == [
        "search: 40 items in 2.0 s, 20 item/s, 2 workers, 2.00x one process (estimated);",
        "1 failed",
    ]
    assert b"\x1b[?25l" in terminal.bytes  # it was drawn
    assert terminal.bytes.count(b"\x1b[?25l") == terminal.bytes.count(b"\x1b[?25h")


def test_while_it_lasts_the_bar_stands_on_the_last_line(terminal):
    bar = progress.rich("Scanning", environ=PLAIN_TERMINAL)
    bar.start(2_000, "search")
    for event in events(items=2_000, each=0.1):
        if event.at <= 2.0:
            bar.on(event)
    bar.tick(2.05)
    bar.tick(2.11)
    lines = terminal.screen()
    bar.finish(report_of(events()))  # too late: the terminal is closed
    assert lines == [f"Scanning  {22 * '━'}  2 %  40/2,000  19 item/s  2 workers  ETA 1:38"]
    assert len(lines[0]) == 79


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_line_never_wraps(columns):
    terminal = Terminal(columns)
    with terminal.in_place():
        bar = progress.rich(environ=PLAIN_TERMINAL)
        bar.start(40, "a rather long label that says what is done here")
        for event in events()[:-30]:
            bar.on(event)
        screen = terminal.screen()
        bar.finish(report_of(events()))
    assert len(screen) == 1
    assert len(screen[0]) < columns
    assert " %" in screen[0]


def test_the_width_is_read_at_every_redraw(terminal):
    bar = progress.rich(environ=PLAIN_TERMINAL)
    bar.start(40, "search")
    shown = events()
    for event in shown[:-30]:
        bar.on(event)
    terminal.resize(30)
    bar.tick(9.0)
    bar.finish(report_of(shown))
    terminal.close()
    wide, *_, narrow = [line.partition("\x1b[K")[0] for line in terminal.bytes.decode().split("\x1b[?25l\r")[1:]]
    assert len(narrow) < 30 < len(wide)


def test_a_run_below_a_second_prints_nothing_and_a_command_its_closing_line(terminal):
    short = list(events(items=8, each=0.1))
    play(progress.rich(environ=PLAIN_TERMINAL), short, total=8)
    assert sys.stderr is terminal.stream
    terminal.stream.flush()
    play(progress.rich("ci", command=True, environ=PLAIN_TERMINAL), short, total=8)
    assert terminal.screen() == ["ci: 8 items in 0.40 s, 20 item/s, 2 workers, 2.00x one process (estimated)"]


def test_lines_of_workers_and_of_the_caller_arrive_whole_once_each_above_the_bar(terminal):
    clock = FakeClock()

    def speak(event):
        if isinstance(event, told.ChunkDone):
            clock.advance(0.05)
            sys.stdout.write(f"item {event.first}\n" * 5)
            print("warn", event.first, file=sys.stderr)

    bar = progress.rich(environ=PLAIN_TERMINAL, clock=clock)
    tall = Terminal(80, 300)
    with tall.in_place():
        play(bar, events(), between=speak)
    expected = [line for n in range(40) for line in [f"item {n}"] * 5 + [f"warn {n}"]]
    assert tall.screen() == [
        *expected,
        "search: 40 items in 2.0 s, 20 item/s, 2 workers, 2.00x one process (estimated)",
    ]


def test_an_unfinished_line_is_not_drawn_over_and_gets_its_end_before_the_closing_line(terminal):
    clock = FakeClock()

    def speak(event):
        clock.advance(1.0)
        if isinstance(event, told.ChunkDone) and event.at > 1.0:
            print(".", end="")

    play(progress.rich(environ=PLAIN_TERMINAL, clock=clock), events(), between=speak)
    dots, closing = terminal.screen()
    assert dots == "." * 20
    assert closing.startswith("search: 40 items")


def test_log_records_go_above_the_bar_and_handlers_get_their_stream_back(terminal):
    handler = logging.StreamHandler(terminal.stream)
    logger = logging.getLogger("tests.bar")
    logger.addHandler(handler)
    clock = FakeClock()

    def speak(event):
        clock.advance(0.2)
        if isinstance(event, told.ChunkDone) and event.first == 35:
            logger.warning("item 35 is odd")

    try:
        play(progress.rich(environ=PLAIN_TERMINAL, clock=clock), events(), between=speak)
    finally:
        logger.removeHandler(handler)
    assert handler.stream is terminal.stream
    assert terminal.screen()[0] == "item 35 is odd"


def test_the_streams_are_given_back(terminal):
    play(progress.rich(environ=PLAIN_TERMINAL), events())
    assert sys.stdout is terminal.stream
    assert sys.stderr is terminal.stream


def test_a_stream_that_the_user_replaced_meanwhile_stays_and_a_held_wrapper_passes_on(terminal):
    held = []
    own = io.StringIO()

    def replace(event):
        if isinstance(event, told.ChunkDone) and event.at > 1.0 and not held:
            held.append(sys.stdout)
            sys.stdout = own

    play(progress.rich(environ=PLAIN_TERMINAL), events(), between=replace)
    assert sys.stdout is own
    assert held[0] is not terminal.stream
    held[0].write("late\n")
    held[0].writelines(["and ", "later\n"])
    assert held[0].isatty()
    assert terminal.screen()[-2:] == ["late", "and later"]


def test_no_color_moves_without_colours_and_a_terminal_without_it_has_them(terminal):
    play(progress.rich(environ=PLAIN_TERMINAL | {"NO_COLOR": "1"}), events(failed=(3,)))
    terminal.stream.flush()
    plain = Terminal()
    with plain.in_place():
        play(progress.rich(environ=PLAIN_TERMINAL), events(failed=(3,)))
    terminal.close()
    plain.close()
    assert b"\x1b[?25l" in terminal.bytes
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.bytes)
    assert b"\x1b[31m1 failed" in plain.bytes


def test_a_terminal_that_is_not_utf8_gets_ascii():
    latin = Terminal(encoding="ascii")
    bar = progress.rich("a · b", stream=latin.stream, environ=PLAIN_TERMINAL)
    play(bar, events())
    assert latin.screen()[0].startswith("a - b: 40 items in 2.0 s")
    assert latin.bytes.isascii()
    assert b"a - b  [####" in latin.bytes


def test_a_background_process_does_not_draw(terminal, monkeypatch):
    bar = progress.rich(environ=PLAIN_TERMINAL)
    monkeypatch.setattr("fanwise.progress._bar.in_foreground", lambda stream: False)
    bar.start(40, "search")
    bar.on(told.RunStarted(0.0, 40, "search"))
    bar.tick(5.0)
    terminal.close()
    assert terminal.bytes == b""


def test_a_broken_terminal_turns_progress_off_and_gives_the_streams_back(terminal, monkeypatch):
    bar = progress.rich(environ=PLAIN_TERMINAL)
    shown = events()
    bar.start(40, "search")
    for event in shown[:-5]:
        bar.on(event)
    assert sys.stderr is not terminal.stream
    terminal.stream.close()
    for event in shown[-5:]:
        bar.on(event)
    bar.tick(9.0)
    bar.finish(report_of(shown))
    assert sys.stderr is terminal.stream


def test_a_process_that_ends_in_the_middle_takes_the_bar_away(terminal, monkeypatch):
    called = []
    monkeypatch.setattr(atexit, "register", called.append)
    bar = progress.rich(environ=PLAIN_TERMINAL)
    bar.start(40, "search")
    for event in events()[:-5]:
        bar.on(event)
    called[0]()
    assert sys.stderr is terminal.stream
    assert terminal.screen() == []


def test_a_forked_child_writes_past_the_bar(terminal):
    bar = progress.rich(environ=PLAIN_TERMINAL)
    shown = events()
    bar.start(40, "search")
    for event in shown[:-5]:
        bar.on(event)
    sys.stderr._bottom._owner = os.getpid() + 1  # as a child sees it
    sys.stderr.write("from a child\n")
    sys.stderr.flush()
    sys.stderr._bottom._owner = os.getpid()
    bar.finish(report_of(shown))
    terminal.close()
    assert b"\x1b[?25hfrom a child\r\n" in terminal.bytes  # the bar was not taken away for it


def test_a_run_inside_a_shown_run_shows_nothing(terminal):
    outer, inner = progress.auto(environ=PLAIN_TERMINAL), progress.auto("inner", environ=PLAIN_TERMINAL)
    shown = events()

    def nest(event):
        if event is shown[-2]:
            play(inner, shown)

    play(outer, shown, between=nest)
    assert [line for line in terminal.screen() if "inner" in line] == []


def test_parts_are_a_prefix_of_one_line_with_one_closing_line_where_there_is_little_room(terminal):
    bar = progress.rich("envelope", parts=2, environ=PLAIN_TERMINAL | {"LINES": "9"})
    for _ in range(2):
        play(bar, events())
    assert terminal.screen() == ["envelope: 80 items in 4.0 s, 20 item/s, 2 workers, 2.00x one process (estimated)"]
    said = terminal.bytes.decode()
    assert "envelope 1/2 · search" in said
    assert "envelope 2/2 · search" in said
    assert "\x1b[A" not in said


def test_parts_have_a_line_for_the_whole_and_one_for_the_part(terminal):
    bar = progress.rich("envelope", parts=2, environ=PLAIN_TERMINAL)
    play(bar, events())
    bar.start(40, "draw")
    for event in events()[:-30]:
        bar.on(event)
    lines = terminal.screen()
    bar.finish(report_of(events()))
    assert [line.replace("━", "").replace("╸", "") for line in lines] == [
        "envelope    78 %  part 2/2  0:03",
        "draw    57 %  23/40  19 item/s  2 workers  ETA 0:01",
    ]


def test_both_lines_stay_below_what_is_printed(terminal):
    clock = FakeClock()

    def speak(event):
        clock.advance(0.06)
        if isinstance(event, told.ChunkDone):
            print(f"item {event.first}")

    bar = progress.rich("envelope", parts=2, environ=PLAIN_TERMINAL, clock=clock)
    tall = Terminal(90, 200)
    with tall.in_place():
        play(bar, events(), between=speak)
        play(bar, events(), between=speak)
    closing = "envelope: 80 items in 4.0 s, 20 item/s, 2 workers, 2.00x one process (estimated)"
    assert tall.screen() == [f"item {n}" for n in range(40)] * 2 + [closing]
    assert b"\x1b[A" in tall.bytes
