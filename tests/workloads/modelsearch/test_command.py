"""The command `fanwise search`: what it prints, writes and refuses, with the exit code of each ending."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.modelsearch.test_search import GROUPS, LENIENT, Unlucky, meddling
from tests.workloads.modelsearch.world import columns, month_ends, rows_of, world, write_config, write_csv

from fanwise.cli import main
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import study


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with ``search.toml`` and its data, as the working directory."""
    world(tmp_path, LENIENT, GROUPS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


class Said:
    """How a command ended, and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def fanwise(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(["search", *arguments])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return call


def run(fanwise: Any, *arguments: str, config: str = "search.toml") -> Said:
    return fanwise("run", config, "-p", "1", "--progress", "none", *arguments)


def test_run_says_what_was_found_and_what_chance_would_give(here: Path, fanwise: Any) -> None:
    said = run(fanwise, "--verify", "2")
    assert said.code == 0
    first, chance, deviation, wrote = said.out.splitlines()
    assert " tried · " in first
    assert " passed · best bic " in first
    assert chance.startswith("Searched ")
    assert "reality-check p = " in chance
    assert deviation.startswith("max deviation ")
    assert "(id " in deviation
    assert wrote.startswith("wrote search.search/ranked.csv, ")
    assert (here / "search.search" / "ranked.csv").exists()


def test_run_as_json_has_the_fields_of_summary_and_run(here: Path, fanwise: Any) -> None:
    said = run(fanwise, "--json", "-o", "out", "--verify", "1")
    assert said.json["schema"] == "fanwise.summary/1"
    assert said.json["command"] == "search run"
    assert said.json["workload"] == "search"
    for name in ("summary.json", "run.json"):
        assert json.loads((here / "out" / name).read_text("utf-8")).items() <= said.json.items()
    ranked = next(output for output in said.json["outputs"] if output["path"] == "out/ranked.csv")
    assert ranked["rows"] == said.json["passed"]
    assert said.json["verification"]["max_rel"] < 1e-8
    assert "tried" in said.err


def test_quiet_prints_nothing(here: Path, fanwise: Any) -> None:
    said = run(fanwise, "-q")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_verbose_says_that_there_is_no_cache(here: Path, fanwise: Any) -> None:
    assert "a search has no cache" in run(fanwise, "-v", "--no-cache").err


def test_several_configurations_have_directories_of_their_own(here: Path, fanwise: Any) -> None:
    write_config(here, {**LENIENT, "rank": {"by": "r2"}}, GROUPS, name="other")
    said = fanwise("run", "search.toml", "other.toml", "-p", "1", "--progress", "none", "--json", "-o", "all")
    assert said.code == 0
    assert [one["tried"] for one in said.json["searches"]] == [said.json["searches"][0]["tried"]] * 2
    assert (here / "all" / "search.search" / "ranked.csv").exists()
    assert (here / "all" / "other.search" / "ranked.csv").exists()


@pytest.mark.process
def test_several_configurations_share_warm_workers(here: Path, fanwise: Any) -> None:
    write_config(here, {**LENIENT, "rank": {"by": "r2"}}, GROUPS, name="other")
    alone = run(fanwise, "-o", "alone")
    said = fanwise("run", "search.toml", "other.toml", "-p", "2", "--backend", "process", "--progress", "none")
    assert (alone.code, said.code) == (0, 0)
    assert (here / "alone" / "ranked.csv").read_bytes() == (here / "search.search" / "ranked.csv").read_bytes()


@pytest.mark.parametrize("under", ["default", "error", "ignore"])
def test_warnings_are_said_in_a_line_of_their_own(here: Path, fanwise: Any, under: Any) -> None:
    table = columns()
    table["x3"][50] = np.nan
    write_csv(here / "data.csv", month_ends(120), table)
    with warnings.catch_warnings():
        warnings.simplefilter(under)
        said = run(fanwise)
    assert said.code == 0
    assert "fanwise search: 1 gap in the training rows" in said.err
    assert "study.py" not in said.err


def test_full_writes_every_verdict(here: Path, fanwise: Any) -> None:
    assert run(fanwise, "--full").code == 0
    rows = rows_of(here / "search.search" / "verdicts.csv")
    assert {row["passed"] for row in rows} == {"0", "1"}


def test_a_range_of_ids_can_be_run(here: Path, fanwise: Any) -> None:
    assert "45 tried" in run(fanwise, "--range", "30:75").out
    for bad in ("5", "7:5", "a:b", ":", "3:3"):
        said = run(fanwise, "--range", bad)
        assert (said.code, "--range expects A:B with A < B" in said.err) == (2, True)


def test_plan_counts_and_lists(here: Path, fanwise: Any) -> None:
    said = fanwise("plan", "search.toml", "--list", "2", "--unrank", "7")
    assert said.code == 0
    assert said.out.startswith("search.toml: ")
    assert "pool: x1:LV x1:LV@1 x1:LV@2" in said.out
    assert "projected: " in said.out
    assert said.out.splitlines()[-3:-1] == ["0  x1:LV", "1  x1:LV@1"]
    assert said.out.splitlines()[-1].startswith("7  ")


def test_plan_names_what_left_the_pool_and_what_is_not_defined(here: Path, fanwise: Any) -> None:
    table = columns()
    table["x4"] = np.full(120, 3.0)
    table["x3"] = np.where(np.arange(120) == 50, -1.0, np.abs(table["x3"]) + 0.1)
    write_csv(here / "data.csv", month_ends(120), table)
    write_config(here, {"search": {"forced": ["season(4)"]}}, [{"name": "a", "items": ["x1", "x3:LOG", "x4"]}])
    said = fanwise("plan", "search.toml")
    assert "left out: x4:LV (constant)" in said.out
    assert "not defined: x3:LOG at 1 rows" in said.out
    assert "note: 1 gap in the training rows" in said.out
    assert "forced: season(4).2" in said.out


def test_plan_as_json(here: Path, fanwise: Any) -> None:
    found = fanwise("plan", "search.toml", "--json", "--unrank", "3").json
    assert found["specifications"] == [{"id": 3, "terms": "x2:LV"}]
    assert found["count"] > 50
    assert found["seconds"] > 0
    assert fanwise("plan", "search.toml", "--unrank", "99999999").code == 2


def test_plan_agrees_with_rank_at_random_ids(here: Path, fanwise: Any) -> None:
    config = modelsearch.load_config("search.toml")
    space = modelsearch.Space(config, modelsearch.prepare(config))
    for i in np.random.default_rng(0).integers(0, space.count(), 5).tolist():
        assert fanwise("plan", "search.toml", "--unrank", str(i)).out.splitlines()[-1] == f"{i}  {space.terms(i)}"


def test_show_prints_the_best_rows_and_the_statement(here: Path, fanwise: Any) -> None:
    run(fanwise)
    said = fanwise("show", "search.toml", "--top", "3")
    lines = said.out.splitlines()
    assert lines[0].split() == ["rank", "id", "r2", "adj_r2", "bic", "max_p", "oos_rmse", "wf_rmse", "terms"]
    assert len(lines) >= 5
    assert lines[-1].startswith("Searched ")
    assert len(fanwise("show", "search.toml", "--top", "3", "--json").json["ranked"]) == 3


def test_show_gives_one_fit_under_several_names_once(here: Path, fanwise: Any) -> None:
    groups = [{"name": "all", "items": ["x1:LV,DF(1)@0..1", "x2@1"]}]
    write_config(
        here,
        {"filters": {"r2_min": False, "p_max": False, "vif_max": False}, "search": {"per_variable": 2, "max_terms": 2}},
        groups,
    )
    run(fanwise)
    said = fanwise("show", "search.toml")
    assert "one and the same fit: " in said.out


def test_show_explains_by_id_or_terms(here: Path, fanwise: Any) -> None:
    run(fanwise)
    by_terms, by_id = (fanwise("show", "search.toml", "--why", text) for text in ("x1:LV", "0"))
    assert by_terms.out == by_id.out
    assert by_id.out.splitlines()[0].startswith("0 x1:LV: ")
    assert sum(" pass" in line or " FAIL" in line for line in by_id.out.splitlines()) >= 11
    assert "jarque_bera" in by_id.out
    assert fanwise("show", "search.toml", "--why", "0", "--json").json["why"]["terms"] == "x1:LV"
    assert fanwise("show", "search.toml", "--why", "999999").code == 2
    assert fanwise("show", "search.toml", "--why", "x9").code == 2


def test_show_gives_funnel_and_near_misses(here: Path, fanwise: Any) -> None:
    run(fanwise)
    funnel = fanwise("show", "search.toml", "--funnel").out.splitlines()
    assert [line.split()[0] for line in funnel] == [
        "rank",
        "r2",
        "adj_r2",
        "sign",
        "vif",
        "pvalue",
        "group_f",
        "stationary",
        "cointegration",
        "oos",
        "stability",
        "passed",
    ]
    misses = fanwise("show", "search.toml", "--near-misses", "4").out.splitlines()
    assert len(misses) == 4
    assert all(" fell at " in line for line in misses)
    assert len(fanwise("show", "search.toml", "--near-misses", "2", "--json").json["near_misses"]) == 2


@pytest.mark.parametrize(
    ("name", "content", "command"),
    [
        ("summary.json", "{", ["show"]),
        ("summary.json", "[]", ["show", "--funnel"]),
        ("summary.json", '{"funnel": [{"filter": "rank", "entered": 9}]}', ["show", "--funnel"]),
        ("summary.json", '{"multiplicity": {"method": "luck"}}', ["show"]),
        ("run.json", '{"near_misses": [1000000]}', ["show", "--near-misses", "2"]),
        ("run.json", '{"near_misses": ["x"]}', ["show", "--near-misses", "2"]),
        ("ranked.csv", "rank,id\n1,x\n", ["show"]),
        ("ranked.csv", "rank,id\n1,x\n", ["forecast", "--future", "data.csv", "-o", "f.csv"]),
        ("ranked.csv", "\0", ["show"]),
    ],
)
def test_results_that_were_edited_or_damaged_are_bad_input(
    here: Path, fanwise: Any, name: str, content: str, command: list[str]
) -> None:
    run(fanwise)
    (here / "search.search" / name).write_text(content)
    said = fanwise(command[0], "search.toml", *command[1:])
    assert said.code == 2
    assert f"{name} is not as a search writes it" in said.err or "there is no specification" in said.err


def test_show_refuses_a_directory_of_another_search(here: Path, fanwise: Any) -> None:
    said = fanwise("show", "search.toml")
    assert said.code == 2
    assert "holds no search; run one first: fanwise search run search.toml -o search.search" in said.err
    run(fanwise)
    write_config(here, {**LENIENT, "filters": {"r2_min": 0.15}}, GROUPS)
    for command in (
        ["show"],
        ["export", "--id", "0", "-o", "x.csv"],
        ["forecast", "--future", "data.csv", "-o", "x.csv"],
    ):
        said = fanwise(command[0], "search.toml", *command[1:])
        assert (said.code, "belongs to another search: [filters] changed" in said.err) == (2, True)


def test_export_writes_a_file_once(here: Path, fanwise: Any) -> None:
    run(fanwise)
    for form in ("csv", "json", "python", "recipes"):
        assert fanwise("export", "search.toml", "--id", "3", "-o", f"model.{form}", "--format", form).code == 0
        assert (here / f"model.{form}").stat().st_size > 50
    again = fanwise("export", "search.toml", "--id", "3", "-o", "model.csv")
    assert (again.code, "model.csv exists; use --force to overwrite it." in again.err) == (2, True)
    assert fanwise("export", "search.toml", "--id", "x2", "-o", "model.csv", "--force").code == 0
    assert fanwise("export", "search.toml", "--id", "3", "-o", "no/such/dir.csv").code == 2


def ahead(here: Path, name: str, missing: bool = False) -> str:
    rows = {key: column[120:].copy() for key, column in columns(124).items()}
    if missing:
        rows["x1"][1] = np.nan
    write_csv(here / name, month_ends(124)[120:], rows)
    return name


def test_forecast_writes_a_column_for_each_specification(here: Path, fanwise: Any) -> None:
    run(fanwise)
    path = ahead(here, "next.csv")
    assert fanwise("forecast", "search.toml", "--future", path, "--top", "2", "-o", "f.csv").code == 0
    best = [row["id"] for row in rows_of(here / "search.search" / "ranked.csv")[:2]]
    rows = rows_of(here / "f.csv")
    assert list(rows[0]) == ["time", f"id_{best[0]}", f"id_{best[1]}", "mean"]
    assert len(rows) == 4
    assert fanwise("forecast", "search.toml", "--future", path, "--ids", "3,1", "-o", "g.csv").code == 0
    assert list(rows_of(here / "g.csv")[0]) == ["time", "id_3", "id_1", "mean"]


def test_forecast_of_scenarios_has_their_names_in_front(here: Path, fanwise: Any) -> None:
    run(fanwise)
    base, severe = ahead(here, "b.csv"), ahead(here, "s.csv", missing=True)
    said = fanwise(
        "forecast",
        "search.toml",
        "--future",
        f"base={base}",
        "--future",
        f"severe={severe}",
        "--ids",
        "0",
        "-o",
        "f.csv",
    )
    assert said.code == 3
    assert "empty cells in 1 column of f.csv: an input is missing there" in said.err
    rows = rows_of(here / "f.csv")
    assert [row["scenario"] for row in rows] == ["base"] * 4 + ["severe"] * 4
    assert [row["id_0"] == "" for row in rows] == [False] * 5 + [True] + [False] * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--future", "a.csv", "--future", "b.csv"], "of several files each needs a name"),
        (["--future", "x=a.csv", "--future", "x=b.csv"], "two scenarios are called x"),
        (["--future", "a.csv", "--ids", "1,b"], "--ids expects numbers with commas between them"),
        (["--future", "missing.csv"], "cannot read missing.csv: no such file"),
    ],
)
def test_forecast_refuses_what_cannot_be_meant(here: Path, fanwise: Any, arguments: list[str], says: str) -> None:
    run(fanwise)
    said = fanwise("forecast", "search.toml", *arguments, "-o", "f.csv")
    assert (said.code, says in said.err) == (2, True)
    assert not (here / "f.csv").exists()


def test_forecast_needs_something_that_passed(here: Path, fanwise: Any) -> None:
    write_config(here, {"filters": {"r2_min": 0.999}}, GROUPS)
    said = run(fanwise)
    assert said.code == 0
    assert "0 passed" in said.out
    assert said.out.count("near miss: ") == 10
    assert "fell: r2 " in said.out
    said = fanwise("forecast", "search.toml", "--future", ahead(here, "n.csv"), "-o", "f.csv")
    assert (said.code, "nothing passed, so nothing predicts" in said.err) == (2, True)


SECTIONS: dict[str, Any] = {
    "unknown key": ({"filters": {"pmax": 0.1}}, None, "search.toml: [filters] pmax: unknown key; did you mean p_max?"),
    "wrong type": ({"filters": {"p_max": "low"}}, None, "[filters] p_max: expected"),
    "unknown column": (None, ["gdp"], 'search.toml: [search.group 1] "gdp:LV": data.csv has no column gdp'),
    "unknown transform": (None, ["x1:DIF(1)"], '[search.group 1] "x1:DIF(1)": unknown transform DIF; known:'),
    "malformed entry": (None, ["x1:(2"], '[search.group 1] "x1:(2": cannot read the transforms'),
    "picks that cannot be met": (
        None,
        {"pick": [2, 2], "items": ["x1@0..1"], "name": "rates"},
        'no specification: group "rates" needs 2 of 1 items',
    ),
    "too few rows": ({"data": {"train": ["2001-01-31", "2001-03-31"]}}, None, "complete rows are left for up to k ="),
    "test before train": ({"data": {"test": ["2003-01-31", "2009-01-31"]}}, None, "it must start after train"),
    "chunk below 1": ({"run": {"chunk": 0}}, None, "[run] chunk: expected a whole number of at least 1"),
    "cointegration of too many": (
        {"filters": {"cointegration": 0.05}, "search": {"max_terms": 6}},
        None,
        "published for up to 6 series",
    ),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_configuration_that_cannot_be_meant_ends_with_2(here: Path, fanwise: Any, name: str) -> None:
    sections, group, says = SECTIONS[name]
    groups = GROUPS if group is None else [group if isinstance(group, dict) else {"name": "g", "items": group}]
    write_config(here, sections, groups)
    for said in (run(fanwise), fanwise("plan", "search.toml")):
        assert (said.code, said.out) == (2, "")
        assert says in said.err
        assert said.err.startswith("fanwise search")
        assert "Traceback" not in said.err


BAD_DATA: dict[str, tuple[Any, str]] = {
    "time not increasing": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "row 2 (line 3) has 2001-01-31"),
    "duplicate time": (
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        "row 2 (line 3) has 2001-02-28, row 3 (line 4) has 2001-02-28",
    ),
    "unparsable time": (lambda lines: [*lines[:3], "soon" + lines[3][10:], *lines[4:]], '"soon" is not an ISO date'),
    "text in a number": (
        lambda lines: [*lines[:3], lines[3].rpartition(",")[0] + ",high", *lines[4:]],
        'row 3 (line 4), column "y": "high" is not a number',
    ),
    "a short row": (
        lambda lines: [*lines[:3], "2001-03-31,1", *lines[4:]],
        "row 3 (line 4): 2 fields, the header has 6",
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_are_no_table_end_with_2(here: Path, fanwise: Any, name: str) -> None:
    change, says = BAD_DATA[name]
    lines = (here / "data.csv").read_text("utf-8").splitlines()
    (here / "data.csv").write_text("\n".join(change(lines)) + "\n", "utf-8")
    said = run(fanwise)
    assert (said.code, "data.csv" in said.err) == (2, True)
    assert says in said.err


def test_constant_items_leave_and_a_forced_one_ends_with_2(here: Path, fanwise: Any) -> None:
    table = columns()
    table["x4"] = np.full(120, 3.0)
    world(here, LENIENT, GROUPS, table=table)
    said = run(fanwise)
    assert said.code == 0
    assert "fanwise search: left out: x4:LV (constant)" in said.err
    summary = json.loads((here / "search.search" / "summary.json").read_text("utf-8"))
    assert ["x4:LV", "constant"] in summary["excluded"]
    write_config(here, {"search": {"forced": ["x4"]}}, [{"name": "g", "items": ["x1"]}])
    said = run(fanwise)
    assert (said.code, "x4:LV is constant or missing in train" in said.err) == (2, True)


@pytest.mark.parametrize("how", ["constant", "identity"])
def test_a_target_that_needs_no_model_ends_with_2(here: Path, fanwise: Any, how: str) -> None:
    table = columns()
    table["y"] = np.full(120, 1.0) if how == "constant" else table["x3"]
    write_csv(here / "data.csv", month_ends(120), table)
    said = run(fanwise)
    assert said.code == 2
    assert {"constant": "y:LV is constant", "identity": "y:LV equals the item x3:LV: an identity"}[how] in said.err


def test_an_output_that_exists_ends_with_2(here: Path, fanwise: Any) -> None:
    run(fanwise)
    said = run(fanwise)
    assert (said.code, "search.search exists; use --resume to go on, or --force to overwrite it." in said.err) == (
        2,
        True,
    )
    assert run(fanwise, "--resume").code == 0
    assert run(fanwise, "--force").code == 0


def test_too_many_specifications_end_with_2(here: Path, fanwise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "MOST_SPECIFICATIONS", 10)
    said = run(fanwise)
    assert (said.code, "choose some with --range A:B" in said.err) == (2, True)
    assert run(fanwise, "--force").code == 2
    assert run(fanwise, "--range", "0:10").code == 0


def test_a_chunk_that_fails_ends_with_3_and_resume_mends_it(
    here: Path, fanwise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Unlucky({1, 2}).install(monkeypatch)
    said = run(fanwise, "--json")
    assert said.code == said.json["exit_code"] == 3
    assert [problem["where"] for problem in said.json["problems"]] == ["ids 20 to 39", "ids 40 to 59"]
    assert "out of luck (--resume tries only what is missing)" in said.err
    assert not (here / "search.search" / "ranked.csv").exists()
    assert (here / "search.search" / "ranked.partial.csv").exists()
    shown = fanwise("show", "search.toml")
    assert (shown.code, "is not finished: there is no ranked.csv" in shown.err) == (2, True)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert run(fanwise, "--resume").code == 0


def test_a_source_that_changes_during_the_run_ends_with_2(
    here: Path, fanwise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddling(monkeypatch, lambda: write_csv(here / "data.csv", month_ends(120), columns(seed=9)))
    said = run(fanwise)
    assert said.code == 2
    assert "data.csv changed during the run: x1:LV" in said.err
    assert not (here / "search.search" / "ranked.csv").exists()


def test_drift_and_a_wrong_second_opinion_end_with_1(here: Path, fanwise: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.modelsearch import _replay

    monkeypatch.setattr(_replay, "values", lambda item, source: source + 1.0)
    said = run(fanwise)
    assert said.code == 1
    assert "This is a defect in fanwise" in said.err
    assert len(list(here.glob("crash-*.txt"))) == 1
    monkeypatch.undo()
    monkeypatch.chdir(here)
    wrong = modelsearch.Verification(1, 0.1, 0.1, (17, "bg_p"))
    monkeypatch.setattr(study, "verify_rows", lambda *_: wrong)
    said = run(fanwise, "--verify", "1", "--force")
    assert (said.code, "max deviation 1.0e-01 (id 17, bg_p)" in said.out) == (1, True)


def test_an_unwritable_report_is_found_before_any_work(here: Path, fanwise: Any) -> None:
    said = run(fanwise, "--report", "no/such/folder/r.html")
    assert said.code == 2
    assert not (here / "search.search").exists()


def test_an_unknown_subcommand_is_refused(here: Path, fanwise: Any) -> None:
    said = fanwise("rnu", "search.toml")
    assert said.code == 2
    assert "run" in said.err


@pytest.mark.parametrize("command", [[], ["plan"], ["run"], ["show"], ["export"], ["forecast"]])
def test_every_command_has_a_help_page(command: list[str], fanwise: Any) -> None:
    said = fanwise(*command, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: fanwise search {' '.join(command)}".rstrip())
    if command:
        assert "Exit codes:" in said.out
