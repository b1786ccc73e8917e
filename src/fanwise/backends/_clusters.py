"""Which cluster a name means."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fanwise import _task
from fanwise.backends import dask, ray

if TYPE_CHECKING:
    from fanwise.typing import Backend

__all__ = ["checked", "cluster", "is_client", "is_cluster"]

is_client = dask.is_dask_client


def is_cluster(name: str) -> bool:
    """Whether a backend of this name is a cluster, well-formed or not."""
    return dask.is_dask_url(name) or ray.is_ray_url(name)


def checked(name: str) -> str:
    """The name as it was given.

    Raises
    ------
    UsageValueError
        If it says not where the cluster is.
    """
    if ray.is_ray_url(name):
        return ray.checked_url(name)
    dask.comm_address(name)
    return name


def cluster(where: Any, *, workers: int | None) -> Backend:
    """The cluster of a name or a client; inside one of its own tasks the calling process, whose thread is taken."""
    if _task.budget() is not None or dask.is_dask_task() or ray.is_ray_task():
        from fanwise.backends.serial import SerialBackend

        logging.getLogger("fanwise").info("called inside a task of a cluster: items run here, one after the other")
        return SerialBackend()
    if isinstance(where, str) and ray.is_ray_url(where):
        return ray.cluster(where, workers=workers)
    return dask.cluster(where, workers=workers)
