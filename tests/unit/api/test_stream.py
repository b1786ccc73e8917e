"""The iterator that `fanwise.stream` gives."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

import pytest

import fanwise


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
