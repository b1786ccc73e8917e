"""Which item this thread is running. Written by backends at the start of a chunk, read by `current_task`.

Block-wise execution (``values.extend(map(fn, block))``) has no place to count items, but the list grows as it goes:
the index is where the chunk began plus the length of the list of its results.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sized
from typing import NamedTuple

from fanwise.typing import Task

__all__ = ["Place", "budget", "current_task", "enter", "leave", "set_budget"]


class Place(NamedTuple):
    """Where a thread is: item ``first + len(done)``."""

    first: int
    done: Sized
    attempt: int
    worker: int | None
    interrupted: Callable[[], bool]


class _Allowance:
    processes: int | None = None


def set_budget(processes: int) -> None:
    """Say how many processes this worker may start itself: its share of the cores."""
    _Allowance.processes = processes


def budget() -> int | None:
    """How many processes a call inside this worker may use; None outside a worker."""
    return _Allowance.processes


class _Here(threading.local):
    place: Place | None = None


_here = _Here()


def enter(place: Place) -> Place | None:
    """Say that this thread runs items from ``place`` on; returns the place before, for `leave`."""
    before, _here.place = _here.place, place
    return before


def leave(before: Place | None) -> None:
    """Go back to the place before."""
    _here.place = before


def current_task() -> Task | None:
    """The item that the calling code belongs to, or None outside an item.

    Returns
    -------
    Task or None
        With ``index``, ``attempt``, ``worker`` (process id, None in the calling process) and ``interrupted``.
    """
    place = _here.place
    if place is None:
        return None
    return Task(place.first + len(place.done), place.attempt, place.worker, place.interrupted)
