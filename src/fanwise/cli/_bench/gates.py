"""Gates: limits that ratios must keep, read from TOML."""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from fanwise.cli._bench.contestants import OURS
from fanwise.cli._bench.figures import Figures
from fanwise.cli._bench.grid import Cell
from fanwise.cli._errors import reason
from fanwise.errors import InputError

__all__ = ["Gate", "broken", "matcher", "read_gates"]

_METRICS = ("vs_loop", "vs_best")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
_UNITS = {"": "1", "s": "1", "ms": "1e-3", "us": "1e-6", "µs": "1e-6", "kB": "1e3", "MB": "1e6"}
_AXES = {"items": "items", "cost": "cost_s", "payload": "payload_bytes", "result": "result_bytes"}
_TERM = re.compile(
    r"(items|cost|payload|result)\s*(<=|>=|<|>|=)\s*([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]{1,2})?)\s*(s|ms|us|µs|kB|MB|)"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """In all cells that ``cells`` describes, fanwise's ``metric`` is at most ``max``, or the loop plus ``slack_s``."""

    cells: str
    metric: str
    max: float
    slack_s: float = 0.0


def matcher(text: str) -> Callable[[Cell], bool]:
    """What ``cost<1ms and items>=100`` says of a cell; ``all`` is every cell."""
    if text.strip() == "all":
        return lambda cell: True
    terms = [_TERM.fullmatch(part.strip()) for part in text.split(" and ")]
    tests = [(_AXES[t[1]], _COMPARE[t[2]], float(Fraction(t[3]) * Fraction(_UNITS[t[4]]))) for t in terms if t]
    if len(tests) < len(terms):
        raise InputError(f'cells = "{text}"; expected "all" or terms such as "cost<1ms and items>=100".')
    return lambda cell: all(holds(getattr(cell, axis), limit) for axis, holds, limit in tests)


def read_gates(path: Path) -> list[Gate]:
    """The gates of a file.

    Raises
    ------
    InputError
        If it cannot be read, or a gate is not one; the message says which.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("gate")
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not TOML: {error}.") from error
    if not isinstance(found, list) or not found:
        raise InputError(f"{path} has no [[gate]].")
    gates = []
    for number, each in enumerate(found, 1):
        try:
            gate = Gate(**each)
            matcher(str(gate.cells))
        except (TypeError, InputError) as error:
            raise InputError(f"{path}, gate {number}: {error}") from error
        if gate.metric not in _METRICS or not isinstance(gate.max, int | float):
            raise InputError(f"{path}, gate {number}: expected metric = one of {', '.join(_METRICS)} and a number max.")
        if not isinstance(gate.slack_s, int | float):
            raise InputError(f"{path}, gate {number}: slack_s is {gate.slack_s!r}; expected a number of seconds.")
        gates.append(gate)
    return gates


def broken(gates: Sequence[Gate], found: Sequence[Figures]) -> list[str]:
    """A sentence for each cell in which a gate does not hold; a gate without a cell holds nowhere."""
    said = []
    for gate in gates:
        matches = matcher(gate.cells)
        cells = [each for each in found if matches(each.cell)]
        if not cells:
            said.append(f"gate {gate.cells!r}: the grid has no such cell.")
        for each in cells:
            measured = each.vs_best if gate.metric == "vs_best" else each.vs_loop.get(OURS)
            slack = gate.slack_s > 0 and each.extra_s <= gate.slack_s
            if not slack and (measured is None or measured.median > gate.max):
                value = (
                    "not measured"
                    if measured is None
                    else f"{measured.median:.2f} ({measured.low:.2f}–{measured.high:.2f})"
                )
                said.append(f"{each.cell.name}: {gate.metric} is {value}, allowed {gate.max:g}.")
    return said
