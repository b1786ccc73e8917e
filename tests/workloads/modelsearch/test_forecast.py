"""Predictions against a loop over specifications, rows and terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.modelsearch.world import month_ends

from fanwise.workloads.modelsearch._config import Config, Data, Search
from fanwise.workloads.modelsearch._forecast import predict
from fanwise.workloads.modelsearch._frame import Table
from fanwise.workloads.modelsearch._items import Item, parse_item, parse_season
from fanwise.workloads.modelsearch._transforms import season_columns, values
from fanwise.workloads.modelsearch._verdicts import VerdictTable

ROWS = 30
ITEMS = ("a:LV", "a:DF(1)@1", "b:AVG(3)", "b:LV@2", "c:GR(1)")


def table_of(seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(1, 5, ROWS) for name in "abcf"}
    time = month_ends(ROWS)
    months = np.array([int(day[5:7]) for day in time])
    headings = {name: name for name in columns}
    return Table("data.csv", tuple(time), np.arange(ROWS), months, columns, headings, "")


def config_of(forced: tuple[str, ...] = (), seasons: tuple[str, ...] = ()) -> Config:
    parsed = tuple(season for text in seasons if (season := parse_season(text)) is not None)
    data = Data(Path("data.csv"), "date", Item("y", "LV", None, 0), ("2001-01-31", "2002-12-31"))
    return Config(Path("s.toml"), data, Search((), tuple(map(parse_item, forced)), parsed))


def rows_of(specs: list[tuple[str, ...]], fixed: int = 0, seed: int = 1) -> VerdictTable:
    """Ranked rows with random coefficients; lists are padded with NaN to the longest."""
    rng = np.random.default_rng(seed)
    width = max((len(spec) for spec in specs), default=0) + fixed
    coef = np.full((len(specs), width), np.nan)
    for at, spec in enumerate(specs):
        coef[at, : len(spec) + fixed] = rng.normal(size=len(spec) + fixed)
    columns = {
        "id": np.arange(len(specs)) * 7 + 3,
        "terms": np.array([";".join(spec) for spec in specs], dtype=object),
        "const": rng.normal(size=len(specs)),
        "coef": coef,
        "k": np.array([1 + len(spec) + fixed for spec in specs]),
    }
    return VerdictTable(columns)


def by_hand(config: Config, rows: VerdictTable, at: int, table: Table, ahead: int) -> np.ndarray:
    """One specification: the constant, then each column times its coefficient."""
    search = config.search
    items = [parse_item(term) for term in rows["terms"][at].split(";") if term] + list(search.forced)
    columns = [values(item, table.columns[item.variable]) for item in items]
    for season in search.seasons:
        columns += list(season_columns(season, table.months, table.ordinals))
    predicted = np.full(len(table.time), rows["const"][at])
    for column, weight in zip(columns, rows["coef"][at], strict=False):
        predicted = predicted + weight * column
    return predicted[-ahead:]


SPECS = st.lists(st.lists(st.sampled_from(ITEMS), max_size=3, unique=True).map(tuple), min_size=1, max_size=5)


@settings(max_examples=40)
@given(
    SPECS, st.integers(1, ROWS), st.booleans(), st.sampled_from([(), ("season(4)",), ("season(5;2,4)", "season(12)")])
)
def test_all_specifications_at_once_are_each_by_itself(
    specs: list[tuple[str, ...]], ahead: int, forced: bool, seasons: tuple[str, ...]
) -> None:
    config, table = config_of(("f:LV@1",) if forced else (), seasons), table_of()
    rows = rows_of(specs, forced + sum(len(season.chosen) for season in config.search.seasons))
    found = predict(config, rows, table, ahead)
    assert list(found) == rows["id"].tolist()
    for at, predicted in enumerate(found.values()):
        np.testing.assert_allclose(predicted, by_hand(config, rows, at, table, ahead), rtol=1e-9, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, ROWS - 1), st.sampled_from("abc"))
def test_a_missing_input_costs_exactly_the_cells_that_need_it(row: int, variable: str) -> None:
    config, table = config_of(), table_of()
    specs = [(item,) for item in ITEMS]
    rows = rows_of(specs)
    table.columns[variable][row] = np.nan
    for (text,), predicted in zip(specs, predict(config, rows, table, ROWS).values(), strict=True):
        item = parse_item(text)
        np.testing.assert_array_equal(np.isnan(predicted), np.isnan(values(item, table.columns[item.variable])))


def test_the_constant_alone_predicts_itself() -> None:
    rows = rows_of([()])
    assert predict(config_of(), rows, table_of(), 3)[3].tolist() == [rows["const"][0]] * 3


def test_a_coefficient_of_zero_needs_no_input() -> None:
    rows, table = rows_of([("a:LV", "b:LV@2")]), table_of()
    rows["coef"][0] = [0.0, 2.0]
    table.columns["a"][-1] = np.nan
    assert np.isfinite(predict(config_of(), rows, table, 1)[3]).all()


def test_no_specification_no_prediction() -> None:
    assert predict(config_of(), rows_of([]), table_of(), 4) == {}


def test_a_variable_that_the_scenario_lacks_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(KeyError, match="zz"):
        predict(config_of(), rows_of([("zz:LV",)]), table_of(), 1)
