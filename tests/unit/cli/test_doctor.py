"""The doctor looks, says what it found, and ends with 3 only for what stands in the way."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cli import doctor as command
from fanwise.cli import main
from fanwise.cli._doctor import calibration, machine, packages, places, system
from fanwise.cli._doctor.finding import Finding, worst
from fanwise.engine._resources import HostResources

CHECKS = {
    "python", "cores", "load", "steal", "memory", "start methods", "memfd_create", "descriptors by socket", "pidfd_open",
    "SIGIO", "/dev/shm", "open files", "processes", "temporary directory", "cache directory", "terminal", "linear algebra",
    "calibration",
}  # fmt: skip


def laid_out(root: Path, **files: str) -> HostResources:
    """A machine in a folder; ``__`` stands for ``/``."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return HostResources(root, {})


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def test_the_table_has_a_line_for_each_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--cache-dir", str(tmp_path)]) in {0, 3}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["check", "verdict", "found,", "and", "what", "to", "do"]
    assert all(any(line.startswith(check) for line in lines) for check in CHECKS)
    assert max(map(len, lines)) <= 100


def test_the_object_for_machines_has_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json", "--cache-dir", str(tmp_path)])
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["command"], found["exit_code"]) == ("fanwise.summary/1", "doctor", code)
    assert {each["check"] for each in found["checks"]} >= CHECKS
    assert {each["verdict"] for each in found["checks"]} <= {"ok", "note", "problem"}
    assert all(each["advice"] for each in found["checks"] if each["verdict"] != "ok")
    assert found["wall_s"] < 5


def test_a_problem_ends_with_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["doctor", "--json", "--cache-dir", str(tmp_path / "file")]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["where"] == "cache directory"
    assert "--cache-dir" in problem["message"]


@given(st.lists(st.sampled_from(["ok", "note", "problem"])))
def test_the_worst_verdict_is_that_on_all(verdicts: list[str]) -> None:
    order = ["ok", "note", "problem"]
    expected = max(verdicts, key=order.index, default="ok")
    assert worst(Finding("x", "y", verdict) for verdict in verdicts) == expected


class TestMachine:
    def test_a_free_machine_is_all_right(self, tmp_path: Path, eight_cores: None) -> None:
        host = laid_out(
            tmp_path,
            proc__stat="cpu 100 0 0 900 0 0 0 1\n",
            proc__meminfo="MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
            proc__loadavg="0.1 0.1 0.1 1/200 99\n",
        )
        assert machine.cores(host).found == "8 of 8"
        assert machine.memory(host).found == "4.1 GB free of 8.2 GB"
        assert machine.load(0.1, host).verdict == "ok"
        assert {each.check for each in machine.look(tmp_path, host)} == {"python", "cores", "load", "steal", "memory"}

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            (
                {"proc__self__cgroup": "0::/box\n", "sys__fs__cgroup__box__cpu.max": "150000 100000\n"},
                "2 of 8 (quota 1.5)",
            ),
            (
                {
                    "proc__self__cgroup": "3:cpu,cpuacct:/box\n",
                    "sys__fs__cgroup__cpu__box__cpu.cfs_quota_us": "250000",
                    "sys__fs__cgroup__cpu__box__cpu.cfs_period_us": "100000",
                },
                "3 of 8 (quota 2.5)",
            ),
            ({}, "8 of 8"),
        ],
    )
    def test_quotas_of_both_kinds_are_read(
        self, tmp_path: Path, eight_cores: None, files: dict[str, str], found: str
    ) -> None:
        finding = machine.cores(laid_out(tmp_path, **files))
        assert finding.found == found
        assert finding.verdict == ("note" if files else "ok")

    def test_one_core_is_worth_a_note(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
        assert machine.cores(laid_out(tmp_path)).advice.startswith("One core: ")

    def test_a_busy_machine_misleads(self, tmp_path: Path, eight_cores: None) -> None:
        host = laid_out(tmp_path, proc__loadavg="6.0 6.0 6.0 7/200 99\n")
        assert machine.load(6.0, host).verdict == "note"
        assert machine.load(None, host).found == "not known here"

    @pytest.mark.parametrize(
        ("text", "verdict"),
        [("cpu 100 0 0 800 0 0 0 100\n", "note"), ("cpu 1 0 0 99 0 0 0 0\n", "ok"), ("", "ok"), ("cpu 1 2", "ok")],
    )
    def test_stolen_time_is_a_note(self, text: str, verdict: str) -> None:
        assert machine.steal(text).verdict == verdict

    def test_little_memory_is_a_note(self, tmp_path: Path) -> None:
        low = laid_out(tmp_path, proc__meminfo="MemTotal: 8000000 kB\nMemAvailable: 400000 kB\n")
        assert machine.memory(low).verdict == "note"
        assert machine.memory(laid_out(tmp_path, proc__meminfo="")).found == "not known here"

    def test_a_python_without_the_lock_is_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine.sys, "_is_gil_enabled", lambda: False, raising=False)
        assert machine.python().facts["free_threaded"] is True


