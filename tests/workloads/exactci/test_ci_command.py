"""``fanwise ci`` from the outside: what is written, what is said, and how it ends."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanwise.cli import main
from fanwise.workloads.exactci import interval

TRIALS = "trial,a,b,c,d\nAronson,4,119,11,128\nFerguson & Simes,6,300,29,274\n007,0,0,3,4\n"
BAD = "n,a,b,c,d\nw,1,2,3,4\nx,1,-1,3,4\ny,,2,3,4\nz,1,2,3,nonsense\n"
ADDED = ["method", "alpha", "odds_ratio", "estimate", "lower", "upper", "p_value", "status"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run ``fanwise ci`` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))

    def ended(*words: object, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin.encode())))
        code = main(["ci", *map(str, words)])
        out, err = capsysbinary.readouterr()
        return Ended(code, out.decode(), err.decode())

    return ended


def put(name: str, content: str) -> str:
    Path(name).write_text(content, newline="")
    return name


def rows_of(name: str) -> list[dict[str, str]]:
    with open(name, newline="") as file:
        return list(csv.DictReader(file))


def test_every_method_of_every_table_in_order(run: Run) -> None:
    ended = run(put("t.csv", TRIALS), "--method", "all", "-o", "o.csv", "--plot", "f.svg")
    assert ended.code == 0
    rows = rows_of("o.csv")
    assert list(rows[0]) == ["trial", "a", "b", "c", "d", *ADDED]
    assert [row["method"] for row in rows] == ["conditional", "midp", "blaker", "minlike"] * 3
    assert [row["trial"] for row in rows[::4]] == ["Aronson", "Ferguson & Simes", "007"]
    wanted = interval(4, 119, 11, 128, method="blaker")
    assert [float(rows[2][name]) for name in ("lower", "upper", "p_value")] == [
        wanted.lower,
        wanted.upper,
        wanted.p_value,
    ]
    assert rows[2]["lower"] == repr(wanted.lower)
    assert (rows[8]["estimate"], rows[8]["upper"], rows[8]["status"]) == ("", "inf", "empty_margin")
    assert "1 row with an empty margin" in ended.err
    assert "Ferguson & Simes" in [text.text for text in ET.parse("f.svg").iter("{http://www.w3.org/2000/svg}text")]


def test_csv_goes_to_standard_output_without_an_output(run: Run) -> None:
    for ended in (run(put("t.csv", TRIALS)), run("-", stdin=TRIALS), run("t.csv", "-o", "-")):
        assert ended.code == 0
        assert [row["status"] for row in ended.rows] == ["ok", "ok", "empty_margin"]
    assert "\r" not in ended.out


@pytest.mark.parametrize(
    "text", ['n,a,b,c,d\n"x, ""y""",007, 2 ,3.0,4\n', "n,a,b,c,d\r\né,1,2,3,4\r\n", "a,b,c,d\n1,2,3,4"]
)
def test_text_of_the_input_is_not_changed(run: Run, text: str) -> None:
    ended = run(put("t.csv", text))
    wanted = list(csv.reader(io.StringIO(text)))
    assert [row[: len(wanted[0])] for row in csv.reader(io.StringIO(ended.out))] == wanted
    record = text.splitlines()[1]
    assert ended.out.splitlines()[1].startswith(record + ",conditional,0.05,")


def test_the_output_can_be_read_back(run: Run) -> None:
    run(put("t.csv", TRIALS), "-o", "o.csv")
    ended = run("o.csv", "--prefix", "again_")
    assert ended.code == 0
    for row in ended.rows:
        assert row["lower"] == row["again_lower"]
        assert row["p_value"] == row["again_p_value"]


