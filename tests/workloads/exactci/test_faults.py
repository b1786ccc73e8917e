"""Killed, interrupted, full, broken: nothing that was finished is lost, nothing half done has a final name."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fanwise
from fanwise.cli import main
from fanwise.workloads.exactci import Status, _solve, interval, intervals, study

pytestmark = [pytest.mark.faults, pytest.mark.process]

ROWS = 40  # unconditional: an item each

# Runs `fanwise ci` and sends itself a signal once so many items are done.
STOPPED = """
import os, sys
from fanwise.cli import main
from fanwise.cli._options import RunOptions

class Stop:
    done = 0
    def start(self, total, label): pass
    def finish(self, report): pass
    def on(self, event):
        self.done += getattr(event, "ok", 0)
        if self.done >= 8 and (number := int(os.environ["STOP"])):
            os.kill(os.getpid(), number)
            os.environ["STOP"] = "0"

RunOptions.bar = lambda self, label: Stop()
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FANWISE_CACHE_DIR", str(tmp_path / "cache"))
    rows = np.random.default_rng(2).integers(1, 6, (ROWS, 4)).tolist()
    Path("t.csv").write_text("a,b,c,d\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    return tmp_path


def stopped(number: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", STOPPED, "ci", "t.csv", "--method", "unconditional", "--no-cache", *words]
    return subprocess.run(command, env=os.environ | {"STOP": str(number)}, capture_output=True, text=True, check=False)


def plain() -> bytes:
    assert main(["ci", "t.csv", "--method", "unconditional", "--no-cache", "-q", "-p", "1", "-o", "plain.csv"]) == 0
    return Path("plain.csv").read_bytes()


@pytest.mark.slow
def test_after_sigkill_resume_gives_the_same_bytes_with_other_workers(folder: Path) -> None:
    assert stopped(signal.SIGKILL, "-o", "o.csv", "-p", "1").returncode == -signal.SIGKILL
    assert not [name for name in os.listdir() if name.startswith("o.")]
    ended = stopped(0, "-o", "o.csv", "-p", "2", "--resume", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert 0 < found["resumed"] < ROWS
    assert found["resumed"] + found["computed"] == ROWS
    assert Path("o.csv").read_bytes() == plain()
    assert list(Path("cache/journals").iterdir()) == []


@pytest.mark.slow
def test_a_termination_keeps_what_is_finished_and_says_how_to_go_on(folder: Path) -> None:
    ended = stopped(signal.SIGTERM, "-o", "o.csv", "-p", "2")
    assert ended.returncode == 130, ended.stderr
    assert f" of {ROWS} rows are kept. Continue with: fanwise ci t.csv" in ended.stderr
    assert ended.stderr.rstrip().endswith("--resume")
    assert "Traceback" not in ended.stderr
    assert not Path("o.csv").exists()
    assert stopped(0, "-o", "o.csv", "--resume").returncode == 0
    assert Path("o.csv").read_bytes() == plain()


@pytest.mark.slow
def test_a_resume_computes_changed_rows_again_and_others_not(folder: Path) -> None:
    stopped(signal.SIGKILL, "-o", "o.csv", "-p", "1")
    lines = Path("t.csv").read_text().splitlines(keepends=True)
    Path("t.csv").write_text("".join([lines[0], "8,1,2,7\n", *lines[2:]]))
    found = json.loads(stopped(0, "-o", "o.csv", "--resume", "--json").stdout)
    assert found["resumed"] >= 6
    assert Path("o.csv").read_bytes() == plain()


@pytest.mark.slow
def test_a_resume_with_another_method_is_refused_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped(signal.SIGKILL, "-o", "o.csv", "-p", "1")
    assert main(["ci", "t.csv", "--no-cache", "-o", "o.csv", "--resume"]) == 2
    assert "had method unconditional, this one has conditional" in capsys.readouterr().err
    assert main(["ci", "t.csv", "--no-cache", "-o", "o.csv", "--resume", "--force"]) == 0


def interrupted(item: object, question: object) -> object:
    task = fanwise.current_task()
    if task is not None and task.index == 20 and Path("armed").exists():
        Path("armed").unlink()
        os.kill(os.getpid(), signal.SIGINT)
    return _solve.solve_chunk(item, question)


@pytest.mark.slow
def test_an_interrupt_without_workers_keeps_what_is_finished_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "solve_chunk", interrupted)
    Path("armed").touch()
    words = ["ci", "t.csv", "--method", "unconditional", "--no-cache", "-p", "1", "-o", "o.csv", "-q"]
    assert main(words) == 130
    assert re.search(f"2[01] of {ROWS} rows are kept", capsys.readouterr().err)
    assert main([*words, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] >= 20


def test_an_interrupt_while_writing_keeps_all_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fanwise.workloads.exactci import _job

    def terminated(*arguments: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr(_job, "_write", terminated)
    assert main(["ci", "t.csv", "--no-cache", "-o", "o.csv"]) == 130
    assert f"{ROWS} of {ROWS} rows are kept." in capsys.readouterr().err
    assert [name for name in os.listdir() if "o.csv" in name] == []


def killed_once(item: object, question: object) -> object:
    task = fanwise.current_task()
    assert task is not None
    if task.index == 1 and task.attempt == 1 and task.worker is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return _solve.solve_chunk(item, question)


def failing(item: tuple[str, np.ndarray], question: object) -> object:
    if (item[1] == 777).any():
        raise FloatingPointError("no such table")
    return _solve.solve_chunk(item, question)


def test_a_killed_worker_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = np.random.default_rng(4).integers(0, 300, (20_000, 4))
    monkeypatch.setattr(study, "solve_chunk", killed_once)
    done = intervals(tables, workers=2, backend="process", progress="none")
    monkeypatch.undo()
    assert (done.status <= Status.EMPTY_MARGIN).all()
    assert done.upper.tobytes() == intervals(tables, workers=1, progress="none").upper.tobytes()


def test_a_chunk_that_fails_costs_its_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(4).integers(0, 300, (20_000, 4))
    rows[12_000] = 777
    monkeypatch.setattr(study, "solve_chunk", failing)
    done = intervals(rows, progress="none", workers=1)
    failed = np.flatnonzero(done.status == Status.FAILED)
    assert 12_000 in failed
    assert 0 < len(failed) < 20_000
    assert np.isnan(done.p_value[failed]).all()
    assert done[0] == interval(*rows[0])
    Path("t.csv").write_text("a,b,c,d\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows.tolist()))
    assert main(["ci", "t.csv", "-o", "o.csv", "-p", "1", "--no-cache"]) == 3
    assert "failed by conditional: FloatingPointError: no such table" in capsys.readouterr().err
    assert Path("o.csv").read_text().count(",failed\n") == len(failed)


def limited(size: int) -> object:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_leaves_nothing_under_the_final_name(folder: Path) -> None:
    """A limit on the size of files stands for the disk; the system says so in the same way."""
    Path("t.csv").write_text("a,b,c,d\n" + "4,119,11,128\n" * 5000)
    command = [sys.executable, "-c", "import sys; from fanwise.cli import main; sys.exit(main())", "ci", "t.csv"]
    ended = subprocess.run(
        [*command, "-o", "o.csv", "--no-cache", "-p", "1"], preexec_fn=limited(400_000), capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.endswith("cannot write o.csv: file too large.\n")
    assert [name for name in os.listdir() if "o.csv" in name] == []


def python(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


def cached_in(place: str) -> dict[str, str]:
    return os.environ | {"NUMBA_CACHE_DIR": place, "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}


def test_where_numba_can_keep_nothing_it_compiles_once_a_process(tmp_path: Path) -> None:
    code = "from fanwise.workloads.exactci._kernel import solve; print(type(solve._cache).__name__)"
    assert python(code, env=cached_in("/proc/none")).stdout == "NullCache\n"
    assert python(code, env=cached_in(str(tmp_path))).stdout == "FunctionCache\n"


@pytest.mark.slow
def test_a_full_disk_costs_numba_its_cache_and_nobody_a_result(tmp_path: Path) -> None:
    code = "from fanwise.workloads.exactci import interval; print(interval(12, 5, 8, 10).upper)"
    ended = python(code, env=cached_in(str(tmp_path)), preexec_fn=limited(10_000))
    assert ended.stdout == f"{interval(12, 5, 8, 10).upper}\n", ended.stderr


def test_the_reader_of_standard_output_may_go(folder: Path) -> None:
    Path("t.csv").write_text("a,b,c,d\n" + "4,119,11,128\n" * 20_000)
    command = f"{sys.executable} -c 'import sys; from fanwise.cli import main; sys.exit(main())' ci t.csv --no-cache -q"
    ended = subprocess.run(
        ["bash", "-c", f"{command} | head -2; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert ended.stdout.splitlines()[-1] == "141"
    assert ended.stderr == ""
