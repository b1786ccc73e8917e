"""Every test is watched for what it leaves behind; Hypothesis runs the same examples every time."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def children() -> set[int]:
    """Live or unreaped child processes of this one."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(int(p) for p in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def descriptors() -> dict[str, str]:
    """Open descriptors and what they are, sockets of the test runner's own channel included."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No child process, descriptor or shared-memory entry outlives a test."""
    before = children(), set(descriptors()), shared_memory()
    yield
    gc.collect()
    assert not children() - before[0], "a child process was left"
    extra = {n: d for n, d in descriptors().items() if n not in before[1]}
    leaked = {n: d for n, d in extra.items() if any(mark in d for mark in ("memfd:", "socket:", "pipe:", "/dev/shm"))}
    assert not leaked, f"descriptors were left: {leaked}"
    assert not {n for n in shared_memory() - before[2] if "fanwise" in n}, "a shared-memory entry was left"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The reference data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data (../shared/data) is not here")
    return SHARED_DATA
