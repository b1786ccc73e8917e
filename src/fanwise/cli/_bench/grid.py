"""The grid: how many items, what each costs, and what travels with it."""

from __future__ import annotations

import itertools
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanwise._format import duration, plural, size
from fanwise.cli._errors import reason
from fanwise.errors import InputError, UsageError

__all__ = ["GRIDS", "Cell", "Work", "read_grid"]

Item = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of work: ``items`` of ``cost_s`` seconds of processor time, with bytes in and out."""

    items: int
    cost_s: float
    payload_bytes: int = 0
    result_bytes: int = 0

    @property
    def name(self) -> str:
        """``200 items of 1.0 ms``."""
        words = f"{plural(self.items, 'item')} of {duration(self.cost_s)}"
        extra = ((self.payload_bytes, "in"), (self.result_bytes, "out"))
        return words + "".join(f", {size(count)} {way}" for count, way in extra if count)

    def inputs(self) -> list[Item]:
        """The items."""
        return [(index, bytes(self.payload_bytes)) for index in range(self.items)]


@dataclass(frozen=True, slots=True)
class Work:
    """The function: uses so much processor time of its thread, and returns what can be compared."""

    cost_s: float
    result_bytes: int

    def __call__(self, item: Item) -> Item:
        """Spin; a busy machine makes it longer, as it does to real work."""
        end = time.thread_time() + self.cost_s
        while time.thread_time() < end:
            pass
        return item[0] * item[0] + len(item[1]), bytes(self.result_bytes)


def _product(
    items: Sequence[int], costs: Sequence[float], payloads: Sequence[int], results: Sequence[int]
) -> tuple[Cell, ...]:
    return tuple(Cell(*axes) for axes in itertools.product(items, costs, payloads, results))


GRIDS = {
    "small": _product((10, 100, 500), (1e-5, 1e-4, 1e-3), (0,), (0,)),
    "full": (
        *_product((1, 10, 100, 1000), (1e-6, 1e-5, 1e-4, 1e-3, 1e-2), (0,), (0,)),
        *_product((100,), (1e-3,), (1 << 10, 1 << 20), (0, 1 << 20)),
    ),
}
_AXES = ("items", "cost_s", "payload_bytes", "result_bytes")


def read_grid(name: str) -> tuple[Cell, ...]:
    """A grid by name, or of a TOML file with a list for each axis: ``items``, ``cost_s``, ``payload_bytes``, ``result_bytes``.

    Raises
    ------
    UsageError, InputError
        If there is none of that name, or the file is not such a grid.
    """
    if name in GRIDS:
        return GRIDS[name]
    if not name.endswith(".toml"):
        raise UsageError(f"--grid {name}: expected {', '.join(GRIDS)} or a .toml file.")
    try:
        table = tomllib.loads(Path(name).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {name}: {reason(error)}.") from error
    except ValueError as error:
        raise InputError(f"{name} is not TOML: {error}.") from error
    unknown = sorted(set(table) - set(_AXES))
    if unknown:
        raise InputError(f"{name}: unknown key {unknown[0]!r}; expected {', '.join(_AXES)}.")
    axes = [_axis(name, axis, table.get(axis, [0] if axis.endswith("bytes") else None)) for axis in _AXES]
    return tuple(Cell(int(n), float(cost), int(there), int(back)) for n, cost, there, back in itertools.product(*axes))


def _axis(name: str, axis: str, values: Any) -> list[float]:
    least = 1 if axis == "items" else 0
    whole = axis != "cost_s"
    good = (
        isinstance(values, list)
        and values
        and all(
            isinstance(v, int if whole else (int, float)) and not isinstance(v, bool) and least <= v < 1e9
            for v in values
        )
    )
    if not good:
        kind = "whole numbers" if whole else "numbers of seconds"
        raise InputError(f"{name}: {axis} is {values!r}; expected a list of {kind} of at least {least}.")
    return list(values)
