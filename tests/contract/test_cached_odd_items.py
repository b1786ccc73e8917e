"""`map`, `run` and `stream` with a cache over odd items, results, errors and seeds: what the loop gives, however often."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, UserList, namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fanwise
from fanwise import Cache
from fanwise.errors import FanwiseWarning, UsageError

Point = namedtuple("Point", "x y")


class Calls(UserList[Any]):
    """What was computed; the same to a cache whatever it holds."""

    def __fanwise_key__(self) -> str:
        return "calls"


CALLS = Calls()

VERBS: dict[str, Callable[..., list[Any]]] = {
    "map": lambda fn, items, **options: fanwise.map(fn, items, **options),
    "run": lambda fn, items, **options: fanwise.run(fn, items, **options).values(),
    "stream": lambda fn, items, **options: list(fanwise.stream(fn, items, **options)),
}
PLACES = {"here": {"backend": "serial"}, "threads": {"backend": "thread", "workers": 2}}
BACKENDS = {"index": {"backend": "index"}, "files": {"backend": "files"}, "memory": {"disk": 0}}


@pytest.fixture(params=VERBS)
def verb(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    return VERBS[request.param]


@pytest.fixture(params=PLACES)
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"progress": "none", **PLACES[request.param]}


@pytest.fixture(params=BACKENDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    CALLS.clear()
    with Cache(tmp_path / "c", **BACKENDS[request.param]) as cache:
        yield cache


def same(x: Any) -> Any:
    CALLS.append(x)
    return x


def draw(x: int, rng: np.random.Generator) -> float:
    CALLS.append(x)
    return x + rng.random()


def fails_on_odd(x: int) -> int:
    CALLS.append(x)
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


def one_of_each(x: int) -> Any:
    """A result that no safe codec stores, for every third item."""
    CALLS.append(x)
    return threading.Event() if x % 3 == 0 else x


def typed(values: Any) -> list[tuple[str, str]]:
    return [(type(value).__name__, repr(value)) for value in values]


ODD: dict[str, list[Any]] = {
    "equal of other types": [1, 1.0, True, Decimal(1), Fraction(1), 1 + 0j, np.int64(1), np.float64(1)],
    "zeros": [0, 0.0, -0.0, False, b"", "", (), [], {}, set(), frozenset(), None],
    "floats": [math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308, 0.1 + 0.2],
    "large numbers": [2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**100, -(10**100)],
    "text": ["é", "e\u0301", "\ud800", "\0", " ", "1", b"1", "None", "True"],
    "containers": [(1,), [1], {1}, frozenset({1}), {1: None}, {"1": None}, ((1,),), [[1]], [(1,)]],
    "orders": [{"a": 1, "b": 2}, {"a": 2, "b": 1}, [1, 2], [2, 1], (1, 2), (2, 1)],
    "dates": [
        *(
            date(2024, 1, 1),
            datetime(2024, 1, 1),
            datetime(2024, 1, 1, tzinfo=UTC),
            timedelta(days=1),
        ),  # naive on purpose
        datetime(2024, 1, 1, fold=1),  # naive on purpose
    ],
    "decimals": [Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Decimal("-0"), Decimal(0)],
    "others": [range(3), range(0, 3, 2), slice(1, 2), UUID(int=1), PurePosixPath("a/b"), 1j],
}


@pytest.mark.parametrize("items", ODD.values(), ids=ODD.keys())
class TestOddItems:
    def test_values_and_types_are_those_of_the_loop_the_first_time_and_later(
        self, items: list[Any], verb: Callable[..., list[Any]], cache: Cache
    ) -> None:
        for _ in range(3):
            assert typed(verb(same, items, cache=cache, backend="serial", progress="none")) == typed(items)

    def test_each_is_computed_once_and_none_is_taken_for_another(self, items: list[Any], cache: Cache) -> None:
        for _ in range(2):
            fanwise.map(same, items, cache=cache, backend="serial", progress="none")
        assert typed(CALLS) == typed(items)

    def test_repeated_items_of_one_run_are_computed_once(self, items: list[Any], cache: Cache) -> None:
        values = fanwise.map(same, [*items, *reversed(items)], cache=cache, backend="serial", progress="none")
        assert typed(values) == typed([*items, *reversed(items)])
        assert typed(CALLS) == typed(items)


class TestErrors:
    def test_errors_come_as_from_the_loop_and_are_never_kept(self, cache: Cache, where: dict[str, Any]) -> None:
        for _ in range(2):
            with pytest.raises(ValueError, match="odd 3"):
                fanwise.map(fails_on_odd, [0, 2, 3, 4], cache=cache, **where)
        assert CALLS.count(3) == 2
        assert CALLS.count(0) == 1

    def test_the_good_ones_of_a_run_with_failures_are_kept(self, cache: Cache, where: dict[str, Any]) -> None:
        for _ in range(2):
            outcomes = fanwise.run(fails_on_odd, range(6), cache=cache, **where).outcomes
            assert [outcome.ok for outcome in outcomes] == [True, False] * 3
            assert [str(outcome.error) for outcome in outcomes if not outcome.ok] == ["odd 1", "odd 3", "odd 5"]
        assert sorted(CALLS) == [0, 1, 1, 2, 3, 3, 4, 5, 5]

    def test_a_function_that_was_mended_is_computed_anew(self, cache: Cache) -> None:
        def version(number: int) -> Callable[[int], int]:
            def fn(x: int) -> int:
                return x * number

            return fn

        for number in (1, 2, 1):
            values = fanwise.map(version(number), [1, 2, 3], cache=cache, backend="serial", progress="none")
            assert values == [number, 2 * number, 3 * number]

    def test_a_stream_that_is_left_keeps_what_was_computed(self, cache: Cache) -> None:
        stream = fanwise.stream(same, range(10), cache=cache, backend="serial", progress="none", lookahead=1)
        assert [next(stream) for _ in range(4)] == [0, 1, 2, 3]
        stream.close()  # type: ignore[attr-defined]  # a generator
        done = set(CALLS)
        assert {0, 1, 2, 3} <= done
        CALLS.clear()
        assert fanwise.map(same, range(10), cache=cache, backend="serial", progress="none") == list(range(10))
        assert set(CALLS) == set(range(10)) - done


class TestUnkeyableAndUnstorable:
    def test_an_item_without_a_key_is_computed_each_time_and_said_once(
        self, verb: Callable[..., list[Any]], cache: Cache
    ) -> None:
        lock = threading.Lock()
        items = [1, lock, 2, lock]
        with pytest.warns(FanwiseWarning, match="lock") as caught:
            assert verb(same, items, cache=cache, backend="serial", progress="none") == items
        assert len([each for each in caught if "no stable key" in str(each.message)]) == 1
        assert items == CALLS

    def test_the_keyable_ones_beside_it_are_kept(self, cache: Cache) -> None:
        lock = threading.Lock()
        for _ in range(2):
            with pytest.warns(FanwiseWarning, match="lock"):
                fanwise.map(same, [1, lock, 2], cache=cache, backend="serial", progress="none")
        assert [1, lock, 2, lock] == CALLS

    def test_a_list_that_holds_itself_is_an_item_without_a_key(self, cache: Cache) -> None:
        ring: list[Any] = []
        ring.append(ring)
        with pytest.warns(FanwiseWarning):
            (value,) = fanwise.map(same, [ring], cache=cache, backend="serial", progress="none")
        assert value is ring

    @pytest.mark.parametrize("item", [Point(1, 2), OrderedDict(a=1)], ids=["named tuple", "ordered dict"])
    def test_what_has_a_key_and_no_codec_is_given_back_as_it_is(self, item: Any, cache: Cache) -> None:
        with pytest.warns(FanwiseWarning, match=type(item).__qualname__):
            (first,) = fanwise.map(same, [item], cache=cache, backend="serial", progress="none")
        (second,) = fanwise.map(same, [item], cache=cache, backend="serial", progress="none")
        assert first is second is item
        assert len(CALLS) == 2

    def test_results_that_cannot_be_stored_cost_themselves_alone(self, cache: Cache) -> None:
        with pytest.warns(FanwiseWarning, match="Event"):
            first = fanwise.map(one_of_each, range(6), cache=cache, backend="serial", progress="none")
        second = fanwise.map(one_of_each, range(6), cache=cache, backend="serial", progress="none")
        assert [value for value in first if isinstance(value, int)] == [1, 2, 4, 5]
        assert [type(value) for value in first] == [type(value) for value in second]
        assert sorted(CALLS) == [0, 0, 1, 2, 3, 3, 4, 5]


class TestSeeds:
    def test_a_seeded_run_gives_the_same_with_and_without_a_cache(
        self, verb: Callable[..., list[Any]], cache: Cache
    ) -> None:
        plain = verb(draw, range(8), seed=7, backend="serial", progress="none")
        CALLS.clear()
        for _ in range(2):
            assert verb(draw, range(8), seed=7, cache=cache, backend="serial", progress="none") == plain
        assert len(CALLS) == 8

    def test_another_seed_and_another_place_are_other_values(self, cache: Cache) -> None:
        options = {"cache": cache, "backend": "serial", "progress": "none"}
        one = fanwise.map(draw, [5, 5, 5], seed=1, **options)
        two = fanwise.map(draw, [5, 5, 5], seed=2, **options)
        assert len({*one, *two}) == 6
        assert fanwise.map(draw, [5, 5], seed=1, **options) == one[:2]


class TestOwnership:
    def test_changing_a_result_changes_no_later_one(self, verb: Callable[..., list[Any]], cache: Cache) -> None:
        options = {"cache": cache, "backend": "serial", "progress": "none"}
        verb(same, [[1], [2]], **options)
        for value in verb(same, [[1], [2]], **options):
            value.append("mine")
        assert verb(same, [[1], [2]], **options) == [[1], [2]]

    def test_arrays_of_hits_are_writable_and_of_the_same_layout(self, cache: Cache) -> None:
        arrays = [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.ones((3, 2), "f4")),
            np.zeros(0),
            np.array(5, ">i2"),
        ]
        for _ in range(2):
            values = fanwise.map(same, arrays, cache=cache, backend="serial", progress="none")
            for value, array in zip(values, arrays, strict=True):
                assert np.array_equal(value, array)
                assert (value.dtype, value.shape, value.flags.writeable) == (array.dtype, array.shape, True)
                assert value.flags.f_contiguous == array.flags.f_contiguous
        assert len(CALLS) == len(arrays)

    def test_a_closed_cache_is_refused_before_anything_runs(self, verb: Callable[..., list[Any]], cache: Cache) -> None:
        cache.close()
        with pytest.raises(UsageError, match="closed"):
            verb(same, [1, 2], cache=cache, progress="none")
        assert CALLS == []

    @pytest.mark.parametrize("items", [[], iter(()), range(0), {}], ids=["list", "iterator", "range", "dict"])
    def test_no_items_are_no_look_ups(self, items: Any, verb: Callable[..., list[Any]], cache: Cache) -> None:
        assert verb(same, items, cache=cache, progress="none") == []
        assert (cache.stats().misses, cache.stats().stores) == (0, 0)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=60)
@given(st.lists(anything, max_size=8), st.sampled_from(sorted(VERBS)))
def test_whatever_the_items_are_a_cached_run_is_the_loop(items: list[Any], verb: str) -> None:
    with Cache(disk=0) as cache:
        for _ in range(2):
            assert typed(VERBS[verb](same, items, cache=cache, backend="serial", progress="none")) == typed(items)
        assert cache.stats().hits >= len(items)
