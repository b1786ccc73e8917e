"""What a function's digest was made from, and whether that still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import is_
from types import CellType, FunctionType
from typing import Any

from fanwise.cache._keys import Encoder

__all__ = ["ABSENT", "Captured", "ClassWatch", "FunctionWatch", "Mutable", "NameWatch", "cell_content", "class_items"]


class _Absent:
    """Stands for a name that was not there."""


ABSENT: Any = _Absent()

NameWatch = tuple[Callable[[str, Any], Any], str, Any]  # a namespace's get, a name, the object seen
FunctionWatch = tuple[FunctionType, Any, Any, Any]  # a function, the code, defaults and keyword defaults seen
ClassWatch = tuple[str, Mapping[str, Any], Mapping[str, Any], int]  # a class by name, its items, how many it held


@dataclass(frozen=True, slots=True)
class Mutable:
    """Data that can change in place, hence encoded again at each call, and the name it was reached by."""

    name: str
    value: Any


def cell_content(cell: CellType) -> Any:
    """What a closure cell holds, or `ABSENT`."""
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return ABSENT


@dataclass(frozen=True, slots=True)
class Captured:
    """The digest of a function and everything it reaches, and the means to see whether it is still right."""

    digest: bytes
    facts: tuple[tuple[str, str], ...]
    names: tuple[NameWatch, ...]
    functions: tuple[FunctionWatch, ...]
    cells: tuple[tuple[CellType, Any, str], ...]
    classes: tuple[ClassWatch, ...]
    mutables: tuple[Mutable, ...]
    encoder: Encoder
    alive: tuple[Any, ...] = field(repr=False)

    def is_current(self) -> bool:
        """Whether every captured name still means the object that was seen (about 35 ns a name)."""
        for get, name, seen in self.names:
            if get(name, ABSENT) is not seen:
                return False
        for function, code, defaults, kwdefaults in self.functions:
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not kwdefaults
            ):
                return False
        return not (self.cells or self.classes) or self._others_are_current()

    def _others_are_current(self) -> bool:
        return all(cell_content(cell) is seen for cell, seen, _ in self.cells) and not any(
            _changed(space, seen, size) for _, space, seen, size in self.classes
        )

    def states(self) -> tuple[bytes, ...]:
        """What each of the mutable data holds now."""
        return tuple([self.encoder.digest(b"", (mutable.value,)) for mutable in self.mutables])

    def change_since(self, states: tuple[bytes, ...]) -> str | None:
        """The name of the first thing that is no longer as it was at ``states``, or None."""
        for get, name, seen in self.names:
            if get(name, ABSENT) is not seen:
                return name
        for cell, seen, label in self.cells:
            if cell_content(cell) is not seen:
                return label
        for label, space, items, size in self.classes:
            if _changed(space, items, size):
                return label
        for mutable, before, now in zip(self.mutables, states, self.states(), strict=True):
            if before != now:
                return mutable.name
        return None if self.is_current() else "a default value"


def class_items(space: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a class's namespace: not what Python, dataclasses, abc and enum keep there for themselves."""
    return {name: value for name, value in sorted(space.items()) if not _is_bookkeeping(name, value)}


def _is_bookkeeping(name: str, value: Any) -> bool:
    if name in {"__annotate__", "__annotate_func__"}:
        return True
    if name.startswith("__") and name.endswith("__"):
        return not callable(value) and not isinstance(value, staticmethod | classmethod | property)
    return name == "_abc_impl" or (name.startswith("_") and name.endswith("_") and not callable(value))


def _changed(space: Mapping[str, Any], seen: Mapping[str, Any], size: int) -> bool:
    """A class usually holds what it held; where it does not, only what counts is compared."""
    if len(space) == size and all(map(is_, map(space.get, seen), seen.values())):
        return False
    now = class_items(space)
    return len(now) != len(seen) or not all(map(is_, map(now.get, seen), seen.values()))
