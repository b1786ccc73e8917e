"""Options, journals, summaries and output files that all workloads share."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import report_of, serial_run

import fanwise
from fanwise.cli._journals import journal_of
from fanwise.cli._logs import configure
from fanwise.cli._options import RunOptions, default_cache_dir, workload_options
from fanwise.cli._outputs import check_input, check_new, check_writable, terminable, write_reports
from fanwise.cli._summary import Output, Summary, finite
from fanwise.errors import CacheError, InputError, UsageError


def options(**chosen: object) -> RunOptions:
    plain = {
        "parallel": None, "backend": "auto", "cache_dir": Path("cache"), "no_cache": False, "resume": False,
        "progress": "auto", "report": None, "trace": None, "json": False, "quiet": False, "verbose": 0, "force": False,
    }  # fmt: skip
    return RunOptions(**(plain | chosen))


def shown(capsys: pytest.CaptureFixture[str], **chosen: object) -> str:
    """What a run of three items writes to a stderr that is no terminal."""
    fanwise.map(abs, [-1, 2, 3], progress=options(**chosen).bar("probe"), workers=1)
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FANWISE_PROGRESS", "FANWISE_LOG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_a_pipe_gets_a_closing_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for chosen in ({}, {"progress": "plain"}, {"progress": "rich"}):
        assert shown(capsys, **chosen).startswith("fanwise: probe: 3 items in ")


def test_quiet_beats_the_option_and_that_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANWISE_PROGRESS", "json")
    assert shown(capsys, quiet=True, progress="plain") == shown(capsys, progress="none") == ""
    assert shown(capsys, progress="plain").startswith("fanwise: probe: ")
    assert json.loads(shown(capsys).splitlines()[-1])


def test_lines_of_json_logs_stand_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_LOG", "json")
    assert shown(capsys) == ""


def test_quiet_notes_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    options(quiet=True).note("x")
    options().note("y")
    assert capsys.readouterr().err == "y\n"


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANWISE_CACHE_DIR", "/there")
    assert default_cache_dir() == Path("/there")
    monkeypatch.delenv("FANWISE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_cache_dir() == Path("/xdg/fanwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_cache_dir() == Path("/home/me/.cache/fanwise")


def test_the_users_own_cache_may_be_missing_and_one_that_is_named_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "file"))

    @click.command()
    @workload_options
    def command(options: RunOptions) -> int:
        return int(options.cache() is None)

    with command.make_context("command", []) as context:
        assert command.invoke(context) == 1
    assert capsys.readouterr().err.startswith("fanwise: no cache: ")
    with (
        command.make_context("command", ["--cache-dir", str(tmp_path / "file")]) as context,
        pytest.raises(CacheError, match="file"),
    ):
        command.invoke(context)


def test_a_journal_is_found_by_the_resolved_path(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    direct, roundabout = tmp_path / "o.csv", tmp_path / "x" / ".." / "o.csv"
    assert journal_of(tmp_path, "ci", direct).path == journal_of(tmp_path, "ci", roundabout).path
    assert journal_of(tmp_path, "ci", direct).path != journal_of(tmp_path, "scan", direct).path


def test_a_journal_goes_on_with_the_same_settings_only(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "cache", "ci", Path("o.csv"))
    assert journal.begin({"method": "midp", "alpha": 0.05}, options())
    journal.path.write_text("finished")
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    assert journal.begin({"method": "midp", "alpha": 0.05}, options(resume=True))
    assert journal.path.read_text() == "finished"
    with pytest.raises(UsageError, match=r"had alpha 0\.05, this one has 0\.1; .* --force to start afresh"):
        journal.begin({"method": "midp", "alpha": 0.1}, options(resume=True))
    assert journal.begin({"method": "midp", "alpha": 0.1}, options(resume=True, force=True))
    assert not journal.path.exists()


def test_a_journal_starts_afresh_without_resume_and_goes_when_done(tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "cache", "ci", Path("o.csv"))
    journal.begin({}, options())
    journal.path.write_text("old")
    journal.path.with_name(journal.path.name + ".tables").write_text("old")
    journal.begin({}, options())
    assert not journal.path.exists()
    journal.remove()
    assert list(journal.path.parent.iterdir()) == []


def test_without_a_place_for_a_journal_only_resume_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache").write_text("a file")
    journal = journal_of(tmp_path / "cache", "ci", Path("o.csv"))
    assert not journal.begin({}, options())
    assert "no journal, so --resume will not work" in capsys.readouterr().err
    with pytest.raises(OSError, match="exists"):
        journal.begin({}, options(resume=True))


def test_outputs_are_described_by_digest(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_bytes(b"x\n")
    described = Output(str(tmp_path / "o.csv"), 1).described()
    assert described["rows"] == 1
    assert described["sha256"] == "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"
    assert "rows" not in Output(str(tmp_path / "o.csv")).described()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(own=st.dictionaries(st.text(min_size=1), values, max_size=4))
def test_any_summary_is_json_that_any_reader_takes(own: dict[str, object]) -> None:
    text = Summary("probe", 0, own=own).as_json()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert set(found) >= {"schema", "command", "exit_code", "outputs", "items", "wall_s", "problems", *own}


def test_numbers_that_json_has_not_are_null() -> None:
    assert finite({"x": [math.nan, (math.inf, 1.5)]}) == {"x": [None, [None, 1.5]]}


def test_a_summary_takes_items_and_speed_from_the_report() -> None:
    report = SimpleNamespace(to_json=lambda: json.dumps({"items": {"total": 3}, "time": {"speedup_estimate": 1.9}}))
    found = json.loads(Summary("probe", 3, report=report, report_path=Path("r.html")).as_json())
    assert (found["items"], found["speedup_estimate"], found["report"]) == ({"total": 3}, 1.9, "r.html")


def test_inputs_and_outputs_are_looked_at_before_any_work(tmp_path: Path) -> None:
    check_input("-", (".csv",))
    with pytest.raises(InputError, match="no such file"):
        check_input(str(tmp_path / "none.csv"), (".csv",))
    with pytest.raises(UsageError, match="known suffix"):
        check_input("x.txt", (".csv",))
    (tmp_path / "old.csv").write_text("old")
    check_new(tmp_path / "old.csv", (".csv",), force=True)
    assert (tmp_path / "old.csv").read_text() == "old"
    with pytest.raises(UsageError, match="--force"):
        check_new(tmp_path / "old.csv", (".csv",), force=False)
    check_writable(tmp_path / "new.html", None)
    assert not (tmp_path / "new.html").exists()


def test_reports_that_cannot_be_written_are_problems(tmp_path: Path) -> None:
    report = report_of(serial_run())
    assert write_reports(report, options(report=tmp_path / "r.html", trace=tmp_path / "t.json"), "ci") == []
    assert sorted(os.listdir(tmp_path)) == ["r.html", "r.json", "t.json"]
    ((where, message),) = write_reports(report, options(trace=tmp_path / "none" / "t.json"), "ci")
    assert where.endswith("t.json")
    assert message.endswith("no such file.")
    assert write_reports(None, options(report=tmp_path / "x.html"), "ci") == []


def test_sigterm_ends_a_step_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("environment", "start"), [({}, "INFO fanwise"), ({"FANWISE_LOG": "json"}, '{"t": ')])
def test_logs_go_to_stderr(
    environment: dict[str, str], start: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)
    configure(1, environment, "r")
    logging.getLogger("fanwise").info("hello")
    assert capsys.readouterr().err.startswith(start)
