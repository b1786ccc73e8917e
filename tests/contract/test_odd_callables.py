"""Whatever can be called with one item can be mapped, wherever items run, and means what it means in a loop."""

from __future__ import annotations

import contextvars
import functools
import operator
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import fanwise
from fanwise.errors import NotPicklableError, UsageError

pytestmark = [
    pytest.mark.process,
    # the test runner's own thread; it holds no lock of ours
    pytest.mark.filterwarnings("ignore:workers are forked as requested:fanwise.FanwiseWarning"),
]

Place = dict[str, Any]
ITEMS = [3, 1, 4, 1, 5, 9, 2, 6]


def add(left: int, right: int = 10) -> int:
    return left + right


def only_keywords(item: int, *, scale: int = 3) -> int:
    return item * scale


def takes_anything(*args: int, **options: int) -> tuple[tuple[int, ...], dict[str, int]]:
    return args, options


def decorated(fn: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(fn)
    def inner(item: int) -> int:
        return -fn(item)

    return inner


@decorated
def wrapped(item: int) -> int:
    return item + 1


class Shift:
    """One of everything that a class can hold."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, item: int) -> int:
        return item + self.by

    def method(self, item: int) -> int:
        return item - self.by

    @classmethod
    def on_class(cls, item: int) -> str:
        return f"{cls.__name__} {item}"

    @staticmethod
    def on_nothing(item: int) -> int:
        return item * item


class Child(Shift):
    pass


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, item: int) -> int:
        return item * self.by


class Unhashable(Shift):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")


class Shy(Shift):
    """Has no truth value and no length."""

    def __bool__(self) -> bool:
        raise RuntimeError("asked for its truth")

    def __len__(self) -> int:
        raise RuntimeError("asked for its length")


class Record:
    """A class as a function: items become instances."""

    def __init__(self, item: int) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and other.item == self.item

    def __hash__(self) -> int:
        return self.item


@functools.singledispatch
def dispatched(item: object) -> str:
    return "object"


@dispatched.register
def _(item: int) -> str:
    return f"int {item}"


@functools.lru_cache
def cached(item: int) -> int:
    return item**2


def factorial(item: int) -> int:
    return 1 if item < 2 else item * factorial(item - 1)


def closure(by: int) -> Callable[[int], int]:
    def inner(item: int) -> int:
        return item + by + len(ITEMS)

    return inner


def recursive_closure() -> Callable[[int], int]:
    def fibonacci(item: int) -> int:
        return item if item < 2 else fibonacci(item - 1) + fibonacci(item - 2)

    return fibonacci


def from_text() -> Callable[[int], int]:
    names: dict[str, Any] = {}
    exec("FACTOR = 7\ndef scaled(item):\n    return item * FACTOR", names)
    return names["scaled"]


def local_class() -> Callable[[int], Any]:
    class Local:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __call__(self, item: int) -> int:
            return item * self.factor

    return Local(4)


CALLABLES: dict[str, Callable[[], Callable[..., Any]]] = {
    "function": lambda: add,
    "keyword-only default": lambda: only_keywords,
    "star arguments": lambda: takes_anything,
    "builtin": lambda: hex,
    "builtin type": lambda: complex,
    "type of containers": lambda: range,
    "class": lambda: Record,
    "lambda": lambda: lambda item: item % 3,
    "lambda with default": lambda: lambda item, by=ITEMS[0]: item - by,
    "closure": lambda: closure(2),
    "recursive closure": lambda: recursive_closure(),
    "recursive function": lambda: factorial,
    "decorated": lambda: wrapped,
    "partial": lambda: functools.partial(add, right=5),
    "partial of partial": lambda: functools.partial(functools.partial(takes_anything, 1), 2, key=3),
    "partial of lambda": lambda: functools.partial(lambda factor, item: factor * item, 6),
    "partial of a class": lambda: functools.partial(Shift(3).method),
    "bound method": lambda: Shift(7).method,
    "class method": lambda: Shift.on_class,
    "class method of an heir": lambda: Child.on_class,
    "static method": lambda: Shift.on_nothing,
    "method of an instance made here": lambda: Child(1).method,
    "method of a builtin": lambda: [0, 3, 1, 3, 1, 1].count,
    "unbound method": lambda: int.bit_length,
    "dunder of a value": lambda: (100).__sub__,
    "callable instance": lambda: Shift(1),
    "callable with slots": lambda: Slotted(3),
    "callable that cannot be compared": lambda: Unhashable(2),
    "callable without truth or length": lambda: Shy(2),
    "callable of a local class": lambda: local_class(),
    "single dispatch": lambda: dispatched,
    "lru_cache": lambda: cached,
    "lru_cache of a lambda": lambda: functools.cache(lambda item: item + 0.5),
    "operator with an index": lambda: operator.index,
    "methodcaller": lambda: operator.methodcaller("__mul__", 3),
    "ufunc": lambda: np.sqrt,
    "vectorized": lambda: np.vectorize(lambda item: item * 2.0),
    "function made of text": lambda: from_text(),
    "operator": lambda: operator.neg,
}


@pytest.mark.parametrize("name", CALLABLES)
def test_every_kind_of_callable_gives_what_the_loop_gives(name: str, place: Place) -> None:
    fn = CALLABLES[name]()
    expected = [fn(item) for item in ITEMS]
    assert fanwise.map(fn, ITEMS, **place) == expected
    assert fanwise.map(fn, iter(ITEMS), **place) == expected


class AnswersEverything:
    """As a method of an XML-RPC server is: every name is one of its methods."""

    def __init__(self, name: str) -> None:
        self.called = name

    def __getattr__(self, name: str) -> AnswersEverything:
        if name.startswith("__") and name != "__name__" and name != "__code__":
            raise AttributeError(name)
        return AnswersEverything(f"{self.called}.{name}")

    def __call__(self, item: int) -> str:
        return f"{self.called}({item})"

    def __reduce__(self) -> tuple[Any, ...]:
        return AnswersEverything, (self.called,)


class TestCallablesThatAnswerToEveryName:
    def test_they_are_called_and_not_searched(self, place: Place) -> None:
        assert fanwise.map(AnswersEverything("server"), [1, 2], **place) == ["server(1)", "server(2)"]

    def test_their_run_is_named_after_their_class(self) -> None:
        assert fanwise.run(AnswersEverything("server"), [1]).report.to_json()

    def test_they_can_be_resumed(self, tmp_path: Path) -> None:
        first = fanwise.map(AnswersEverything("server"), [1, 2], resume=tmp_path / "journal")
        assert fanwise.run(AnswersEverything("server"), [1, 2], resume=tmp_path / "journal").values() == first

    def test_a_mock_counts_its_calls(self) -> None:
        fn = mock.Mock(side_effect=lambda item: item + 1)
        assert fanwise.map(fn, ITEMS) == [item + 1 for item in ITEMS]
        assert [call.args[0] for call in fn.call_args_list] == ITEMS

    def test_a_mock_runs_in_threads_too(self) -> None:
        fn = mock.MagicMock(return_value=5)
        assert fanwise.map(fn, range(20), backend="thread", workers=3) == [5] * 20
        assert fn.call_count == 20


class TestStateOfTheCaller:
    def test_a_function_sees_the_globals_of_the_moment_of_the_call(self, place: Place) -> None:
        limits = {"top": 1}

        def clipped(item: int) -> int:
            return min(item, limits["top"])

        assert max(fanwise.map(clipped, ITEMS, **place)) == 1
        limits["top"] = 4
        assert max(fanwise.map(clipped, ITEMS, **place)) == 4

    def test_a_changed_attribute_of_a_callable_counts(self, place: Place) -> None:
        shift = Shift(1)
        assert fanwise.map(shift, [1, 2], **place) == [2, 3]
        shift.by = 100
        assert fanwise.map(shift, [1, 2], **place) == [101, 102]

    def test_in_workers_a_changed_argument_stays_there(self) -> None:
        rows = [[1], [2]]
        assert fanwise.map(append, rows, backend="process", workers=1) == [[1, 0], [2, 0]]
        assert rows == [[1], [2]]

    def test_here_and_in_threads_a_changed_argument_is_the_callers(self) -> None:
        for options in ({"workers": 1}, {"backend": "thread", "workers": 2}):
            rows = [[1], [2]]
            results = fanwise.map(append, rows, **options)
            assert [result is row for result, row in zip(results, rows, strict=True)] == [True, True]

    def test_workers_have_the_environment_of_the_call(self, monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
        for value in ("first", "second"):
            monkeypatch.setenv("FANWISE_TEST_VALUE", value)
            assert fanwise.map(os.environ.get, ["FANWISE_TEST_VALUE"] * 3, **place) == [value] * 3

    def test_workers_have_the_working_directory_of_the_call(
        self, monkeypatch: pytest.MonkeyPatch, place: Place, tmp_path: Path
    ) -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            assert set(fanwise.map(lambda _: Path.cwd().name, range(3), **place)) == {name}

    def test_in_the_calling_thread_context_variables_can_be_read(self) -> None:
        variable = contextvars.ContextVar("variable", default=0)
        variable.set(8)
        assert fanwise.map(lambda _: variable.get(), range(2), workers=1) == [8, 8]


def append(row: list[int]) -> list[int]:
    row.append(0)
    return row


class Connection:
    """Cannot leave its process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def ask(self, item: int) -> int:
        with self.lock:
            return item + 1


def asking(connection: Connection) -> Callable[[int], int]:
    return lambda item: connection.ask(item)


UNPICKLABLE: dict[str, tuple[Callable[[], Callable[[int], int]], str]] = {
    "bound method": (lambda: Connection().ask, r"fn\.__self__\.lock is a _thread.lock"),
    "partial": (lambda: functools.partial(Connection.ask, Connection()), r"fn\.args\[0\]\.lock is a _thread.lock"),
    "keyword": (
        lambda: functools.partial(max, key=Connection().ask),
        r"fn\.keywords\['key'\]\.__self__\.lock is a _thread.lock",
    ),
    "closure": (
        lambda: asking(Connection()),
        r"fn\.<connection>\.lock is a _thread.lock",
    ),
    "default": (lambda: lambda item, connection=Connection(): connection.ask(item), r"lock is a _thread.lock"),
}


class TestFunctionsThatCannotBeSent:
    @pytest.mark.parametrize("name", UNPICKLABLE)
    def test_where_they_cannot_be_inherited_the_culprit_is_named_before_anything_runs(self, name: str) -> None:
        make, path = UNPICKLABLE[name]
        executor = fanwise.Executor(1, mp_context="forkserver", backend="process")
        with executor, pytest.raises(NotPicklableError, match=path):
            fanwise.map(make(), [1, 2], executor=executor)

    @pytest.mark.parametrize("name", [name for name in UNPICKLABLE if name != "keyword"])
    def test_in_this_process_and_in_threads_they_run(self, name: str) -> None:
        make, _ = UNPICKLABLE[name]
        for options in ({"workers": 1}, {}, {"backend": "thread", "workers": 2}):
            assert fanwise.map(make(), ITEMS, **options) == [item + 1 for item in ITEMS]


class TestSeeds:
    def test_a_seeded_item_has_the_same_numbers_at_each_attempt(self, place: Place) -> None:
        retry = fanwise.typing.Retry(3, delay=0.001)
        run = fanwise.run(fails_twice, range(4), seed=5, retries=retry, **place)
        calm = fanwise.run(draws, range(4), seed=5, workers=1)
        assert run.values() == calm.values()
        assert {outcome.attempts for outcome in run.outcomes} == {3}

    @pytest.mark.parametrize(
        "fn",
        [
            lambda item, rng: rng.integers(1000),
            lambda item, **options: options["rng"].integers(1000),
            functools.partial(lambda scale, item, rng: rng.integers(scale), 1000),
            type("Drawing", (), {"__call__": lambda self, item, rng: rng.integers(1000)})(),
        ],
        ids=["name", "keywords", "partial", "instance"],
    )
    def test_whatever_takes_rng_can_be_seeded(self, fn: Callable[..., Any], place: Place) -> None:
        numbers = fanwise.map(fn, range(6), seed=1, **place)
        assert numbers == fanwise.map(fn, range(6), seed=1, workers=1)
        assert len(set(map(int, numbers))) > 3

    def test_items_are_numbered_whatever_the_order_and_length_of_the_input(self, place: Place) -> None:
        short = fanwise.map(draws, range(3), seed=9, **place)
        assert fanwise.map(draws, iter(range(30)), seed=9, **place)[:3] == short

    @pytest.mark.parametrize("fn", [add, abs, Shift(1).method, lambda item: item])
    def test_what_takes_no_rng_is_refused_before_an_item_runs(self, fn: Callable[..., Any]) -> None:
        with pytest.raises(UsageError, match="fn must accept the keyword rng"):
            fanwise.map(fn, [1], seed=0)


def draws(item: int, rng: np.random.Generator) -> float:
    return float(rng.random())


def fails_twice(item: int, rng: np.random.Generator) -> float:
    number = float(rng.random())
    task = fanwise.current_task()
    assert task is not None
    if task.attempt < 3:
        raise OSError(f"attempt {task.attempt}")
    return number
