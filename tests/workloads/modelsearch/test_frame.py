"""Rows and columns: what is dropped, what leaves the pool, what is refused, and what nobody can write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.modelsearch.world import columns, with_test, world

from fanwise.errors import InputError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._frame import constant, digest
from fanwise.workloads.modelsearch._transforms import values


def frame_of(
    folder: Path, table: dict[str, Any] | None = None, groups: list[Any] | None = None, **sections: Any
) -> modelsearch.Frame:
    return modelsearch.prepare(world(folder, sections, groups, table=table))


def refusal(folder: Path, table: dict[str, Any] | None = None, groups: list[Any] | None = None, **sections: Any) -> str:
    with pytest.raises(InputError) as caught:
        frame_of(folder, table, groups, **sections)
    return str(caught.value)


def test_a_frame_has_the_training_rows_of_target_and_items(tmp_path: Path) -> None:
    table = columns()
    frame = frame_of(tmp_path, table, **with_test())
    assert (len(frame.y), len(frame.y_test)) == (95, 24)  # 96 months; the lag of x1 costs the first
    assert frame.time[0] == "2001-02-28"
    assert frame.time_test[-1] == "2010-12-31"
    assert frame.names == ("x1:LV", "x1:LV@1", "x2:LV", "x2:LV@1", "x3:LV", "x4:LV")
    np.testing.assert_array_equal(frame.y, table["y"][1:96])
    np.testing.assert_array_equal(frame.X[:, 1], table["x1"][:95])


def test_forced_items_and_season_columns_stand_behind_the_pool(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, groups=[{"name": "g", "items": ["x1"]}], search={"forced": ["x2:DF(1)", "season(4)"]})
    assert frame.names == ("x1:LV", "x2:DF(1)", "season(4).2", "season(4).3", "season(4).4")
    assert frame.X.shape == (95, 5)
    assert frame.X[:3, 2].tolist() == [0.0, 0.0, 1.0]  # February, March, April


def test_nobody_can_write_a_frame(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, **with_test())
    for array in (frame.y, frame.y_test, frame.X, frame.pool, frame.pool_test, frame.fixed, frame.rows):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_rows_with_anything_missing_are_dropped_and_gaps_are_told(tmp_path: Path) -> None:
    table = columns()
    table["x3"][[10, 11, 50]] = np.nan
    frame = frame_of(tmp_path, table)
    assert len(frame.y) == 92
    assert frame.dropped == ("2001-11-30", "2001-12-31", "2005-03-31")
    (note,) = frame.notes
    assert note.startswith("2 gaps in the training rows (2001-10-31 to 2002-01-31, 2005-02-28 to 2005-04-30): ")


def test_with_drop_items_an_item_with_a_gap_leaves_instead_of_the_rows(tmp_path: Path) -> None:
    table = columns()
    table["x3"][[10, 11, 50]] = np.nan
    frame = frame_of(tmp_path, table, data={"missing": "drop-items", "train": ["2001-02-28", "2008-12-31"]})
    assert frame.excluded == (("x3:LV", "missing"),)
    assert len(frame.y) == 95


def test_a_gap_outside_the_training_rows_costs_no_item(tmp_path: Path) -> None:
    table = columns()
    table["x3"][100] = np.nan
    sections = {"data": {**with_test()["data"], "missing": "drop-items", "train": ["2001-02-28", "2008-12-31"]}}
    frame = frame_of(tmp_path, table, **sections)
    assert frame.excluded == ()
    assert len(frame.y_test) == 23


def test_constant_and_empty_items_leave_the_pool_and_are_listed(tmp_path: Path) -> None:
    table = columns()
    table["x2"] = np.full(120, 3.25)
    table["x4"] = np.full(120, np.nan)
    frame = frame_of(tmp_path, table)
    assert frame.excluded == (("x2:LV", "constant"), ("x2:LV@1", "constant"), ("x4:LV", "missing"))
    assert [str(item) for item in frame.items] == ["x1:LV", "x1:LV@1", "x3:LV"]


def test_an_item_that_is_constant_on_what_is_left_leaves_too(tmp_path: Path) -> None:
    table = columns()
    table["x3"] = np.concatenate([np.arange(10.0), np.ones(110)])
    table["x4"][:10] = np.nan
    assert frame_of(tmp_path, table).excluded == (("x3:LV", "constant"),)


def test_a_constant_is_judged_relative_to_its_size() -> None:
    base = np.linspace(0, 1, 50)
    rows = np.array([1e9 + 1e-1 * base, 1e9 + 1e-7 * base, 1e-12 * base, np.zeros(50)])
    assert constant(rows).tolist() == [False, True, False, True]


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_a_forced_item_that_is_constant_or_missing_is_an_error(tmp_path: Path, value: float) -> None:
    table = columns()
    table["x2"] = np.full(120, value)
    says = refusal(tmp_path, table, [{"name": "g", "items": ["x1"]}], search={"forced": ["x2"]})
    assert says == "search.toml: [search] forced: x2:LV is constant or missing in train"


def test_a_season_that_does_not_occur_is_an_error(tmp_path: Path) -> None:
    table = columns()
    table["y"][11::12] = np.nan
    says = refusal(tmp_path, table, [{"name": "g", "items": ["x1"]}], search={"forced": ["season(12)"]})
    assert says == "search.toml: [search] forced: season(12).12 is constant on the training rows"


def test_too_few_rows_for_the_seasons_are_an_error(tmp_path: Path) -> None:
    short = {"train": ["2001-01-31", "2001-11-30"]}
    says = refusal(tmp_path, None, [{"name": "g", "items": ["x1"]}], search={"forced": ["season(12)"]}, data=short)
    assert "11 complete rows are left for up to k = 13 columns" in says


def test_a_constant_target_is_an_error(tmp_path: Path) -> None:
    table = {**columns(), "y": np.full(120, 2.0)}
    assert refusal(tmp_path, table) == "search.toml: [data] target: y:LV is constant on the training rows"


@pytest.mark.parametrize("place", ["pool", "forced"])
def test_a_target_that_equals_an_item_is_an_identity(tmp_path: Path, place: str) -> None:
    table = columns()
    table["x4"] = np.concatenate([[0.0], np.cumsum(table["y"][1:])])
    forced = {"search": {"forced": ["x4:DF(1)"]}} if place == "forced" else {}
    items = ["x1"] if place == "forced" else ["x1", "x4:LV,DF(1)"]
    says = refusal(tmp_path, table, [{"name": "g", "items": items}], **forced)
    assert "y:LV equals the item x4:DF(1): an identity" in says


def test_too_few_rows_name_the_items_that_cost_most(tmp_path: Path) -> None:
    table = columns()
    table["x3"][2:90] = np.nan
    table["x4"][5:20] = np.nan
    says = refusal(tmp_path, table, data={"train": ["2001-01-31", "2001-08-31"]})
    assert "1 complete rows are left for up to k = 4 columns (rows missing most: x3:LV 6, x4:LV 3" in says
    assert 'missing = "drop-items"' in says


def test_the_target_may_be_transformed(tmp_path: Path) -> None:
    table = columns()
    frame = frame_of(tmp_path, table, data={"target": "y:DF(2)"})
    np.testing.assert_array_equal(frame.y, (table["y"][2:] - table["y"][:-2])[:94])


def test_times_of_another_kind_than_the_data_are_refused(tmp_path: Path) -> None:
    assert "expected ISO dates such as 2004-03-31" in refusal(tmp_path, data={"train": ["first", "last"]})
    config = world(tmp_path)
    (tmp_path / "data.csv").write_text("date,y,x1,x2,x3,x4\n1,1,1,1,1,1\n", "utf-8")
    with pytest.raises(InputError, match="not an ISO date"):
        modelsearch.prepare(config)


def test_values_that_are_not_defined_are_counted_by_item(tmp_path: Path) -> None:
    table = columns()
    frame = frame_of(
        tmp_path,
        {**table, "x3": np.abs(table["x3"]) + 0.1, "x4": np.where(np.arange(120) % 40, 1.0 + np.abs(table["x4"]), 0.0)},
        [{"name": "g", "items": ["x3:LOG", "x4:LOG,GR(1)"]}],
    )
    assert dict(frame.undefined) == {"x4:LOG": 3, "x4:GR(1)": 3}


def test_items_that_are_not_stationary_leave_the_pool_if_asked(tmp_path: Path) -> None:
    table = columns()
    table["x4"] = np.cumsum(np.random.default_rng(5).standard_normal(120))
    frame = frame_of(tmp_path, table, pretest={"items_stationary": {"test": "adf"}})
    assert frame.excluded == (("x4:LV", "not stationary"),)


def test_a_target_that_is_not_stationary_is_a_note(tmp_path: Path) -> None:
    table = columns()
    table["y"] = np.cumsum(np.random.default_rng(5).standard_normal(120))
    frame = frame_of(tmp_path, table, pretest={"target_stationary": {"test": "adf", "p": 0.01}})
    assert frame.notes == ("the target y:LV is not stationary by adf at p < 0.01",)


def test_a_recipe_makes_its_item_again(tmp_path: Path) -> None:
    table = columns()
    frame = frame_of(tmp_path, table, [{"name": "g", "items": ["x1:GR(2)@1", "x2"]}], search={"forced": ["x3:DF(1)"]})
    assert [str(recipe.item) for recipe in frame.recipes] == ["x1:GR(2)@1", "x2:LV", "x3:DF(1)"]
    for recipe, column in zip(frame.recipes, frame.X.T, strict=True):
        source = frame.sources[recipe.column]
        assert recipe.source_hash == digest(source)
        assert values(recipe.item, source)[frame.rows].tobytes() == np.ascontiguousarray(column).tobytes()


def test_items_built_as_needed_are_those_built_ahead(tmp_path: Path) -> None:
    one = frame_of(tmp_path, **with_test())
    two = frame_of(tmp_path, **with_test(), run={"prefetch": "lazy"})
    assert two.pool is None
    assert one.X.tobytes() == two.X.tobytes()
    np.testing.assert_array_equal(one.free([4, 1])[1], two.free([4, 1])[1])


def test_a_frame_can_be_frozen_as_one_bundle(tmp_path: Path) -> None:
    frame = frame_of(tmp_path, **with_test())
    with frame.freeze() as bundle:
        assert set(bundle) >= {"y", "X", "gram", "names", "recipes"}
        assert bundle["gram"].shape == (6, 6)
        assert bundle["recipes"] == frame.recipes
        with pytest.raises(ValueError, match="read-only"):
            bundle["y"][0] = 1.0


def test_the_pool_lists_groups_then_variables_then_items(tmp_path: Path) -> None:
    groups = [{"name": "b", "items": ["x3:DF(1)", "x1", "x3"]}, {"name": "a", "items": ["x2@1", "x4", "x2"]}]
    frame = frame_of(tmp_path, groups=groups)
    assert [str(item) for item in frame.items] == ["x3:DF(1)", "x3:LV", "x1:LV", "x2:LV@1", "x2:LV", "x4:LV"]
