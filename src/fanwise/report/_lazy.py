"""Records whose fields are worked out when one of them is first read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

__all__ = ["LazyRecord"]

_filling = threading.RLock()


class LazyRecord:
    """Parent of a frozen slotted dataclass that may be made before it is known what it will say.

    A slot that was never set makes Python ask `__getattr__`: there all fields are filled in at once. So comparing,
    printing, copying and pickling need no code of their own: they read fields.
    """

    __slots__ = ("_make",)
    if TYPE_CHECKING:  # not a field
        _make: Callable[[], Any] | None

    @classmethod
    def when_read(cls, make: Callable[[], Self]) -> Self:
        """A record that becomes equal to ``make()`` when a field is first read."""
        record = object.__new__(cls)
        object.__setattr__(record, "_make", make)
        return record

    if not TYPE_CHECKING:  # a type checker would take this for a licence to any name

        def __getattr__(self, name: str) -> object:
            if name not in type(self).__dataclass_fields__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            with _filling:
                if self._make is not None:  # else another thread was faster
                    made = self._make()
                    for field in fields(made):
                        object.__setattr__(self, field.name, getattr(made, field.name))
                    object.__setattr__(self, "_make", None)
            return object.__getattribute__(self, name)
