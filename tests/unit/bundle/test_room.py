"""How much memory there is, read from a made-up ``/proc`` and control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanwise.bundle._room import available
from fanwise.bundle._words import readable

GB = 10**9


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(
        "MemTotal: 32000000 kB\nMemAvailable: 8000000 kB\nSwapFree: 1000000 kB\nHugePages: 0\n"
    )
    (folder / "self" / "cgroup").write_text("0::/\n")
    return folder


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def group(folder: Path, limit: str, used: int, files: int, *, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {2: ("memory.max", "memory.current", ""), 1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")}
    limit_name, used_name, prefix = names[version]
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / used_name).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(
        f"anon 5\n{prefix}active_file {files // 2}\n{prefix}inactive_file {files - files // 2}\n"
    )


def test_the_machine_is_the_limit_where_there_is_no_group(proc: Path, cgroups: Path) -> None:
    assert available(proc, cgroups) == 9_000_000 * 1024


def test_the_tightest_group_above_the_process_counts(proc: Path, cgroups: Path) -> None:
    (proc / "self" / "cgroup").write_text("0::/jobs/one\n")
    group(cgroups / "jobs" / "one", "max", 3 * GB, 0)
    group(cgroups / "jobs", str(4 * GB), 3 * GB, GB // 2)
    assert available(proc, cgroups) == 3 * GB // 2


def test_groups_of_version_1_count_too(proc: Path, cgroups: Path) -> None:
    (proc / "self" / "cgroup").write_text("5:cpu:/x\n4:hugetlb,memory:/box\n0::/\n")
    group(cgroups / "memory" / "box", str(4 * GB), 3 * GB, 0, version=1)
    assert available(proc, cgroups) == GB


def test_a_group_over_its_limit_has_no_room(proc: Path, cgroups: Path) -> None:
    group(cgroups, str(GB), 2 * GB, 10)
    assert available(proc, cgroups) == 0


def test_a_system_that_does_not_say_has_no_known_limit(tmp_path: Path) -> None:
    assert available(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (8_000_000_000, "8.0 GB"),
        (3_149_000_000, "3.1 GB"),
        (4e15, "4000.0 TB"),
    ],
)
def test_sizes_read_in_decimal_units(size: int, text: str) -> None:
    assert readable(int(size)) == text


def test_sizes_have_as_many_digits_as_asked() -> None:
    assert readable(1_000_000_000, 2) == "1.00 GB"
