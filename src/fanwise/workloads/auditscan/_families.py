"""Which operating-system families a rule is for, by its filters on ``os_family`` alone: that decides its workbooks."""

from __future__ import annotations

from fanwise.workloads.auditscan._filters import holds
from fanwise.workloads.auditscan._model import FAMILIES, Rule

__all__ = ["admitted", "families_of"]


def families_of(rule: Rule, compat: str | None = None) -> tuple[str, ...]:
    """Families whose workbook has a sheet of this rule."""
    return tuple(family for family in FAMILIES if admitted(rule, family, compat))


def admitted(rule: Rule, family: str, compat: str | None = None) -> bool:
    """Whether the rule has a sheet in the family's workbook.

    kpat looks at the first such filter only, whatever its comparison, and has no sheet for a rule without one.
    """
    conditions = [c for c in rule.sys_filter if c.attr == "os_family"]
    if not compat:
        return all(holds(c, family) for c in conditions)
    if not conditions:
        return False
    named = conditions[0].value
    values = named if isinstance(named, tuple) else (named,)
    return family.lower() in {str(value).lower() for value in values}
