"""What is written appears whole or not at all, and reads back as it was."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.workloads.envelope.conftest import small_columns

from fanwise.errors import UsageError
from fanwise.workloads.envelope import Curve, Grid, compare, read_grid, sweep
from fanwise.workloads.envelope._compare import read_back
from fanwise.workloads.envelope._curves import VALUES, curve_of, magnitude
from fanwise.workloads.envelope._envelopes import FACTS, Envelopes
from fanwise.workloads.envelope._generate import write_grid
from fanwise.workloads.envelope._outputs import Folder, check_free
from fanwise.workloads.envelope._page import page

QUIET: dict[str, Any] = {"progress": "none", "workers": 1}
FLOATS = st.floats(allow_nan=True, allow_infinity=False)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FLOATS, st.sampled_from(["NA", "a,b", 'q"q', "東の国", "x"])), min_size=1, max_size=20))
def test_tables_read_back_to_the_last_bit(tmp_path: Path, rows) -> None:
    table = pd.DataFrame(
        {"scenario": "s", "crop": "c", "segment": [n for _, n in rows], "tier": "t", "width": [v for v, _ in rows]}
    )
    with Folder(tmp_path, overwrite=True) as folder:
        folder.add_csv("summary", table)
    again = read_back(tmp_path / "summary.csv")
    assert again["segment"].tolist() == table["segment"].tolist()
    assert np.array_equal(again["width"], table["width"], equal_nan=True)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(0, 1000), st.sampled_from(["csv", "parquet"]))
def test_a_grid_reads_back_to_the_last_bit(tmp_path: Path, cells: int, seed: int, suffix: str) -> None:
    grid = Grid.from_arrays(**small_columns(seed, cells + 2))
    write_grid(grid, str(tmp_path / f"g.{suffix}"))
    again = read_grid(tmp_path / f"g.{suffix}")
    assert [again.digest(code) for code in again.crops] == [grid.digest(code) for code in grid.crops]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_folders_and_grids_may_have_names_that_are_no_text(tmp_path: Path, suffix: str) -> None:
    odd = tmp_path / os.fsdecode(b"gr\xfcn")
    odd.mkdir()
    grid = Grid.from_arrays(**small_columns(1, 9))
    write_grid(grid, str(odd / f"g.{suffix}"))
    result = sweep(read_grid(odd / f"g.{suffix}"), **QUIET)
    result.write(odd / "out", format=suffix)
    assert set(compare(odd / "out", result)["change"]) == {"unchanged"}


class TestFolder:
    def test_nothing_has_its_name_before_the_end(self, tmp_path: Path) -> None:
        with Folder(tmp_path / "o") as folder:
            folder.add("run.json", b"{}")
            assert not (tmp_path / "o" / "run.json").exists()
        assert (tmp_path / "o" / "run.json").read_bytes() == b"{}"

    def test_an_error_leaves_what_was_there(self, tmp_path: Path) -> None:
        with Folder(tmp_path) as folder:
            folder.add("run.json", b"old")

        def fails() -> None:
            with Folder(tmp_path, overwrite=True) as second:
                second.add("run.json", b"new")
                second.add("summary.csv", b"new")
                raise OSError(errno.ENOSPC, "no space left on device")

        with pytest.raises(OSError, match="no space") as caught:
            fails()
        assert caught.value.filename == str(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"run.json": b"old"}

    def test_results_of_an_older_run_go(self, tmp_path: Path) -> None:
        with Folder(tmp_path) as folder:
            folder.add("risk.csv", b"old")
            folder.add("figures/WHEA.svg", b"old")
        (tmp_path / "notes.txt").write_text("mine")
        with Folder(tmp_path, overwrite=True) as folder:
            folder.add("summary.csv", b"new")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "summary.csv"]

    def test_files_of_ones_own_are_no_results(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        assert check_free(tmp_path, overwrite=False) == []

    @pytest.mark.parametrize("name", ["curves.csv", "summary.csv", "figures/a.png", "run.json", "bands.parquet"])
    def test_results_are_known_by_name(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        with pytest.raises(UsageError, match=r"holds results .* use --force"):
            check_free(tmp_path, overwrite=False)
        assert [path.name for path in check_free(tmp_path, overwrite=True)] == [Path(name).name]

    def test_truths_are_written_as_words(self, tmp_path: Path) -> None:
        with Folder(tmp_path) as folder:
            folder.add_csv("crossings", pd.DataFrame({"scaled": [True, False], "area": [1.5, float("nan")]}))
        assert (tmp_path / "crossings.csv").read_text() == "scaled,area\ntrue,1.5\nfalse,\n"

    def test_a_grid_that_cannot_be_written_leaves_nothing(self, tmp_path: Path, small: Grid) -> None:
        with pytest.raises(OSError, match="No such file"):
            write_grid(small, str(tmp_path / "nowhere" / "g.csv"))
        assert not list(tmp_path.iterdir())


class TestCurves:
    def test_magnitudes_of_nothing_are_not_defined(self) -> None:
        found = magnitude(np.array([1000.0, 0.0, -1.0, 1e-3]))
        assert np.array_equal(found, [3.0, np.nan, np.nan, -3.0], equal_nan=True)

    def test_a_curve_is_cut_out_of_its_neighbours(self) -> None:
        values = np.arange(25.0).reshape(5, 5)
        envelopes = Envelopes(np.array([2, 2, 5]), np.arange(27.0).reshape(3, 9), values)
        curves = [envelopes.curve(place) for place in range(3)]
        assert [len(curve) for curve in curves] == [2, 0, 3]
        assert [curve.status for curve in curves] == ["ok", "empty", "ok"]
        assert curves[2].area_km2.tolist() == [2.0, 3.0, 4.0]
        assert curves[2].upper.tolist() == [22.0, 23.0, 24.0]
        assert (curves[1].cells, curves[1].width) == (9, 17.0)
        assert envelopes.counts().tolist() == [2, 0, 3]

    def test_digests_tell_every_value(self) -> None:
        facts = dict.fromkeys(FACTS, 1.0).values()
        seen = set()
        for row in range(len(VALUES)):
            values = np.ones((5, 3))
            values[row, 1] = np.nextafter(1.0, 2.0)
            seen.add(curve_of(values, list(facts)).digest)
        assert len(seen) == 5
        assert all(len(digest) == 32 for digest in seen)

    def test_it_is_a_record(self) -> None:
        curve: Curve = curve_of(np.ones((5, 1)), [4.0, 3.0, 2.0, 1.0, 0.5, 6.0, 7.0, 8.0, 0.0])
        assert (curve.cells, curve.valid, curve.filtered, curve.n_cells) == (4, 3, 2, 1)
        assert (curve.total_area_km2, curve.total_loss, curve.yield_min, curve.yield_max) == (0.5, 6.0, 7.0, 8.0)
        with pytest.raises(AttributeError):
            curve.width = 1.0  # type: ignore[misc]  # frozen


class TestUnits:
    """A hectare is 0.01 km², a ton a million grams, and a loss in kcal that many times the kcal of a gram."""

    def grid(self) -> Grid:
        return Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([100.0, 50.0], [300.0, 50.0])})

    def test_areas(self) -> None:
        curve = sweep(self.grid(), unit="mt", filter="none", **QUIET).curve("WHEA")
        assert curve.total_area_km2 == 1.5
        assert curve.area_km2[0] == 0.5

    def test_losses(self) -> None:
        tons = sweep(self.grid(), unit="mt", filter="none", **QUIET).curve("WHEA")
        kcal = sweep(self.grid(), unit="kcal", filter="none", **QUIET).curve("WHEA")
        assert tons.total_loss == 350.0
        assert kcal.total_loss == 350.0 * 1e6 * 3.34
        assert kcal.upper == pytest.approx(tons.upper * 3.34e6, rel=1e-12)

    def test_yields_are_by_hectare(self) -> None:
        curve = sweep(self.grid(), unit="mt", filter="none", **QUIET).curve("WHEA")
        assert (curve.yield_min, curve.yield_max) == (1.0, 3.0)

    def test_the_width_has_none(self) -> None:
        tons, kcal = (
            sweep(self.grid(), unit=unit, filter="none", **QUIET).curve("WHEA").width for unit in ("mt", "kcal")
        )
        assert tons == pytest.approx(kcal, rel=1e-12)

    def test_columns_name_their_unit(self) -> None:
        for unit in ("mt", "kcal"):
            result = sweep(self.grid(), unit=unit, **QUIET)
            assert f"upper_{unit}" in result.table()
            assert f"production_{unit}" in result.summary()


def test_a_page_without_segments_has_one_table() -> None:
    grid = Grid.from_arrays(cell=[1], country=["<b>"], crops={"WHEA": ([100.0], [300.0])})
    alone = page(sweep(grid, **QUIET).summary(), [], {}, "kcal")
    both = page(sweep(grid, by="country", **QUIET).summary(), ["<svg></svg>"], {"Facts": {"a": "<i>"}}, "kcal")
    assert "Segments" not in alone
    assert "Segments" in both
    assert "&lt;b&gt;" in both
    assert "&lt;i&gt;" in both
