"""Where a scheduler is: ``dask://host:port`` and ``dask+tls://host:port``."""

from __future__ import annotations

import ipaddress
import re
import warnings

from fanwise.errors import FanwiseWarning, UsageValueError

__all__ = ["comm_address", "is_dask_url", "warn_if_open"]

_URL = re.compile(r"^dask(?P<tls>\+tls)?://(?P<host>\[[0-9a-fA-F:]+\]|[^/:@\s\[\]]+):(?P<port>[0-9]{1,5})/?\Z")


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
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise UsageValueError(f"backend {url!r}: expected dask://host:port, for example dask://127.0.0.1:8786")
    return f"{'tls' if found['tls'] else 'tcp'}://{found['host']}:{found['port']}"


def warn_if_open(url: str) -> None:
    """Say so if anyone who reaches this scheduler could run code there."""
    found = _URL.match(url)
    if found is not None and not found["tls"] and not _is_loopback(found["host"].strip("[]")):
        warnings.warn(
            f"{url} is not encrypted and anyone who reaches it can run code; use dask+tls://",
            FanwiseWarning,
            stacklevel=2,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
