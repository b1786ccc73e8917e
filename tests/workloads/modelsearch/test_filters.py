"""Filters: their order, their bounds, and what a specification does not have cannot fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.modelsearch import Item
from fanwise.workloads.modelsearch._config import Filters
from fanwise.workloads.modelsearch._filters import FILTERS, PASSED, demanded_signs, first_failure, passed, rules

ORDER = ["rank", "r2", "adj_r2", "sign", "vif", "pvalue", "group_f", "stationary", "cointegration", "oos", "stability"]
ALL_ON = Filters(
    adj_r2_min=0.2,
    cointegration=0.05,
    oos_ratio_max=1.0,
    sign_stability_min=0.5,
    group_p_max=0.1,
    stationary="adf-or-pp",
)
GOOD: dict[str, Any] = {
    "reason": "",
    "r2": 0.5,
    "adj_r2": 0.5,
    "wrong_sign": False,
    "max_vif": 2.0,
    "max_p": 0.01,
    "group_p": 0.01,
    "adf_p": 0.01,
    "pp_p": 0.01,
    "coint_p": 0.01,
    "oos_ratio": 0.9,
    "sign_stability": 1.0,
}
BAD: dict[str, Any] = {
    "rank": {"reason": "collinear"},
    "r2": {"r2": 0.1},
    "adj_r2": {"adj_r2": 0.1},
    "sign": {"wrong_sign": True},
    "vif": {"max_vif": 11.0},
    "pvalue": {"max_p": 0.2},
    "group_f": {"group_p": 0.2},
    "stationary": {"adf_p": 0.2, "pp_p": 0.2},
    "cointegration": {"coint_p": 0.2},
    "oos": {"oos_ratio": 1.1},
    "stability": {"sign_stability": 0.4},
}


def row(**values: Any) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in {**GOOD, **values}.items()}


def test_the_order_of_filters_is_the_documented_one() -> None:
    assert list(FILTERS) == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_each_filter_fails_what_is_beyond_its_bound_and_nothing_else(name: str) -> None:
    bad = row(**BAD[name])
    assert first_failure(ALL_ON, bad).tolist() == [FILTERS.index(name)]
    assert not passed(name, ALL_ON, bad)[0]
    assert all(passed(other, ALL_ON, bad)[0] for other in ORDER if other != name)


def test_what_is_good_passes_all() -> None:
    assert first_failure(ALL_ON, row()).tolist() == [PASSED]


@given(st.sets(st.sampled_from(ORDER), min_size=1))
def test_a_specification_falls_at_the_first_of_its_failures(names: set[str]) -> None:
    values: dict[str, Any] = {}
    for name in names:
        values |= BAD[name]
    assert first_failure(ALL_ON, row(**values)).tolist() == [min(map(ORDER.index, names))]


@given(st.sets(st.sampled_from(ORDER[1:]), min_size=1), st.integers(0, 11))
def test_only_filters_that_are_asked_about_decide(names: set[str], upto: int) -> None:
    values: dict[str, Any] = {}
    for name in names:
        values |= BAD[name]
    among = FILTERS[:upto]
    expected = min((ORDER.index(name) for name in names if name in among), default=PASSED)
    assert first_failure(ALL_ON, row(**values), among).tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "column", "at_bound"),
    [
        ("r2", "r2", True),
        ("adj_r2", "adj_r2", True),
        ("vif", "max_vif", True),
        ("pvalue", "max_p", False),
        ("group_f", "group_p", False),
        ("cointegration", "coint_p", False),
        ("oos", "oos_ratio", True),
        ("stability", "sign_stability", True),
    ],
)
def test_a_value_at_its_bound(name: str, column: str, at_bound: bool) -> None:
    bound = rules(ALL_ON)[name].bound
    assert passed(name, ALL_ON, row(**{column: bound}))[0] == at_bound
    worse = np.nextafter(bound, -np.inf if rules(ALL_ON)[name].sense == ">=" else np.inf)
    assert not passed(name, ALL_ON, row(**{column: worse}))[0]


@pytest.mark.parametrize("name", [name for name in ORDER if name not in {"rank", "sign"}])
def test_what_is_not_defined_fails(name: str) -> None:
    broken = row(**dict.fromkeys(BAD[name], np.nan))
    assert not passed(name, ALL_ON, broken)[0]


@pytest.mark.parametrize("name", ["vif", "pvalue", "group_f", "cointegration", "stability"])
def test_what_is_not_there_cannot_fail(name: str) -> None:
    column = rules(ALL_ON)[name].column
    empty = row(**{column: np.nan, f"absent:{column}": True})
    assert passed(name, ALL_ON, empty)[0]
    there = row(**{column: np.nan, f"absent:{column}": False})
    assert not passed(name, ALL_ON, there)[0]


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("r2", {"r2_min": None}),
        ("adj_r2", {"adj_r2_min": None}),
        ("vif", {"vif_max": None}),
        ("pvalue", {"p_max": None}),
        ("group_f", {"group_p_max": None}),
        ("group_f", {"season": "ignore"}),
        ("group_f", {"season": "each"}),
        ("stationary", {"stationary": None}),
        ("cointegration", {"cointegration": None}),
        ("oos", {"oos_ratio_max": None}),
        ("stability", {"sign_stability_min": None}),
    ],
)
def test_a_filter_that_is_off_fails_nothing(name: str, off: dict[str, Any]) -> None:
    assert passed(name, replace(ALL_ON, **off), row(**BAD[name]))[0]


def test_a_rule_of_an_item_goes_before_that_of_its_variable() -> None:
    items = (Item("u", "LV", None, 0), Item("u", "DF", 1, 2), Item("m", "LV", None, 0))
    filters = Filters(sign={"u": "-", "u:DF(1)@2": "+"})
    assert demanded_signs(filters, items).tolist() == [-1, 1, 0]
    assert demanded_signs(Filters(), items).tolist() == [0, 0, 0]
