"""Sweeps: the same bits however they are run, tables with the right columns, problems that are told."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import rows_of, small_columns

import fanwise
from fanwise.errors import UsageError
from fanwise.workloads.envelope import Grid, Sweep, _task, bands, bounds, generate_grid, study, sweep
from fanwise.workloads.envelope._cells import Cells, by_segment
from fanwise.workloads.envelope._envelopes import compute
from fanwise.workloads.envelope._outputs import slugs

QUIET: dict[str, Any] = {"progress": "none", "workers": 1}


def digests(result: Sweep) -> list[str]:
    return result.summary()["digest"].tolist()


class TestSameBits:
    @pytest.mark.process
    @pytest.mark.slow
    def test_workers_and_kinds_of_workers(self, small: Grid) -> None:
        plain = sweep(small, by="country", **QUIET)
        for options in (
            {"workers": 2, "backend": "process"},
            {"workers": 2, "backend": "thread"},
            {"backend": "serial"},
        ):
            other = sweep(small, by="country", progress="none", **options)
            assert other.table().equals(plain.table())
            assert other.summary().equals(plain.summary())

    @pytest.mark.process
    @pytest.mark.slow
    def test_an_executor_of_ones_own(self, small: Grid) -> None:
        with fanwise.Executor(2, backend="process") as executor:
            result = sweep(small, executor=executor, progress="none")
        assert digests(result) == digests(sweep(small, **QUIET))

    @settings(max_examples=20)
    @given(st.permutations(range(30)), st.sampled_from(["interp", "step"]))
    def test_the_order_of_rows(self, order, method) -> None:
        columns = small_columns()
        moved = {k: np.asarray(v)[order] for k, v in columns.items() if k != "crops"}
        moved["crops"] = {c: (h[order], p[order]) for c, (h, p) in columns["crops"].items()}
        options = {"by": "region", "method": method, "points": "spaced:4", **QUIET}
        assert digests(sweep(Grid.from_arrays(**moved), **options)) == digests(
            sweep(Grid.from_arrays(**columns), **options)
        )

    def test_which_other_tiers_are_asked_for(self, small: Grid) -> None:
        """Tiers with one upper end share a sum; alone, a tier is the same to the last bit."""
        tiers = ["comprehensive", "commercial", "prime:50-100", "middle:10-90"]
        together = sweep(small, tiers=tiers, by="country", **QUIET)
        for tier in tiers:
            alone = sweep(small, tiers=[tier], by="country", **QUIET)
            name = tier.partition(":")[0]
            for segment in together.segments:
                assert alone.curve("WHEA", segment, name).digest == together.curve("WHEA", segment, name).digest

    def test_which_other_segments_are_asked_for(self, small: Grid) -> None:
        every = sweep(small, by="country", **QUIET)
        one = sweep(small, countries="utopia", **QUIET)
        assert one.segments == ("World", "Utopia")
        assert one.curve("WHEA", "Utopia").digest == every.curve("WHEA", "Utopia").digest

    def test_a_segment_is_a_grid_of_its_own(self, small: Grid) -> None:
        """Filter and percentiles are those of the segment, not of the world."""
        mine = np.flatnonzero(np.array(small.countries)[small.country.codes] == "Utopia")
        mine = mine[small.country.codes[mine] >= 0]
        area, production = (column[mine] for column in small.columns["WHEA"])
        alone = bounds(area, production * 3.34e6, cell=small.cell[mine], filter="standard", tier=(20, 100))
        assert sweep(small, by="country", **QUIET).curve("WHEA", "Utopia", "commercial").digest == alone.digest

    def test_the_world_of_one_country_is_that_country(self) -> None:
        columns = small_columns() | {"country": ["Utopia"] * 30}
        result = sweep(Grid.from_arrays(**columns), by="country", **QUIET)
        assert result.curve("MAIZ", "World").digest == result.curve("MAIZ", "Utopia").digest

    def test_more_segments_than_16_bits(self) -> None:
        cells = Cells(np.array([1.0, 2.0, 3.0]), np.ones(3), np.ones(3))
        parts = list(by_segment(cells, np.array([69_999, 2, 69_999], np.int32), 70_000))
        assert (parts[69_999].area_ha.tolist(), parts[2].area_ha.tolist()) == ([1.0, 3.0], [2.0])
        assert sum(map(len, parts)) == 3


class TestGroups:
    def test_a_missing_member_does_not_erase_the_others(self) -> None:
        nan = float("nan")
        grid = Grid.from_arrays(
            cell=[1, 2], country=["", ""], crops={"WHEA": ([1.0, 2.0], [5.0, nan]), "RICE": ([4.0, 8.0], [7.0, 9.0])}
        )
        curve = sweep(grid, crops=["mix=WHEA+RICE"], unit="mt", filter="none", **QUIET).curve("mix")
        assert (curve.total_loss, curve.total_area_km2) == (21.0, pytest.approx(0.13))

    def test_a_group_of_one_is_its_member(self, small: Grid) -> None:
        result = sweep(small, crops=["WHEA", "one=WHEA"], **QUIET)
        assert result.curve("WHEA").digest == result.curve("one").digest

    def test_kilocalories_are_a_million_grams_a_ton(self) -> None:
        grid = Grid.from_arrays(cell=[1], country=[""], crops={"WHEA": ([2.0], [10.0])})
        assert sweep(grid, filter="none", **QUIET).curve("WHEA").total_loss == 10.0 * 1e6 * 3.34
        assert sweep(grid, filter="none", unit="mt", **QUIET).curve("WHEA").total_loss == 10.0


class TestTables:
    def test_columns_and_order(self, small: Grid) -> None:
        result = sweep(small, by="country", points="spaced:3", unit="mt", **QUIET)
        table, summary = result.table(), result.summary()
        assert list(table) == [
            "scenario", "crop", "segment", "tier", "point", "area_km2", "magnitude", "lower_area_km2", "lower_mt",
            "upper_area_km2", "upper_mt",
        ]  # fmt: skip
        assert list(summary) == [
            "scenario", "crop", "segment", "tier", "status", "cells", "valid", "filtered", "used", "area_km2",
            "production_mt", "yield_min", "yield_max", "width", "width_reduction_pct", "digest",
        ]  # fmt: skip
        assert len(summary) == 2 * 4 * 2
        assert summary["crop"].tolist()[::8] == ["WHEA", "MAIZ"]
        assert summary["segment"].tolist()[:8:2] == ["World", "Côte d'Émeraude", "Utopia", "東の国"]
        assert table["point"].tolist()[:4] == [0, 1, 2, 0]

    def test_the_summary_tells_what_the_curves_hold(self, small: Grid) -> None:
        result = sweep(small, by="country", **QUIET)
        for row in result.summary().to_dict("records"):
            curve = result.curve(row["crop"], row["segment"], row["tier"])
            assert (row["digest"], row["used"], row["status"]) == (curve.digest, curve.n_cells, curve.status)
            assert row["area_km2"] == curve.total_area_km2

    def test_every_curve_in_order(self, small: Grid) -> None:
        result = sweep(small, by="country", **QUIET)
        places = [tuple(place) for place, _ in result.curves()]
        assert places == [
            tuple(row) for row in result.summary()[["scenario", "crop", "segment", "tier"]].to_numpy().tolist()
        ]
        assert not list(result.curves(["nothing"]))

    def test_width_reduction_is_against_comprehensive(self, small: Grid) -> None:
        row = sweep(small, crops=["WHEA"], **QUIET).summary().iloc[1]
        whole = sweep(small, crops=["WHEA"], **QUIET).curve("WHEA").width
        assert row["width_reduction_pct"] == pytest.approx(100 * (1 - row["width"] / whole))
        alone = sweep(small, crops=["WHEA"], tiers=["commercial"], **QUIET).summary()
        assert math.isnan(alone["width_reduction_pct"].iloc[0])

    def test_a_sweep_of_no_crops_has_empty_tables(self) -> None:
        grid = Grid.from_arrays(cell=[1], country=["A"], crops={})
        result = sweep(grid, **QUIET)
        assert len(result.table()) == len(result.summary()) == 0

    def test_an_empty_segment_has_no_points(self) -> None:
        grid = Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([1.0, 0.0], [1.0, 0.0])})
        result = sweep(grid, by="country", **QUIET)
        assert result.curve("WHEA", "B").status == "empty"
        assert result.summary()["status"].tolist() == ["ok", "ok", "ok", "ok", "empty", "empty"]


class TestProblems:
    def test_a_crop_without_kcal_is_skipped_or_refused(self) -> None:
        grid = Grid.from_arrays(cell=[1], country=[""], crops={"WHEA": ([1.0], [1.0]), "TOBA": ([1.0], [1.0])})
        result = sweep(grid, **QUIET)
        assert result.crops == ("WHEA",)
        assert [(p.crop, p.skipped) for p in result.failed] == [("TOBA", True)]
        with pytest.raises(UsageError, match="crop TOBA: no kcal per g is known for TOBA; give --kcal or --unit mt"):
            sweep(grid, crops=["tobacco"], **QUIET)
        assert sweep(grid, unit="mt", **QUIET).crops == ("WHEA", "TOBA")
        assert sweep(grid.with_kcal({"TOBA": 1.0}), **QUIET).crops == ("WHEA", "TOBA")

    def test_a_crop_that_fails_costs_itself(self, small: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(pairs: Any, factors: Any, *rest: Any) -> Any:
            if factors == (3.56e6,):
                raise MemoryError("no room")
            return compute(pairs, factors, *rest)

        monkeypatch.setattr(_task, "compute", fails)
        result = sweep(small, **QUIET)
        assert [(p.crop, p.reason) for p in result.failed] == [("MAIZ", "MemoryError: no room")]
        assert result.curve("WHEA").status == "ok"
        with pytest.raises(UsageError, match="it failed"):
            result.curve("MAIZ")
        with pytest.raises(UsageError, match="bands need the baseline"):
            bands(result, 2, yield_cv=0.1)

    @pytest.mark.process
    @pytest.mark.slow
    @pytest.mark.faults
    @pytest.mark.filterwarnings("ignore:workers are forked as requested")  # so that they inherit what dies
    def test_a_worker_that_is_killed_costs_one_crop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parent = os.getpid()

        def dies(pairs: Any, factors: Any, *rest: Any) -> Any:
            if factors == (3.56e6,) and os.getpid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
            return compute(pairs, factors, *rest)

        monkeypatch.setenv("FANWISE_START_METHOD", "fork")
        monkeypatch.setattr(_task, "compute", dies)
        result = sweep(Grid.from_arrays(**small_columns()), workers=2, backend="process", progress="none")
        assert [p.crop for p in result.failed] == ["MAIZ"]
        assert "WorkerLostError" in result.failed[0].reason
        assert result.curve("WHEA").status == "ok"

    @pytest.mark.parametrize(
        "options",
        [
            {"by": "city"},
            {"countries": ["Utopia"], "regions": ["North"]},
            {"countries": ["Utopia"], "by": "region"},
            {"crops": ["wheet"]},
            {"countries": ["Atlantis"]},
        ],
    )
    def test_options_that_cannot_be(self, small: Grid, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            sweep(small, **options, **QUIET)

    @pytest.mark.parametrize(
        "place", [("RICE", "World", "commercial"), ("WHEA", "Utop", "commercial"), ("WHEA", "World", "prime")]
    )
    def test_curves_that_are_not_there(self, small: Grid, place: tuple[str, str, str]) -> None:
        with pytest.raises(UsageError, match="in the sweep"):
            sweep(small, **QUIET).curve(*place)

    def test_a_scenario_that_is_not_there(self, small: Grid) -> None:
        with pytest.raises(UsageError, match="no scenario 'dry'"):
            sweep(small, **QUIET).curve("WHEA", scenario="dry")


class TestResume:
    def test_what_is_finished_is_not_computed_again(self, small: Grid, tmp_path: Path) -> None:
        first = sweep(small, resume=tmp_path / "j", **QUIET)
        again = sweep(small, resume=tmp_path / "j", **QUIET)
        assert again.report is not None
        assert again.report.resumed == 2
        assert digests(first) == digests(again)

    def test_a_changed_crop_is_computed_again(self, small: Grid, tmp_path: Path) -> None:
        sweep(small, resume=tmp_path / "j", **QUIET)
        columns = small_columns()
        columns["crops"]["WHEA"][1][9] = 7.0  # type: ignore[index]
        grid = Grid.from_arrays(**columns)
        again = sweep(grid, resume=tmp_path / "j", **QUIET)
        assert again.report is not None
        assert again.report.resumed == 1
        assert digests(again) == digests(sweep(grid, **QUIET))


class TestPlan:
    def test_small_sweeps_start_no_worker(self, small: Grid) -> None:
        for workers in (None, 2):
            result = sweep(small, workers=workers, progress="none")
            assert result.statistics["workers"] <= 1
            assert result.report is not None
            assert result.report.reason == "Ran in this process: hardly any work; workers pay from 6 s on."
            assert json.loads(result.report.to_json())["plan"]["decisions"][0]["code"] == "serial.too-small"

    def test_one_worker_asked_for_is_the_reason(self, small: Grid) -> None:
        report = sweep(small, workers=1, progress="none").report
        assert report is not None
        assert report.reason == "Ran in this process because workers=1."

    def test_a_kind_that_was_asked_for_is_used(self) -> None:
        assert study.pays(0.0, {"backend": "process"})
        assert study.pays(0.0, {"executor": object()})
        assert study.pays(10.0, {})
        assert not study.pays(0.1, {"workers": 4, "backend": "auto"})

    def test_cost_grows_with_cells_members_and_curves(self, small: Grid) -> None:
        costs = []
        for crops, by in ((["WHEA"], "none"), (["m=WHEA+MAIZ"], "none"), (["WHEA"], "country")):
            plan, columns, _ = study.make_plan(
                small, crops=crops, question=("commercial", "step", None, "none", "mt"), where=(by, None, None),
                scenarios=None, keyed=False,
            )  # fmt: skip
            costs.append(plan.cost_s(study._items(plan, columns)))
        assert costs[0] < costs[1] < costs[2]


class TestBands:
    def test_no_variation_is_the_baseline_to_the_last_bit(self, small: Grid) -> None:
        for method in ("interp", "step"):
            result = sweep(small, by="country", method=method, points="spaced:6", **QUIET)
            table = bands(result, 7, yield_cv=0.0, **QUIET)
            baseline = result.table()
            for bound in ("lower", "upper"):
                for quantile in ("q025", "q500", "q975"):
                    assert (table[f"{bound}_{quantile}"] == baseline[f"{bound}_kcal"]).all()

    def test_a_band_is_the_quantiles_of_whole_runs(self) -> None:
        columns = small_columns()
        grid = Grid.from_arrays(**columns)
        result = sweep(grid, crops=["MAIZ"], points="spaced:4", filter="none", tiers=["comprehensive"], **QUIET)
        table = bands(result, 3, yield_cv=0.2, seed=9, **QUIET)
        targets = result.curve("MAIZ").area_km2
        runs = []
        for replicate in range(3):
            z = np.random.default_rng([9, replicate]).standard_normal((30, 2))
            s2 = math.log1p(0.04)
            area, production = grid.columns["MAIZ"]
            drawn = production * np.exp(math.sqrt(s2) * z[:, grid.crops.index("MAIZ")] - s2 / 2)
            points = "at:" + ",".join(map(repr, targets[:-1].tolist()))
            runs.append(bounds(area, drawn * 3.56e6, cell=grid.cell, points=points).upper)
        expected = np.quantile(np.array(runs), [0.025, 0.5, 0.975], axis=0)
        for quantile, values in zip(("q025", "q500", "q975"), expected, strict=True):
            assert table[f"upper_{quantile}"].to_numpy() == pytest.approx(values, rel=1e-12)

    def test_more_variation_is_a_wider_band(self, small: Grid) -> None:
        result = sweep(small, crops=["WHEA"], points="spaced:5", **QUIET)
        widths = []
        for cv in (0.05, 0.4):
            table = bands(result, 40, yield_cv=cv, **QUIET)
            widths.append((table["upper_q975"] - table["upper_q025"]).sum())
        assert widths[1] > 3 * widths[0]

    @pytest.mark.process
    @pytest.mark.slow
    def test_the_number_of_workers_changes_nothing(self, small: Grid) -> None:
        result = sweep(small, points="spaced:4", **QUIET)
        tables = [
            bands(result, 6, yield_cv=0.3, progress="none", **run)
            for run in ({"workers": 1}, {"workers": 2, "backend": "process"})
        ]
        assert tables[0].equals(tables[1])

    def test_what_cannot_be_is_refused(self, small: Grid) -> None:
        result = sweep(small, **QUIET)
        for count, cv in ((0, 0.1), (3, -0.1), (3, float("inf"))):
            with pytest.raises(UsageError):
                bands(result, count, yield_cv=cv)


class TestWrite:
    def test_csv_reads_back_to_the_last_bit(self, small: Grid, tmp_path: Path) -> None:
        result = sweep(small, by="country", **QUIET)
        files = result.write(tmp_path / "out", format="both")
        assert [Path(file).name for file in files] == ["curves.parquet", "curves.csv", "summary.csv"]
        table = result.table()
        for row, upper in zip(rows_of(tmp_path / "out" / "curves.csv"), table["upper_kcal"], strict=True):
            assert float(row["upper_kcal"]) == upper
        again = pd.read_parquet(tmp_path / "out" / "curves.parquet")
        assert (again["lower_kcal"] == table["lower_kcal"]).all()

    def test_writing_twice_gives_the_same_bytes(self, small: Grid, tmp_path: Path) -> None:
        for name in "ab":
            sweep(small, by="region", **QUIET).write(tmp_path / name, format="both")
        for file in (tmp_path / "a").iterdir():
            assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()

    def test_results_are_not_replaced_unasked(self, small: Grid, tmp_path: Path) -> None:
        result = sweep(small, **QUIET)
        result.write(tmp_path)
        with pytest.raises(UsageError, match="holds results"):
            result.write(tmp_path, format="csv")
        result.write(tmp_path, format="csv", overwrite=True)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["curves.csv", "summary.csv"]

    def test_a_failure_leaves_nothing(self, small: Grid, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="format"):
            sweep(small, **QUIET).write(tmp_path, format="xlsx")
        assert not list(tmp_path.iterdir())

    def test_a_file_is_no_directory(self, small: Grid, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("")
        with pytest.raises(UsageError, match="not a directory"):
            sweep(small, **QUIET).write(tmp_path / "f")

    def test_file_names_are_ascii_and_each_once(self) -> None:
        names = slugs(["WHEA_東の国", "WHEA_Ελλάδα", "São Verde", "sao verde", "a-2", "a", "a"])
        assert names == ["WHEA", "WHEA-2", "Sao-Verde", "sao-verde-2", "a-2", "a", "a-3"]


class TestGenerate:
    def test_the_same_arguments_give_the_same_grid(self) -> None:
        one, two = (generate_grid(cells=500, crops=2, countries=4, seed=3) for _ in range(2))
        other = generate_grid(cells=500, crops=2, countries=4, seed=4)
        assert one.digest("WHEA") == two.digest("WHEA") != other.digest("WHEA")

    def test_it_is_spread_as_in_real_ones(self) -> None:
        grid = generate_grid(cells=20_000, crops=2, countries=30, seed=1)
        area, production = grid.columns["WHEA"]
        grown = area > 0
        assert 0.2 < grown.mean() < 0.9
        assert 600 < area[grown].mean() < 1400
        assert 1 < np.nansum(production) / area.sum() < 9
        assert len(grid.countries) == 30
        assert grid.regions == ("R0", "R1", "R2", "R3")
        dropped = grid.tallies["WHEA"]
        assert dropped.missing > 0
        assert dropped.bad == 0
        assert grid.countries != tuple(sorted(name.encode("ascii", "ignore").decode() for name in grid.countries))

    @pytest.mark.parametrize("wrong", [{"cells": 0}, {"crops": 0}, {"crops": 99}, {"countries": 11}])
    def test_numbers_out_of_range_are_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(UsageError, match="expected a number from 1"):
            generate_grid(**({"cells": 10, "crops": 1, "countries": 2} | wrong))
