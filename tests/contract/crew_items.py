"""What items do for the suite of the backends. In a module of its own: a fork server imports it, and Hypothesis takes 0.4 s."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.crew_driver import PATIENCE_S

from fanwise import current_task


def double(x: Any) -> Any:
    return x * 2


def reciprocal(x: float) -> float:
    return 1 / x


def fail_at_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def describe_task(_: int) -> tuple[int, int, int | None, bool]:
    task = current_task()
    assert task is not None
    return task.index, task.attempt, task.worker, task.interrupted


def draw(_: int, rng: Any) -> float:
    return float(rng.random())


def wait_for(fifo: str) -> str:
    """Block until somebody writes to the fifo."""
    return Path(fifo).read_text() if fifo else "at once"


def wait_until_interrupted(_: int) -> bool:
    task = current_task()
    assert task is not None
    until = time.monotonic() + PATIENCE_S
    while not task.interrupted and time.monotonic() < until:
        time.sleep(0.001)
    return task.interrupted
