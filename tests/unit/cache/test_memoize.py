"""Memoised functions: binding, methods, ignored parameters, what is refused, and stepping aside."""

from __future__ import annotations

import functools
import math
import pickle
import sqlite3
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise import Cache
from fanwise.cache import Key
from fanwise.cache._policy import EVERY
from fanwise.errors import FanwiseWarning, UsageError


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache(disk=0) as cache:
        yield cache


calls: list[tuple[Any, ...]] = []


def note(*values: Any) -> None:
    calls.append(values)


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def add(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> tuple[Any, ...]:
    note(a, b, rest, c, more)
    return a, b, rest, c, tuple(sorted(more.items()))


def memo(cache: Cache, fn: Any, **options: Any) -> Any:
    return cache.memoize(fn, ignore_globals=("calls",), adaptive=False, **options)


def test_equal_calls_are_one_key_however_they_are_written(cache: Cache) -> None:
    wrapped = memo(cache, add)
    same = [wrapped(1), wrapped(1, 2), wrapped(a=1), wrapped(1, b=2), wrapped(b=2, a=1), wrapped(1, c=3)]
    assert same == [same[0]] * 6
    assert len(calls) == 1


def test_other_calls_are_other_keys(cache: Cache) -> None:
    wrapped = memo(cache, add)
    keys = [
        wrapped.key(1),
        wrapped.key(2),
        wrapped.key(True),
        wrapped.key(1.0),
        wrapped.key(1, 2, 3),
        wrapped.key(1, 2, 3, 4),
        wrapped.key(1, c=4),
        wrapped.key(1, d=4),
        wrapped.key(1, e=4),
        wrapped.key(1, e=4, d=4),
    ]
    assert len(set(keys)) == len(keys)
    assert wrapped.key(1, d=4, e=5) == wrapped.key(1, e=5, d=4)
    assert all(isinstance(key, Key) for key in keys)


def test_keys_of_users_and_of_functions_cannot_meet(cache: Cache) -> None:
    wrapped = memo(cache, add)
    assert wrapped.key(1) != cache.key(1) != cache.key((1, 2, (), 3, {}))
    assert cache.key(wrapped.key(1)) == wrapped.key(1)


def test_ignored_parameters_do_not_count(cache: Cache) -> None:
    def load(name: str, *, verbose: bool = False, conn: Any = None) -> str:
        note(name)
        return name

    wrapped = memo(cache, load, ignore=("verbose", "conn"))
    assert wrapped("a") == wrapped("a", verbose=True, conn=sqlite3.connect(":memory:")) == "a"
    assert len(calls) == 1
    assert wrapped.explain("a").count("argument") == 1


def test_an_ignored_name_that_is_no_parameter_is_refused_at_decoration(cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"ignore: .* has no parameter 'verbos'; it has name"):
        cache.memoize(lambda name: name, ignore=("verbos",))
    wrapped = cache.memoize(lambda **more: 1, ignore=("debug",))
    assert wrapped.key(debug=1, x=2) == wrapped.key(x=2)


def test_an_argument_without_a_key_is_refused_by_name(cache: Cache) -> None:
    def load(name: str, conn: Any) -> str:
        return name

    wrapped = cache.memoize(load)
    with pytest.raises(UsageError) as caught:
        wrapped("a", sqlite3.connect(":memory:"))
    assert str(caught.value) == (
        f"argument 'conn' of {__name__}:test_an_argument_without_a_key_is_refused_by_name.<locals>.load has type "
        "sqlite3.Connection, which has no stable key; pass a value that identifies it, add it to ignore=, or define "
        "__fanwise_key__"
    )
    with pytest.raises(UsageError, match=r"argument 'conn' of .* holds a sqlite3.Connection"):
        wrapped("a", [sqlite3.connect(":memory:")])


def test_for_a_run_such_an_item_is_computed_and_said_once(cache: Cache) -> None:
    wrapped = cache.for_run(lambda item: type(item).__name__)
    with pytest.warns(FanwiseWarning, match="Connection, which has no stable key.*computed each time"):
        assert wrapped(sqlite3.connect(":memory:")) == "Connection"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wrapped(sqlite3.connect(":memory:")) == "Connection"
    assert wrapped(1) == wrapped(1) == "int"
    stats = cache.stats()
    assert (stats.uncacheable, stats.computes, stats.hits) == (2, 1, 1)
    assert wrapped.lookup(1) == (True, "int")
    assert wrapped.lookup(2) == (False, None)
    assert wrapped.lookup(sqlite3.connect(":memory:")) == (False, None)


@pytest.mark.parametrize("fn", ["coroutine", "generator", "async generator", "a string"])
def test_what_does_not_return_its_value_cannot_be_memoised(cache: Cache, fn: str) -> None:
    async def coroutine() -> int:
        return 1

    def generator() -> Iterator[int]:
        yield 1

    async def agenerator() -> Any:
        yield 1

    given_ = {"coroutine": coroutine, "generator": functools.partial(generator), "async generator": agenerator}.get(
        fn, fn
    )
    with pytest.raises(UsageError, match="memoize: "):
        cache.memoize(given_)  # type: ignore[arg-type]


class Shape:
    def __init__(self, size: int) -> None:
        self.size = size

    def __fanwise_key__(self) -> int:
        return self.size


def test_methods_static_and_class_methods_partials_and_lambdas_work(cache: Cache) -> None:
    class Square(Shape):
        @cache.memoize
        def area(self, scale: int = 1) -> int:
            return self.size**2 * scale

        @staticmethod
        @cache.memoize
        def sides() -> int:
            return 4

        @cache.memoize
        @staticmethod
        def corners(n: int) -> int:
            return n * 4

        @classmethod
        @cache.memoize
        def unit(cls) -> str:
            return cls.__name__

        @cache.memoize
        @classmethod
        def other(cls, n: int) -> tuple[str, int]:
            return cls.__name__, n

    for _ in range(2):
        assert Square(3).area() == Square(3).area(scale=1) == 9
        assert Square(2).area(2) == 8
        assert Square.sides() == 4
        assert Square.corners(2) == Square(1).corners(2) == 8
        assert Square.unit() == "Square"
        assert Square.other(3) == ("Square", 3)
        assert cache.memoize(functools.partial(pow, 2))(5) == 32
        assert cache.memoize(lambda x: -x)(5) == -5
        assert cache.memoize(Square(5).area)(2) == 50
        assert cache.memoize(math.sqrt)(4.0) == 2.0
    assert cache.stats().hits >= 10
    bound = Square(3).area
    assert bound.key(2) == Square.area.key(Square(3), 2)
    assert bound.lookup(1) == (True, 9)
    assert bound.forget()
    assert not bound.forget()
    assert "argument scale: 1" in bound.explain()
    assert bound.__name__ == "area"


def test_a_wrapped_function_looks_like_the_function(cache: Cache) -> None:
    @cache.memoize(version=1)
    def documented(x: int) -> int:
        """What it does."""
        return x

    assert documented.__doc__ == "What it does."
    assert documented.__name__ == "documented"
    assert documented.__wrapped__(3) == 3
    assert "documented" in repr(documented)


def test_a_wrong_call_is_the_functions_own_error(cache: Cache) -> None:
    def f(a: int) -> int:
        return a

    wrapped = cache.memoize(f)
    for call in (lambda: wrapped(), lambda: wrapped(1, 2), lambda: wrapped(b=1)):
        with pytest.raises(TypeError, match=r"f\(\)"):
            call()
    with pytest.raises(TypeError):
        wrapped.key(1, 2)


def test_forget_makes_the_next_call_compute(cache: Cache) -> None:
    wrapped = memo(cache, add)
    wrapped(1)
    assert wrapped.forget(1)
    assert not wrapped.forget(1)
    wrapped(1)
    assert len(calls) == 2


def test_the_computed_object_itself_is_returned_and_later_changes_are_not_stored(cache: Cache) -> None:
    made: list[list[int]] = []

    def make(n: int) -> list[int]:
        made.append([n])
        return made[-1]

    wrapped = cache.memoize(make, ignore_globals=("made",))
    first = wrapped(1)
    assert first is made[0]
    first.append(99)
    second = wrapped(1)
    assert second == [1]
    second.append(77)
    assert wrapped(1) == [1]


def test_an_exception_is_not_stored_and_comes_unchanged(cache: Cache) -> None:
    def fail(x: int) -> None:
        note(x)
        raise KeyError("mine")

    wrapped = memo(cache, fail)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            wrapped(1)
    assert len(calls) == 2
    assert cache.stats().stores == 0


def test_a_result_that_cannot_be_stored_is_returned_and_said_once(cache: Cache) -> None:
    def make(n: int) -> Any:
        return {"handle": iter([n])}

    wrapped = cache.memoize(make)
    with pytest.warns(FanwiseWarning, match=r"result of .*make holds a builtins.list_iterator.*codecs=.*signed"):
        assert next(wrapped(1)["handle"]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert next(wrapped(1)["handle"]) == 1
    assert cache.stats().uncacheable == 2


def cheap(x: int) -> int:
    return x


def test_a_function_cheaper_than_a_look_up_is_called_directly() -> None:
    with Cache(disk=0, memory=0) as cache:  # nothing can ever hit
        wrapped = cache.memoize(cheap)
        for _ in range(1000):
            assert wrapped(7) == 7
        stats = cache.stats()
        assert stats.bypassed > 800
        assert stats.computes + stats.bypassed == 1000
        assert stats.computes <= 64 + 1000 // EVERY + 1


def test_without_adaptive_every_call_goes_through_the_cache() -> None:
    with Cache(disk=0) as cache:
        wrapped = cache.memoize(cheap, adaptive=False)
        for _ in range(300):
            wrapped(7)
        assert (cache.stats().bypassed, cache.stats().hits, cache.stats().computes) == (0, 299, 1)


def test_checked_hits_that_differ_are_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_CHECK", "1")
    state = iter(range(100))
    with Cache(disk=0) as checking:
        wrapped = checking.memoize(lambda x: next(state), ignore_globals=("state",))
        wrapped(1)
        with pytest.warns(FanwiseWarning, match=f"key {wrapped.key(1).hex()}.* gives another result now"):
            assert wrapped(1) == 0
        steady = checking.memoize(lambda x: [x], version=2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert [steady(1) for _ in range(3)] == [[1]] * 3
        checking.get_or_compute("k", lambda: 1)
        with pytest.warns(FanwiseWarning, match="user"):
            assert checking.get_or_compute("k", lambda: iter(())) == 1
    monkeypatch.setenv("FANWISE_CACHE_CHECK", "1.5")
    with pytest.raises(UsageError, match="FANWISE_CACHE_CHECK"):
        Cache(disk=0)


def named(x: int) -> int:
    return 2 * x


module_cache = Cache(disk=0)
decorated = module_cache.memoize(named)
named_itself = module_cache.memoize(lambda x: x)
named_itself.__qualname__ = "named_itself"


def test_a_memoised_function_travels_by_name_or_with_its_function(cache: Cache) -> None:
    again = pickle.loads(pickle.dumps(decorated))
    assert again is not decorated
    assert again(4) == 8
    assert again.key(4) == decorated.key(4)
    by_name = named_itself.__reduce__()
    assert by_name == "named_itself"


def test_memoised_functions_inside_others_count_by_their_code(cache: Cache) -> None:
    inner = cache.memoize(lambda x: x + 1)

    def outer(x: int) -> int:
        return inner(x) * 2

    other = cache.memoize(lambda x: x + 2)
    wrapped = cache.memoize(outer)
    before = wrapped.key(1)
    assert wrapped(1) == 4
    inner, kept = other, inner
    assert wrapped.key(1) != before
    inner = kept
    assert wrapped.key(1) == before


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf]),
    st.text("ab", max_size=2),
    st.binary(max_size=1),
)


@given(st.lists(st.lists(PLAIN, max_size=3), min_size=1, max_size=12))
def test_the_quick_path_gives_the_same_answers_as_the_whole_key(args: list[list[Any]]) -> None:
    with Cache(disk=0) as cache:
        wrapped = cache.memoize(lambda *args: None, adaptive=False)
        for each in args * 2:
            wrapped(*each)
        distinct = len({wrapped.key(*each) for each in args})
        stats = cache.stats()
        assert (stats.computes, stats.hits) == (distinct, 2 * len(args) - distinct)
        known = wrapped._known
        for each in args:
            assert known.find(tuple(each)) in {None, wrapped.key(*each)}
