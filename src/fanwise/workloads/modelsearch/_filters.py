"""The filters, in the order that decides which one a specification fell at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._config import Filters
from fanwise.workloads.modelsearch._items import Item
from fanwise.workloads.modelsearch._unitroot import stationary

__all__ = ["FILTERS", "PASSED", "Rule", "demanded_signs", "first_failure", "passed", "rules"]

FILTERS = (
    "rank",
    "r2",
    "adj_r2",
    "sign",
    "vif",
    "pvalue",
    "group_f",
    "stationary",
    "cointegration",
    "oos",
    "stability",
)
PASSED = len(FILTERS)

Columns = Mapping[str, NDArray[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """One filter as configured: the column it looks at and the bound it sets (None: switched off)."""

    filter: str
    column: str
    bound: float | None
    sense: str  # how column and bound must compare: ">=", "<=" or "<"

    def holds(self, values: NDArray[np.float64]) -> Flags:
        """Whether each value keeps the bound; NaN does not."""
        if self.bound is None:
            return np.ones(len(values), dtype=bool)
        if self.sense == ">=":
            return np.asarray(values >= self.bound)
        return np.asarray(values <= self.bound if self.sense == "<=" else values < self.bound)


def rules(filters: Filters) -> dict[str, Rule]:
    """The filters that compare one number with one bound."""
    group = filters.group_p_max if filters.season == "group" else None
    every = (
        Rule("r2", "r2", filters.r2_min, ">="),
        Rule("adj_r2", "adj_r2", filters.adj_r2_min, ">="),
        Rule("vif", "max_vif", filters.vif_max, "<="),
        Rule("pvalue", "max_p", filters.p_max, "<"),
        Rule("group_f", "group_p", group, "<"),
        Rule("cointegration", "coint_p", filters.cointegration, "<"),
        Rule("oos", "oos_ratio", filters.oos_ratio_max, "<="),
        Rule("stability", "sign_stability", filters.sign_stability_min, ">="),
    )
    return {rule.filter: rule for rule in every}


def passed(filter: str, filters: Filters, columns: Columns) -> Flags:
    """Whether each row of ``columns`` passes one filter.

    What a specification does not have cannot fail: no free or forced column has no VIF, nothing tested no p-value, no
    season block no F test, no series no cointegration, no free item no signs. Such rows are in ``absent``.
    """
    if filter == "rank":
        return np.asarray(columns["reason"] == "")
    if filter == "sign":
        return np.asarray(~columns["wrong_sign"])
    if filter == "stationary":
        if filters.stationary is None:
            return np.ones(len(columns["adf_p"]), dtype=bool)
        return stationary(filters.stationary, columns["adf_p"], columns["pp_p"], filters.stationary_p)
    rule = rules(filters)[filter]
    holds = rule.holds(columns[rule.column])
    absent = columns.get(f"absent:{rule.column}")
    return holds if absent is None else holds | absent


def first_failure(filters: Filters, columns: Columns, among: tuple[str, ...] = FILTERS) -> NDArray[np.int8]:
    """Position in `FILTERS` of the first of ``among`` that each row fails; ``len(FILTERS)`` if none."""
    failed = np.full(len(columns["reason"]), PASSED, dtype=np.int8)
    for name in reversed(among):
        failed[~passed(name, filters, columns)] = FILTERS.index(name)
    return failed


def demanded_signs(filters: Filters, items: Sequence[Item]) -> NDArray[np.int8]:
    """The sign each item must have: +1, −1, or 0 for any. The rule of an item goes before that of its variable."""
    wanted = (filters.sign.get(str(item), filters.sign.get(item.variable, "")) for item in items)
    return np.array([{"+": 1, "-": -1, "": 0}[sign] for sign in wanted], dtype=np.int8)
