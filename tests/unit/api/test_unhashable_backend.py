"""A backend is told by what it offers: one that cannot be hashed is as good as any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.api.chosen import options

import fanwise
from fanwise.backends.serial import SerialBackend
from fanwise.errors import UsageValueError


@dataclass
class Plain:
    """A mutable record that compares by value, and so has no hash."""

    name: str = "plain"

    def hire(self, *args: Any) -> Any:
        return SerialBackend().hire(*args)

    def close(self) -> None:
        return None


def test_it_may_be_given_with_a_timeout() -> None:
    chosen = options(backend=Plain(), timeout=2)
    assert (chosen.backend, chosen.timeout, chosen.in_workers_only) == (Plain(), 2.0, True)
    assert chosen.described()["backend"] == "Plain"
    assert not chosen.is_remote


def test_beside_an_executor_of_another_place_it_is_refused_by_name() -> None:
    with fanwise.Executor(1) as executor, pytest.raises(UsageValueError, match="does not agree with the executor's"):
        options(backend=Plain(), executor=executor)
