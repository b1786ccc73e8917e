"""What has been read from a bundle in this process: the same object at each access, for as long as anybody has it.

Arrays, tables and columns are remembered weakly: dropping the last reference frees whatever they hold besides the
segment. Objects that were unpickled are the process's own and are made once, so they are remembered for good.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["Views"]


class Views:
    """A cache by entry name. ``found[name]()`` gives the object, or None if it is gone: the fast path of a look-up."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[str, Callable[[], Any]] = {}

    def keep(self, name: str, value: Any, *, once: bool) -> None:
        """Remember what was read; ``once`` for objects that must not be made again."""
        if not once and isinstance(value, memoryview):
            self.found[name] = _Unreleased(value)
        elif not once and type(value).__weakrefoffset__:
            self.found[name] = weakref.ref(value)
        else:
            self.found[name] = _Kept(value)

    def any_alive(self) -> bool:
        """Whether somebody holds a view. Objects remembered for good do not count: they would live on without us."""
        return any(not isinstance(get, _Kept) and get() is not None for get in self.found.values())

    def clear(self) -> None:
        self.found.clear()


class _Kept:
    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> Any:
        return self._value


class _Unreleased:
    """A weak reference to a memory view that forgets it when its user has released it."""

    __slots__ = ("_ref",)

    def __init__(self, view: memoryview) -> None:
        self._ref = weakref.ref(view)

    def __call__(self) -> memoryview | None:
        view = self._ref()
        try:
            return view if view is None or view.ndim >= 0 else None
        except ValueError:  # operation forbidden on released memoryview object
            return None
