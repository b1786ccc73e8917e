"""The iterator that `fanwise.stream` gives."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise
from fanwise.typing import Retry


def test_it_is_an_iterator():
    stream = fanwise.stream(abs, [-1, 2])
    assert isinstance(stream, Iterator)
    assert iter(stream) is stream
    assert list(stream) == [1, 2]
    assert list(stream) == []


def test_it_tells_how_the_run_went_once_it_has_ended():
    stream = fanwise.stream(abs, [-1, 2])
    assert next(stream) == 1
    assert stream.report is None
    assert list(stream) == [2]
    assert stream.report is not None
    assert (stream.report.ended, stream.report.ok) == ("done", 2)


def test_one_that_is_closed_has_a_report_too():
    stream = fanwise.stream(abs, itertools.count())
    assert next(stream) == 0
    stream.close()
    stream.close()
    assert stream.report is not None
    assert stream.report.run.status == "partial"
    assert list(stream) == []


@pytest.mark.parametrize("end", ["close", "forget"])
def test_one_that_nothing_was_asked_of_lets_go_of_its_journal(tmp_path: Path, end: str):
    stream = fanwise.stream(abs, [-1, 2], resume=tmp_path / "j")
    if end == "close":
        stream.close()
        assert stream.report is not None
        assert stream.report.run.status == "partial"
    else:
        del stream
        gc.collect()
    assert fanwise.map(abs, [-1, 2], resume=tmp_path / "j") == [1, 2]


def test_a_failure_leaves_a_report():
    stream = fanwise.stream(lambda x: 1 // x, [1, 0, 1])
    with pytest.raises(ZeroDivisionError):
        list(stream)
    assert stream.report is not None
    assert (stream.report.ended, stream.report.failed) == ("error", 1)


def test_forgetting_it_closes_the_input():
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    for value in fanwise.stream(abs, items()):
        if value == 3:
            break
    gc.collect()
    assert closed == [True]


def test_its_name_says_what_it_runs():
    assert repr(fanwise.stream(abs, [1])) == "<Stream, <Call of <built-in function abs>, running>>"


@settings(max_examples=25)
@given(st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)), st.sampled_from([None, 1, 2, 5]))
def test_items_that_are_tried_again_keep_their_place(once: set[int], always: set[int], lookahead: int | None):
    tried: list[int] = []

    def fails(item: int) -> int:
        tried.append(item)
        if item in always or (item in once and tried.count(item) == 1):
            raise OSError(item)
        return item

    options = {"retries": Retry(1, delay=0.001), "on_error": "return", "lookahead": lookahead, "backend": "serial"}
    outcomes = list(fanwise.stream(fails, range(12), **options))
    assert [outcome.index for outcome in outcomes] == list(range(12))
    assert [outcome.index for outcome in outcomes if not outcome.ok] == sorted(always)
