"""What items do for the suite of the verbs. In a module of its own: a fork server imports it, and pytest takes 0.2 s."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import fanwise

if TYPE_CHECKING:
    import numpy as np


def square(item: int) -> int:
    return item * item


def invert(item: int) -> float:
    return 1 / item


class OddError(Exception):
    """Takes two arguments and tells its parent one."""

    def __init__(self, what: str, where: int) -> None:
        super().__init__(what)
        self.where = where


def odd(item: int) -> int:
    if item == 17:
        raise OddError("odd", item)
    return item


def fail_at_first(item: int) -> int:
    """Item 1 fails once, item 3 twice, item 5 always."""
    task = fanwise.current_task()
    assert task is not None
    if task.attempt <= {1: 1, 3: 2, 5: 99}.get(item, 0):
        raise ValueError(f"attempt {task.attempt} of item {item}")
    return item


def draw(item: int, rng: np.random.Generator) -> float:
    return float(rng.random()) + item


def place_of(item: int) -> tuple[int, int, int]:
    task = fanwise.current_task()
    assert task is not None
    return task.index, task.attempt, os.getpid()


def wait_until_told(mark: Path, item: int) -> int:
    """Item 0 is quick; the others end when the run is to end."""
    if not item:
        mark.touch()
    task = fanwise.current_task()
    assert task is not None
    deadline = 1000 if item else 0
    while not task.interrupted and deadline:
        threading.Event().wait(0.005)
        deadline -= 1
        if task.worker is None:
            break
    return item
