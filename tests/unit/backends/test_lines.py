"""Descriptors 1 and 2 of a worker, as whole lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.backends.process._lines import LineReader


@pytest.fixture
def pipe() -> Iterator[tuple[LineReader, int]]:
    told, tell = os.pipe()
    os.set_blocking(told, False)
    yield LineReader(told), tell
    os.close(told)
    os.close(tell)


def test_a_line_is_passed_on_when_it_is_whole(pipe: tuple[LineReader, int]) -> None:
    reader, tell = pipe
    assert reader.read() is None
    os.write(tell, b"one\ntw")
    assert reader.read() == "one\n"
    os.write(tell, b"o")
    assert reader.read() == ""
    os.write(tell, b"\nthree")
    assert reader.read() == "two\n"
    assert reader.rest() == "three"
    assert reader.rest() == ""
    assert not reader.ended


def test_a_character_may_come_in_two_parts(pipe: tuple[LineReader, int]) -> None:
    reader, tell = pipe
    for part in ("ä".encode()[:1], "ä".encode()[1:] + b"\n"):
        os.write(tell, part)
        text = reader.read()
    assert text == "ä\n"
    os.write(tell, b"\xff\n")
    assert reader.read() == "\\xff\n"


def test_the_end_brings_the_unfinished_line() -> None:
    told, tell = os.pipe()
    os.set_blocking(told, False)
    reader = LineReader(told)
    os.write(tell, b"last words")
    os.close(tell)
    assert reader.read() == ""
    assert reader.read() == "last words"
    assert reader.ended
    assert reader.rest() == ""
    os.close(told)


def test_a_very_long_line_is_cut(pipe: tuple[LineReader, int]) -> None:
    reader, tell = pipe
    got = ""
    for _ in range(40):
        os.write(tell, b"x" * 50_000)
        got += reader.read() or ""
    assert 1 << 20 <= len(got) < 40 * 50_000
    assert len(got + reader.rest()) == 40 * 50_000


def test_the_last_four_kibibytes_are_kept(pipe: tuple[LineReader, int]) -> None:
    reader, tell = pipe
    os.write(tell, b"a" * 5000 + b"b" * 100)
    reader.read()
    assert reader.tail == "a" * 3996 + "b" * 100


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=20))
def test_nothing_is_lost_and_only_whole_lines_come(texts: list[str]) -> None:
    told, tell = os.pipe()
    os.set_blocking(told, False)
    reader = LineReader(told)
    got = []
    for text in texts:
        os.write(tell, text.encode())
        got.append(reader.read() or "")
    got.append(reader.rest())
    os.close(told)
    os.close(tell)
    assert "".join(got) == "".join(texts)
    assert all(piece.endswith("\n") for piece in got[:-1] if piece)