class TestSystem:
    def test_what_fails_is_a_note_or_a_problem(self) -> None:
        def refuse() -> bool:
            raise PermissionError(1, "Operation not permitted")

        assert system.tried("x", refuse, "yes", "Do this.").verdict == "note"
        needed = system.tried("x", refuse, "yes", "Do this.", needed=True)
        assert (needed.verdict, needed.advice) == ("problem", "Do this.")
        assert "not permitted" in needed.found
        assert system.tried("x", lambda: False, "yes", "Do this.").found == "no"

    def test_limits_are_held_against_the_workers_wanted(self) -> None:
        assert system.descriptors(100, 64).verdict == "problem"
        assert system.descriptors(100, 64).advice == "Raise it: ulimit -n 576"
        assert system.descriptors(1024, 2).verdict == "ok"
        assert system.descriptors(resource.RLIM_INFINITY, 2).found == "no limit"
        assert system.processes(2, 4).verdict == "problem"
        assert system.processes(resource.RLIM_INFINITY, 4).verdict == "ok"

    def test_shared_memory_may_be_missing_or_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert system.shared_memory(str(tmp_path / "none")).verdict == "note"
        monkeypatch.setattr(system, "_SHM", 1 << 62)
        assert "--shm-size" in system.shared_memory(str(tmp_path)).advice

    def test_a_wrong_start_method_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FANWISE_START_METHOD", "magic")
        assert system.start_methods().verdict == "problem"


class TestPlaces:
    def test_a_directory_that_is_not_there_yet_is_judged_by_its_parent(self, tmp_path: Path) -> None:
        finding = places.directory("cache directory", tmp_path / "a" / "b", "Move.")
        assert finding.facts["locks"] is True
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize(
        ("name", "value", "verdict"),
        [("is_network", lambda _: True, "note"), ("_ROOM", 1 << 62, "note"), ("_try_lock", lambda _: False, "problem")],
    )
    def test_what_is_wrong_with_it_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, verdict: str
    ) -> None:
        monkeypatch.setattr(places, name, value)
        finding = places.directory("cache directory", tmp_path, "Move.")
        assert finding.verdict == verdict
        assert finding.advice.endswith("Move.")

    def test_a_file_system_without_locks_is_found_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(fd: int, *, wait: bool) -> bool:
            raise OSError(37, "No locks available")

        monkeypatch.setattr(places, "lock", refuse)
        assert places.directory("cache directory", tmp_path, "Move.").facts["locks"] is False

    def test_a_terminal_is_described(self) -> None:
        class Terminal(StringIO):
            encoding = "latin-1"

            def isatty(self) -> bool:
                return True

        finding = places.terminal(Terminal(), {"COLUMNS": "132", "NO_COLOR": "1"})
        assert finding.found == "132 columns, no colour, latin-1"
        assert finding.verdict == "note"
        assert places.terminal(None, {}).facts == {"terminal": False}
        Terminal.encoding = "utf-8"
        assert places.terminal(Terminal(), {"COLUMNS": "80"}).verdict == "ok"


class TestPackages:
    def test_extras_are_read_from_requirements(self) -> None:
        required = ["cloudpickle>=3", "numpy>=2; extra == 'ci'", "fanwise[cli]; extra == 'ci'", "numpy; extra == 'all'"]
        assert packages.extras(required) == {"ci": ["numpy"]}

    def test_a_missing_package_says_how_to_get_it(self) -> None:
        finding = packages.optional("ray", ["no-such-package", "pytest"])
        assert finding.advice == "pip install 'fanwise[ray]'"
        assert finding.found == f"pytest {pytest.__version__}; without no-such-package"

    def test_without_threadpoolctl_the_environment_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "find_spec", lambda name: None)
        assert packages.linear_algebra({"OMP_NUM_THREADS": "3"}).found == "OMP_NUM_THREADS=3"
        assert packages.linear_algebra({}).found == "threads: as many as cores"

    def test_a_source_tree_without_metadata_is_a_note(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent(name: str) -> list[str]:
            raise packages.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(packages.metadata, "requires", absent)
        assert [each.verdict for each in packages.look({})] == ["ok", "note"]


class TestCalibration:
    FIGURES = {"fork_s": 0.02, "spawn_s": 0.5, "round_trip_s": 1e-4, "pickle_mb_s": 100.0, "memcpy_mb_s": 9000.0}

    def test_what_was_measured_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calibration, "calibrate", lambda: dict(self.FIGURES))
        assert calibration.look(tmp_path / "new", again=False).found == "not measured yet"
        measured = calibration.look(tmp_path / "new", again=True)
        assert measured.facts == self.FIGURES
        assert calibration.look(tmp_path / "new", again=False) == measured
        assert "memcpy 9,000 MB/s" in measured.found

    def test_what_cannot_be_kept_is_shown_all_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calibration, "calibrate", lambda: dict(self.FIGURES))
        (tmp_path / "file").write_text("")
        finding = calibration.look(tmp_path / "file", again=True)
        assert (finding.verdict, finding.facts) == ("note", self.FIGURES)

    def test_a_damaged_file_is_as_none(self, tmp_path: Path) -> None:
        (tmp_path / f"calibration-{calibration.key()}.json").write_text("{}")
        assert calibration.look(tmp_path, again=False).found == "not measured yet"

    @pytest.mark.process
    @pytest.mark.slow
    def test_the_figures_are_plausible(self) -> None:
        code = "import json; from fanwise.cli._doctor.calibration import calibrate; print(json.dumps(calibrate()))"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found = json.loads(ended.stdout)
        assert found["fork_s"] < found["spawn_s"]
        assert 0 < found["round_trip_s"] < found["spawn_s"]
        assert found["memcpy_mb_s"] > found["pickle_mb_s"] > 1


def test_long_findings_are_wrapped_under_each_other() -> None:
    text = command.table([Finding("x", "word " * 40, "note", "advice " * 30)])
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.count("→") == 1
