"""Every test is watched for what it leaves behind; Hypothesis runs the same examples every time."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests import ray_context
from tests.dask_servers import STARTED, Servers, servers

from fanwise import _claims

settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, and so would be what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """Eleven thousand collected tests are no garbage: a collection that looks at them takes 0.4 s, one that does not 2 ms."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def workers_have_time_to_write_their_coverage() -> None:
    """A worker that is told to end first writes what it has measured; one killed meanwhile spoils its file."""
    measuring = sys.modules.get("coverage")
    if measuring is not None and measuring.Coverage.current() is not None:
        from fanwise.backends.process import _ending

        _ending.PATIENCE_S = 10.0


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
    if "fanwise.backends.process._forkserver" in sys.modules:  # kept for the life of a process, here of a test
        sys.modules["fanwise.backends.process._forkserver"].shared.stop()
    if left_behind(*before):
        gc.collect()  # 0.1 s with the numerical libraries loaded, so only where it may matter
    left = left_behind(*before)
    assert not left, f"left behind: {left}"


@pytest.fixture(autouse=True)
def nothing_learned() -> None:
    """No plan counts on what another test measured."""
    planning = sys.modules.get("fanwise._api._planning")
    if planning is not None:
        planning.EXPERIENCE.__init__()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken is refused at once: that it is asked for again for a second is for `unit/test_claims.py`."""
    monkeypatch.setattr(_claims, "PATIENCE_S", 0.0)


def left_behind(processes: set[int], numbers: set[str], entries: set[str]) -> list[str]:
    """Child processes, descriptors and shared-memory entries that were not there before."""
    marks = ("memfd:", "pipe:", "/dev/shm") if ray_context.is_up() else ("memfd:", "socket:", "pipe:", "/dev/shm")
    open_now = descriptors().items()
    left = [f"child process {pid}" for pid in children() - processes - STARTED]
    left += [f"descriptor {n}: {d}" for n, d in open_now if n not in numbers and any(mark in d for mark in marks)]
    return left + [f"/dev/shm/{name}" for name in shared_memory() - entries if "fanwise" in name]


@pytest.fixture(scope="session")
def dask_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Dask scheduler with two workers on loopback, for all tests of a session."""
    pytest.importorskip("distributed", reason="distributed is not installed: pip install 'fanwise[dask]'")
    with servers(tmp_path_factory.mktemp("dask"), workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ray_context.RayContext]:
    """A Ray cluster of two processors on loopback that this process is connected to, for all tests of a session."""
    pytest.importorskip("ray", reason="ray is not installed: make test-ray installs it")
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.skip("Ray looks for a way to the outside: make test-ray runs this where there is only loopback")
    before = children()
    with ray_context.connected(tmp_path_factory.mktemp("ray")) as cluster:
        STARTED.update(children() - before)
        yield cluster


@pytest.fixture(scope="module")
def ray_workers(ray_cluster: ray_context.RayContext) -> Iterator[ray_context.RayContext]:
    """The same with its workers kept warm from test to test."""
    from fanwise.backends.ray._backend import RayBackend

    kept = RayBackend("ray")
    yield ray_cluster
    kept.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The reference data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data (../shared/data) is not here")
    return SHARED_DATA
