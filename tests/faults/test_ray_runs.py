"""What is particular to Ray: whose connection it is, what is refused, and what a caller of its own cluster leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.dask_servers import ROOT, free_port
from tests.ray_context import RayContext, deputies

import fanwise
from fanwise.errors import BackendError, UsageError

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.faults]


def square(x: int) -> int:
    return x * x


def test_a_context_that_was_there_stays_its_owners(ray_cluster: RayContext) -> None:
    import ray

    assert fanwise.map(square, range(10), backend="ray") == [x * x for x in range(10)]
    assert ray.is_initialized()
    assert ray.get(ray.remote(square).remote(3)) == 9
    assert not deputies(), "a processor is kept"


def test_an_executor_and_a_run_beside_it_share_their_actors(ray_cluster: RayContext) -> None:
    with fanwise.Executor(backend="ray", workers=1) as executor:
        assert fanwise.map(square, range(5), executor=executor) == [0, 1, 4, 9, 16]
        assert len(deputies()) == 1
        assert fanwise.map(square, range(5), backend="ray") == [0, 1, 4, 9, 16]
        assert executor.submit(pow, 2, 5).result(30) == 32


def test_inside_a_task_of_ray_items_run_one_after_the_other(ray_cluster: RayContext) -> None:
    import ray

    def nested() -> bool:
        return set(fanwise.map(lambda _: os.getpid(), range(5), backend="ray")) == {os.getpid()}

    assert ray.get(ray.remote(nested).remote())


def test_without_a_free_processor_it_says_so(ray_cluster: RayContext, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from fanwise.backends.ray import _backend

    class Hog:
        def sit(self) -> int:
            return 1

    monkeypatch.setattr(_backend, "_WORKERS_S", 1.0)
    hog = ray.remote(num_cpus=2)(Hog).remote()
    ray.get(hog.sit.remote())
    try:
        with pytest.raises(BackendError, match=r"no free processor: no worker came within 1 s"):
            fanwise.map(square, range(3), backend="ray")
    finally:
        ray.kill(hog)


def test_another_cluster_while_connected_is_refused(ray_cluster: RayContext) -> None:
    with pytest.raises(UsageError, match=r"connected to Ray already; use backend='ray' to stay there"):
        fanwise.map(square, range(3), backend="ray://127.0.0.1:10001")


PROGRAM = """
import os, signal, sys, time
import fanwise

pause = float(sys.argv[1])

def f(x):
    time.sleep(pause)
    return x

class Signalling:
    done = 0
    def start(self, total, label): pass
    def on(self, event):
        self.done += type(event).__name__ == "ChunkDone"
        if self.done == 3 and sys.argv[2] != "0":
            os.kill(os.getpid(), int(sys.argv[2]))
    def finish(self, report): pass

before = signal.getsignal(signal.SIGTERM)
try:
    print(sum(fanwise.map(f, range(100), backend="ray", workers=2, chunk_size=1, progress=Signalling())))
except fanwise.RunInterrupted as error:
    print("kept", sum(outcome is not None for outcome in error.run.outcomes))
assert signal.getsignal(signal.SIGTERM) is before
assert not sys.modules["ray"].is_initialized()
"""


class TestOfItsOwn:
    """A process that is connected to no cluster starts one, for itself alone."""

    def run(self, tmp_path: Path, seconds: float, number: int) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"PYTHONPATH": str(ROOT / "src"), "FANWISE_CACHE_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(seconds), str(number)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def test_it_starts_and_ends_with_the_run_and_prints_nothing(self, ray_cluster: RayContext, tmp_path: Path) -> None:
        ended = self.run(tmp_path, 0.0, 0)
        assert (ended.returncode, ended.stdout) == (0, "4950\n"), ended.stderr
        assert "Token" not in ended.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_keeps_what_is_finished(
        self, ray_cluster: RayContext, tmp_path: Path, number: signal.Signals
    ) -> None:
        began = time.monotonic()
        ended = self.run(tmp_path, 0.5, number)
        assert ended.stdout.startswith("kept "), ended.stderr
        assert 3 <= int(ended.stdout.split()[1]) < 100
        assert time.monotonic() - began < 45


def test_a_head_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from fanwise.backends.ray import _context

    monkeypatch.setattr(_context.ray, "is_initialized", lambda: False)
    port = free_port()
    with pytest.raises(
        BackendError,
        match=rf"no Ray head answers at 127.0.0.1:{port} \(connection refused\)\. Is it running\? ray start",
    ):
        fanwise.map(square, range(3), backend=f"ray://127.0.0.1:{port}")
