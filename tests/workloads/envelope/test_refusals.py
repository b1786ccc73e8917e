"""Everything that a run cannot mean: exit code 2, a message that names the place, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.workloads.envelope.test_envelope_command import Run, run, tree

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope import EnvelopeEngine, Grid, bounds, crossings, generate_grid, risks, sweep
from fanwise.workloads.envelope._tables import read_kcal

__all__ = ["run"]

WHEAT = ["run", "grid.csv", "--crop", "wheat", "--progress", "none", "--out", "o"]
THRESHOLDS = "crop,segment,label,value,unit"
EVENTS = "name,year,crop,segment,area_km2,loss,unit,countries,fraction"
HISTORY = "crop,year,production,unit"
KCAL = "crop,kcal_per_g"
SHOCK = '[[scenario]]\nname="a"\n[[scenario.shock]]\n'
DRAW = '[[generate]]\nname="m"\n'


def years(production: str, unit: str = "mt", count: int = 12) -> list[str]:
    """Rows of a history; ``{y}`` is the year from 0."""
    return [f"WHEA,{2000 + y},{eval(production, {'y': y})},{unit}" for y in range(count)]


TABLES = [
    ("thresholds", [THRESHOLDS, "WHEA,,a,0,kcal"], "f.csv row 1, column value: '0'; expected a finite number > 0"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,1,mt", "WHEA,,a,-1,mt"], "f.csv row 2, column value: '-1'"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,inf,kcal"], "column value: 'inf'"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,nan,kcal"], "column value: 'nan'"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,,kcal"], "column value: ''"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,1,tons"], "column unit: 'tons'; expected kcal, mt or 1000mt"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,1"], "row 1, column unit: ''"),
    ("thresholds", [THRESHOLDS, "WHEA,,a,1,mt,x"], "row 1: more fields than the header"),
    ("thresholds", [THRESHOLDS], "f.csv: no data rows"),
    ("thresholds", ["crop;segment", "1;2"], "no column crop, label, value and unit; found crop;segment"),
    ("events", [EVENTS, "e,1,WHEA,,,,,,"], "row 1, column area_km2: ''; expected area_km2 and loss, or countries"),
    ("events", [EVENTS, "e,1,WHEA,,1,,mt,,"], "column loss: ''; expected a loss > 0"),
    ("events", [EVENTS, "e,1,WHEA,,,5,mt,,"], "column area_km2: ''; expected an area in km² > 0"),
    ("events", [EVENTS, "e,1,WHEA,,0,5,mt,,"], "column area_km2: '0'"),
    ("events", [EVENTS, "e,1,WHEA,,1,5,zz,,"], "column unit: 'zz'"),
    ("events", [EVENTS, "e,1,WHEA,,,,,Utopia,1.5"], "column fraction: '1.5'; expected a number from 0 to 1"),
    ("events", [EVENTS, "e,1,WHEA,,,,,Utopia,-0.1"], "column fraction: '-0.1'"),
    ("events", [EVENTS, "e,1,WHEA,,,,,Utopia,"], "column fraction: ''"),
    ("events", [EVENTS, "e,1,WHEA,,,,,Utopi,0.5"], "row 1, column countries: no country 'Utopi' in the grid; did you mean Utopia"),
    ("events", [EVENTS, "e,1,WHEA,,,,, ; ,0.5"], "column countries: ';'; expected names of countries"),
    ("history", [HISTORY, *years("y", count=9)], "history of WHEA: 9 years; at least 10 are needed"),
    ("history", [HISTORY, *years("0 - y")], "column production: '-1'; expected a finite number ≥ 0"),
    ("history", [HISTORY, *years("5"), "WHEA,2000,5,mt"], "row 13, column year: '2000'; expected each year once"),
    ("history", [HISTORY, "WHEA,2000.5,5,mt"], "column year: '2000.5'; expected a year"),
    ("history", [HISTORY, *years("5"), "WHEA,1999,5,kcal"], "units kcal and mt; expected one"),
    ("history", [HISTORY, *years("0")], "history of WHEA: its straight line is 0 in some year"),
    ("kcal", [KCAL, "WHEA,0"], "f.csv row 1, column kcal_per_g: '0'; expected a number > 0"),
    ("kcal", [KCAL, "WHEA,x"], "column kcal_per_g: 'x'"),
    ("kcal", [KCAL, "WHEA,3", "wheat,4"], "row 2, column crop: 'wheat'; expected each crop once"),
    ("kcal", ["crop,kcal", "WHEA,5"], "no column kcal_per_g; found crop, kcal"),
    ("scenario", ["x=1"], "f.csv: unknown key 'x'; there are generate and scenario"),
    ("scenario", ["a="], "f.csv: Invalid value"),
    ("scenario", ["[[scenario]]"], "scenario 1: key 'name' is None; expected a text"),
    ("scenario", ["[[scenario]]", "name=' '"], "key 'name' is ' '"),
    ("scenario", ["[[scenario]]", "name='baseline'"], "the scenario name 'baseline' is reserved"),
    ("scenario", ["[[scenario]]", "name='a'", "[[scenario]]", "name='a'"], "the scenario name 'a' occurs twice"),
    ("scenario", ["[[scenario]]", "name='m-0000'", DRAW, "count=1", "seed=1", "yield_cv=0.1"], "'m-0000' occurs twice"),
    ("scenario", ["[scenario]", "name='a'"], "key 'scenario' is not a list of tables; expected [[scenario]]"),
    ("scenario", ["[[scenario]]", "name='a'", "shock=3"], "key 'shock' is not a list of tables"),
    ("scenario", ["[[scenario]]", "name='a'", "shok=[]"], "scenario 'a': unknown key 'shok'; did you mean shock"),
    ("scenario", [SHOCK, "yield_factr=1"], "unknown key 'yield_factr'; did you mean yield_factor"),
    ("scenario", [SHOCK, "yield_factor=-1"], "key 'yield_factor' is -1; expected a finite number ≥ 0"),
    ("scenario", [SHOCK, "area_factor=nan"], "key 'area_factor' is nan"),
    ("scenario", [SHOCK, "area_factor=inf"], "key 'area_factor' is inf"),
    ("scenario", [SHOCK, "yield_factor=true"], "key 'yield_factor' is True"),
    ("scenario", [SHOCK, "yield_factor='x'"], "key 'yield_factor' is 'x'"),
    ("scenario", [SHOCK, f"yield_factor={10**400}"], "expected a finite number ≥ 0"),
    ("scenario", [SHOCK, "countries=['Utopi']"], "scenario 'a': key 'countries': no country 'Utopi' in the grid; did you mean"),
    ("scenario", [SHOCK, "regions=['R9']"], "key 'regions': no region 'R9'"),
    ("scenario", [SHOCK, "countries='Utopia'"], "key 'countries' is 'Utopia'; expected a list of texts"),
    ("scenario", [SHOCK, "crops=['wheet']"], "key 'crops': no crop 'wheet' in the grid; did you mean wheat"),
    ("scenario", [SHOCK, "crops=[1]"], "key 'crops' is [1]; expected a list of texts"),
    ("scenario", [SHOCK, "countries=['Utopia']", "regions=['R0']"], "countries or regions, not both"),
    ("scenario", [DRAW, "count=0", "seed=1", "yield_cv=0.1"], "key 'count' is 0; expected a whole number ≥ 1"),
    ("scenario", [DRAW, "count=1.5", "seed=1", "yield_cv=0.1"], "key 'count' is 1.5"),
    ("scenario", [DRAW, "count=true", "seed=1", "yield_cv=0.1"], "key 'count' is True"),
    ("scenario", [DRAW, "count=1", "seed=-1", "yield_cv=0.1"], "key 'seed' is -1; expected a whole number ≥ 0"),
    ("scenario", [DRAW, "count=1", "seed=1"], "generate 'm': key 'yield_cv' is nan"),
    ("scenario", [DRAW, "count=1", "seed=1", "yield_cv=0.1", "by='cell'"], "key 'by' is 'cell'; expected country, region or world"),
    ("points", ["1", "0"], "'0' is not an area in km² > 0"),
    ("points", ["1", "x # an area"], "'x' is not an area"),
    ("points", ["# none"], "has no areas"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "lines", "message"), TABLES, ids=[f"{one[0]}-{one[2][:30]}" for one in TABLES])
def test_a_wrong_table_is_named_by_file_and_row(run: Run, option: str, lines: list[str], message: str) -> None:
    Path("f.csv").write_text("\n".join(lines) + "\n")
    ended = run(*WHEAT, f"--{option}", "file:f.csv" if option == "points" else "f.csv")
    assert ended.code == 2
    assert message in ended.err
    assert not Path("o").exists()


@pytest.mark.parametrize("option", ["thresholds", "events", "history", "kcal", "scenario"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b""], ids=["bytes", "empty"])
def test_a_table_that_is_no_text_is_named(run: Run, option: str, content: bytes) -> None:
    Path("f.csv").write_bytes(content)
    ended = run(*WHEAT, f"--{option}", "f.csv")
    empty_scenarios_mean_the_baseline = option == "scenario" and not content
    assert ended.code == (0 if empty_scenarios_mean_the_baseline else 2)
    assert empty_scenarios_mean_the_baseline or "f.csv: " in ended.err


WORDS = [
    (["--tiers", ""], "tier '': expected comprehensive, commercial or NAME:LO-HI"),
    (["--tiers", "comprehensive,,"], "tier ''"),
    (["--tiers", "a:5-5"], "tier a:5-5: expected"),
    (["--tiers", "a:60-40"], "tier a:60-40"),
    (["--tiers", "a:0-100.5"], "tier a:0-100.5"),
    (["--tiers", "a:1-2-3"], "tier 'a:1-2-3'"),
    (["--tiers", "a:0-50,a:50-100"], "two tiers have the same name"),
    (["--tiers", "commercial:0-50"], "commercial is 20-100; choose another name"),
    (["--points", ""], "points '': expected paper, compact, spaced:N"),
    (["--points", "spaced:1"], "points 'spaced:1'"),
    (["--points", "spaced:1e3"], "points 'spaced:1e3'"),
    (["--points", "spaced:99999999"], "points 'spaced:99999999'"),
    (["--points", "at:"], "'' is not an area in km² > 0"),
    (["--points", "at:1,-2"], "'-2' is not an area"),
    (["--points", "at:1,inf"], "'inf' is not an area"),
    (["--points", "file:nowhere"], "cannot read nowhere"),
    (["--points", "paper:3"], "points 'paper:3'"),
    (["--filter", "Standard"], "did you mean standard"),
    (["--method", "STEP"], "expected interp or step"),
    (["--unit", "tons"], "expected kcal or mt"),
    (["--by", "region", "--country", "Utopia"], "cannot both be segments"),
    (["--country", ""], "no country '' in the grid"),
    (["--region", "r9"], "no region 'r9' in the grid; did you mean R"),
    (["--crop", "x=WHEA+WHEA"], "crop group 'x' has a member twice"),
    (["--crop", "wheat=RICE"], "expected a name of its own"),
    (["--crop", "=RICE"], "expected a name of its own"),
    (["--crop", "a=RICE", "--crop", "a=WHEA"], "two groups have this name"),
    (["--crop", "a=RICE+"], "no crop ''"),
    (["--cache-max-age", "12"], "a number with s, m, h, d or w"),
    (["--cache-max-age", "-1h"], "a number with s, m, h, d or w"),
    (["--technology", "Z"], "expected one of A, I, R, H, L, S"),
    (["--encoding", "nope"], "cannot be read as nope"),
    (["--bands", "2", "--yield-cv", "-1"], "expected a count ≥ 1 and a finite number ≥ 0"),
    (["--bands", "2", "--yield-cv", "nan"], "expected a count ≥ 1 and a finite number ≥ 0"),
    (["--bootstrap", "-1"], "--bootstrap"),
    (["--seed", "-1"], "--seed"),
    (["--format", "xlsx"], "--format"),
    (["--curves", "some"], "--curves"),
    (["-p", "0"], "-p expects a number ≥ 1"),
    (["--compare", "grid.csv"], "grid.csv holds no results"),
    (["--report", "nowhere/r.html"], "cannot write nowhere/r.html"),
    (["--trace", "nowhere/t.json"], "cannot write nowhere/t.json"),
    (["--harvest", "grid.csv"], "grid.csv is not in the layout of SPAM"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), WORDS, ids=[" ".join(words) for words, _ in WORDS])
def test_a_wrong_option_is_said_with_what_is_accepted(run: Run, words: list[str], message: str) -> None:
    ended = run(*WHEAT, *words)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("o").exists()


@pytest.mark.parametrize("place", ["grid.csv/o", "/proc/o", "/dev/null"])
def test_a_place_that_cannot_hold_results_is_named(run: Run, place: str) -> None:
    ended = run(*WHEAT[:-1], place)
    assert ended.code == 2
    assert place.split("/")[1] in ended.err


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from fanwise.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, "envelope", *WHEAT, "--no-cache", "--format", "both"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert ended.returncode == 2, ended.stderr
    assert "File too large".lower() in ended.stderr.lower()
    assert not tree("o")


def test_an_older_result_survives_a_run_that_fails(run: Run) -> None:
    assert run(*WHEAT).code == 0
    before = tree("o")
    Path("grid.csv").write_text("cell,country,WHEA_H,WHEA_P\n1,A,x,2\n")
    assert run(*WHEAT, "--force").code == 2
    assert tree("o") == before


class TestLibrary:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"tier": (20, 20)}, "tier tier:20-20"),
            ({"tier": (-1, 5)}, "tier tier:-1-5"),
            ({"tier": (0, 101)}, "0 ≤ LO < HI ≤ 100"),
            ({"tier": (0, float("nan"))}, "tier tier:0-nan"),
            ({"tier": ("a", 1)}, "tier tier:a-1"),
            ({"tier": (True, 50)}, "tier tier:True-50"),
            ({"tier": (0,)}, "expected two percentiles"),
            ({"tier": (0, 1, 2)}, "expected two percentiles"),
            ({"tier": "commercial"}, "expected two percentiles"),
            ({"points": 5}, "points 5: expected paper"),
            ({"points": ["at:1"]}, "expected paper"),
            ({"method": "linear"}, "expected interp or step"),
            ({"filter": "harsh"}, "expected none, conservative"),
            ({"cell": [1]}, "1 cell ids for 3 cells"),
        ],
        ids=str,
    )
    def test_bounds(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as raised:
            bounds([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], **options)
        assert message in str(raised.value)

    @pytest.mark.parametrize(("areas", "losses"), [([1.0], [1.0, 2.0]), ([[1.0]], [[2.0]]), (["x"], [1.0])])
    def test_bounds_of_no_columns(self, areas: Any, losses: Any) -> None:
        with pytest.raises(UsageError, match=r"shape|numbers"):
            bounds(areas, losses)

    @pytest.mark.parametrize(
        "options",
        [
            {"workers": 0}, {"workers": -1}, {"workers": 1.5}, {"max_age": -1}, {"max_age": float("nan")}, {"by": "Country"},
            {"backend": "zzz"}, {"tiers": []}, {"tiers": [("a", 1, 2)]}, {"tiers": [3]}, {"points": ""}, {"crops": ["zz"]},
            {"countries": ["Nowhere"]}, {"regions": [""]}, {"scenarios": [{"scenari": []}]}, {"scenarios": "nowhere.toml"},
        ],
        ids=str,
    )  # fmt: skip
    def test_sweep(self, small: Grid, options: dict[str, Any]) -> None:
        with pytest.raises((UsageError, InputError)):
            sweep(small, progress="none", **options)

    def test_world_may_be_named_and_is_no_country(self, small: Grid) -> None:
        assert sweep(small, countries=["World", "utopia"], progress="none").segments == ("World", "Utopia")
        assert sweep(small, regions=["World"], progress="none").segments == ("World",)

    @pytest.mark.parametrize(
        "options", [{"tiers": ""}, {"method": "x"}, {"points": "x"}, {"filter": "x"}, {"unit": "x"}]
    )
    def test_an_engine_is_refused_before_it_works(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            EnvelopeEngine("wheat", **options)

    def test_tables_as_records(self, small: Grid) -> None:
        result = sweep(small, points="spaced:3", progress="none")
        with pytest.raises(InputError, match="table row 1, column value: '0'"):
            crossings(result, [{"crop": "WHEA", "label": "a", "value": 0, "unit": "mt"}])
        with pytest.raises(InputError, match="table: no data rows"):
            read_kcal([])
        with pytest.raises(InputError, match="column year"):
            risks(result, _frame(year="x"))

    @pytest.mark.parametrize("wrong", [{"cells": 0}, {"crops": 0}, {"crops": 999}, {"countries": 0}, {"countries": 11}])
    def test_a_made_up_grid(self, wrong: dict[str, int]) -> None:
        with pytest.raises(UsageError, match="expected a number from 1 to"):
            generate_grid(**({"cells": 10, "crops": 1, "countries": 1} | wrong))


def _frame(**values: object) -> Any:
    import pandas as pd

    return pd.DataFrame([{"crop": "WHEA", "production": 1.0, "unit": "mt", **values}])


def test_segments_of_tables_are_found_in_any_letter_case(run: Run) -> None:
    Path("t.csv").write_text(f"{THRESHOLDS}\nwheat,UTOPIA,own,5,mt\nWHEA,,all,7,mt\n")
    assert run(*WHEAT, "--unit", "mt", "--country", "Utopia", "--thresholds", "t.csv").code == 0
    rows = {line.split(",")[2]: line.split(",") for line in Path("o/crossings.csv").read_text().splitlines()[1:]}
    assert rows["Utopia"][4:7] == ["own", "5.0", "false"]
    assert rows["World"][4:7] == ["all", "7.0", "false"]


def test_kcal_of_a_crop_by_any_of_its_names(run: Run) -> None:
    Path("k.csv").write_text(f"{KCAL}\nWheat,5\nzzzz,6\n")
    told = run(*WHEAT, "--kcal", "k.csv", "--json").told
    assert told["kcal_per_g"] == {"WHEA": 5.0}
