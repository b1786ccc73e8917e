"""Looking at results and grids, pictures and the page: what is shown is what was computed."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from tests.workloads.envelope.conftest import rows_of
from tests.workloads.envelope.test_envelope_command import Run, run, tree

from fanwise.workloads.envelope import EnvelopeEngine, Grid, generate_grid, read_grid, sweep

__all__ = ["run"]


@pytest.fixture
def written(run: Run) -> Run:
    """A run of three crops by country in ``o``."""
    assert run("run", "grid.csv", "--all", "--by", "country", "--out", "o", "-q").code == 0
    return run


class TestShow:
    def test_a_line_for_each_crop_segment_and_tier(self, written: Run) -> None:
        told = written("show", "o", "--json").told["summary"]
        want = rows_of(Path("o/summary.csv"))
        assert [(r["crop"], r["segment"], r["tier"]) for r in told] == [
            (r["crop"], r["segment"], r["tier"]) for r in want
        ]
        assert [r["width"] for r in told] == [float(r["width"]) if r["width"] else None for r in want]

    @pytest.mark.parametrize("column", ["width", "production"])
    def test_the_largest_first(self, written: Run, column: str) -> None:
        name = "width" if column == "width" else "production_kcal"
        values = [row[name] for row in written("show", "o", "--sort", column, "--json").told["summary"]]
        assert values == sorted(values, reverse=True)
        few = written("show", "o", "--sort", column, "--top", "2", "--json").told["summary"]
        assert [row[name] for row in few] == values[:2]

    @pytest.mark.parametrize("name", ["wheat", "WHEAT", "whea", "WHEA"])
    def test_a_crop_by_any_of_its_names(self, written: Run, name: str) -> None:
        assert {row["crop"] for row in written("show", "o", "--crop", name, "--json").told["summary"]} == {"WHEA"}

    def test_nothing_is_written(self, written: Run) -> None:
        before = tree("o")
        written("show", "o")
        written("diff", "o", "o")
        assert tree("o") == before

    def test_a_grid_is_summed_as_it_stands(self, run: Run) -> None:
        grid = read_grid("grid.csv")
        for row in run("show", "grid.csv", "--json").told["crops"]:
            ha, mt = grid.columns[row["crop"]]
            valid = (ha > 0) & (mt > 0) & np.isfinite(ha) & np.isfinite(mt)
            assert row["cells"] == int(valid.sum())
            assert row["area_km2"] == pytest.approx(float(ha[valid].sum()) / 100, rel=1e-12)
            assert row["production_mt"] == pytest.approx(float(mt[valid].sum()), rel=1e-12)
            assert (row["missing"], row["zero"], row["bad"]) == tuple(
                getattr(grid.tallies[row["crop"]], name) for name in ("missing", "zero", "bad")
            )

    def test_countries_of_a_grid_add_up_to_it(self, run: Run) -> None:
        whole = {row["crop"]: row for row in run("show", "grid.csv", "--json").told["crops"]}
        names = read_grid("grid.csv").countries
        parts = [run("show", "grid.csv", "--country", name, "--json").told["crops"] for name in names]
        for code, row in whole.items():
            mine = [one for part in parts for one in part if one["crop"] == code]
            assert sum(one["cells"] for one in mine) == row["cells"]
            assert sum(one["production_mt"] for one in mine) == pytest.approx(row["production_mt"], rel=1e-12)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nowhere"], "nowhere"),
            (["nowhere.csv"], "cannot read nowhere.csv: no such file."),
            (["grid.csv", "--crop", "wheet"], "did you mean wheat"),
            (["grid.csv", "--country", "Utopi"], "did you mean Utopia"),
            (["grid.csv", "--sort", "width"], "a grid has no widths"),
            (["grid.csv", "--top", "0"], "--top"),
        ],
    )
    def test_what_cannot_be_shown(self, run: Run, words: list[str], message: str) -> None:
        ended = run("show", *words)
        assert ended.code == 2
        assert message in ended.err


class TestDiff:
    def test_one_changed_value_is_the_curves_that_hold_it(self, written: Run) -> None:
        lines = Path("grid.csv").read_text().splitlines()
        header = lines[0].replace('"', "").split(",")
        place = header.index("WHEA_P")
        row = next(i for i, line in enumerate(lines[1:], 1) if float(line.split(",")[place] or 0) > 1000)
        cells = lines[row].split(",")
        country = cells[1].strip('"')
        cells[place] = repr(float(cells[place]) * 1.01)
        Path("grid.csv").write_text("\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]]))
        words = ["--all", "--by", "country", "--compare", "o", "-q"]
        assert written("run", "grid.csv", *words, "--out", "p").code == 0
        changed = {(r["crop"], r["segment"]) for r in rows_of(Path("p/changes.csv")) if r["change"] == "changed"}
        assert changed <= {("WHEA", "World"), ("WHEA", country)}
        assert ("WHEA", "World") in changed
        told = written("diff", "o", "p", "--json").told
        assert {(r["crop"], r["segment"]) for r in told["curves"]} == changed
        assert all(0 < r["production_change_pct"] < 1 for r in told["curves"] if r["tier"] == "comprehensive")

    def test_other_units_do_not_compare(self, written: Run) -> None:
        assert written("run", "grid.csv", "--all", "--unit", "mt", "--out", "p", "-q").code == 0
        ended = written("diff", "o", "p")
        assert ended.code == 2
        assert "in kcal, the new ones in mt" in ended.err


class TestPictures:
    def test_every_threshold_and_event_has_its_text(self, run: Run) -> None:
        Path("t.csv").write_text(
            "crop,segment,label,value,unit\n" + "".join(f"WHEA,,Limit <{k}> & more,{k}e10,kcal\n" for k in range(1, 5))
        )
        Path("e.csv").write_text(
            "name,year,crop,segment,area_km2,loss,unit\n"
            + "".join(f"Dry “{k}”,19{k}1,WHEA,,{k},{k}e9,kcal\n" for k in range(1, 6))
        )
        words = ["--thresholds", "t.csv", "--events", "e.csv", "--figures", "svg", "--report", "r.html", "-q"]
        assert run("run", "grid.csv", "--crop", "wheat", *words, "--out", "o").code == 0
        root = ET.parse("o/figures/WHEA_World.svg").getroot()
        texts = [node.text for node in root.iter() if node.tag.endswith("text")]
        for k in range(1, 5):
            assert texts.count(f"Limit <{k}> & more") == 1
        for k in range(1, 6):
            assert texts.count(f"Dry “{k}” 19{k}1") == 1
        page = Path("r.html").read_text(encoding="utf-8")
        assert "Limit &lt;1&gt; &amp; more" in page
        assert not re.findall(r'(?:src|href)\s*=\s*"(?!#|data:)', page)

    def test_file_names_are_ascii_and_as_many_as_curves(self, run: Run) -> None:
        assert run("run", "grid.csv", "--all", "--by", "country", "--figures", "svg", "--out", "o", "-q").code == 0
        names = [path.name for path in Path("o/figures").iterdir()]
        assert all(name.isascii() for name in names)
        with_points = {(r["crop"], r["segment"]) for r in rows_of(Path("o/summary.csv")) if r["status"] == "ok"}
        assert len(names) == len(with_points)

    def test_the_summary_for_machines_is_the_file_beside_the_results(self, run: Run) -> None:
        told = run("run", "grid.csv", "--crop", "rice", "--json", "--out", "o").told
        stored = json.loads(Path("o/run.json").read_text())
        assert stored == told
        assert [one["path"] for one in told["outputs"]] == ["o/curves.parquet", "o/summary.csv"]
        assert told["seconds"]["total"] >= told["seconds"]["read"] >= 0


class TestEngine:
    @pytest.mark.parametrize("caching", [True, False])
    @pytest.mark.parametrize("parallel", [True, False])
    def test_switches_change_nothing_but_the_statistics(self, tmp_path: Path, caching: bool, parallel: bool) -> None:
        grid = generate_grid(cells=80, crops=2, countries=3, seed=2)
        want = sweep(grid, crops=["wheat"], countries=["Utopia"], progress="none")
        options = {"enable_caching": caching, "enable_parallel": parallel, "cache_dir": tmp_path / "cache"}
        with EnvelopeEngine("wheat", **options) as engine:
            for turn in range(3):
                tiers = engine.calculate(grid, country="Utopia", force_recalculate=turn == 2)
                for tier, curve in tiers.items():
                    assert curve.digest == want.curve("WHEA", "Utopia", tier).digest
            told = engine.get_performance_statistics()
        assert (told["calculations"], told["caching_enabled"], told["parallel_enabled"]) == (3, caching, parallel)
        assert (tmp_path / "cache").exists() == caching
        if caching:
            stored = told["cache_statistics"]
            assert (stored["cache_hits"], stored["cache_misses"], stored["cache_entries"]) == (1, 2, 1)
            assert stored["hit_rate"] == pytest.approx(1 / 3)
        else:
            assert told["cache_statistics"] is None

    def test_tiers_are_asked_for_by_name(self) -> None:
        grid = Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([10.0, 10.0], [5.0, 50.0])})
        with EnvelopeEngine("wheat", tiers="top:60-100,comprehensive", unit="mt", enable_caching=False) as engine:
            tiers = engine.calculate(grid)
        assert list(tiers) == ["top", "comprehensive"]
        assert tiers["top"].total_loss == 50.0
        assert tiers.width_reduction_pct("top") == 100.0
        assert tiers.width_reduction_pct("comprehensive") == 0.0
        assert "none" not in tiers
        with pytest.raises(KeyError, match="none"):
            tiers["none"]
