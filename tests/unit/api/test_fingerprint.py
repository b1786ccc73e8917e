"""A journal's function is known by what it computes, not by where it lies."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fanwise._api._fingerprint import fingerprint


def add(a: int, b: int = 2, *, c: int = 3) -> int:
    return a + b + c


def adder(n: int) -> Callable[[int], int]:
    return lambda x: x + n


class Scale:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, item: int) -> int:
        return item * self.by

    def method(self, item: int) -> int:
        return item - self.by


DIFFERENT: list[Any] = [
    abs,
    len,
    add,
    partial(add, 1),
    partial(add, 2),
    partial(add, 1, c=4),
    partial(add, 1, b=4),
    adder(1),
    adder(2),
    lambda x: x,
    lambda x: x + 1,
    lambda x: x + 2,
    lambda x: x in {1, 2},
    lambda x: x in {1, 3},
    lambda x, y=1: x,
    lambda x, y=2: x,
    lambda x: [y + 1 for y in x],
    lambda x: [y + 2 for y in x],
    Scale(2),
    Scale(3),
    str.upper,
    "abc".split,
    "abd".split,
]


def test_functions_that_differ_have_different_fingerprints() -> None:
    found = [fingerprint(fn) for fn in DIFFERENT]
    assert len(set(found)) == len(found)
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (adder(5), adder(5)),
        (partial(add, 1), partial(add, 1)),
        (partial(add, b=1, c=2), partial(add, c=2, b=1)),
        (Scale(4), Scale(4)),
    ],
)
def test_functions_that_compute_the_same_have_one(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert fingerprint(one) == fingerprint(other)


def test_a_method_is_known_by_its_code() -> None:
    assert fingerprint(Scale(1).method) != fingerprint(Scale.__call__)


@pytest.mark.slow
def test_it_is_the_same_in_every_process_and_under_every_hash_seed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            from functools import partial
            from fanwise._api._fingerprint import fingerprint
            def f(x, y={"a", "b", "c"}): return x in {"one", "two", "three"}
            print(fingerprint(partial(lambda x, k: x in {"red", "green", "blue"}, k=3)))
        """)
    )
    found = set()
    for seed in ("0", "1", "77"):
        done = subprocess.run(
            [sys.executable, str(program)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_a_closure_that_cannot_be_pickled_counts_by_type() -> None:
    import threading

    def holding(lock: Any) -> Callable[[int], int]:
        def inner(x: int) -> int:
            with lock:
                return x

        return inner

    assert fingerprint(holding(threading.Lock())) == fingerprint(holding(threading.Lock()))


RAN: list[int] = []
COUNTS: dict[int, int] = {}
RATES = {"low": 0.2}
TOTAL = 0


def helper(x: int) -> int:
    return x + 1


def calls_helper(x: int) -> int:
    return helper(x)


def notes(x: int) -> int:
    RAN.append(x)
    return x


def counts(x: int) -> int:
    COUNTS[x] = 1
    COUNTS[x] += 1
    return x


def totals(x: int) -> int:
    global TOTAL
    TOTAL += x
    return TOTAL


def reads(x: int) -> float:
    return x * RATES["low"]


def test_a_changed_helper_is_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(calls_helper)
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda x: x + 2)
    assert fingerprint(calls_helper) != before


def test_data_that_are_read_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(reads)
    monkeypatch.setitem(RATES, "low", 0.3)
    assert fingerprint(reads) != before


@pytest.mark.parametrize("fn", [notes, counts, totals])
def test_what_the_function_itself_writes_to_does_not_count(fn: Callable[[int], int]) -> None:
    before = fingerprint(fn)
    fn(3)
    assert fingerprint(fn) == before
