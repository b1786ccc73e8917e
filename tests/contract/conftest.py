"""The places where items can run, for tests of what holds in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fanwise

Place = dict[str, Any]


@pytest.fixture(
    params=[
        pytest.param({"workers": 1}, id="here"),
        pytest.param({}, id="auto"),
        pytest.param({"backend": "thread", "workers": 2}, id="threads"),
        pytest.param(None, id="processes"),
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Options that make a verb run its items in one place; processes are forked, which is the quickest start."""
    if request.param is not None:
        yield request.param
        return
    with fanwise.Executor(2, mp_context="fork", backend="process") as executor:
        yield {"executor": executor}


@pytest.fixture
def in_workers(place: Place) -> bool:
    """Whether the place is one of other processes."""
    return "executor" in place
