"""The connection of this process to Ray, of which there can be one: found, or opened by the first and closed by the last."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from fanwise.backends.ray._address import host_and_port, warn_if_open
from fanwise.backends.remote._reach import knock
from fanwise.errors import BackendError, UsageError

__all__ = ["Context", "context"]

_CONNECT_S = 10.0


class Context:
    """Counts who uses a connection that was opened here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._url = ""
        self._users = 0

    def enter(self, url: str, workers: int | None) -> None:
        """Be connected.

        Raises
        ------
        UsageError
            If a URL is given and the process is connected elsewhere.
        BackendError
            If nobody answers there.
        """
        with self._lock:
            if not ray.is_initialized():
                self._users = 0
                with _quietly():
                    _connect(url, workers)
                self._url = url
            elif url not in ({"ray"} | ({self._url} if self._users else set())):
                raise UsageError(
                    f"backend {url!r}: this process is connected to Ray already; use backend='ray' to stay there, "
                    "or ray.shutdown() first"
                )
            elif not self._users:
                return
            self._users += 1

    def leave(self) -> None:
        """Close the connection if it was opened here and nobody else uses it."""
        with self._lock:
            if self._users:
                self._users -= 1
                if not self._users:
                    ray.shutdown()


context = Context()


def _connect(url: str, workers: int | None) -> None:
    if url == "ray":
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )
        return
    warn_if_open(url)
    host, port = host_and_port(url)
    knock(host, port, patience_s=_CONNECT_S, who="Ray head", hint=f"ray start --head --ray-client-server-port {port}")
    try:
        ray.init(url.rstrip("/"), configure_logging=False, log_to_driver=False)
    except ConnectionError as error:
        raise BackendError(
            f"what answers at {host}:{port} is no Ray head, or lets nobody in without a token (then set "
            f"RAY_AUTH_MODE=token): {str(error).strip().splitlines()[-1]}"
        ) from error
    except ImportError as error:
        raise UsageError(f"backend {url!r} needs: pip install 'ray[client]'") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Ray says on start how it may be configured, and takes SIGTERM for itself: both are undone."""
    logger = logging.getLogger("ray")
    level, handler = logger.level, signal.getsignal(signal.SIGTERM)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(max(level, logging.WARNING))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
