"""A Ray cluster on loopback, and this process connected to it: started for the tests, stopped with them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class RayContext:
    """Two processors; ``home`` is where bundles lie."""

    home: Path
    url: str = "ray"
    middle_s: float = 1.0  # from the start of a short job to its middle

    def keep(self, count: int) -> None:
        """Ray itself brings lost workers back."""

    def kill_one(self) -> None:
        """SIGKILL for the worker that came first, if there is one."""
        for pid in sorted(deputies())[:1]:
            os.kill(pid, signal.SIGKILL)


def deputies() -> list[int]:
    """The process ids of Ray workers that run items for this process."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name().startswith("ray::Deputy"):
                found.append(process.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def is_up() -> bool:
    """Whether this process is connected: Ray opens sockets as it likes."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


@contextmanager
def connected(home: Path) -> Iterator[RayContext]:
    import ray

    os.environ["FANWISE_CACHE_DIR"] = str(home / "cache")  # for its workers
    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
        )
    finally:
        del os.environ["FANWISE_CACHE_DIR"]
    try:
        yield RayContext(home)
    finally:
        ray.shutdown()
