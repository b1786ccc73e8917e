"""Exported formulas, evaluated with pandas, give the very columns that were regressed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import evaluated, month_ends, world

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._config import Config, Data, Search
from fanwise.workloads.modelsearch._export import _formula, _season, as_object, exported, forecast_csv
from fanwise.workloads.modelsearch._items import NEEDS_NONE, TRANSFORMS, Item, Season
from fanwise.workloads.modelsearch._transforms import season_columns, values

SERIES = st.lists(st.one_of(st.floats(0.5, 100.0), st.just(np.nan)), min_size=2, max_size=25)
ITEMS = st.builds(
    lambda name, parameter, lag: Item("x", name, None if name in NEEDS_NONE else parameter, lag),
    st.sampled_from(TRANSFORMS),
    st.integers(1, 5),
    st.integers(0, 4),
)


def config_of(alias: dict[str, str] | None = None) -> Config:
    data = Data(Path("data.csv"), "date", Item("y", "LV", None, 0), (0, 1), alias=alias or {})
    return Config(Path("s.toml"), data, Search(()))


def formula_value(item: Item, heading: str, series: list[float], alias: dict[str, str] | None = None) -> np.ndarray:
    names = {"d": pd.DataFrame({heading: series}), "np": np}
    with np.errstate(all="ignore"):
        return np.asarray(eval(_formula(item, config_of(alias)), names), dtype=float)


@settings(max_examples=150)
@given(ITEMS, SERIES)
def test_every_formula_is_its_transform(item: Item, series: list[float]) -> None:
    np.testing.assert_allclose(
        formula_value(item, "x", series), values(item, np.array(series)), rtol=1e-9, atol=1e-9, err_msg=str(item)
    )


@pytest.mark.parametrize("heading", ['he said "no"', "a\\b", "Zins %", "naïve", "new\nline", "d['x']"])
def test_any_heading_can_be_quoted(heading: str) -> None:
    found = formula_value(Item("x", "DF", 1, 0), heading, [1.0, 4.0, 9.0], {"x": heading})
    np.testing.assert_array_equal(found, [np.nan, 3.0, 5.0])


def season_by_script(season: Season, index: list[Any], *, dated: bool) -> np.ndarray:
    names: dict[str, Any] = {"d": pd.DataFrame(index=index), "X": pd.DataFrame(index=index), "np": np, "pd": pd}
    exec("\n".join(_season(season, dated=dated)), names)
    assert list(names["X"].columns) == list(season.labels)
    return names["X"].to_numpy().T


@pytest.mark.parametrize("period", [2, 3, 4, 5, 6, 7, 12, 24])
@pytest.mark.parametrize("skipped", [0, 1, 2])
def test_seasons_of_dates_are_those_of_the_search(period: int, skipped: int) -> None:
    time = month_ends(40)
    del time[9 : 9 + skipped]
    season = Season(period, tuple(range(2, period + 1)))
    months = np.array([int(day[5:7]) for day in time])
    ordinals = np.arange(len(time))
    np.testing.assert_array_equal(season_by_script(season, time, dated=True), season_columns(season, months, ordinals))


@given(st.integers(2, 9), st.sets(st.integers(-20, 60), min_size=1, max_size=30), st.data())
@settings(max_examples=25)
def test_seasons_of_whole_numbers_are_those_of_the_search(period: int, times: set[int], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(1, period), min_size=1))
    season, index = Season(period, tuple(sorted(chosen))), sorted(times)
    expected = season_columns(season, None, np.array(index))
    np.testing.assert_array_equal(season_by_script(season, index, dated=False), expected)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Config, Any]:
    config = world(
        tmp_path_factory.mktemp("export"),
        {"search": {"forced": ["season(4)", "x4:DF(1)"]}},
        [{"name": "g", "items": ["x1@0..1", "x2"]}],
    )
    return modelsearch.prepare(config), config, evaluated(config)


def test_every_verdict_is_json_without_nan(judged: tuple[Any, Config, Any]) -> None:
    frame, config, table = judged
    for at in range(len(table)):
        row = table.take([at])
        found = json.loads(exported("json", frame, config, row), parse_constant=pytest.fail)
        assert found == as_object(frame, row)
        names = [*found["terms"], "x4:DF(1)", "season(4).2", "season(4).3", "season(4).4"]
        assert [list(found[name]) for name in ("coef", "se", "t", "p")] == [names] * 4
        np.testing.assert_array_equal(list(found["coef"].values()), row["coef"][0][: len(names)])


def test_recipes_are_of_the_items_used_and_of_no_others(judged: tuple[Any, Config, Any]) -> None:
    frame, config, table = judged
    for at in range(len(table)):
        row = table.take([at])
        made = json.loads(exported("recipes", frame, config, row))
        used = {str(frame.items[i]) for i in row["indices"][0] if i >= 0}
        assert {recipe["item"] for recipe in made} == used | {"x4:DF(1)"}
        for recipe in made:
            item = Item(recipe["column"], recipe["transform"], recipe["parameter"], recipe["lag"])
            assert str(item) == recipe["item"]
            assert len(recipe["source_hash"]) == 32


VALUES = st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(np.nan)), min_size=3, max_size=3)


@given(st.dictionaries(st.integers(0, 10**6), VALUES, min_size=1, max_size=4), st.booleans())
def test_a_forecast_can_be_read_back_cell_by_cell(by_id: dict[int, list[float]], named: bool) -> None:
    times = ["2010-01-31", "2010-02-28", "2010-03-31"]
    predictions = {'dry, "hot"': {i: np.array(column) for i, column in by_id.items()}}
    found = list(csv.DictReader(io.StringIO(forecast_csv([times], predictions, named=named))))
    assert [row["time"] for row in found] == times
    assert all((row.get("scenario") == 'dry, "hot"') is named for row in found)
    for at, row in enumerate(found):
        cells = {i: float(row[f"id_{i}"] or "nan") for i in by_id}
        expected = {i: column[at] for i, column in by_id.items()}
        assert cells == pytest.approx(expected, rel=1e-11, nan_ok=True)
        assert float(row["mean"] or "nan") == pytest.approx(np.mean(list(expected.values())), abs=1e-2, nan_ok=True)
