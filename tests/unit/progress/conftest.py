from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.unit.progress.terminal import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """The terminal of this process while the test runs: standard output and standard error go to it."""
    made = Terminal()
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Put fixtures that stand in for standard streams in place for the call only: pytest sets its own before it."""
    with ExitStack() as places:
        for value in pyfuncitem.funcargs.values():
            if hasattr(value, "in_place"):
                places.enter_context(value.in_place())
        return (yield)
