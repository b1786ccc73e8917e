from __future__ import annotations

from collections.abc import Iterator
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
    """Put the terminal in place for the call only: pytest sets its own streams at the start of it."""
    terminal = pyfuncitem.funcargs.get("terminal")
    with pytest.MonkeyPatch.context() as patch:
        if isinstance(terminal, Terminal):
            patch.setattr("sys.stdout", terminal.stream)
            patch.setattr("sys.stderr", terminal.stream)
        return (yield)
