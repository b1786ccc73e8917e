"""A report that was written can be shown again, turned into a page or a trace, and held beside another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.cli import main
from fanwise.report import as_text, compare


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_text(report_of(fanned_out()).to_json())
    Path("before.json").write_text(report_of(serial_run()).to_json())
    return tmp_path


def test_it_is_printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.json"]) == 0
    assert capsys.readouterr().out == as_text(report_of(fanned_out()))


def test_page_and_trace_are_those_of_the_report(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.json", "--html", "r.html", "--trace", "t.json"]) == 0
    assert capsys.readouterr().out == ""
    found = report_of(fanned_out()).from_json(Path("run.json").read_text())
    assert Path("r.html").read_text("utf-8") == found.to_html()
    assert json.loads(Path("t.json").read_text())["traceEvents"]
    assert sorted(path.name for path in runs.iterdir()) == ["before.json", "r.html", "run.json", "t.json"]


def test_text_is_printed_beside_a_page_on_request(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.json", "--html", "r.html", "--text"]) == 0
    assert capsys.readouterr().out.startswith("12 items in ")


def test_two_runs_stand_side_by_side(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "run.json", "--compare", "before.json"]) == 0
    assert capsys.readouterr().out == compare(report_of(fanned_out()), report_of(serial_run()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.json"], "fanwise report: cannot read none.json: no such file.\n"),
        (["odd.json"], "fanwise report: odd.json: this is not a fanwise report: it is not JSON ("),
        (["bytes.json"], "fanwise report: bytes.json: this is not a fanwise report: it is not text.\n"),
        (["other.json"], 'fanwise report: other.json: this is not a fanwise report of a known version: "schema" is'),
        (["run.json", "--compare", "other.json"], "fanwise report: other.json: "),
        (["run.json", "--trace", "run.json"], "fanwise report: run.json is named twice; an output needs"),
        (["run.json", "--html", "x", "--trace", "x"], "fanwise report: x is named twice; an output needs"),
        (["run.json", "--html", "no/r.html"], "fanwise report: cannot write no/r.html: no such file.\n"),
    ],
)
def test_bad_input_is_one_line(runs: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.json").write_text("[1")
    Path("bytes.json").write_bytes(b"\xff\xfe\x00")
    Path("other.json").write_text('{"schema": "fanwise.report/9"}')
    before = Path("run.json").read_text()
    assert main(["report", *words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(message)
    assert said.out == ""
    assert Path("run.json").read_text() == before


def test_the_summary_of_a_command_is_told_from_a_report(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("summary.json").write_text('{"schema": "fanwise.summary/1", "command": "ci"}')
    assert main(["report", "summary.json"]) == 2
    assert capsys.readouterr().err.endswith("its report is what --report FILE.html writes beside the page.\n")
