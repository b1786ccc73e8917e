"""The Dask backend: items run beside the workers of a Dask cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fanwise.backends.dask._address import comm_address, is_dask_url

if TYPE_CHECKING:
    from fanwise.backends.dask._backend import DaskBackend
    from fanwise.typing import Backend

__all__ = ["DaskBackend", "cluster", "comm_address", "is_dask_client", "is_dask_task", "is_dask_url"]


def is_dask_client(thing: object) -> bool:
    """Whether this is a client of Dask; nothing is imported to find out."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == "distributed.client.Client" for kind in type(thing).__mro__)


def cluster(where: Any, *, workers: int | None) -> Backend:
    """The cluster at a URL, or of a client; raises as `DaskBackend`."""
    from fanwise.backends.dask._backend import DaskBackend

    return DaskBackend(where, workers=workers)


def is_dask_task() -> bool:
    """Whether this thread runs a task of Dask; nothing is imported to find out."""
    module = sys.modules.get("distributed.worker")
    if module is None:
        return False
    try:
        module.get_worker()
    except ValueError:  # its way to say no
        return False
    return True


def __getattr__(name: str) -> Any:
    if name != "DaskBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fanwise.backends.dask._backend import DaskBackend

    return globals().setdefault(name, DaskBackend)
