"""Where a scheduler is: ``dask://host:port`` and ``dask+tls://host:port``."""

from __future__ import annotations

import re
import warnings

from fanwise.backends.remote._reach import HOST_AND_PORT, is_loopback, is_port
from fanwise.errors import FanwiseWarning, UsageValueError

__all__ = ["comm_address", "is_dask_url", "warn_if_open"]

_URL = re.compile(rf"dask(?P<tls>\+tls)?://{HOST_AND_PORT.pattern}")


def is_dask_url(text: str) -> bool:
    """Whether a backend of this name is ours to open, well-formed or not."""
    return text.split(":", 1)[0] in {"dask", "dask+tls"}


def comm_address(url: str) -> str:
    """The address as Dask writes it.

    Raises
    ------
    UsageValueError
        If the URL names no host or no port.
    """
    found = _URL.match(url)
    if found is None or not is_port(found["port"]):
        raise UsageValueError(f"backend {url!r}: expected dask://host:port, for example dask://127.0.0.1:8786")
    return f"{'tls' if found['tls'] else 'tcp'}://{found['host']}:{found['port']}"


def warn_if_open(url: str) -> None:
    """Say so if anyone who reaches this scheduler could run code there."""
    found = _URL.match(url)
    if found is not None and not found["tls"] and not is_loopback(found["host"]):
        warnings.warn(
            f"{url} is not encrypted and anyone who reaches it can run code; use dask+tls://",
            FanwiseWarning,
            stacklevel=2,
        )
