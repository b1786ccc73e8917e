"""The Ray backend: items run beside the workers of a Ray cluster."""

from __future__ import annotations

import sys

from fanwise.backends.ray._address import checked_url, is_ray_url
from fanwise.backends.remote._versions import Pins, check_package
from fanwise.typing import Backend

__all__ = ["checked_url", "cluster", "is_ray_task", "is_ray_url"]

_PINS = Pins("ray", "ray", oldest=(2, 60), stop=(3,))


def cluster(url: str, *, workers: int | None) -> Backend:
    """The cluster of a name.

    Raises
    ------
    UsageError
        If Ray is not installed or too old, and as `RayBackend`.
    BackendError
        As `RayBackend`.
    """
    check_package(_PINS)
    from fanwise.backends.ray._backend import RayBackend

    return RayBackend(url, workers=workers)


def is_ray_task() -> bool:
    """Whether this process is a worker of Ray; nothing is imported to find out."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE
