"""Grids at the edges: one cell, nothing at all, numbers too large and too small, more areas than the Earth has."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import rows_of
from tests.workloads.envelope.test_envelope_command import Run, run

from fanwise.errors import FanwiseWarning, InputError
from fanwise.workloads.envelope import Curve, Grid, bounds, read_grid, sweep
from fanwise.workloads.envelope._bounds import target_areas
from fanwise.workloads.envelope._compare import compare
from fanwise.workloads.envelope._question import FILTERS, parse_points
from fanwise.workloads.envelope._tiers import keep, percentile_99

__all__ = ["run"]

POINTS = ["paper", "compact", "spaced:2", "spaced:50", "at:1,2,3"]


def one(areas: list[float], productions: list[float], **options: object) -> Curve:
    """World's only curve, in metric tons, of all cells."""
    grid = Grid.from_arrays(cell=range(len(areas)), country=["A"] * len(areas), crops={"WHEA": (areas, productions)})
    result = sweep(grid, **({"unit": "mt", "filter": "none", "points": "spaced:5", "progress": "none"} | options))
    return result.curve("WHEA")


def is_sound(curve: Curve) -> None:
    """Finite, in order, and ending in the totals."""
    assert np.isfinite([curve.area_km2, curve.lower, curve.upper, curve.lower_area_km2, curve.upper_area_km2]).all()
    assert (np.diff(curve.area_km2) > 0).all()
    assert (np.diff(curve.lower) >= 0).all()
    assert (curve.lower[-1], curve.upper[-1]) == (curve.total_loss, curve.total_loss)
    assert 0 <= curve.width < 1


class TestLittle:
    @pytest.mark.parametrize("points", POINTS)
    @pytest.mark.parametrize("method", ["interp", "step"])
    def test_one_cell_is_one_point(self, points: str, method: str) -> None:
        curve = one([5.0], [7.0], points=points, method=method)
        assert (curve.area_km2.tolist(), curve.lower.tolist(), curve.upper.tolist()) == ([0.05], [7.0], [7.0])
        assert (curve.width, curve.yield_min, curve.yield_max) == (0.0, 1.4, 1.4)

    @pytest.mark.parametrize(
        "cells", [([], []), ([0.0, 0.0], [1.0, 2.0]), ([1.0], [0.0]), ([math.nan], [1.0]), ([1.0], [-1.0])]
    )
    def test_nothing_is_empty(self, cells: tuple[list[float], list[float]]) -> None:
        curve = one(*cells)
        assert (curve.status, len(curve), curve.n_cells) == ("empty", 0, 0)
        assert all(map(math.isnan, (curve.width, curve.total_loss, curve.yield_min)))
        assert len(curve.magnitude) == 0

    @pytest.mark.parametrize("text", ["1,,1,2", "1, ,1,2"])
    def test_a_cell_of_no_country_is_in_world_alone(self, run: Run, text: str) -> None:
        Path("g.csv").write_text(f"cell,country,WHEA_H,WHEA_P\n{text}\n2,A,3,4\n")
        run("run", "g.csv", "--all", "--by", "country", "--tiers", "comprehensive", "--out", "o")
        assert [(r["segment"], r["cells"], r["used"]) for r in rows_of(Path("o/summary.csv"))] == [
            ("World", "2", "2"),
            ("A", "1", "1"),
        ]

    def test_a_country_without_a_harvest_has_a_row_and_no_points(self, run: Run) -> None:
        Path("g.csv").write_text("cell,country,WHEA_H,WHEA_P\n1,A,10,20\n2,B,0,0\n3,C,,\n")
        words = ["run", "g.csv", "--all", "--by", "country", "--tiers", "comprehensive", "--format", "csv", "--json"]
        ended = run(*words, "--out", "o")
        assert (ended.code, ended.told["empty"]) == (0, 2)
        summary = {r["segment"]: r for r in rows_of(Path("o/summary.csv"))}
        assert [summary[name]["status"] for name in ("World", "A", "B", "C")] == ["ok", "ok", "empty", "empty"]
        assert [summary["B"][name] for name in ("width", "yield_min", "width_reduction_pct")] == ["", "", ""]
        assert {r["segment"] for r in rows_of(Path("o/curves.csv"))} == {"World", "A"}
        assert ended.told["dropped"] == {"missing": 1, "zero": 1, "bad": 0, "unpaired": 0}

    def test_a_grid_of_nothing_alone_still_has_files(self, run: Run) -> None:
        Path("g.csv").write_text("cell,country,WHEA_H,WHEA_P\n1,A,0,0\n")
        assert run("run", "g.csv", "--all", "--format", "both", "--figures", "svg", "--out", "o").code == 0
        assert rows_of(Path("o/curves.csv")) == []
        assert [r["status"] for r in rows_of(Path("o/summary.csv"))] == ["empty", "empty"]
        assert json.loads(Path("o/run.json").read_text())["points"] == 0
        table = compare("o", "o")
        assert table["change"].tolist() == ["unchanged", "unchanged"]


class TestMuch:
    @pytest.mark.parametrize(
        ("areas", "productions", "unit"),
        [([1.0, 2.0], [1e305, 5.0], "kcal"), ([1e308, 1e308], [5.0, 6.0], "mt"), ([1e200, 1.0], [1e200, 1.0], "mt")],
    )
    def test_sums_beyond_floats_are_named_and_cost_their_crop(
        self, run: Run, areas: list[float], productions: list[float], unit: str
    ) -> None:
        rows = "".join(f"{i},A,{a!r},{p!r},5,6\n" for i, (a, p) in enumerate(zip(areas, productions, strict=True)))
        Path("g.csv").write_text(f"cell,country,WHEA_H,WHEA_P,RICE_H,RICE_P\n{rows}")
        ended = run("run", "g.csv", "--all", "--unit", unit, "--filter", "none", "--json", "--out", "o")
        assert ended.code == 3
        assert [(one["crop"], "too much for floating-point" in one["reason"]) for one in ended.told["failed"]] == [
            ("WHEA", True)
        ]
        assert {r["crop"] for r in rows_of(Path("o/summary.csv"))} == {"RICE"}

    def test_a_factor_that_is_too_large_costs_its_scenario(self, run: Run) -> None:
        Path("s.toml").write_text('[[scenario]]\nname="s"\n[[scenario.shock]]\nyield_factor=1e300\n')
        ended = run("run", "grid.csv", "--crop", "rice", "--scenario", "s.toml", "--json", "--out", "o")
        assert ended.code == 3
        assert [one["scenario"] for one in ended.told["failed"]] == ["s"]

    def test_areas_beyond_the_earth_have_no_paper_points(self) -> None:
        with pytest.raises(InputError, match="is harvested area in ha"):
            bounds([1e14, 2e13], [1.0, 2.0], points="paper")
        assert len(bounds([1e14, 2e13], [1.0, 2.0], points="spaced:5")) == 5

    @pytest.mark.parametrize("points", POINTS)
    def test_as_many_points_as_the_earth_has(self, points: str) -> None:
        areas = target_areas(parse_points(points), 5.1e8, 0.1)
        assert areas[-1] == 5.1e8
        assert (np.diff(areas) > 0).all()


class TestSmall:
    @pytest.mark.parametrize("points", ["compact", "spaced:2", "spaced:9", "at:0.001,1"])
    @pytest.mark.parametrize("method", ["interp", "step"])
    @pytest.mark.parametrize("area", [5e-324, 1e-320, 1e-308, 1e-300, 1e-150, 1e-10])
    def test_a_cell_of_almost_no_area_spoils_nothing(self, points: str, method: str, area: float) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            curve = one([area, 1.0, 3.0], [1e10, 1.0, 3.5], points=points, method=method)
        assert curve.n_cells == 3
        assert np.isfinite([curve.area_km2, curve.lower, curve.upper]).all()
        assert (curve.lower <= curve.upper).all()

    @given(
        st.lists(st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e9)), min_size=1, max_size=6), st.sampled_from(POINTS)
    )
    def test_anything_of_ordinary_size_is_sound(self, cells: list[tuple[float, float]], points: str) -> None:
        areas, productions = map(list, zip(*cells, strict=True))
        is_sound(one(areas, productions, points=points))

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6), st.lists(st.floats(0, 1e6), min_size=6, max_size=6))
    def test_any_float_of_a_file_gives_a_curve_or_none(self, areas: list[float], productions: list[float]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            curve = one(areas, productions[: len(areas)])
        assert curve.n_cells == sum(a > 0 and p > 0 for a, p in zip(areas, productions, strict=False))
        assert len(curve) == 0 or curve.lower[-1] == curve.total_loss


class TestPercentile:
    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=300))
    def test_the_99th_is_linear_between_ranks(self, values: list[int]) -> None:
        yields = np.array(sorted(values), dtype=np.float64)
        assert percentile_99(yields) == pytest.approx(float(np.percentile(yields, 99)), rel=1e-12)

    @pytest.mark.parametrize("name", list(FILTERS))
    def test_a_cell_at_the_limit_is_kept(self, name: str) -> None:
        """Area of exactly h, yield of exactly m times the percentile of those left."""
        rule = FILTERS[name]
        least = max(rule.least_ha, 0.1)
        areas = np.array([least, np.nextafter(least, 0.0)])
        curve = bounds(areas, areas * 2.0, filter=name)
        assert curve.filtered == (1 if rule.least_ha else 2)

    def test_outliers_go_by_the_yields_of_their_segment(self) -> None:
        yields = np.array([*np.full(200, 1.0), 5.0])
        from fanwise.workloads.envelope._cells import Cells

        assert len(keep(Cells(np.ones(201), yields, yields), FILTERS["standard"])) == 200
        assert len(keep(Cells(np.ones(201), yields, yields), FILTERS["none"])) == 201


def test_a_pair_of_which_half_is_missing_is_paired_by_what_is_there(run: Run) -> None:
    header = "grid_code,x,y,ADM0_NAME,ADM1_NAME,rec_type,WHEA_A"
    Path("h.csv").write_text(f"{header}\n" + "".join(f"{i},0,0,A,R,H,{i}\n" for i in range(1, 8)))
    Path("p.csv").write_text(f"{header}\n" + "".join(f"{i},0,0,A,R,P,{i * 2}\n" for i in range(9, 4, -1)))
    ended = run("run", "h.csv", "p.csv", "--all", "--filter", "none", "--json", "--out", "o")
    assert (ended.code, ended.told["dropped"]["unpaired"]) == (0, 6)
    assert "6 cells are in only one of the files" in ended.err
    assert run("run", "h.csv", "p.csv", "--all", "--strict", "--out", "s").code == 2
    with pytest.warns(FanwiseWarning, match="only one of the files"):
        assert read_grid("p.csv", "h.csv").cell.tolist() == [5, 6, 7]
