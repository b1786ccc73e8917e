"""How many items are drawn, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.talk import Talk

from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._source import Source
from fanwise.records.scheduling import Draw, Drawn, Finish, SourceEnded


def source(total: int | None, **config) -> Source:
    return Source(SchedulerConfig(2, total, **config))


def test_items_of_known_number_go_all_at_once():
    known = source(10)
    assert known.counted
    assert known.hand_out(held=0) == [(0, 10)]
    assert known.ended


def test_items_to_skip_are_passed_over():
    assert source(10, first=1, skip=((0, 2), (4, 6), (9, 10))).hand_out(0) == [(2, 4), (6, 9)]


@given(st.integers(0, 60), st.integers(1, 12), st.sets(st.integers(0, 59)), st.data())
def test_with_a_lookahead_every_item_goes_once_and_never_too_many(total, lookahead, skipped, data):
    skip = tuple((index, index + 1) for index in sorted(skipped) if index < total)
    known = source(total, skip=skip, lookahead=lookahead)
    gone: list[int] = []
    held = 0
    while not known.ended:
        gone += [index for first, stop in known.hand_out(held) for index in range(first, stop)]
        held = min(len(gone), lookahead)
        assert len(gone) <= total
        held -= data.draw(st.integers(1, held)) if held else 0
    assert gone == [index for index in range(total) if index not in skipped]


def test_an_unknown_number_is_asked_for_in_portions():
    endless = source(None)
    assert not endless.counted
    assert endless.ask(held=0, waiting=0, chunks=8) == 64
    assert endless.came(64) == (0, 64)
    assert endless.ask(held=64, waiting=60, chunks=8) == 0
    assert endless.ask(held=64, waiting=40, chunks=8) == 24


def test_what_was_asked_for_is_not_asked_again():
    endless = source(None)
    endless.ask(held=0, waiting=0, chunks=100)
    endless.came(30)
    assert endless.ask(held=30, waiting=0, chunks=100) == 30
    assert endless.ask(held=30, waiting=0, chunks=100) == 0


def test_more_than_was_asked_for_is_welcome():
    endless = source(None)
    endless.ask(held=0, waiting=0, chunks=1)
    assert endless.came(100) == (0, 100)
    assert endless.came(1) == (100, 101)


def test_an_infinite_source_with_a_failing_item_comes_to_an_end():
    talk = Talk(workers=1, total=None, chunks=ChunkAim(size=1))
    drawn = talk.said[0].count
    talk.tell(Drawn, drawn)
    talk.ready(1)
    for _ in range(5):
        talk.finish(1)
    talk.finish(1, fails=(5,))
    assert talk.ending.how == "error"
    assert sum(draw.count for draw in talk.ever(Draw)) < 200


@pytest.mark.parametrize("error", [None, OSError("disk")])
def test_the_end_may_come_before_the_first_item(error):
    talk = Talk(total=None)
    talk.tell(SourceEnded, error)
    assert talk.ending == Finish("done" if error is None else "source", error)