def test_formats_go_by_suffix(run: Run) -> None:
    put("t.csv", TRIALS)
    assert run("t.csv", "-o", "o.tsv").code == run("o.tsv", "--prefix", "x_", "-o", "o.parquet").code == 0
    assert run("o.parquet", "--prefix", "y_", "-o", "o2.csv").code == 0
    table = pq.read_table("o.parquet")
    assert table["x_lower"].type == pa.float64()
    assert table["x_estimate"].null_count == 1
    assert [row["y_upper"] for row in rows_of("o2.csv")] == [repr(value) for value in table["x_upper"].to_pylist()]


def test_events_totals_columns_and_sides(run: Run) -> None:
    put("e.csv", "Cases,All,Controls,Rest\n4,123,11,139\n")
    (row,) = run("e.csv", "--events", "cases,all,controls,rest", "--alternative", "less", "--alpha", "0.025").rows
    assert (float(row["lower"]), float(row["upper"])) == (0.0, interval(4, 119, 11, 128).upper)
    put("c.csv", "p,q,r,s\n4,119,11,128\n")
    (row,) = run("c.csv", "--columns", "p, q, r, s").rows
    assert float(row["upper"]) == interval(4, 119, 11, 128).upper


def test_a_matrix_makes_a_table_of_each_cell(run: Run) -> None:
    ended = run(put("m.csv", "event,A,B\nrash,5,1\nfever,3,4\n"), "--matrix", "--adjust", "bh")
    assert [(row["row"], row["column"], row["a"]) for row in ended.rows[:2]] == [
        ("rash", "A", "5"),
        ("fever", "A", "3"),
    ]
    assert all(float(row["p_adjusted"]) >= float(row["p_value"]) for row in ended.rows)


def test_bad_rows_are_named_and_keep_their_place(run: Run) -> None:
    ended = run(put("t.csv", BAD), "-o", "o.csv", "--json")
    assert ended.code == 3
    assert 't.csv, line 3, column "b": "-1" is not a count' in ended.err
    assert "3 rows without a table" in ended.err
    assert [row["status"] for row in rows_of("o.csv")] == ["ok", "negative", "missing", "not_a_number"]
    assert rows_of("o.csv")[1]["lower"] == ""
    summary = json.loads(ended.out)
    assert summary["bad"] == 3
    assert summary["bad_rows"][0] == {"line": 3, "column": "b", "value": "-1", "status": "negative"}
    assert summary["computed"] + summary["resumed"] + summary["cached"] == summary["rows"] - summary["bad"] == 1


def test_only_the_first_five_bad_rows_are_named(run: Run) -> None:
    ended = run(put("t.csv", "a,b,c,d\n" + "1,2,3,x\n" * 20))
    assert ended.err.count("is not a count") == 5
    assert "20 rows without a table" in ended.err


def test_the_summary_is_one_object_with_the_common_fields(run: Run) -> None:
    ended = run(put("t.csv", TRIALS), "-o", "o.csv", "--json", "--method", "midp,blaker", "--plot", "f.svg")
    summary = json.loads(ended.out)
    assert summary["schema"] == "fanwise.summary/1"
    assert (summary["command"], summary["workload"], summary["exit_code"]) == ("ci", "ci", 0)
    assert (summary["tables"], summary["rows"], summary["methods"]) == (3, 6, ["midp", "blaker"])
    assert summary["workers"] == 0
    assert summary["empty_margin"] == 1
    digest = hashlib.sha256(Path("o.csv").read_bytes()).hexdigest()
    assert summary["outputs"][0] == {"path": "o.csv", "sha256": digest, "rows": 6}
    assert summary["outputs"][1]["path"] == "f.svg"
    assert summary["items"]["ok"] == summary["items"]["total"] == 2


def test_quiet_says_nothing(run: Run) -> None:
    assert run(put("t.csv", TRIALS), "-q").err == ""


def test_no_tables_is_no_failure(run: Run) -> None:
    ended = run(put("t.csv", "n,a,b,c,d\n"))
    assert ended.code == 0
    assert ended.out == "n,a,b,c,d," + ",".join(ADDED) + "\n"
    assert "0 tables" in ended.err


