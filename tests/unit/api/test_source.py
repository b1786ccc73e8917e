"""Sources hand out every item once and in order, whoever asks and however it is cut."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise._api._source import IteratorSource, SequenceSource, source_of


@pytest.mark.parametrize("items", [[1, 2], (1, 2), range(2), "ab", b"ab", np.arange(3), np.ones((2, 2))])
def test_sequences_and_arrays_are_not_drawn(items: object) -> None:
    assert isinstance(source_of(items), SequenceSource)


@pytest.mark.parametrize(
    "items", [{1: 2}, {1, 2}, OrderedDict(a=1), iter([1]), (x for x in "ab"), np.array(5).reshape(1).flat]
)
def test_what_merely_has_a_length_is_drawn_like_an_iterator(items: object) -> None:
    assert isinstance(source_of(items), IteratorSource)


def test_the_length_of_a_set_or_dict_is_known() -> None:
    assert source_of({1: 2, 3: 4}).total == 2
    assert source_of(iter([1])).total is None


def test_an_object_with_the_old_sequence_protocol_is_iterated() -> None:
    class Squares:
        def __getitem__(self, index: int) -> int:
            if index > 3:
                raise IndexError
            return index**2

    source = source_of(Squares())
    drawing = source.draw(10)
    assert drawing.ended
    assert list(source.take(0, drawing.count)) == [0, 1, 4, 9]


def failing(good: int) -> Iterator[int]:
    yield from range(good)
    raise KeyError("the input broke")


def test_what_came_before_a_failing_input_is_kept() -> None:
    source = IteratorSource(failing(3))
    drawing = source.draw(10)
    assert (drawing.count, drawing.ended) == (3, True)
    assert isinstance(drawing.error, KeyError)
    assert source.draw(5).error is drawing.error, "the failure is not forgotten at the next draw"


@given(st.integers(0, 40), st.lists(st.integers(1, 7), max_size=30))
def test_draw_take_release_walk_through_every_item(total: int, steps: list[int]) -> None:
    source = IteratorSource(iter(range(total)))
    seen: list[int] = []
    for step in [*steps, total + 1]:
        drawing = source.draw(step)
        seen += source.take(len(seen), drawing.count)
        source.release(len(seen))
        assert drawing.ended == (drawing.count < step)
    assert seen == list(range(total))


@given(st.integers(0, 40), st.lists(st.tuples(st.integers(1, 7), st.integers(0, 7)), max_size=20), st.booleans())
def test_a_block_left_half_way_is_handed_out_again(total: int, steps: list[tuple[int, int]], drawn: bool) -> None:
    source = source_of(iter(range(total)) if drawn else range(total))
    seen: list[int] = []
    for size, used in steps:
        items, drawing = source.block(len(seen), size)
        assert drawing.count <= size or drawn
        for item, _ in zip(items, range(min(used, drawing.count)), strict=False):
            seen.append(item)
            if len(seen) and item != len(seen) - 1:
                raise AssertionError("out of order")
        if used < drawing.count:
            break
    assert seen == list(range(len(seen)))


def test_reclaim_gives_the_rest_of_a_block_to_whoever_comes_next() -> None:
    source = IteratorSource(iter("abcdef"))
    items, _ = source.block(0, 4)
    iterator = iter(items)
    assert [next(iterator), next(iterator)] == ["a", "b"]
    source.reclaim(2)
    drawing = source.draw(10)
    assert (drawing.count, drawing.ended) == (4, True)
    assert list(source.take(2, 4)) == ["c", "d", "e", "f"]


def test_a_failing_input_still_fails_behind_what_was_put_back() -> None:
    source = IteratorSource(failing(3))
    items, drawing = source.block(0, 10)
    assert drawing.error is not None
    assert next(iter(items)) == 0
    source.reclaim(1)
    drawing = source.draw(10)
    assert (drawing.count, type(drawing.error)) == (2, KeyError)
    assert list(source.take(1, 2)) == [1, 2]


def test_taking_from_an_array_gives_its_rows() -> None:
    rows = source_of(np.arange(6).reshape(3, 2)).take(1, 2)
    assert [list(row) for row in rows] == [[2, 3], [4, 5]]


def test_sources_show_where_they_are() -> None:
    assert repr(source_of([1, 2])) == "<SequenceSource of 2 items>"
    assert repr(source_of(iter([]))) == "<IteratorSource, items 0 to 0 at hand>"
