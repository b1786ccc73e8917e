"""``fanwise envelope`` from the outside: what is written, what is said, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.workloads.envelope.conftest import rows_of
from tests.workloads.envelope.test_golden import agree

from fanwise.cli import main
from fanwise.workloads.envelope import Grid, _task, generate_grid, read_grid, sweep
from fanwise.workloads.envelope._envelopes import compute
from fanwise.workloads.envelope._generate import write_grid

WIDE = "cell,country,region,WHEA_H,WHEA_P,RICE_H,RICE_P,TOBA_H,TOBA_P\n"


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``fanwise envelope`` in a folder of its own, with a small grid in ``grid.csv``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    write_grid(generate_grid(cells=300, crops=3, countries=4, seed=5), "grid.csv")

    def ended(*words: object) -> Ended:
        code = main(["envelope", *map(str, words)])
        return Ended(code, *capsys.readouterr())

    return ended


def tree(folder: str) -> dict[str, bytes]:
    """Every file but run.json, which tells of times and of the cache."""
    root = Path(folder)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "run.json"}


class TestRun:
    def test_it_writes_what_the_library_computes(self, run: Run) -> None:
        ended = run("run", "grid.csv", "--all", "--by", "country", "--format", "both", "--out", "o")
        assert ended.code == 0
        assert sorted(tree("o")) == ["curves.csv", "curves.parquet", "summary.csv"]
        result = sweep(read_grid("grid.csv"), by="country", progress="none")
        agree(rows_of(Path("o/summary.csv")), result.summary().to_dict("records"))
        agree(rows_of(Path("o/curves.csv")), result.table().to_dict("records"))
        assert "30 curves" in ended.err
        assert "kcal per g: WHEA 3.34, RICE 3.6, MAIZ 3.56" in ended.err
        assert ended.out == ""

    @pytest.mark.slow
    def test_the_acceptance_run_is_that_of_the_reference(self, run: Run, data: Path) -> None:
        words = [
            "--by",
            "country",
            "--tiers",
            "comprehensive,commercial,prime:50-100",
            "--method",
            "step",
            "--points",
            "compact",
        ]
        assert run("run", data / "grid.csv", "--all", *words, "--format", "csv", "--out", "A").code == 0
        found = {(r["crop"], r["segment"], r["tier"], r["point"]): r for r in rows_of(Path("A/curves.csv"))}
        for want in rows_of(data / "golden" / "step_compact_standard_curves.csv"):
            if want["crop"] != "allgrain":
                have = found[want["crop"], want["segment"], want["tier"], want["point"]]
                for name in ("area_km2", "lower_kcal", "upper_kcal", "upper_area_km2", "lower_area_km2"):
                    assert float(have[name]) == pytest.approx(float(want[name]), rel=1e-12)

    def test_a_second_run_computes_nothing_and_writes_the_same_bytes(self, run: Run) -> None:
        first = run("run", "grid.csv", "--all", "--by", "country", "--json", "--out", "a").told
        second = run("run", "grid.csv", "--all", "--by", "country", "--json", "--out", "b").told
        assert first["cache"]["envelopes"]["computed"] == 3
        assert second["cache"]["columns"] == {"hits": 1, "misses": 0}
        assert second["cache"]["envelopes"] | {"hits": 0} == dict.fromkeys(second["cache"]["envelopes"], 0)
        assert second["cache"]["envelopes"]["hits"] == 3
        assert tree("a") == tree("b")

    def test_one_changed_value_is_one_crop_computed(self, run: Run) -> None:
        run("run", "grid.csv", "--all", "--out", "a")
        lines = Path("grid.csv").read_text().splitlines()
        cells = lines[7].split(",")
        cells[4] = "123.4"
        Path("grid.csv").write_text("\n".join([*lines[:7], ",".join(cells), *lines[8:]]))
        told = run("run", "grid.csv", "--all", "--json", "--out", "b").told["cache"]
        assert told["columns"]["misses"] == 1
        assert (told["envelopes"]["computed"], told["envelopes"]["hits"]) == (1, 2)

    @pytest.mark.slow
    def test_forms_parallelism_and_cache_change_no_byte(self, run: Run, data: Path) -> None:
        forms = {
            "wide": [data / "form_wide.csv"],
            "long": [data / "form_long.csv"],
            "pair": sorted(data.glob("form_spam*.csv")),
        }
        lines = (data / "form_wide.csv").read_text().splitlines()
        Path("shuffled.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
        write_grid(read_grid(data / "form_wide.csv"), "grid.parquet")
        forms |= {"shuffled": ["shuffled.csv"], "parquet": ["grid.parquet"]}
        words = ["--crop", "wheat", "--crop", "allgrain", "--by", "region", "--format", "both", "--no-cache", "-q"]
        for name, files in forms.items():
            assert run("run", *files, *words, "--out", name).code == 0
        for places in (["-p", "2"], ["-p", "1"], ["--backend", "thread"]):
            assert run("run", *forms["wide"], *words, *places, "--out", "".join(places)).code == 0
        plain = tree("wide")
        assert all(
            tree(name) == plain for name in ["long", "pair", "shuffled", "parquet", "-p2", "-p1", "--backendthread"]
        )

    def test_everything_beside_the_curves(self, run: Run) -> None:
        Path("t.csv").write_text("crop,segment,label,value,unit\nWHEA,,1 Month,5e11,kcal\n")
        Path("e.csv").write_text("name,year,crop,segment,area_km2,loss,unit\nDry,1921,WHEA,,1,9e15,kcal\n")
        years = "".join(f"WHEA,{1990 + y},{900 + y * 7 % 11},1000mt\n" for y in range(20))
        Path("h.csv").write_text(f"crop,year,production,unit\n{years}")
        Path("s.toml").write_text('[[scenario]]\nname = "dry"\n[[scenario.shock]]\nyield_factor = 0.7\n')
        words = [
            "--thresholds",
            "t.csv",
            "--events",
            "e.csv",
            "--history",
            "h.csv",
            "--bootstrap",
            "50",
            "--bands",
            "4",
        ]
        run("run", "grid.csv", "--crop", "wheat", "--out", "old")
        ended = run(
            "run", "grid.csv", "--crop", "wheat", *words, "--scenario", "s.toml", "--compare", "old", "--figures", "svg,png",
            "--report", "r.html", "--trace", "t.json", "--json", "--out", "o",
        )  # fmt: skip
        assert ended.code == 0
        assert sorted(tree("o")) == [
            "bands.parquet", "changes.csv", "crossings.csv", "curves.parquet", "figures/WHEA_World.png",
            "figures/WHEA_World.svg", "risk.csv", "scenarios.parquet", "summary.csv",
        ]  # fmt: skip
        told = ended.told
        assert told["scenarios"] == ["baseline", "dry"]
        assert told["risk"]["WHEA"]["years"] == 20
        assert told["events_outside"][0]["name"] == "Dry 1921"
        assert told["changes"] == {"added": 0, "removed": 0, "changed": 0, "unchanged": 2}
        assert set(told["seconds"]) == {"read", "compute", "write", "total"}
        assert json.loads(Path("o/run.json").read_text())["risk"] == told["risk"]
        texts = [node.text for node in ET.parse("o/figures/WHEA_World.svg").iter() if node.tag.endswith("text")]
        assert "1 Month" in texts
        assert "Dry 1921" in texts
        assert "http" not in Path("r.html").read_text().replace("http-equiv", "").replace(
            "http://www.w3.org/2000/svg", ""
        )
        assert json.loads(Path("r.json").read_text())
        assert Path("t.json").exists()
        assert len(rows_of(Path("o/summary.csv"))) == 2

    def test_curves_of_all_scenarios_on_request(self, run: Run) -> None:
        Path("s.toml").write_text('[[generate]]\nname = "mc"\ncount = 3\nseed = 1\nyield_cv = 0.2\n')
        run(
            "run",
            "grid.csv",
            "--crop",
            "rice",
            "--scenario",
            "s.toml",
            "--curves",
            "all",
            "--format",
            "csv",
            "--out",
            "o",
        )
        assert [r["scenario"] for r in rows_of(Path("o/summary.csv"))][::2] == [
            "baseline",
            "mc-0000",
            "mc-0001",
            "mc-0002",
        ]
        assert {r["scenario"] for r in rows_of(Path("o/curves.csv"))} == {"baseline", "mc-0000", "mc-0001", "mc-0002"}

    def test_own_kcal_and_groups(self, run: Run) -> None:
        Path("k.csv").write_text("crop,kcal_per_g\nWHEA,1.0\n")
        told = run("run", "grid.csv", "--crop", "mix=WHEA+RICE", "--kcal", "k.csv", "--json", "--out", "o").told
        assert told["crops"] == ["mix"]
        assert told["kcal_per_g"] == {"WHEA": 1.0, "RICE": 3.6}

    def test_entries_can_be_ignored_replaced_or_too_old(self, run: Run) -> None:
        run("run", "grid.csv", "--all", "--out", "a")
        counts = [
            run("run", "grid.csv", "--all", "--json", "--out", name, *words).told["cache"]["envelopes"]
            for name, words in (
                ("b", ["--recalculate"]), ("c", ["--cache-max-age", "7d"]), ("d", ["--cache-max-age", "0s"]), ("e", ["--no-cache"]),
            )
        ]  # fmt: skip
        assert [(c["hits"], c["computed"], c["expired"]) for c in counts] == [
            (0, 3, 0),
            (3, 0, 0),
            (0, 3, 3),
            (0, 3, 0),
        ]

    def test_damaged_entries_are_computed_again_and_said(self, run: Run, tmp_path: Path) -> None:
        run("run", "grid.csv", "--all", "--by", "country", "--points", "spaced:2000", "--out", "a")
        for path in (tmp_path / "cache").rglob("*"):
            if (
                path.is_file()
                and "journals" not in path.parts
                and path.read_bytes().count(0) < path.stat().st_size - 90_000
            ):
                content = bytearray(path.read_bytes())
                content[len(content) // 2 :: 997] = bytes(b ^ 0xFF for b in content[len(content) // 2 :: 997])
                path.write_bytes(content)
        ended = run("run", "grid.csv", "--all", "--by", "country", "--points", "spaced:2000", "--json", "--out", "b")
        assert ended.code == 0
        assert tree("a") == tree("b")
        corrupt = ended.told["cache"]["envelopes"]["corrupt"]
        assert f"{corrupt} damaged entries" in ended.err if corrupt else ended.told["cache"]["envelopes"]["computed"]


class TestEndings:
    def test_crops_without_kcal_are_skipped_and_listed(self, run: Run) -> None:
        Path("g.csv").write_text(f"{WIDE}1,A,R,10,20,0,0,5,5\n2,A,R,30,20,1,1,5,5\n")
        ended = run("run", "g.csv", "--all", "--json", "--out", "o")
        assert ended.code == 3
        assert [one["crop"] for one in ended.told["failed"]] == ["TOBA"]
        assert "crop TOBA: no kcal per g is known; give --kcal or --unit mt" in ended.err
        assert run("run", "g.csv", "--all", "--unit", "mt", "--out", "p").code == 0

    def test_a_crop_that_fails_is_listed_and_the_others_are_written(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(pairs: Any, factors: Any, *rest: Any) -> Any:
            if factors == (3.6e6,):
                raise MemoryError("no room")
            return compute(pairs, factors, *rest)

        monkeypatch.setattr(_task, "compute", fails)
        ended = run("run", "grid.csv", "--all", "--json", "--out", "o")
        assert ended.code == 3
        assert ended.told["failed"] == [{"scenario": "baseline", "crop": "RICE", "reason": "MemoryError: no room"}]
        assert {row["crop"] for row in rows_of(Path("o/summary.csv"))} == {"WHEA", "MAIZ"}

    def test_strict_minds_empty_segments_and_bad_values(self, run: Run) -> None:
        Path("g.csv").write_text(f"{WIDE}1,A,R,10,20,1,1,5,5\n2,B,R,0,0,1,1,5,5\n")
        assert run("run", "g.csv", "--crop", "wheat", "--by", "country", "--out", "o").code == 0
        assert run("run", "g.csv", "--crop", "wheat", "--by", "country", "--strict", "--out", "p").code == 3
        Path("g.csv").write_text(f"{WIDE}1,A,R,10,-20,1,1,5,5\n2,B,R,3,4,1,1,5,5\n")
        ended = run("run", "g.csv", "--crop", "wheat", "--out", "q")
        assert ended.code == 0
        assert "dropped: g.csv row 1, column WHEA_P: -20.0" in ended.err
        assert run("run", "g.csv", "--crop", "wheat", "--strict", "--out", "r").code == 2

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["grid.csv"], "give --crop NAME (repeatable) or --all"),
            (["grid.csv", "--all", "--crop", "rice"], "one of them"),
            (["--all"], "no input"),
            (["none.csv", "--all"], "cannot read none.csv: no such file."),
            (["grid.csv", "--crop", "wheet"], "did you mean wheat"),
            (["grid.csv", "--all", "--country", "Utopi"], "did you mean Utopia"),
            (["grid.csv", "--all", "--tiers", "best"], "expected comprehensive, commercial or NAME:LO-HI"),
            (["grid.csv", "--all", "--points", "many"], "expected paper, compact, spaced:N"),
            (["grid.csv", "--all", "--cache-max-age", "soon"], "--cache-max-age expects a number with s, m, h, d or w"),
            (["grid.csv", "--all", "--filter", "harsh"], "expected none, conservative, standard, aggressive"),
            (["grid.csv", "--all", "--by", "city"], "expected none, country or region"),
            (["grid.csv", "--all", "--figures", "gif"], '--figures expects svg, png or both, not "gif"'),
            (["grid.csv", "--all", "--scenario", "none.toml"], "none.toml: no such file"),
            (["grid.csv", "--all", "--thresholds", "none.csv"], "none.csv"),
            (["grid.csv", "--all", "--compare", "nowhere"], "nowhere holds no results"),
            (["grid.csv", "--all", "--country", "Utopia", "--region", "R0"], "cannot both be segments"),
            (["grid.csv", "--crop", "rice", "--production", "grid.csv"], "is not in the layout of SPAM"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_ends_with_2_and_leaves_nothing(self, run: Run, words: list[str], message: str) -> None:
        ended = run("run", *words, "--out", "o")
        assert ended.code == 2
        assert message in ended.err
        assert not Path("o").exists()

    def test_results_are_not_replaced_unasked(self, run: Run) -> None:
        assert run("run", "grid.csv", "--crop", "rice", "--out", "o").code == 0
        before = tree("o")
        ended = run("run", "grid.csv", "--crop", "wheat", "--out", "o")
        assert ended.code == 2
        assert "o holds results (curves.parquet); use --force" in ended.err
        assert tree("o") == before
        assert run("run", "grid.csv", "--crop", "wheat", "--out", "o", "--force").code == 0
        assert tree("o") != before

    def test_a_place_that_cannot_be_written_is_named_before_any_work(self, run: Run) -> None:
        Path("file").write_text("")
        ended = run("run", "grid.csv", "--crop", "rice", "--out", "file/o")
        assert ended.code == 2
        assert "file" in ended.err

    def test_matplotlib_is_asked_for_before_any_work(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        from fanwise.cli import envelope

        monkeypatch.setattr(envelope, "find_spec", lambda name: None)
        ended = run("run", "grid.csv", "--crop", "rice", "--figures", "png", "--out", "o")
        assert ended.code == 2
        assert "pip install 'fanwise[plots]'" in ended.err


SLOW = """
import sys, time
import numpy as np
from fanwise.cli import main

