"""The path to what cannot be pickled."""

from __future__ import annotations

import functools
import sqlite3
import threading
from typing import Any

import pytest

from fanwise.backends.process._culprit import explain
from fanwise.backends.process._pickling import dumps
from fanwise.errors import NotPicklableError

LOCK = threading.Lock()


class Database:
    def __init__(self) -> None:
        self.conn = sqlite3.connect(":memory:")

    def query(self, x: int) -> int:
        return x


class Slotted:
    __slots__ = ("empty", "held")

    def __init__(self) -> None:
        self.held = LOCK


class OneSlot:
    __slots__ = "held"

    def __init__(self) -> None:
        self.held = LOCK


def query(x: int, db: Any = None) -> int:
    return x


def uses_global(x: int) -> Any:
    return LOCK, x


def closure() -> Any:
    held = {"inner": [LOCK]}
    later: Any

    def fn(x: int) -> Any:
        return held, later if x else x

    if len(held) > 1:
        later = 1
    return fn


def with_default() -> Any:
    lock = LOCK
    return lambda x, held=lock: (x, held)


def path_of(obj: Any, name: str = "fn") -> str:
    with pytest.raises(NotPicklableError) as caught:
        dumps(obj, main_by_value=False)
    return str(explain(obj, name, caught.value))


@pytest.fixture
def database() -> Any:
    made = Database()
    yield made
    made.conn.close()


def test_the_published_example(database: Database) -> None:
    message = path_of(functools.partial(query, db=database))
    assert message.startswith("fn.keywords['db'].conn is a sqlite3.Connection and cannot be sent to another process; ")
    assert "pass what is needed to open it instead" in message


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: LOCK, "fn is"),
        (lambda: [1, (2, LOCK)], "fn[1][1] is"),
        (lambda: {"a": {"b" * 50: LOCK}}, "fn['a']['" + "b" * 38 + "…] is"),
        (lambda: {Slotted()}, "fn{…}.held is"),
        (lambda: OneSlot(), "fn.held is"),
        (lambda: functools.partial(query, LOCK), "fn.args[0] is"),
        (closure, "fn.<held>['inner'][0] is"),
        (with_default, "fn.__defaults__[0] is"),
    ],
)
def test_paths(make: Any, path: str) -> None:
    assert path_of(make()).startswith(path)


def test_a_method_leads_to_its_object(database: Database) -> None:
    assert path_of(database.query).startswith("fn.__self__.conn is")


def test_a_global_of_a_function_sent_by_value() -> None:
    fn = type(uses_global)(uses_global.__code__, {"LOCK": LOCK, "__name__": "elsewhere"})
    assert path_of(fn).startswith("fn.<LOCK> is a _thread.lock")


def test_advice_fits_the_type() -> None:
    assert "make it inside the function instead" in path_of(LOCK)
    assert "pass a list of its values instead" in path_of([(y for y in "ab")])


def test_the_search_has_an_end() -> None:
    many = [list(range(10)) for _ in range(1000)]
    assert path_of([*many, LOCK]).startswith("fn is a list")
    deep: Any = LOCK
    for _ in range(30):
        deep = [deep]
    assert path_of(deep).startswith("fn" + "[0]" * 12 + " is")
