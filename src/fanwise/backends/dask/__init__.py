"""The Dask backend: items run beside the workers of a Dask cluster."""

from __future__ import annotations

from typing import Any

from fanwise.backends.dask._address import is_dask_url

__all__ = ["DaskBackend", "is_dask_client", "is_dask_url"]


def is_dask_client(thing: object) -> bool:
    """Whether this is a client of Dask; nothing is imported to find out."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == "distributed.client.Client" for kind in type(thing).__mro__)


def __getattr__(name: str) -> Any:
    if name == "DaskBackend":
        from fanwise.backends.dask._backend import DaskBackend

        globals()[name] = DaskBackend
        return DaskBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