before, calls = np.bincount, []

def slowly(*words, **options):
    calls.append(1)
    if len(calls) == 4:  # once for the plan, once a crop
        print("last", flush=True)
        time.sleep(60)
    return before(*words, **options)

np.bincount = slowly
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.faults
def test_an_interrupted_run_is_gone_on_with(run: Run, tmp_path: Path) -> None:
    words = ["run", "grid.csv", "--all", "--no-cache", "-p", "1", "--progress", "none", "--out", "o"]
    command = [sys.executable, "-c", SLOW, "envelope", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "last\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "2 of 3 items are kept" in err
    assert "--resume" in err
    assert not Path("o/curves.parquet").exists()
    other = run(*words, "--resume", "--method", "step")
    assert other.code == 2
    assert "--force to start afresh" in other.err
    ended = run(*words, "--resume", "--json")
    assert ended.code == 0
    assert ended.told["items"]["resumed"] == 2
    shutil.copytree("o", "first")
    run(*words[:-1], "whole")
    assert tree("first") == tree("whole")


def test_an_interrupt_while_writing_keeps_all_items(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.envelope import _job

    def terminated(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    words = ["run", "grid.csv", "--all", "--no-cache", "-p", "1", "--out", "o"]
    with monkeypatch.context() as patch:
        patch.setattr(_job, "_figures", terminated)
        ended = run(*words)
    assert (ended.code, list(Path("o").glob("*"))) == (130, [])
    assert "Interrupted: 3 of 3 items are kept. Continue with: fanwise envelope run grid.csv" in ended.err
    assert ", 3 items resumed.\n" in run(*words, "--resume").err


def test_a_report_that_cannot_be_written_costs_no_result(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.envelope import _job

    def gone(*_: object) -> str:
        shutil.rmtree("reports")
        return "page"

    Path("reports").mkdir()
    monkeypatch.setattr(_job, "report_page", gone)
    ended = run("run", "grid.csv", "--all", "--no-cache", "--out", "o", "--report", "reports/r.html")
    assert ended.code == 3
    assert "cannot write reports/r.html: no such file" in ended.err
    assert {"curves.parquet", "summary.csv", "run.json"} <= {path.name for path in Path("o").iterdir()}


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_what_stdout_has_no_letter_for_is_escaped_and_json_stays_json(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "g.csv").write_text("cell,country,WHEA_H,WHEA_P\n1,Côte,1,2\n", encoding="utf-8")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "ascii"))  # as in a POSIX locale
    monkeypatch.setattr(sys, "argv", ["fanwise", "envelope", "show", str(tmp_path / "g.csv"), *words])
    assert main() == 0
    sys.stdout.flush()
    if words:
        assert json.loads(printed.getvalue())["countries"] == ["Côte"]
    else:
        assert rb"C\xf4te" in printed.getvalue()


class TestShow:
    def test_a_directory_is_shown_without_computing(self, run: Run) -> None:
        Path("t.csv").write_text("crop,segment,label,value,unit\nWHEA,,1 Month,5e10,kcal\n")
        run("run", "grid.csv", "--all", "--by", "country", "--thresholds", "t.csv", "--out", "o")
        Path("grid.csv").unlink()
        ended = run("show", "o", "--crop", "wheat", "--sort", "width", "--top", "3")
        assert ended.code == 0
        assert "summary:" in ended.out
        assert "crossings:" in ended.out
        told = run("show", "o", "--crop", "wheat", "--sort", "width", "--top", "3", "--json").told
        widths = [row["width"] for row in told["summary"]]
        assert len(widths) == 3
        assert widths == sorted(widths, reverse=True)
        assert {row["crop"] for row in told["summary"]} == {"WHEA"}

    def test_one_country_of_a_directory(self, run: Run) -> None:
        run("run", "grid.csv", "--all", "--by", "country", "--out", "o")
        told = run("show", "o", "--country", "Utopia", "--json").told
        assert {row["segment"] for row in told["summary"]} == {"Utopia"}

    def test_what_a_grid_holds(self, run: Run) -> None:
        Path("g.csv").write_text(f"{WIDE}1,A,R,100,200,1,1,,5\n2,B,S,300,1000,0,1,-5,5\n")
        told = run("show", "g.csv", "--sort", "production", "--json").told
        assert (told["cells"], told["countries"], told["regions"]) == (2, ["A", "B"], ["R", "S"])
        wheat = told["crops"][0]
        assert (wheat["crop"], wheat["area_km2"], wheat["production_mt"], wheat["yield_t_per_ha"]) == (
            "WHEA",
            4.0,
            1200.0,
            3.0,
        )
        tobacco = next(row for row in told["crops"] if row["crop"] == "TOBA")
        assert (tobacco["cells"], tobacco["missing"], tobacco["bad"], tobacco["yield_t_per_ha"]) == (0, 1, 1, None)
        assert "WHEA" in run("show", "g.csv", "--country", "B", "--crop", "wheat", "--top", "1").out

    def test_a_grid_has_no_widths(self, run: Run) -> None:
        assert run("show", "grid.csv", "--sort", "width").code == 2

    def test_what_is_neither_is_named(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "holds no results" in run("show", "empty").err


class TestReport:
    def test_may_stand_in_the_folder_that_the_run_makes(self, run: Run) -> None:
        assert run("run", "grid.csv", "--crop", "wheat", "--out", "new", "--report", "new/r.html").code == 0
        assert Path("new/r.html").read_text().startswith("<!doctype html>")
        assert Path("new/curves.parquet").exists()

    def test_needs_a_folder_that_is_there_or_will_be(self, run: Run) -> None:
        ended = run("run", "grid.csv", "--crop", "wheat", "--out", "new", "--report", "new/deep/r.html")
        assert (ended.code, Path("new").exists()) == (2, False)


class TestDiff:
    def test_what_changed(self, run: Run) -> None:
        run("run", "grid.csv", "--all", "--out", "a")
        grid = read_grid("grid.csv")
        area, production = grid.columns["WHEA"]
        write_grid(replace(grid, columns={**grid.columns, "WHEA": (area, 2 * production)}), "grid.csv")
        run("run", "grid.csv", "--crop", "wheat", "--crop", "rice", "--out", "b")
        ended = run("diff", "a", "b")
        assert ended.code == 0
        assert "0 added · 2 removed · 2 changed · 2 unchanged" in ended.out
        told = run("diff", "a", "b", "--json").told
        assert told["changes"] == {"added": 0, "removed": 2, "changed": 2, "unchanged": 2}
        assert len(told["curves"]) == 4
        assert run("diff", "a", "a").out == "0 added · 0 removed · 0 changed · 6 unchanged\n"

    def test_a_directory_without_results(self, run: Run) -> None:
        assert run("diff", "nowhere", "nowhere").code == 2


class TestGenerate:
    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_the_same_seed_gives_the_same_file(self, run: Run, suffix: str) -> None:
        words = ["--cells", "50", "--crops", "2", "--countries", "3", "--seed", "4"]
        assert run("generate", *words, "--out", f"a.{suffix}").code == 0
        assert run("generate", *words, "--out", f"b.{suffix}").code == 0
        assert Path(f"a.{suffix}").read_bytes() == Path(f"b.{suffix}").read_bytes()
        grid: Grid = read_grid(f"a.{suffix}")
        assert (grid.n_cells, len(grid.crops)) == (50, 2)

    def test_a_file_is_not_replaced_unasked(self, run: Run) -> None:
        words = ["--cells", "5", "--crops", "1", "--countries", "2", "--out", "a.csv"]
        assert run("generate", *words).code == 0
        assert run("generate", *words).code == 2
        assert run("generate", *words, "--force").code == 0
        assert not list(Path().glob("*.tmp"))

    @pytest.mark.parametrize("words", [["--cells", "5", "--crops", "99", "--countries", "2"], ["--cells", "5"]])
    def test_what_cannot_be(self, run: Run, words: list[str]) -> None:
        assert run("generate", *words, "--out", "a.csv").code == 2


def test_help_lists_the_commands(run: Run) -> None:
    out = run("--help").out
    for name in ("run", "show", "diff", "generate"):
        assert f"  {name} " in out


def test_csv_is_plain(run: Run) -> None:
    run("run", "grid.csv", "--crop", "rice", "--by", "country", "--format", "csv", "--out", "o")
    content = Path("o/curves.csv").read_bytes()
    assert b"\r" not in content
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert rows[0][-1] == "upper_kcal"
    assert all(repr(float(text)) == text for row in rows[1:20] for text in row[5:])
