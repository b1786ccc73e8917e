"""A Dask cluster of real processes on loopback: started for the tests, stopped with them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 60
STARTED: set[int] = set()
"""Process ids of servers: they outlive a test, and are stopped at the end of the session."""
ROOT = Path(__file__).parents[1]


@dataclass
class Servers:
    """A scheduler and its workers; ``home`` is where they and their logs live."""

    home: Path
    port: int
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheme: str = "tcp"
    middle_s: float = 0.7  # from the start of a short job to its middle

    @property
    def url(self) -> str:
        return f"dask{'+tls' if self.scheme == 'tls' else ''}://127.0.0.1:{self.port}"

    def kill_one(self) -> None:
        """SIGKILL for the worker that came first."""
        self.workers[0].kill()
        self.workers[0].wait(PATIENCE_S)

    def grow(self, count: int = 1) -> list[subprocess.Popen[bytes]]:
        """Start workers of one thread, without a nanny, so that a dead one stays dead."""
        address = f"{self.scheme}://127.0.0.1:{self.port}"
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", *host_of(self.scheme)]
        started = [self._start("worker", address, *options) for _ in range(count)]
        self.workers += started
        return started

    def shrink(self) -> None:
        """Stop the worker that came last, kindly."""
        worker = self.workers.pop()
        worker.send_signal(signal.SIGINT)
        worker.wait(PATIENCE_S)

    def keep(self, count: int) -> None:
        """Have so many live workers."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) > count:
            self.shrink()
        self.grow(count - len(self.workers))
        self.wait_for(count)

    def wait_for(self, count: int) -> None:
        from distributed import Client

        with Client(f"{self.scheme}://127.0.0.1:{self.port}", set_as_default=False, timeout=PATIENCE_S) as client:
            until = time.monotonic() + PATIENCE_S
            while len(client.scheduler_info(n_workers=-1)["workers"]) != count:
                assert time.monotonic() < until, "the workers do not come"
                time.sleep(0.05)

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        return start_dask(self.home, what, *words)


def start_dask(home: Path, what: str, *words: str) -> subprocess.Popen[bytes]:
    environ = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "FANWISE_CACHE_DIR": str(home / "cache")}
    module = {"scheduler": "distributed.cli.dask_scheduler", "worker": "distributed.cli.dask_worker"}[what]
    with open(home / f"{what}.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words], cwd=home, env=environ, stdout=log, stderr=log
        )
    STARTED.add(process.pid)
    return process


def host_of(scheme: str) -> list[str]:
    return ["--host", "tls://127.0.0.1" if scheme == "tls" else "127.0.0.1"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def servers(home: Path, workers: int, scheme: str = "tcp") -> Iterator[Servers]:
    port = free_port()
    scheduler = start_dask(home, "scheduler", *host_of(scheme), "--port", str(port), "--no-dashboard")
    cluster = Servers(home, port, scheduler, scheme=scheme)
    try:
        cluster.keep(workers)
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.kill()
            process.wait()
