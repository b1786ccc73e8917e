"""The connection of this process to Ray, of which there can be one: found, or opened by the first and closed by the last."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import ray

from fanwise.backends.ray._actors import Actors
from fanwise.backends.ray._address import host_and_port, warn_if_open
from fanwise.backends.remote._reach import knock
from fanwise.errors import BackendError, UsageError

__all__ = ["Connection", "context"]

_CONNECT_S = 10.0


@dataclass(slots=True)
class Connection:
    """A connection, the actors on it, and who uses them: the most workers that each of them wants."""

    url: str
    is_ours: bool
    actors: Actors
    limits: list[int | None] = field(default_factory=list)


class Context:
    """What all backends of a process share: Ray keeps a processor for each actor, so that a second set would starve."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Connection | None = None

    def enter(self, url: str, limit: int | None) -> Connection:
        """Be connected.

        Raises
        ------
        UsageError
            If a URL is given and the process is connected elsewhere.
        BackendError
            If nobody answers there.
        """
        with self._lock:
            connection = self._current
            if connection is None or not ray.is_initialized():
                connection = self._current = _open(url, limit)
            elif url not in {"ray", connection.url}:
                raise _elsewhere(url)
            connection.limits.append(limit)
            connection.actors.allow(connection.limits)
            return connection

    def leave(self, connection: Connection, limit: int | None) -> None:
        """Stop the actors if nobody else uses them, and close the connection if it was opened here."""
        with self._lock:
            connection.limits.remove(limit)
            connection.actors.allow(connection.limits)
            if not connection.limits:
                connection.actors.close()
                if connection is self._current:
                    self._current = None
                    if connection.is_ours:
                        ray.shutdown()
                        _shown.restore()


context = Context()


class _Shown:
    """What Ray prints on standard output when a worker is lost, also if told to print nothing, goes to its logger."""

    _NAME = "print_to_stdstream"

    def __init__(self) -> None:
        self._module: Any = import_module("ray._private.worker")
        self._printed = getattr(self._module, self._NAME, None)

    def replace(self) -> None:
        if self._printed is not None:
            setattr(self._module, self._NAME, _log)

    def restore(self) -> None:
        if self._printed is not None:
            setattr(self._module, self._NAME, self._printed)


_shown = _Shown()


def _log(data: Mapping[str, Any], **_: Any) -> None:
    for line in data["lines"]:
        logging.getLogger("ray").info(line)


def _open(url: str, workers: int | None) -> Connection:
    if ray.is_initialized():
        if url != "ray":
            raise _elsewhere(url)
        return Connection(url, is_ours=False, actors=Actors())
    with _quietly():
        _connect(url, workers)
    _shown.replace()
    return Connection(url, is_ours=True, actors=Actors())


def _elsewhere(url: str) -> UsageError:
    return UsageError(
        f"backend {url!r}: this process is connected to Ray already; use backend='ray' to stay there, "
        "or ray.shutdown() first"
    )


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
