"""What a report says of the machine is what this call was allowed to use of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fanwise
from fanwise._api import _host
from fanwise._api._host import host_facts, load_now
from fanwise.engine._resources import HostResources


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostResources:
    """A container that may use one and a half of the cores and 200 MB."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    files = {
        "proc/self/cgroup": "0::/box\n",
        "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
        "sys/fs/cgroup/box/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/box/memory.max": "200000000\n",
        "sys/fs/cgroup/box/memory.current": "50000000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return HostResources(tmp_path, {})


@pytest.fixture(autouse=True)
def no_thread_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)


def test_the_limits_of_a_container_are_told(machine: HostResources) -> None:
    assert host_facts(0.5, 2, machine) == {
        "load_at_start": 0.5,
        "memory_limit_bytes": 200_000_000,
        "cores_machine": 8,
        "cores_usable": 1.5,
        "quota_cores": 1.5,
        "blas_threads": 1,
    }


def test_threads_of_linear_algebra_matter_in_worker_processes_only(machine: HostResources) -> None:
    assert host_facts(None, None, machine)["blas_threads"] is None


@pytest.mark.parametrize(("told", "threads"), [("3", 3), ("3,2", None)])
def test_threads_of_linear_algebra_are_those_the_environment_says(
    machine: HostResources, monkeypatch: pytest.MonkeyPatch, told: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert host_facts(None, 2, machine)["blas_threads"] == threads


def test_a_bad_number_of_workers_in_the_environment_does_not_spoil_a_report(
    machine: HostResources, tmp_path: Path
) -> None:
    facts = host_facts(None, 2, HostResources(tmp_path, {"FANWISE_WORKERS": "many"}))
    assert facts == {"load_at_start": None, "memory_limit_bytes": 200_000_000}


def test_load_is_unknown_where_the_system_does_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("not kept")

    monkeypatch.setattr(_host.os, "getloadavg", refuse)
    assert load_now() is None


def test_a_limit_that_is_no_smaller_than_the_machine_is_none() -> None:
    report = fanwise.run(abs, [-1]).report
    limit = report.host.memory_limit_bytes
    assert limit is None or limit < report.host.memory_bytes
    assert report.host.load_at_start is not None
    assert 0 < report.host.cores_usable <= report.host.cores_machine


@pytest.mark.process
def test_a_run_in_workers_tells_their_share_of_threads() -> None:
    report = fanwise.run(abs, [-1, -2, 3], backend="process", workers=2).report
    assert (report.backend, report.workers) == ("process", 2)
    assert report.host.blas_threads is not None
    assert report.host.blas_threads >= 1


def test_a_resumed_run_names_its_journal_and_a_fresh_one_does_not(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    assert fanwise.run(abs, [-1, -2], resume=journal).report.run.resumed_from is None
    assert fanwise.run(abs, [-1, -2], resume=journal).report.run.resumed_from == str(journal)
