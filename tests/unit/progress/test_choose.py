"""Which progress ``auto`` means where."""

from __future__ import annotations

import io
import sys
import types

import pytest
from tests.unit.progress.test_bar import events
from tests.unit.progress.test_lines import play

from fanwise import progress
from fanwise._task import Place, enter, leave
from fanwise.errors import FanwiseWarning, UsageError
from fanwise.progress._choose import Surroundings, choose
from fanwise.progress._notebook import in_notebook
from fanwise.progress._terminal import in_foreground, is_terminal, painter, size, speaks_utf8, unpainted

HERE = Surroundings(terminal=True)


@pytest.mark.parametrize(
    ("environ", "here", "chosen"),
    [
        ({}, HERE, "rich"),
        ({"TERM": "xterm"}, HERE, "rich"),
        ({"TERM": "dumb"}, HERE, "log"),
        ({"CI": "true"}, HERE, "log"),
        ({"CI": "true"}, Surroundings(terminal=True, command=True), "plain"),
        ({"CI": "false"}, HERE, "rich"),
        ({}, Surroundings(terminal=True, foreground=False), "log"),
        ({}, Surroundings(), "log"),
        ({}, Surroundings(command=True), "plain"),
        ({}, Surroundings(notebook=True), "notebook"),
        ({"FANWISE_PROGRESS": "plain"}, HERE, "plain"),
        ({"FANWISE_PROGRESS": "json"}, Surroundings(notebook=True), "json"),
        ({"FANWISE_PROGRESS": "rich"}, Surroundings(), "rich"),
        ({"FANWISE_PROGRESS": "none", "CI": "1"}, HERE, "none"),
        ({"FANWISE_PROGRESS": "auto"}, HERE, "rich"),
        ({"FANWISE_LOG": "json"}, HERE, "none"),
        ({"FANWISE_LOG": "json", "FANWISE_PROGRESS": "plain"}, HERE, "plain"),
        ({"FANWISE_PROGRESS": "plain"}, Surroundings(nested=True, terminal=True), "none"),
    ],
)
def test_the_first_rule_that_fits_decides(environ, here, chosen):
    assert choose(environ, here) == chosen


def test_an_unknown_name_in_the_environment_is_an_error_that_lists_the_names():
    with pytest.raises(UsageError, match="FANWISE_PROGRESS is 'bar'; expected one of auto, rich, plain, none, json"):
        choose({"FANWISE_PROGRESS": "bar"}, HERE)


def test_an_unknown_name_in_the_environment_is_warned_of_and_the_run_goes_on():
    stream = io.StringIO()
    shown = progress.auto(stream=stream, command=True, environ={"FANWISE_PROGRESS": "bar"})
    with pytest.warns(FanwiseWarning, match="FANWISE_PROGRESS is 'bar'; expected one of .*; no progress is shown"):
        play(shown, events(items=4, each=1.0))
    assert stream.getvalue() == ""


def test_inside_an_item_nothing_is_shown():
    stream = io.StringIO()
    before = enter(Place(0, [], 1, None, lambda: False))
    try:
        shown = progress.auto(stream=stream, command=True, environ={})
        play(shown, events(items=40, each=1.0))
    finally:
        leave(before)
    assert stream.getvalue() == ""


def test_a_bar_that_is_asked_for_without_a_terminal_is_plain_lines():
    stream = io.StringIO()
    play(progress.rich(stream=stream, environ={}), events(items=40, each=1.0))
    assert stream.getvalue().startswith("fanwise: search: ")
    assert "\r" not in stream.getvalue()


def test_none_shows_nothing(capsys):
    play(progress.none("label"), events(items=40, each=1.0))
    play(progress.by_name("none"), events(items=40, each=1.0))
    assert capsys.readouterr() == ("", "")


def test_names_give_what_they_say(capsys):
    play(progress.by_name("plain", "ci", command=True), events(items=4, each=0.1), total=4)
    assert capsys.readouterr().err.startswith("fanwise: ci: 4 items in ")


def test_an_unknown_name_is_an_error_that_offers_the_nearest():
    with pytest.raises(UsageError, match=r"no progress is called 'plan'; there are auto, .*Did you mean 'plain'"):
        progress.by_name("plan")
    with pytest.raises(ValueError, match="no progress is called 'x'; there are"):
        progress.by_name("x")


class Shell:
    """Stands in for IPython's shell in a notebook."""


class Screen:
    """What a notebook shows: every state of every output."""

    def __init__(self):
        self.states = []

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        self.states.append(data["text/plain"])
        return self

    def update(self, data, *, raw):
        self.states.append(data["text/plain"])


@pytest.fixture
def notebook(monkeypatch):
    screen = Screen()
    shell = type("ZMQInteractiveShell", (), {})()
    module = types.SimpleNamespace(get_ipython=lambda: shell, display=screen)
    monkeypatch.setitem(sys.modules, "IPython", module)
    return screen


def test_a_notebook_shows_one_line_refreshed_twice_a_second(notebook, monkeypatch):
    assert in_notebook()
    play(progress.auto(environ={}), events(items=40, each=0.2))
    assert len(notebook.states) == 6 + 1
    assert notebook.states[0].startswith("search  ━")
    assert notebook.states[-1].startswith("search: 40 items in 4.0 s")
    assert all("\x1b" not in state for state in notebook.states)


def test_a_short_run_leaves_a_notebook_as_it_is(notebook):
    play(progress.auto(environ={}), events(items=4, each=0.1), total=4)
    assert notebook.states == []


def test_a_terminal_ipython_is_no_notebook(monkeypatch):
    shell = type("TerminalInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_streams_of_all_kinds_can_be_asked(terminal, monkeypatch):
    closed = io.StringIO()
    closed.close()
    assert [is_terminal(stream) for stream in (None, closed, object(), io.StringIO(), terminal.stream)] == [
        *[False] * 4,
        True,
    ]
    assert in_foreground(terminal.stream)
    assert in_foreground(io.StringIO())
    monkeypatch.setattr("os.tcgetpgrp", lambda descriptor: 1)
    assert not in_foreground(terminal.stream)
    assert speaks_utf8(terminal.stream)
    assert not speaks_utf8(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))


def test_the_size_is_the_terminals_unless_told_otherwise(terminal, tmp_path):
    assert size(terminal.stream, {}) == (80, 24)
    assert size(terminal.stream, {"COLUMNS": "33", "LINES": "5"}) == (33, 5)
    assert size(terminal.stream, {"COLUMNS": "wide", "LINES": "0"}) == (80, 24)
    terminal.resize(0)
    assert size(terminal.stream, {}) == (80, 24)
    assert size(io.StringIO(), {}) == (80, 24)
    with open(tmp_path / "file", "w") as file:
        assert size(file, {}) == (80, 24)


def test_colours_are_for_terminals_unless_the_environment_says_otherwise():
    assert painter({}, terminal=True)("x", "bad") == "\x1b[31mx\x1b[0m"
    assert painter({}, terminal=False) is unpainted
    assert painter({"NO_COLOR": "1", "FORCE_COLOR": "1"}, terminal=True) is unpainted
    assert painter({"FORCE_COLOR": "1"}, terminal=False)("", "bad") == ""
