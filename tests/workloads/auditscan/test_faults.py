"""Real signals to real processes: what is finished is kept, what is lost costs one file, results stay the same."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fanwise.workloads import auditscan

pytest.importorskip("fanwise._api.verbs", reason="the public verbs are not there yet")
pytestmark = [pytest.mark.faults, pytest.mark.process]

LINUX = b"KPNIXVERSION: 0.6.22\n"
EVIL = LINUX + b"x" * 60
MAIN = "import sys; from fanwise.cli import main; sys.exit(main())"
JOURNAL = Path("out/.fanwise-scan")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files that are searched at once and one that takes for ever; the others are larger, so they come first."""
    monkeypatch.chdir(tmp_path)
    audit = tmp_path / "audit"
    audit.mkdir()
    for name in ("db1", "web1"):
        (audit / f"{name}.txt").write_bytes(LINUX + name.encode() + b"\nPermitRootLogin no" * 20)
    (audit / "slow.txt").write_bytes(EVIL)
    (tmp_path / "rules.yaml").write_text("evil: {regex: '^(x+x+)+y'}\nssh: {regex: PermitRootLogin, max_results: 1}\n")
    return tmp_path


@contextmanager
def scan(*more: str, rule_timeout: int = 60) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process of its own; nothing of it is left at the end."""
    environment = {**os.environ, "PYTHONPATH": str(Path(auditscan.__file__).parents[3])}
    words = ["scan", "audit", "--rules", "rules.yaml", "--out", "out", "--format", "jsonl", "--backend", "process"]
    words += ["--rule-timeout", str(rule_timeout), *more]
    with subprocess.Popen([sys.executable, "-c", MAIN, *words], env=environment, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def finished_files() -> int:
    return len(list(JOURNAL.glob("*.scan"))) if JOURNAL.exists() else 0


def status_of_files(name: str = "run.json") -> dict[str, str]:
    return {file["path"]: file["status"] for file in json.loads(Path("out", name).read_text())["files"]}


def workers_at_work(process: subprocess.Popen[bytes]) -> list[int]:
    """Workers that use a processor now."""
    found = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split() if is_at_work(child)]
    return found


def is_at_work(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"
    except OSError:  # it has gone
        return False


def kill_a_worker(process: subprocess.Popen[bytes], but: int = 0) -> int:
    """Kill a worker that is at work, and not the one that was killed before."""
    at_work: list[int] = []
    wait_for(lambda: at_work.extend(pid for pid in workers_at_work(process) if pid != but) or bool(at_work))
    os.kill(at_work[0], signal.SIGKILL)
    return at_work[0]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, "1"), (signal.SIGINT, "2"), (signal.SIGTERM, "2")])
def test_an_interrupt_keeps_what_is_finished_and_resume_does_the_rest(place: Path, number: int, workers: str) -> None:
    with scan("-p", workers) as process:
        wait_for(lambda: finished_files() == 2)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
    assert b"Interrupted: 2 of 3 files are kept. Continue with: fanwise scan" in said
    assert b"--resume" in said
    assert status_of_files("run.partial.json") == {"db1.txt": "done", "slow.txt": "unfinished", "web1.txt": "done"}
    assert len(Path("out/results.partial.jsonl").read_text().splitlines()) == 2
    Path("audit/slow.txt").write_bytes(LINUX + b"xxy")
    with scan("-p", workers, "--resume") as process:
        process.communicate(timeout=60)
        assert process.returncode == 0
    resumed = Path("out/results.jsonl").read_bytes()
    assert json.loads(Path("out/run.json").read_text())["resumed"] == 2
    assert sorted(os.listdir("out")) == ["results.jsonl", "run.json"]
    with scan("-p", "1", "--force") as process:
        process.communicate(timeout=60)
    assert hashlib.sha256(Path("out/results.jsonl").read_bytes()).digest() == hashlib.sha256(resumed).digest()


@pytest.mark.slow
def test_kill_9_loses_at_most_the_files_in_flight(place: Path) -> None:
    with scan("-p", "2") as process:
        wait_for(lambda: finished_files() == 2)
        process.kill()
        process.communicate(timeout=60)
    Path("audit/slow.txt").write_bytes(LINUX)
    with scan("-p", "2", "--resume") as process:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert json.loads(Path("out/run.json").read_text())["resumed"] == 2


@pytest.mark.slow
def test_a_worker_that_is_killed_once_costs_nothing(place: Path) -> None:
    with scan("-p", "2", rule_timeout=4) as process:
        wait_for(lambda: finished_files() == 2)
        kill_a_worker(process)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 3, said.decode()
    assert status_of_files() == {"db1.txt": "done", "slow.txt": "done", "web1.txt": "done"}
    assert b"slow.txt: rule 'evil': timeout" in said


@pytest.mark.slow
def test_a_file_that_loses_two_workers_fails_alone(place: Path) -> None:
    with scan("-p", "2") as process:
        wait_for(lambda: finished_files() == 2)
        kill_a_worker(process, but=kill_a_worker(process))
        _, said = process.communicate(timeout=60)
        assert process.returncode == 3, said.decode()
    assert status_of_files() == {"db1.txt": "done", "slow.txt": "failed", "web1.txt": "done"}
    assert b"slow.txt: failed: worker lost: SIGKILL" in said
    assert len(Path("out/results.jsonl").read_text().splitlines()) == 2
