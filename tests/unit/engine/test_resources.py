"""A machine laid out in a folder: /proc, control groups of both versions, and what may be used of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanwise.engine import _resources
from fanwise.engine._resources import UNLIMITED, Budget, Cores, HostResources, Memory, budget, is_nested
from fanwise.errors import UsageError
from fanwise.testing import FakeClock

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    8000000 kB\n"


def machine(tmp_path: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> HostResources:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return HostResources(tmp_path, environ or {})


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})


@pytest.mark.usefixtures("four_cores")
class TestCores:
    def test_affinity_counts_when_nothing_limits(self, tmp_path: Path) -> None:
        assert machine(tmp_path, {}).cores() == Cores(4, 8, "affinity")

    @pytest.mark.parametrize(
        ("text", "usable"), [("150000 100000", 2), ("max 100000", 4), ("900000 100000", 4), ("1000 100000", 1)]
    )
    def test_a_quota_of_version_2_is_rounded_up(self, tmp_path: Path, text: str, usable: int) -> None:
        files = {"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/cpu.max": text}
        assert machine(tmp_path, files).cores().usable == usable

    def test_the_tightest_quota_on_the_path_counts(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/job/step\n",
            "sys/fs/cgroup/job/cpu.max": "100000 100000",
            "sys/fs/cgroup/job/step/cpu.max": "300000 100000",
        }
        found = machine(tmp_path, files).cores()
        assert (found.usable, found.limit, found.quota) == (1, "quota", 1.0)

    @pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
    def test_a_quota_of_version_1(self, tmp_path: Path, folder: str) -> None:
        files = {
            "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/box\n" if "," in folder else "4:cpu:/box\n",
            f"sys/fs/cgroup/{folder}/box/cpu.cfs_quota_us": "200000",
            f"sys/fs/cgroup/{folder}/box/cpu.cfs_period_us": "100000",
        }
        assert machine(tmp_path, files).cores().usable == 2

    def test_no_quota_of_version_1_is_minus_one(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        }
        assert machine(tmp_path, files).cores().usable == 4

    def test_the_environment_may_take_cores_away_but_not_add_any(self, tmp_path: Path) -> None:
        assert machine(tmp_path, {}, {"FANWISE_WORKERS": "2"}).cores() == Cores(2, 8, "environment")
        assert machine(tmp_path, {}, {"FANWISE_WORKERS": "64"}).cores().usable == 4

    @pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
    def test_a_bad_number_in_the_environment_is_named(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(UsageError, match=f"FANWISE_WORKERS must be an integer of at least 1, got '{text}'"):
            machine(tmp_path, {}, {"FANWISE_WORKERS": text}).cores()


class TestMemory:
    def test_what_the_machine_has_to_give(self, tmp_path: Path) -> None:
        found = machine(tmp_path, {"proc/meminfo": MEMINFO}).memory()
        assert found == Memory(8000000 << 10, 16000000 << 10)

    def test_a_group_of_version_2_that_leaves_less(self, tmp_path: Path) -> None:
        files = {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": "1000000",
            "sys/fs/cgroup/box/memory.current": "700000",
            "sys/fs/cgroup/box/memory.stat": "anon 5\ninactive_file 50000\n",
        }
        assert machine(tmp_path, files).memory() == Memory(350000, 1000000)

    def test_a_group_of_version_1_that_leaves_less(self, tmp_path: Path) -> None:
        files = {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/box\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1000000",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "700000",
        }
        assert machine(tmp_path, files).memory() == Memory(300000, 1000000)

    def test_a_group_without_a_limit_is_passed_over(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": "max",
            "sys/fs/cgroup/box/memory.current": "7",
        }
        assert machine(tmp_path, files).memory().limit == UNLIMITED

    def test_nothing_readable_means_unlimited(self, tmp_path: Path) -> None:
        assert machine(tmp_path, {}).memory() == Memory(UNLIMITED, UNLIMITED)
        assert machine(tmp_path, {}).rss() == 0

    def test_this_machine_answers(self) -> None:
        here = HostResources()
        assert here.rss() > 1 << 20
        assert 0 < here.memory().available <= here.memory().limit
        assert here.cores().usable >= 1


class TestLoad:
    def test_others_are_what_runs_besides_this_task(self, tmp_path: Path) -> None:
        assert machine(tmp_path, {"proc/loadavg": "0.1 0.1 0.1 4/200 77\n"}).busy() == 3

    def test_no_loadavg_means_nobody_else(self, tmp_path: Path) -> None:
        assert machine(tmp_path, {}).busy() == 0


class FixedResources:
    def __init__(self, cores: Cores, busy: int) -> None:
        self._cores, self._busy = cores, busy

    def cores(self) -> Cores:
        return self._cores

    def busy(self) -> int:
        return self._busy

    def memory(self) -> Memory:
        return Memory(UNLIMITED, UNLIMITED)

    def rss(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("cores", "busy", "wanted", "nested", "expected"),
    [
        (Cores(8, 8, "affinity"), 0, None, False, Budget(8, 8, "cores")),
        (Cores(8, 8, "affinity"), 5, None, False, Budget(3, 8, "load")),
        (Cores(8, 8, "affinity"), 20, None, False, Budget(2, 8, "load")),
        (Cores(1, 8, "affinity"), 20, None, False, Budget(1, 1, "affinity")),
        (Cores(2, 64, "quota", 2.0), 10, None, False, Budget(2, 2, "quota")),
        (Cores(8, 8, "affinity"), 0, 3, False, Budget(3, 8, "user")),
        (Cores(8, 8, "affinity"), 0, None, True, Budget(1, 8, "nested")),
        (Cores(8, 8, "affinity"), 0, 4, True, Budget(4, 8, "user")),
    ],
)
def test_the_budget_of_workers(cores: Cores, busy: int, wanted: int | None, nested: bool, expected: Budget) -> None:
    assert budget(FixedResources(cores, busy), wanted=wanted, nested=nested) == expected


def test_the_main_process_is_not_nested() -> None:
    assert not is_nested()


def test_quotas_and_memory_are_believed_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(_resources, "monotonic", clock.now)
    (tmp_path / "proc").mkdir()
    meminfo = tmp_path / "proc" / "meminfo"
    meminfo.write_text("MemTotal: 8 kB\nMemAvailable: 4 kB\n")
    fresh, resources = HostResources(tmp_path, {}), HostResources(tmp_path, {}, remember_s=1.0)
    assert fresh.memory() == resources.memory() == Memory(4096, 8192)
    meminfo.write_text("MemTotal: 8 kB\nMemAvailable: 2 kB\n")
    assert fresh.memory() == Memory(2048, 8192)
    assert resources.memory() == Memory(4096, 8192)
    clock.advance(1.0)
    assert resources.memory() == Memory(2048, 8192)
