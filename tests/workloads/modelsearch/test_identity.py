"""What a search is: each setting changes its own section's hash, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.workloads.modelsearch import _config as c
from fanwise.workloads.modelsearch._identity import Identity, canonical, identity_of
from fanwise.workloads.modelsearch._items import Item, Season

X, Z = Item("x", "LV", None, 0), Item("z", "DF", 1, 2)


def plain() -> c.Config:
    data = c.Data(Path("here/data.csv"), "date", X, ("2001-01-31", "2005-12-31"), ("2006-01-31", "2006-12-31"))
    return c.Config(Path("here/s.toml"), data, c.Search((c.Group("g", (X, Z), (0, 2)),)))


OTHERS: dict[str, dict[str, Any]] = {
    "data": {
        "time": "day",
        "target": Z,
        "train": ("2001-02-28", "2005-12-31"),
        "test": None,
        "missing": "drop-items",
        "alias": {"x": "Rate"},
    },
    "search": {
        "groups": (c.Group("g", (X, Z), (1, 2)),),
        "forced": (Z,),
        "seasons": (Season(4, (2, 3, 4)),),
        "min_terms": 0,
        "max_terms": 4,
        "per_variable": 2,
    },
    "filters": {
        "r2_min": None,
        "adj_r2_min": 0.1,
        "vif_max": 5.0,
        "p_max": 0.05,
        "p_exempt": (Z,),
        "season": "each",
        "group_p_max": None,
        "cov": "HC1",
        "autocorrelation": c.Autocorrelation(bg_lags=2),
        "heteroscedasticity": None,
        "stationary": None,
        "stationary_p": 0.1,
        "cointegration": 0.05,
        "oos_ratio_max": 2.0,
        "sign_stability_min": 0.5,
        "sign": {"x": "+"},
    },
    "pretest": {"items_stationary": c.StationaryTest(), "target_stationary": c.StationaryTest("adf")},
    "rank": {
        "by": "aic",
        "top": 10,
        "walk_forward": c.WalkForward(step=5),
        "windows": 5,
        "weights": (1.0, 1.0, 0.0),
    },
    "multiplicity": {"method": "spa", "bootstrap": 10, "block": 4, "seed": 1},
    "run": {"chunk": 1, "prefetch": "lazy"},
}


def every_setting() -> Iterator[tuple[str, str]]:
    for section, kind in (("data", c.Data), ("search", c.Search), ("filters", c.Filters), ("pretest", c.Pretest)):
        yield from ((section, field.name) for field in fields(kind))
    for section, kind in (("rank", c.Rank), ("multiplicity", c.Multiplicity), ("run", c.Run)):
        yield from ((section, field.name) for field in fields(kind))


@pytest.mark.parametrize(("section", "name"), [pair for pair in every_setting() if pair != ("data", "file")])
def test_every_setting_is_part_of_what_a_search_is(section: str, name: str) -> None:
    """A setting that is added later fails here until it is listed: `resume` would mix results otherwise."""
    before = plain()
    changed = replace(before, **{section: replace(getattr(before, section), **{name: OTHERS[section][name]})})
    one, two = identity_of(before, "d", "1"), identity_of(changed, "d", "1")
    assert two.changed(one.sections) == [f"[{section}]"]
    assert one.run_key != two.run_key
    assert one.config_hash != two.config_hash


def test_where_the_files_are_is_not() -> None:
    before = plain()
    moved = replace(before, path=Path("there/t.toml"), data=replace(before.data, file=Path("there/other.csv")))
    assert identity_of(moved, "d", "1") == identity_of(before, "d", "1")


def test_the_canonical_form_is_plain_all_the_way_down() -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
        elif not isinstance(value, list):
            assert value is None or isinstance(value, (int, float, str))
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(part)

    made = canonical(plain())
    check(made)
    assert made["search"]["groups"] == [{"name": "g", "items": ["x:LV", "z:DF(1)@2"], "pick": [0, 2]}]


def test_numpy_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = identity_of(plain(), "d", "1")
    monkeypatch.setattr(np, "__version__", "0.0")
    assert identity_of(plain(), "d", "1").changed(one.sections) == ["the version of fanwise or NumPy"]


SECTIONS = st.dictionaries(st.sampled_from(["[a]", "[b]", "the data"]), st.text("01", max_size=2), min_size=1)


@given(SECTIONS, SECTIONS)
def test_keys_are_equal_where_all_sections_are(one: dict[str, str], two: dict[str, str]) -> None:
    first, second = Identity(one), Identity(dict(reversed(two.items())))
    assert (first.run_key == second.run_key) is (one == two)
    assert (first.changed(two) == []) is all(two.get(name) == value for name, value in one.items())


@given(SECTIONS, st.text("ab", max_size=3), st.text("ab", max_size=3))
def test_records_of_one_mode_are_not_those_of_another(sections: dict[str, str], one: str, two: str) -> None:
    made = Identity(sections)
    assert len(made.record_key(one)) == 16
    assert (made.record_key(one) == made.record_key(two)) is (one == two)
