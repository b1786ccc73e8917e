"""What a stream can show: whether it is a terminal, how wide, which characters and colours it has."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.progress._terminal import (
    encodable,
    in_foreground,
    is_terminal,
    painted,
    painter,
    size,
    speaks_utf8,
    unpainted,
)

STYLES = ("done", "dim", "bad", "bold")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Odd(io.StringIO):
    """A stream whose answers are scripted; what is an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self._answers = answers

    def _answer(self, name: str) -> Any:
        answer = self._answers.get(name, OSError("no descriptor"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fileno(self) -> int:
        return self._answer("fileno")

    def isatty(self) -> bool:
        return self._answer("isatty")


class Bare:
    """No stream at all, only something to write to, as some test runners install."""

    def write(self, text: str) -> int:
        return len(text)


@pytest.mark.parametrize(
    ("environ", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": "0"}, True, False),  # any value that is not empty: no-color.org
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"CLICOLOR": "1", "COLORTERM": "truecolor"}, False, False),
    ],
)
def test_no_color_beats_force_color_and_that_beats_the_stream(
    environ: dict[str, str], terminal: bool, coloured: bool
) -> None:
    assert (painter(environ, terminal=terminal) is painted) is coloured


@given(st.text(min_size=1), st.sampled_from(STYLES))
def test_paint_adds_codes_around_the_text_and_nothing_else(text: str, style: str) -> None:
    said = painted(text, style)
    assert said.endswith("\x1b[0m")
    assert said[len(said) - 4 - len(text) : -4] == text
    assert ESCAPES.match(said)
    assert unpainted(text, style) == text


@pytest.mark.parametrize("style", STYLES)
def test_nothing_is_not_painted(style: str) -> None:
    assert painted("", style) == ""


def test_every_style_has_a_colour_of_its_own() -> None:
    assert len({painted("x", style) for style in STYLES}) == len(STYLES)


@pytest.mark.parametrize(
    ("stream", "terminal"),
    [
        (None, False),
        (Odd(isatty=True), True),
        (Odd(isatty=False), False),
        (Odd(isatty=ValueError("I/O operation on closed file")), False),
        (Bare(), False),
    ],
    ids=["none", "terminal", "pipe", "closed", "bare"],
)
def test_streams_that_cannot_say_are_no_terminals(stream: Any, terminal: bool) -> None:
    assert is_terminal(stream) is terminal


@pytest.mark.parametrize("stream", [Odd(), Odd(fileno=ValueError("closed")), Bare()], ids=["string", "closed", "bare"])
def test_a_stream_without_descriptor_is_nobodys_terminal_and_eighty_columns_wide(stream: Any) -> None:
    assert in_foreground(stream)
    assert size(stream, {}) == (80, 24)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"COLUMNS": "132"}, (132, 24)),
        ({"LINES": "50"}, (80, 50)),
        ({"COLUMNS": "132", "LINES": "50"}, (132, 50)),
        ({"COLUMNS": "0"}, (80, 24)),
        ({"COLUMNS": "-5"}, (80, 24)),
        ({"COLUMNS": ""}, (80, 24)),
        ({"COLUMNS": "wide"}, (80, 24)),
        ({"COLUMNS": "12.5"}, (80, 24)),
        ({"COLUMNS": "²"}, (80, 24)),
        ({"COLUMNS": " 90 "}, (80, 24)),
    ],
)
def test_what_is_no_number_of_columns_is_passed_over(environ: dict[str, str], found: tuple[int, int]) -> None:
    assert size(Odd(), environ) == found


@given(st.dictionaries(st.sampled_from(["COLUMNS", "LINES"]), st.text(max_size=8)))
def test_any_environment_gives_a_size(environ: dict[str, str]) -> None:
    columns, rows = size(Odd(), environ)
    assert columns > 0
    assert rows > 0


@pytest.mark.parametrize(
    ("encoding", "speaks"),
    [
        ("utf-8", True),
        ("UTF-8", True),
        ("utf8", True),
        ("UTF_8", True),
        ("ascii", False),
        ("latin-1", False),
        ("utf-16", False),
        ("", False),
        (None, False),
    ],
)
def test_only_utf8_is_trusted_with_lines_and_dots(encoding: str | None, speaks: bool) -> None:
    stream = Odd()
    assert not speaks_utf8(stream)
    named: Any = type("Named", (), {"encoding": encoding})()
    assert speaks_utf8(named) is speaks


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252", "shift_jis", None]))
def test_what_is_encodable_can_be_encoded(text: str, encoding: str | None) -> None:
    said = encodable(text, encoding)
    said.encode(encoding or "utf-8")
    assert encodable(said, encoding) == said


@given(st.text(st.characters(max_codepoint=127)), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_ascii_passes_unchanged(text: str, encoding: str) -> None:
    assert encodable(text, encoding) == text


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("study · sweep…", "ascii", "study - sweep."),
        ("study · sweep…", "utf-8", "study · sweep…"),
        ("naïve · x", "latin-1", "naïve · x"),
        ("naïve", "ascii", "na?ve"),
        ("caf\udce9", "utf-8", "caf?"),
    ],
)
def test_signs_of_ours_have_a_stand_in_and_others_a_question_mark(text: str, encoding: str, said: str) -> None:
    assert encodable(text, encoding) == said
