"""What a child process must give up: told by `os.register_at_fork` to every open cache."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["tell_after_fork"]


class Forked(Protocol):
    """Something that holds locks or descriptors which belong to one process."""

    def after_fork(self) -> None:
        """Called in the child."""


_open: weakref.WeakSet[Forked] = weakref.WeakSet()  # hooks cannot be taken back, so there is one for all


def tell_after_fork(each: Forked) -> None:
    """Call ``each.after_fork()`` in every child forked from now on, as long as it lives."""
    _open.add(each)


def _after_in_child() -> None:
    for each in list(_open):
        each.after_fork()


os.register_at_fork(after_in_child=_after_in_child)
