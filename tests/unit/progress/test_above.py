"""A line at the bottom of a terminal, and text that passes above it."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager

import pyte
import pytest

from fanwise.progress._above import Above, BottomLine, shown_now
from fanwise.testing import FakeClock


class Tty:
    """A terminal as a text stream: what was written, as bytes and as a screen."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""
        self.flushes = 0

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        self.flushes += 1

    def isatty(self):
        return True

    def screen(self):
        screen = pyte.Screen(40, 30)
        pyte.Stream(screen).feed(self.text.replace("\n", "\r\n"))
        lines = [line.rstrip() for line in screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def column(self):
        screen = pyte.Screen(40, 30)
        pyte.Stream(screen).feed(self.text.replace("\n", "\r\n"))
        return screen.cursor.x


@pytest.fixture
def tty():
    return Tty()


@pytest.fixture
def clock():
    return FakeClock()


class Placed(BottomLine):
    """A bottom line of the terminal that standard output and error go to while the test runs."""

    @contextmanager
    def in_place(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", self._terminal)
            patch.setattr("sys.stderr", self._terminal)
            self.attach()
            yield
            self.detach()


@pytest.fixture
def bottom(tty, clock):
    return Placed(tty, clock)


def test_a_line_is_replaced_by_the_next_whole(bottom, tty):
    bottom.draw(["a long first line"])
    bottom.draw(["short"])
    assert tty.screen() == ["short"]


def test_the_cursor_is_hidden_only_within_one_write(bottom, tty):
    writes = []
    tty.write = writes.append
    bottom.draw(["x"])
    assert len(writes) == 1
    assert writes[0].startswith("\x1b[?25l")
    assert writes[0].endswith("\x1b[?25h")


def test_two_lines_are_replaced_in_place(bottom, tty):
    bottom.draw(["whole", "part one"])
    bottom.draw(["whole again", "two"])
    assert tty.screen() == ["whole again", "two"]


def test_the_number_of_lines_may_change(bottom, tty):
    bottom.draw(["one"])
    bottom.draw(["whole", "part"])
    assert tty.screen() == ["whole", "part"]
    bottom.draw(["one"])
    assert tty.screen() == ["one"]
    bottom.erase()
    assert tty.screen() == []


def test_text_goes_above_the_line(bottom, tty, clock):
    bottom.draw(["bar"])
    clock.advance(0.2)
    print("hello")
    clock.advance(0.2)
    print("world", file=sys.stderr)
    assert tty.screen() == ["hello", "world", "bar"]


def test_text_goes_above_two_lines(bottom, tty, clock):
    bottom.draw(["whole", "part"])
    clock.advance(0.2)
    print("hello")
    assert tty.screen() == ["hello", "whole", "part"]


def test_many_prints_redraw_the_line_ten_times_a_second_at_most(bottom, tty, clock):
    bottom.draw(["bar"])
    for number in range(1_000):
        clock.advance(0.001)
        print(number)
    drawn = tty.text.count("bar")
    assert 9 <= drawn <= 12
    assert tty.text.count("\n") == 1_000


def test_an_unfinished_line_keeps_the_bar_away_until_it_ends(bottom, tty, clock):
    bottom.draw(["bar"])
    clock.advance(1.0)
    sys.stdout.write("half ")
    bottom.draw(["bar"])
    assert tty.screen() == ["half"]
    clock.advance(1.0)
    sys.stdout.write("a line\n")
    assert tty.screen() == ["half a line", "bar"]


def test_erasing_ends_an_unfinished_line(bottom, tty, clock):
    bottom.draw(["bar"])
    sys.stdout.write("half")
    bottom.erase()
    tty.write("closing\n")
    assert tty.screen() == ["half", "closing"]
    assert tty.column() == 0


def test_erasing_twice_or_nothing_writes_nothing(bottom, tty):
    bottom.erase()
    assert tty.text == ""
    bottom.draw(["bar"])
    bottom.erase()
    before = tty.text
    bottom.erase()
    assert tty.text == before


def test_empty_text_changes_nothing(bottom, tty):
    bottom.draw(["bar"])
    before = tty.text
    assert sys.stdout.write("") == 0
    assert tty.text == before


def test_a_wrapper_is_like_its_stream(bottom, tty):
    assert sys.stdout.write("abc\n") == 4
    sys.stdout.writelines(["d\n", "e\n"])
    assert sys.stdout.encoding == "utf-8"
    assert sys.stdout.isatty()
    assert tty.screen() == ["abc", "d", "e"]
    with pytest.raises(AttributeError):
        _ = sys.stdout.colour


def test_only_terminals_are_wrapped(tty, clock, monkeypatch, capsys):
    captured = sys.stdout
    monkeypatch.setattr("sys.stderr", tty)
    made = BottomLine(tty, clock)
    assert not shown_now()
    made.attach()
    assert shown_now()
    assert sys.stdout is captured
    assert isinstance(sys.stderr, Above)
    made.detach()
    assert sys.stderr is tty
    assert not shown_now()


def test_a_stream_replaced_meanwhile_is_left_alone(bottom, tty, monkeypatch):
    mine = Tty()
    monkeypatch.setattr("sys.stdout", mine)
    bottom.detach()
    assert sys.stdout is mine
    assert sys.stderr is tty


def test_a_wrapper_that_is_still_held_passes_on_after_the_end(bottom, tty):
    held = sys.stdout
    bottom.draw(["bar"])
    bottom.erase()
    bottom.detach()
    before = tty.text
    held.write("later\n")
    assert tty.text == before + "later\n"


@pytest.mark.parametrize("name", ["", "tests.above"])
def test_handlers_of_any_logger_write_above_the_line_meanwhile(name, tty, clock, monkeypatch):
    monkeypatch.setattr("sys.stderr", tty)
    handler, other = logging.StreamHandler(tty), logging.StreamHandler(Tty())
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.addHandler(other)
    made = BottomLine(tty, clock)
    try:
        made.attach()
        made.draw(["bar"])
        clock.advance(1.0)
        logger.error("trouble")
        assert tty.screen() == ["trouble", "bar"]
        made.detach()
        assert handler.stream is tty
        assert other.stream is not tty
    finally:
        made.detach()
        logger.removeHandler(handler)
        logger.removeHandler(other)


def test_a_handler_that_was_given_another_stream_keeps_it(tty, clock, monkeypatch):
    monkeypatch.setattr("sys.stderr", tty)
    handler = logging.StreamHandler(tty)
    logging.getLogger("tests.above").addHandler(handler)
    made = BottomLine(tty, clock)
    made.attach()
    mine = Tty()
    handler.setStream(mine)
    made.detach()
    logging.getLogger("tests.above").removeHandler(handler)
    assert handler.stream is mine


def test_lines_of_several_threads_stay_whole(bottom, tty, clock):
    def speak(name):
        for number in range(200):
            sys.stdout.write(f"{name} {number}\n")
            bottom.draw([f"bar {name}"])

    threads = [threading.Thread(target=speak, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bottom.erase()
    screen = pyte.Screen(40, 900)
    pyte.Stream(screen).feed(tty.text.replace("\n", "\r\n"))
    lines = [line.rstrip() for line in screen.display if line.rstrip()]
    assert sorted(lines) == sorted(f"{name} {number}" for name in "abcd" for number in range(200))
