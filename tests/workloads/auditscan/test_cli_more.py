"""``fanwise scan`` beside its results: reports, displays, workers, interrupts between search and outputs, the demo."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanwise.cli import main
from fanwise.workloads import auditscan
from fanwise.workloads.auditscan.study import ScanService

pytest.importorskip("fanwise._api.verbs", reason="the public verbs are not there yet")

SCAN = ("scan", "audit", "--rules", "rules.yaml", "--out", "out", "--progress", "none", "-q")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up audit files and the example rules, in the current folder."""
    monkeypatch.chdir(tmp_path)
    auditscan.write_samples("audit", 5, kilobytes=16)
    source = auditscan.example_rules().parent
    for path in source.glob("*.yaml"):
        shutil.copyfile(path, "rules.yaml" if path.name == "all.yaml" else path.name)
    return tmp_path


def digests(folder: str = "out") -> dict[str, str]:
    paths = [path for path in Path(folder).iterdir() if path.is_file() and path.name != "run.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


def run(*words: object) -> int:
    return main([str(word) for word in words])


class TestReports:
    def test_a_page_and_its_json_and_a_trace(self, place: Path) -> None:
        assert run(*SCAN, "-p", "1", "--report", "r.html", "--trace", "t.json") == 0
        assert Path("r.html").read_text().startswith("<!DOCTYPE html>")
        assert json.loads(Path("r.json").read_text())["items"]["total"] == 5
        assert json.loads(Path("t.json").read_text())["traceEvents"]

    def test_a_report_that_cannot_be_written_is_told_before_any_work(self, place: Path, capsys: Any) -> None:
        assert run(*SCAN, "--report", "gone/r.html") == 2
        assert "cannot write gone/r.html" in capsys.readouterr().err
        assert not Path("out").exists()

    def test_a_report_may_stand_in_the_folder_that_the_scan_makes(self, place: Path) -> None:
        assert run("scan", "audit", "--rules", "rules.yaml", "--out", "new", "-p", "1", "--report", "new/r.html") == 0
        assert {path.name for path in Path("new").glob("r.*")} == {"r.html", "r.json"}

    def test_the_summary_counts_files_as_items(self, place: Path, capsys: Any) -> None:
        assert run(*SCAN, "-p", "1", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["items"]["total"] == told["items"]["ok"] == 5
        assert {Path(output["path"]).suffix for output in told["outputs"]} == {".xlsx", ".json"}
        for output in told["outputs"]:
            assert output["sha256"] == hashlib.sha256(Path(output["path"]).read_bytes()).hexdigest()

    def test_a_bad_ending_is_an_object_too(self, place: Path, capsys: Any) -> None:
        assert run("scan", "gone", *SCAN[2:], "--json") == 2
        told = json.loads(capsys.readouterr().out)
        assert (told["exit_code"], told["problems"][0]["message"]) == (
            2,
            "fanwise scan: cannot read gone: no such file.",
        )


class TestDisplay:
    def test_plain_lines_name_the_command_and_leave_stdout_alone(self, place: Path, capsys: Any) -> None:
        assert run(*SCAN[:-3], "-p", "1", "--progress", "plain") == 0
        said = capsys.readouterr()
        assert said.out == ""
        assert "fanwise: scan: " in said.err
        assert "\x1b" not in said.err
        assert "\r" not in said.err

    def test_quiet_says_nothing(self, place: Path, capsys: Any) -> None:
        assert run(*SCAN, "-p", "1") == 0
        assert capsys.readouterr() == ("", "")


class TestWorkers:
    @pytest.mark.process
    @pytest.mark.slow
    def test_every_output_is_the_same_for_any_number(self, place: Path) -> None:
        every = ("--format", "xlsx,jsonl,csv,sarif")
        assert run(*SCAN, *every, "-p", "1") == 0
        wanted = digests()
        for words in (("-p", "2"), ("-p", "4"), ("-p", "2", "--backend", "process"), ()):
            assert run(*SCAN, *every, "--force", *words) == 0
            assert digests() == wanted

    def test_a_named_backend_that_is_unknown_is_refused(self, place: Path, capsys: Any) -> None:
        assert run(*SCAN, "--backend", "abacus") == 2
        assert "abacus" in capsys.readouterr().err

    @pytest.mark.process
    @pytest.mark.parametrize("seconds", ["0", "5"])
    def test_threads_search_in_processes_when_rules_are_to_be_stopped(self, place: Path, seconds: str) -> None:
        assert run(*SCAN, "--format", "jsonl", "-p", "1") == 0
        wanted = digests()
        words = ("--format", "jsonl", "-p", "2", "--backend", "thread", "--force", "--rule-timeout", seconds)
        assert run(*SCAN, *words) == 0
        assert digests() == wanted


class TestInterrupts:
    @pytest.fixture
    def stopped_once(self, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        """Ctrl-C while outputs are written, the first time."""
        write, calls = ScanService.write, []

        def stop(self: ScanService, result: auditscan.ScanResult, *more: Any, **options: Any) -> list[Path]:
            calls.append(result.partial)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return write(self, result, *more, **options)

        monkeypatch.setattr(ScanService, "write", stop)
        return calls

    def test_after_the_search_everything_is_kept_under_partial_names(
        self, place: Path, stopped_once: list[bool], capsys: Any
    ) -> None:
        assert run(*SCAN, "-p", "1", "--format", "jsonl") == 130
        assert stopped_once == [False, True]
        assert "Interrupted: 5 of 5 files are kept. Continue with: fanwise scan" in capsys.readouterr().err
        assert sorted(os.listdir("out")) == [".fanwise-scan", "results.partial.jsonl", "run.partial.json"]
        partial = Path("out/results.partial.jsonl").read_bytes()
        assert run(*SCAN, "-p", "1", "--format", "jsonl", "--resume", "--json") == 0
        assert json.loads(capsys.readouterr().out)["resumed"] == 5
        assert sorted(os.listdir("out")) == ["results.jsonl", "run.json"]
        assert Path("out/results.jsonl").read_bytes() == partial

    def test_the_line_that_says_how_to_go_on_does_not_start_afresh(
        self, place: Path, stopped_once: list[bool], capsys: Any
    ) -> None:
        assert run(*SCAN, "--force", "-p", "1") == 130
        [line] = [line for line in capsys.readouterr().err.splitlines() if "Continue with" in line]
        assert line.endswith("--resume")
        assert "--force" not in line


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(0, 4)), st.sampled_from(["1", "1", "2"]))
def test_a_journal_cut_anywhere_gives_the_outputs_of_one_run(place: Path, kept: set[int], workers: str) -> None:
    every = ("--format", "xlsx,jsonl", "-p", workers)
    shutil.rmtree("out", ignore_errors=True)
    assert run(*SCAN, *every) == 0
    wanted = digests()
    shutil.rmtree("out")
    rules = auditscan.load_rules("rules.yaml")
    auditscan.scan(["audit"], rules, workers=1, progress="none", resume="out/.fanwise-scan")
    for number, path in enumerate(sorted(Path("out/.fanwise-scan").glob("*.scan"))):
        if number not in kept:
            path.write_bytes(path.read_bytes()[: 10 * number])
    assert run(*SCAN, *every, "--resume") == 0
    assert digests() == wanted
    assert json.loads(Path("out/run.json").read_text())["resumed"] == len(kept)


class TestCache:
    def test_a_cache_that_is_named_keeps_results_for_any_folder(
        self, place: Path, capsys: Any, fanwise_cache: Callable[[], None]
    ) -> None:
        words = ("--format", "jsonl", "-p", "1", "--cache-dir", "cache", "--json")
        for out, cached in (("one", 0), ("two", 5)):
            assert run("scan", "audit", "--rules", "rules.yaml", "--out", out, "-q", *words) == 0
            assert json.loads(capsys.readouterr().out)["cached"] == cached
        assert digests("one") == digests("two")

    @pytest.fixture
    def fanwise_cache(self) -> None:
        import fanwise

        if not hasattr(fanwise, "Cache"):
            pytest.skip("the cache is not there yet")


class TestDemo:
    def test_the_job_gives_the_same_bytes_as_the_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        demo = pytest.importorskip("fanwise.cli._demo_scan")
        monkeypatch.setattr(demo, "FILES", 3)
        monkeypatch.setattr(demo, "KILOBYTES", 20)
        job = demo.job()
        by_fanwise, report = job.fanwise()
        assert job.loop() == by_fanwise
        assert report.items == job.items == 3
        assert by_fanwise.count(b"\n") > 50
