"""What machines read: one object a command on stdout, whatever is in it, and log records as lines."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs import Story, fanned_out, report_of, serial_run, stories

from fanwise.cli import main
from fanwise.cli._logs import configure
from fanwise.cli._summary import SCHEMA, Output, Summary, finite, no_items, print_json, workers_started

COMMON = ("schema", "command", "exit_code", "outputs", "items", "wall_s", "speedup_estimate", "problems")


def told(summary: Summary) -> dict[str, Any]:
    return json.loads(summary.as_json(), parse_constant=lambda name: pytest.fail(name))


def test_the_common_fields_come_first_and_in_their_order() -> None:
    found = told(Summary("probe", 0, own={"zeta": 1, "alpha": 2}))
    assert tuple(found) == (*COMMON, "zeta", "alpha")
    assert found["schema"] == SCHEMA == "fanwise.summary/1"


@settings(max_examples=30)
@given(stories())
def test_items_are_those_of_the_report(story: Story) -> None:
    report = story.report()
    found = told(Summary("probe", 0, report=report))
    assert set(found["items"]) == set(no_items())
    assert found["items"]["total"] == report.items
    assert found["items"]["failed"] == report.failed
    assert found["speedup_estimate"] == report.speedup


def test_without_a_report_all_counts_are_zero() -> None:
    found = told(Summary("probe", 3))
    assert set(found["items"].values()) == {0}
    assert found["speedup_estimate"] is None
    assert "report" not in found


@pytest.mark.parametrize(
    ("events", "workers"), [(serial_run(), 0), (fanned_out(), 2), ([], 0)], ids=["serial", "fanned out", "nothing"]
)
def test_workers_are_counted_without_the_calling_process(events: list[Any], workers: int) -> None:
    assert workers_started(report_of(events)) == workers
    assert workers_started(None) == 0


@given(st.recursive(st.floats() | st.integers() | st.text(), lambda x: st.lists(x) | st.tuples(x, x), max_leaves=9))
def test_making_finite_twice_changes_nothing_and_only_numbers_go(value: Any) -> None:
    once = finite(value)
    assert finite(once) == once
    json.dumps(once, allow_nan=False)


def test_wall_time_has_microseconds() -> None:
    assert told(Summary("probe", 0, wall_s=1.23456789))["wall_s"] == 1.234568


@given(data=st.binary(max_size=300))
def test_a_digest_is_that_of_the_bytes(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    from hashlib import sha256

    path = tmp_path_factory.getbasetemp() / "digested.bin"
    path.write_bytes(data)
    assert Output(str(path)).described() == {"path": str(path), "sha256": sha256(data).hexdigest()}


def test_no_rows_are_a_number_too(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("a,b\n")
    assert Output(str(tmp_path / "empty.csv"), 0).described()["rows"] == 0


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_that_is_no_text_is_printed_all_the_same(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    name = os.fsdecode(b"caf\xe9/\xce\xb1.txt")
    print_json(Summary("scan", 3, problems=[(name, "skipped: no text")]))
    line = raw.getvalue().decode(encoding)
    assert line.count("\n") == 1
    assert json.loads(line)["problems"][0]["where"] == name


def test_letters_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Summary("scan", 0, own={"crop": "maïs", "path": "データ"}))
    assert '"maïs", "path": "データ"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["ci", "--table", "1,2,3", "--json"],
        ["ci", "none.csv", "--json"],
        ["scan", "audit", "--json"],
        ["search", "run", "none.toml", "--json"],
        ["scan", "rules", "check", "none.yaml", "--json"],
        ["scan", "diff", "old", "new", "--json"],
    ],
    ids=" ".join,
)
def test_a_bad_ending_is_one_object_with_the_message_of_stderr(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(words)
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert code == found["exit_code"] == 2
    assert found["problems"][0]["message"] == err.rstrip("\n")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The root logger as a program finds it."""
    logger = logging.getLogger()
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(logger, "level", logging.ERROR)
    return logger


class TestLogs:
    @pytest.mark.parametrize(("verbose", "level"), [(0, "WARNING"), (1, "INFO"), (2, "DEBUG"), (9, "DEBUG")])
    def test_each_v_says_more_until_all_is_said(self, verbose: int, level: str, root: logging.Logger) -> None:
        configure(verbose, {}, "r")
        assert logging.getLevelName(root.level) == level

    def test_the_logging_of_before_is_put_back(self, root: logging.Logger) -> None:
        before = root.handlers[:], root.level
        configure(2, {}, "r")()
        assert (root.handlers, root.level) == before

    def test_the_compiler_never_floods_the_log(self, root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
        configure(2, {}, "r")
        logging.getLogger("numba.core.byteflow").debug("bytecode dump")
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("told", ["JSON", "1", "", "text"])
    def test_only_the_word_json_makes_objects(
        self, told: str, root: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(1, {"FANWISE_LOG": told}, "r")
        logging.getLogger("fanwise").info("hello")
        assert capsys.readouterr().err == "INFO fanwise: hello\n"

    @pytest.mark.parametrize("message", ["two\nlines", "\x1b[31mred", "naïve"])
    def test_a_record_is_one_object_a_line_with_the_run(
        self, message: str, root: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(1, {"FANWISE_LOG": "json"}, "ab12")
        logging.getLogger("fanwise.engine").warning("%s", message)
        (line,) = capsys.readouterr().err.splitlines()
        found = json.loads(line)
        assert (found["level"], found["logger"], found["run"]) == ("WARNING", "fanwise.engine", "ab12")
        assert "\x1b" not in line
