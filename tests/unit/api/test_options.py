"""Every bad argument is named, with what it must be and what it is, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.api.chosen import options

import fanwise
from fanwise.errors import UsageError

VERBS: list[Callable[..., Any]] = [fanwise.map, fanwise.run, fanwise.stream]


def never(item: object) -> None:
    raise AssertionError("an item ran")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("options", "message", "also"),
    [
        ({"workers": 0}, "workers must be an integer of at least 1 or None, got 0", ValueError),
        ({"workers": -1}, "workers must be an integer of at least 1 or None, got -1", ValueError),
        ({"workers": 2.5}, "workers must be an integer of at least 1 or None, got 2.5", ValueError),
        ({"workers": True}, "workers must be an integer of at least 1 or None, got True", ValueError),
        ({"chunk_size": 0}, "chunk_size must be an integer of at least 1 or None, got 0", ValueError),
        ({"retries": -1}, "retries must be an integer of at least 0, got -1", ValueError),
        ({"retries": 1.5}, "retries must be an integer of at least 0, got 1.5", ValueError),
        ({"timeout": math.nan}, "timeout must be a positive number of seconds, got nan", ValueError),
        ({"timeout": 0}, "timeout must be a positive number of seconds, got 0", ValueError),
        ({"deadline": -3}, "deadline must be a positive number of seconds, got -3", ValueError),
        ({"deadline": "soon"}, "deadline must be a positive number of seconds, got 'soon'", ValueError),
        ({"backend": "proces"}, "did you mean 'process'", ValueError),
        ({"backend": 3}, "backend must be one of", TypeError),
        ({"on_error": "ignore"}, "on_error must be one of 'raise', 'return', got 'ignore'", ValueError),
        ({"progress": "fancy"}, "progress must be one of", ValueError),
        ({"progress": 7}, "progress must be one of", TypeError),
        ({"timeout": 1, "backend": "thread"}, 'timeout needs backend="process": a thread cannot be killed', ValueError),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1", ValueError),
        ({"seed": 1}, "fn must accept the keyword rng when seed is given: def fn\\(item, rng\\)", TypeError),
        ({"executor": 5}, "executor must be a fanwise.Executor, got int", TypeError),
    ],
)
def test_a_bad_option_is_a_usage_error(
    verb: Callable[..., Any], options: dict[str, Any], message: str, also: type
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        verb(never, [1, 2], **options)
    assert isinstance(caught.value, also)


def test_options_that_are_not_checked_are_what_checking_makes_of_them() -> None:
    """Nothing was asked for. A text that equals the default but is another object is checked."""
    other = b"auto".decode()
    assert options(progress="auto") == options(progress=other, backend=other)
    with fanwise.Executor(3) as executor:
        assert options(progress="auto", executor=executor) == options(progress=other, executor=executor)
    with pytest.raises(UsageError, match="executor is shut down"):
        options(progress="auto", executor=executor)


@pytest.mark.parametrize("verb", VERBS)
def test_fn_and_items_are_checked_first(verb: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"fn must be callable, got list; did you swap fn and items\?"):
        verb([1, 2], never)
    with pytest.raises(UsageError, match="fn must be callable, got int"):
        verb(3, [1])
    with pytest.raises(TypeError, match="items must be iterable, got int"):
        verb(never, 5)


def test_a_bad_lookahead_is_named() -> None:
    with pytest.raises(UsageError, match="lookahead must be an integer of at least 1 or None, got 0"):
        fanwise.stream(never, [1], lookahead=0)


def test_a_stream_checks_its_options_when_called_and_not_when_read() -> None:
    with pytest.raises(UsageError):
        fanwise.stream(never, [1], workers=0)


def test_numbers_that_act_like_integers_are_welcome() -> None:
    import numpy as np

    assert fanwise.map(abs, [-1, 2], workers=np.int64(1)) == [1, 2]


def test_a_builtin_without_signature_may_take_a_seed_until_it_is_called() -> None:
    class Odd:
        __signature__ = "none"

        def __call__(self, item: int, rng: object) -> int:
            return item

    def rows() -> Iterator[int]:
        yield 1

    assert fanwise.map(Odd(), rows(), seed=3, workers=1) == [1]
