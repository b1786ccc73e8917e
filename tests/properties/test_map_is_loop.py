"""The law of the library: `map` is the loop, for any workers, chunks, backend and input, failures included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise

pytestmark = pytest.mark.process

ITEMS = st.lists(st.integers(-3, 6), max_size=40)
PLACES = st.fixed_dictionaries(
    {
        "backend": st.sampled_from(["auto", "serial", "thread"]),
        "workers": st.integers(1, 8),
        "chunk_size": st.sampled_from([None, 1, 7]),
    }
)


def reciprocal(item: int) -> float:
    return 6 / item


def loop(items: list[int]) -> tuple[list[float], type | None]:
    done: list[float] = []
    for item in items:
        try:
            done.append(reciprocal(item))
        except ZeroDivisionError as error:
            return done, type(error)
    return done, None


def mapped(items: Any, **options: Any) -> tuple[list[float], type | None]:
    try:
        return fanwise.map(reciprocal, items, **options), None
    except ZeroDivisionError as error:
        run = error.__fanwise_run__
        below = [o.unwrap() for o in run.outcomes if o.ok and o.index < failed_index(error)]
        return below, type(error)


def failed_index(error: BaseException) -> int:
    return int(error.__notes__[0].split()[1].rstrip(":"))


@given(ITEMS, PLACES, st.booleans())
def test_map_is_the_loop(items: list[int], place: dict[str, Any], drawn: bool) -> None:
    assert mapped(iter(items) if drawn else items, **place) == loop(items)


@given(ITEMS, PLACES)
def test_outcomes_do_not_depend_on_where_items_run(items: list[int], place: dict[str, Any]) -> None:
    outcomes = fanwise.run(reciprocal, items, **place).outcomes
    assert [outcome.index for outcome in outcomes] == list(range(len(items)))
    for outcome, item in zip(outcomes, items, strict=True):
        assert outcome.ok == (item != 0)
        assert not outcome.ok or outcome.unwrap() == 6 / item


@given(ITEMS, PLACES, st.integers(1, 20), st.booleans())
def test_a_stream_is_the_loop_too(items: list[int], place: dict[str, Any], lookahead: int, ordered: bool) -> None:
    good = [item for item in items if item]
    got = list(fanwise.stream(reciprocal, iter(good), lookahead=lookahead, ordered=ordered, **place))
    expected = [6 / item for item in good]
    assert got == expected if ordered else sorted(got) == sorted(expected)


@pytest.mark.slow
@settings(max_examples=25)
@given(ITEMS, st.integers(1, 8), st.sampled_from([None, 1, 7]), st.booleans())
def test_map_over_processes_is_the_loop(items: list[int], workers: int, chunk_size: int | None, drawn: bool) -> None:
    given_items: Any = iter(items) if drawn else items
    assert mapped(given_items, backend="process", workers=workers, chunk_size=chunk_size) == loop(items)