def test_one_table_is_printed(run: Run) -> None:
    ended = run("--table", "12,5,8,10", "--method", "all")
    assert ended.code == 0
    assert f"{interval(12, 5, 8, 10, method='midp').upper:.6g}" in ended.out
    found = json.loads(run("--table", "0,5,8,10", "--json", "--method", "wald,midp").out)
    assert found["table"] == [0, 5, 8, 10]
    assert [one["method"] for one in found["intervals"]] == ["wald", "midp"]
    assert found["intervals"][1]["lower"] == 0.0
    assert json.loads(run("--table", "5,0,8,10", "--json").out)["intervals"][0]["upper"] == "inf"


WRONG = {
    "missing file": (["none.csv"], "cannot read none.csv: no such file."),
    "a folder": (["folder.csv"], "cannot read folder.csv: is a directory."),
    "unknown suffix": (["t.txt"], "t.txt has no known suffix; expected one of .csv, .tsv, .parquet."),
    "not UTF-8": (["latin.csv"], "latin.csv, line 2: not UTF-8"),
    "no header": (["empty.csv"], "empty.csv: no header"),
    "no column": (["pq.csv"], "no column a; there are p, q (name the four with --columns, or use --events)"),
    "no events column": (["t.csv", "--events", "a,b,c,q"], "no column q; there are trial, a, b, c, d"),
    "uneven row": (["short.csv"], "short.csv, line 3: 3 fields, expected 4"),
    "column twice": (["clash.csv"], "the output would have the column lower twice (use --prefix)"),
    "unknown method": (["t.csv", "--method", "blakr"], "did you mean 'blaker'"),
    "alpha": (["t.csv", "--alpha", "1.5"], "alpha is 1.5; it must lie between 0 and 1"),
    "alpha text": (["t.csv", "--alpha", "x"], "'x' is not a valid float."),
    "one-sided alpha": (["t.csv", "--alternative", "less", "--alpha", "0.5"], "needs alpha below 0.5"),
    "one-sided method": (["t.csv", "--alternative", "less", "--method", "all"], "conditional, midp, wald"),
    "three columns": (["t.csv", "--columns", "a,b,c"], "--columns a,b,c: 3 names; expected four"),
    "columns and events": (["t.csv", "--columns", "a,b,c,d", "--events", "a,b,c,d"], "give one of them"),
    "table and input": (["t.csv", "--table", "1,2,3,4"], "--table 1,2,3,4 and the input t.csv: give one of them"),
    "table of three": (["--table", "1,2,3"], "--table 1,2,3: 3 counts; expected four"),
    "bad table": (["--table", "1,2,-3,4"], '--table 1,2,-3,4: c is "-3", not a count'),
    "output exists": (["t.csv", "-o", "clash.csv"], "clash.csv exists; use --force to overwrite it."),
    "plot exists": (["t.csv", "--plot", "old.svg"], "old.svg exists; use --force to overwrite it."),
    "output folder": (["t.csv", "-o", "nowhere/o.csv"], "cannot write nowhere/o.csv: no such file"),
    "output suffix": (["t.csv", "-o", "o.xlsx"], "o.xlsx has no known suffix"),
    "plot suffix": (["t.csv", "--plot", "o.png"], "o.png has no known suffix; expected one of .svg."),
    "report": (["t.csv", "--report", "nowhere/r.html"], "cannot write nowhere/r.html"),
    "json and stdout": (["t.csv", "--json"], "--json needs -o FILE"),
    "no input": ([], "no input; give a .csv, .tsv or .parquet file"),
    "no label": (["t.csv", "--label", "q"], "no column q; there are trial, a, b, c, d (see --label)"),
    "strict": (["bad.csv", "--strict", "-o", "o.csv"], 'bad.csv, line 3, column "b": "-1" is not a count'),
    "strict events": (
        ["ev.csv", "--events", "a,b,c,d", "--strict"],
        'column "a, b": "5, 3": more events than the total',
    ),
    "measure": (["t.csv", "--measure", "rr"], "'rr' is not"),
    "unknown option": (["t.csv", "--alfa", "1"], "fanwise ci: no option --alfa. Did you mean --alpha?"),
    "workers": (["t.csv", "-p", "0"], 'fanwise: -p expects a number ≥ 1 or "auto", not "0".'),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_with_two_and_says_what(run: Run, case: str) -> None:
    put("t.csv", TRIALS)
    put("bad.csv", BAD)
    put("t.txt", TRIALS)
    put("empty.csv", "")
    put("pq.csv", "p,q\n1,2\n")
    put("short.csv", "a,b,c,d\n1,2,3,4\n1,2,3\n")
    put("clash.csv", "a,b,c,d,lower\n1,2,3,4,5\n")
    put("ev.csv", "a,b,c,d\n5,3,1,2\n")
    put("old.svg", "<svg/>")
    Path("latin.csv").write_bytes(b"a,b,c,d\n1,2,\xe9,4\n")
    Path("folder.csv").mkdir()
    before = set(os.listdir())
    words, message = WRONG[case]
    ended = run(*words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert set(os.listdir()) <= before | {"cache"}


def test_more_events_than_the_total_is_negative(run: Run) -> None:
    ended = run(put("ev.csv", "a,b,c,d\n5,3,1,2\n1,3,1,2\n"), "--events", "a,b,c,d")
    assert ended.code == 3
    assert [row["status"] for row in ended.rows] == ["negative", "ok"]
    assert 'ev.csv, line 2, column "a, b": "5, 3": more events than the total' in ended.err


def test_tables_too_large_for_a_method_are_named(run: Run) -> None:
    ended = run(put("t.csv", "a,b,c,d\n300,300,300,300\n3,1,1,3\n"), "--method", "unconditional,wald")
    assert ended.code == 3
    assert [row["status"] for row in ended.rows] == ["too_large", "ok", "ok", "ok"]
    assert "1 row too large for unconditional" in ended.err


def test_an_error_is_an_object_for_machines_too(run: Run) -> None:
    ended = run(put("t.csv", TRIALS), "--columns", "a,b,c,q", "-o", "o.csv", "--json")
    summary = json.loads(ended.out)
    assert summary["exit_code"] == ended.code == 2
    assert "no column q" in summary["problems"][0]["message"]


def test_force_overwrites(run: Run) -> None:
    put("t.csv", TRIALS)
    put("o.csv", "old")
    assert run("t.csv", "-o", "o.csv", "--force").code == 0
    assert len(rows_of("o.csv")) == 3


def test_an_input_that_changes_while_it_is_read_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.exactci import _job

    def computed(*arguments: object, **options: object) -> object:
        with open("t.csv", "a") as file:
            file.write("x,1,2,3,4\n")
        return compute(*arguments, **options)

    compute = _job.compute
    monkeypatch.setattr(_job, "compute", computed)
    ended = run(put("t.csv", TRIALS), "-o", "o.csv")
    assert ended.code == 2
    assert "t.csv changed while it was read: 3 rows, then 4" in ended.err
    assert not Path("o.csv").exists()


def test_a_report_and_a_trace_are_written(run: Run) -> None:
    assert run(put("t.csv", TRIALS), "-o", "o.csv", "--report", "r.html", "--trace", "t.json").code == 0
    assert "<html" in Path("r.html").read_text()
    assert json.loads(Path("r.json").read_text())["items"]["ok"] == 1
    assert "traceEvents" in json.loads(Path("t.json").read_text())


def test_a_report_that_cannot_be_written_after_all_costs_a_three(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space_for_a_page(fd: int) -> None:
        if ".html" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(28, "No space left on device")

    put("t.csv", TRIALS)
    monkeypatch.setattr(os, "fsync", no_space_for_a_page)
    ended = run("t.csv", "-o", "o.csv", "--report", "r.html")
    assert ended.code == 3
    assert "cannot write r.html: no space left on device." in ended.err
    assert len(rows_of("o.csv")) == 3


@pytest.mark.parametrize("options", [["-p", "1"], ["-p", "2"], ["--backend", "thread", "-p", "2"], ["--no-cache"]])
def test_workers_backends_and_cache_give_the_same_bytes(run: Run, options: list[str]) -> None:
    rows = np.random.default_rng(3).integers(0, 300, (2500, 4)).tolist()
    put("t.csv", "a,b,c,d\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    run("t.csv", "--method", "all", "-o", "plain.csv", "-p", "1", "--no-cache")
    for attempt in ("cold", "warm"):
        assert run("t.csv", "--method", "all", "-o", f"{attempt}.csv", *options).code == 0
        assert Path(f"{attempt}.csv").read_bytes() == Path("plain.csv").read_bytes()


def test_wrong_options_are_found_before_numpy_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from fanwise.cli import main; code = main(['ci', 'none.csv']);"
        "print(code, [m for m in ('numpy', 'numba', 'pyarrow') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ended.stdout == "2 []\n"


def test_the_plot_shows_the_rows_and_labels_that_were_asked_for(run: Run) -> None:
    put("t.csv", "id,name,a,b,c,d\n" + "".join(f"{i},drug {i},{i},9,8,7\n" for i in range(30)))
    for words, shown, hidden in (
        ([], ["drug 0", "drug 29"], []),
        (["--plot-rows", "5"], ["drug 4"], ["drug 5"]),
        (["--label", "id"], ["29"], ["drug 0"]),
    ):
        assert run("t.csv", "-o", "o.csv", "--plot", "f.svg", "--force", *words).code == 0
        labels = [text.text for text in ET.parse("f.svg").iter("{http://www.w3.org/2000/svg}text")]
        assert set(shown) <= set(labels)
        assert not set(hidden) & set(labels)


def test_rows_without_a_table_are_not_in_the_plot(run: Run) -> None:
    assert run(put("t.csv", BAD), "-o", "o.csv", "--plot", "f.svg").code == 3
    labels = [text.text for text in ET.parse("f.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "w" in labels
    assert not {"x", "y", "z"} & set(labels)


def test_the_same_plot_has_the_same_bytes(run: Run) -> None:
    put("t.csv", TRIALS)
    for name in ("one", "two"):
        run("t.csv", "-o", f"{name}.csv", "--plot", f"{name}.svg", "--method", "all")
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


def test_wide_tables_are_read_by_their_four_columns(run: Run) -> None:
    names = [f"x{i}" for i in range(40)]
    put(
        "t.csv", ",".join([*names, "d", "c", "b", "a"]) + "\n" + ",".join(["t"] * 40 + ["128", "11", "119", "4"]) + "\n"
    )
    (row,) = run("t.csv").rows
    assert row["upper"] == repr(interval(4, 119, 11, 128).upper)


def test_the_journal_is_gone_when_the_output_is_complete(run: Run) -> None:
    run(put("t.csv", TRIALS), "-o", "o.csv", "--cache-dir", "elsewhere")
    assert list(Path("elsewhere/journals").iterdir()) == []
    run("coverage", "--n1", 3, "--n2", 3, "--p2", "0.5", "--p1", "0.2", "-o", "c.csv", "--cache-dir", "elsewhere")
    assert list(Path("elsewhere/journals").iterdir()) == []


def test_a_second_run_with_resume_of_nothing_starts_afresh(run: Run) -> None:
    ended = run(put("t.csv", TRIALS), "-o", "o.csv", "--resume", "--json")
    assert json.loads(ended.out)["resumed"] == 0


def test_without_numba_it_says_why_it_is_slow(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.cli import ci

    monkeypatch.setattr(ci, "find_spec", lambda name: None)
    ended = run(put("t.csv", TRIALS))
    assert ended.code == 0
    assert "pip install 'fanwise[ci]'" in ended.err


def test_verbose_shows_log_records(run: Run) -> None:
    assert run(put("t.csv", TRIALS), "-v").code == 0


@pytest.mark.parametrize("progress", ["plain", "none", "rich"])
def test_any_progress_leaves_standard_output_to_the_results(run: Run, progress: str) -> None:
    ended = run(put("t.csv", TRIALS), "--progress", progress)
    assert ended.out.startswith("trial,a,b,c,d,method")
    assert len(ended.rows) == 3


def test_coverage_is_written_and_drawn(run: Run) -> None:
    grid = ["coverage", "--n1", 8, "--n2", 10, "--p2", "0.1,0.3", "--odds-ratio", "log:0.1:10:5"]
    ended = run(*grid, "--methods", "conditional,wald", "-o", "c.csv", "--plot", "c.svg", "--length", "--json")
    assert ended.code == 0
    rows = rows_of("c.csv")
    assert ",".join(rows[0]) == "n1,n2,p1,p2,odds_ratio,method,alpha,covered,miss_low,miss_high,finite,log_length"
    assert [row["odds_ratio"] for row in rows[:5:4]] == ["0.1", "10.0"]
    assert [row["method"] for row in rows] == ["conditional"] * 10 + ["wald"] * 10
    summary = json.loads(ended.out)
    assert (summary["points"], summary["rows"], summary["workload"]) == (10, 20, "ci coverage")
    assert summary["lowest"]["conditional"] >= 0.95
    assert ET.parse("c.svg").getroot().get("role") == "img"
    plain = run("coverage", "--n1", 2, "--n2", 2, "--p2", 0.5, "--p1", "0.1:0.3:3")
    assert [row["p1"] for row in plain.rows] == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--p2", "0.5"], "exactly one of --p1 and --odds-ratio"),
        (["--p2", "0.5", "--p1", "x"], "--p1 x: expected 0.1,0.2,0.5 or START:STOP:COUNT"),
        (["--p2", "0.5", "--p1", "log:0:1:3"], "--p1 log:0:1:3: expected"),
        (["--p2", "0.5", "--p1", "0.1:0.2:0"], "--p1 0.1:0.2:0: expected"),
        (["--p2", "0.5", "--p1", "1:2:3:4"], "--p1 1:2:3:4: expected"),
        (["--p2", "1.5", "--p1", "0.5"], "--p2 1.5: 1.5 is out of range (expected values above 0, below 1.0)."),
        (["--p2", "0.5", "--odds-ratio", "0,1"], "--odds-ratio 0,1: 0.0 is out of range"),
        (["--p2", "0.5", "--odds-ratio", "log:-1:1:3"], "--odds-ratio log:-1:1:3: expected"),
        (["--p2", "0.5", "--p1", "0.5", "--n1", "9999999"], "make 40,000,000 tables; at most 4,000,000"),
        (["--p2", "0.5", "--p1", "0.5", "--methods", "x"], "method 'x' is unknown"),
        (["--p2", "0.5", "--p1", "0.5", "--json"], "--json needs -o FILE"),
        (["--p2", "0.5", "--p1", "0.5", "-o", "c.parquet"], "c.parquet has no known suffix"),
        (["--p1", "0.5"], "Missing option '--p2'"),
    ],
)
def test_a_wrong_grid_ends_with_two(run: Run, words: list[str], message: str) -> None:
    ended = run("coverage", "--n1", 3, "--n2", 3, *words)
    assert ended.code == 2
    assert message in ended.err


def test_a_file_called_coverage_is_a_file_with_a_path(run: Run) -> None:
    put("coverage", TRIALS)
    assert "./coverage has no known suffix" in run("./coverage").err
