"""Where a Ray cluster is: ``ray`` (the one of this process, else one of its own) and ``ray://host:port``."""

from __future__ import annotations

import os
import re
import warnings

from fanwise.backends.remote._reach import HOST_AND_PORT, is_loopback, is_port
from fanwise.errors import FanwiseWarning, UsageValueError

__all__ = ["checked_url", "host_and_port", "is_ray_url", "warn_if_open"]

_URL = re.compile(rf"ray://{HOST_AND_PORT.pattern}")


def is_ray_url(text: str) -> bool:
    """Whether a backend of this name is ours to open, well-formed or not."""
    return text.split(":", 1)[0] == "ray"


def checked_url(url: str) -> str:
    """The name as it was given.

    Raises
    ------
    UsageValueError
        If it is a URL that names no host or no port.
    """
    found = _URL.match(url)
    if url != "ray" and (found is None or not is_port(found["port"])):
        raise UsageValueError(f"backend {url!r}: expected ray or ray://host:port, for example ray://127.0.0.1:10001")
    return url


def host_and_port(url: str) -> tuple[str, str]:
    """Of a checked URL."""
    host, _, port = url.removeprefix("ray://").rstrip("/").rpartition(":")
    return host, port


def warn_if_open(url: str) -> None:
    """Say so if anyone who reaches this head could run code there."""
    if os.environ.get("RAY_USE_TLS", "0").lower() in {"1", "true"} or is_loopback(host_and_port(url)[0]):
        return
    warnings.warn(
        f"{url} is not encrypted and anyone who reaches it can run code; set RAY_USE_TLS=1 on all its hosts",
        FanwiseWarning,
        stacklevel=2,
    )
