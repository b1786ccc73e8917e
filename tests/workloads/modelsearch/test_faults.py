"""Real processes that die: what is finished is kept, nothing is left behind, the rest gives the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.workloads.modelsearch.test_search import GROUPS, LENIENT, contents, search
from tests.workloads.modelsearch.world import world

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import study
from fanwise.workloads.modelsearch._chunks import Cut

DIES_AFTER = """
import os, signal, sys
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import study
from fanwise.workloads.modelsearch._chunks import Cut

left, number, folder, workers = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
save = study.FileLedger.save

def save_and_die(ledger, chunk, payload):
    global left
    save(ledger, chunk, payload)
    left -= 1
    if not left:
        os.kill(os.getpid(), number)

study.FileLedger.save = save_and_die
modelsearch.search(folder + "/search.toml", workers=workers, backend="process" if workers > 1 else "auto",
                   out=folder + "/out", full=True, progress="none")
"""


def run_until(after: int, number: int, folder: Path, workers: int) -> int:
    """A search in a process of its own that gets a signal after some chunks; returns how it ended."""
    arguments = [sys.executable, "-c", DIES_AFTER, str(after), str(number), str(folder), str(workers)]
    return subprocess.run(
        arguments, capture_output=True, check=False, timeout=100, env={**os.environ, "COVERAGE_PROCESS_START": ""}
    ).returncode


def alive(mark: str) -> Iterator[int]:
    """Processes, other than this one, whose command line holds ``mark``."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                if mark.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                    yield int(entry)
            except OSError:
                continue


def gone_within(seconds: float, mark: str) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(mark)):
        if time.monotonic() > deadline:
            return False
    return True


@pytest.mark.faults
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(("after", "workers"), [(1, 1), (3, 1), (2, 2)])
def test_a_killed_coordinator_leaves_nothing_behind_and_resume_gives_the_same_bytes(
    tmp_path: Path, after: int, workers: int
) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    before = sorted(os.listdir("/dev/shm"))
    assert run_until(after, signal.SIGKILL, tmp_path, workers) == -signal.SIGKILL
    assert gone_within(3.0, str(tmp_path))
    assert sorted(os.listdir("/dev/shm")) == before
    assert not (tmp_path / "out" / "ranked.csv").exists()
    rest = search(config, out=tmp_path / "out", full=True, resume=True)
    assert rest.run["chunks"]["reused"] >= after
    search(config, out=tmp_path / "whole", full=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.faults
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_keeps_its_chunks(tmp_path: Path, number: int) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    assert run_until(2, number, tmp_path, 2) != 0
    assert gone_within(3.0, str(tmp_path))
    rest = search(config, out=tmp_path / "out", full=True, resume=True)
    assert rest.run["chunks"]["reused"] >= 2
    assert rest.problems == ()


class DeadlyTask(study.ChunkTask):
    """A task that kills the worker that runs chunk 2, as often as told; a file counts."""

    def __init__(self, arrays: Any, cut: Cut, *, full: bool, deaths: Path, most: int, context: Any = None) -> None:
        super().__init__(arrays, cut, full=full, context=context)
        self.deaths, self.most, self.own = deaths, most, os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return deadly, (self.arrays, self.cut, self.full, self.deaths, self.most, self.own)

    def __call__(self, chunk: int) -> bytes:
        if chunk == 2 and os.getpid() != self.own and self.deaths.stat().st_size < self.most:
            with self.deaths.open("a", encoding="utf-8") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(chunk)


def deadly(arrays: Any, cut: Cut, full: bool, deaths: Path, most: int, own: int) -> DeadlyTask:
    task = DeadlyTask(arrays, cut, full=full, deaths=deaths, most=most)
    task.own = own
    return task


@pytest.fixture
def deaths(tmp_path: Path) -> Path:
    (tmp_path / "deaths").touch()
    return tmp_path / "deaths"


@pytest.mark.faults
@pytest.mark.process
def test_a_worker_that_is_killed_once_costs_nothing(
    tmp_path: Path, deaths: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    search(config, out=tmp_path / "whole")
    monkeypatch.setattr(study, "ChunkTask", partial(DeadlyTask, deaths=deaths, most=1))
    found = search(config, workers=2, backend="process", out=tmp_path / "out")
    assert deaths.read_text("utf-8") == "x"
    assert found.problems == ()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.faults
@pytest.mark.process
def test_a_chunk_that_kills_its_worker_twice_is_lost_alone(
    tmp_path: Path, deaths: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    monkeypatch.setattr(study, "ChunkTask", partial(DeadlyTask, deaths=deaths, most=99))
    found = search(config, workers=2, backend="process", out=tmp_path / "out")
    assert [(p.first, p.stop) for p in found.problems] == [(40, 60)]
    assert "SIGKILL" in found.problems[0].error
    monkeypatch.undo()
    rest = search(config, out=tmp_path / "out", resume=True)
    assert rest.run["chunks"]["computed"] == 1


@pytest.mark.process
def test_a_warm_executor_serves_several_searches(tmp_path: Path) -> None:
    import fanwise

    config = world(tmp_path, LENIENT, GROUPS)
    alone = search(config)
    with fanwise.Executor(2, backend="process") as executor:
        results = [modelsearch.search(config, executor=executor, progress="none") for _ in range(2)]
    for result in results:
        assert result.ranked["id"].tolist() == alone.ranked["id"].tolist()
        assert result.funnel == alone.funnel


@pytest.mark.process
def test_the_report_of_the_run_comes_with_the_result(tmp_path: Path) -> None:
    config = world(tmp_path, LENIENT, GROUPS)
    result = search(config, workers=2, backend="process")
    assert result.report.items == result.run["chunks"]["total"]
    assert result.run["workers"] >= 1
    assert len(result.run["cpu_seconds"]) == len(result.run["busy"]) >= 1
