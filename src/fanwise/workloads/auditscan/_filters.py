"""Which rules apply to a system: comparisons of what the system is with what a filter asks for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from fanwise.workloads.auditscan._model import Rule, SysFilter, System

__all__ = ["applies", "holds", "value_of"]

Compare = Callable[[Any, Any], bool]

_ORDERINGS: dict[str, Compare] = {"gt": operator.gt, "lt": operator.lt, "ge": operator.ge, "le": operator.le}
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def applies(rule: Rule, system: System, compat: str | None = None) -> bool:
    """Whether all filters of the rule hold for the system."""
    return all(holds(condition, value_of(system, condition.attr, compat), compat) for condition in rule.sys_filter)


def value_of(system: System, attr: str, compat: str | None = None) -> str | None:
    """What the system is in this respect; kpat never sets ``os_version``."""
    if compat and attr == "os_version":
        return None
    value: str | None = getattr(system, attr)
    return value


def holds(condition: SysFilter, value: str | None, compat: str | None = None) -> bool:
    """Whether a system with this value passes; a system without the attribute does not."""
    if value is None:
        return False
    wanted = condition.value
    if isinstance(wanted, tuple):
        return value.lower() in {str(item).lower() for item in wanted}
    if condition.comp == "eq":
        return value.lower() == str(wanted).lower()
    compare = _ORDERINGS[condition.comp]
    if compat:
        return _as_kpat_orders(compare, value, str(wanted))
    return _by_parts(compare, value, str(wanted))


def _by_parts(compare: Compare, value: str, wanted: str) -> bool:
    """``0.10.2 > 0.6.18``: dotted numbers by component, zeros padded; else floats; else text."""
    if _DOTTED.fullmatch(value) and _DOTTED.fullmatch(wanted):
        width = max(value.count("."), wanted.count(".")) + 1
        return compare(_components(value, width), _components(wanted, width))
    numbers = _floats(value, wanted)
    return compare(*numbers) if numbers else compare(value.lower(), wanted.lower())


def _components(version: str, width: int) -> list[tuple[int, str]]:
    """Whole numbers as (digits, text): orders as numbers do, however long (`int` stops at 4,300 digits)."""
    parts = [part.lstrip("0") for part in version.split(".")]
    return [(len(part), part) for part in [*parts, *[""] * (width - len(parts))]]


def _as_kpat_orders(compare: Compare, value: str, wanted: str) -> bool:
    """``"0.10.2" < "0.6.18"``: floats if both are, else raw text."""
    numbers = _floats(value, wanted)
    return compare(*numbers) if numbers else compare(value, wanted)


def _floats(value: str, wanted: str) -> tuple[float, float] | None:
    try:
        return float(value), float(wanted)
    except ValueError:
        return None
