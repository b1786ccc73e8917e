"""A connection to a Dask cluster, for one run or many."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fanwise.backends.dask._address import comm_address, warn_if_open
from fanwise.backends.dask._agent import describe, versions_here
from fanwise.backends.dask._crew import DaskCrew
from fanwise.errors import BackendError, FanwiseWarning, UsageError
from fanwise.typing import Clock, Work

__all__ = ["DaskBackend"]

_CONNECT_S = 10.0
_WORKERS_S = 30.0
_OLDEST, _NEXT_MAJOR = (2026, 8), (2027, 0)
_MUST_AGREE = ("python", "fanwise")


class DaskBackend:
    """Runs items on a Dask cluster.

    Parameters
    ----------
    where : str or distributed.Client
        ``dask://host:port`` or ``dask+tls://host:port``; or a client, which stays the caller's to close.
    workers : int or None
        Most workers (threads of Dask workers) to use; None: all that are connected, also those that join later.

    Raises
    ------
    UsageError
        If Dask is not installed or too old, the URL is none, or the client is asynchronous.
    BackendError
        If nobody answers there, the scheduler has no workers, or they run another Python or fanwise.
    """

    name = "dask"
    chunk_cost_s = 1.6e-3  # of the coordinator, sending and receiving: measured with distributed 2026.8

    def __init__(self, where: Any, *, workers: int | None = None) -> None:
        _check_version()
        self._owned = isinstance(where, str)
        self._limit = workers
        if isinstance(where, str):
            warn_if_open(where)
        self._client = _connect(where) if isinstance(where, str) else where
        if self._client.asynchronous:
            raise UsageError("backend: fanwise needs a synchronous client")
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<DaskBackend {self._client.scheduler.address}>"

    def hire(self, work: Work, workers: int, clock: Clock) -> DaskCrew:
        """A crew for one run; nothing is sent yet.

        Raises
        ------
        NotPicklableError
            If the function cannot be pickled; names the path to the culprit.
        """
        return DaskCrew(self._client, work, clock, elastic=self._limit is None)

    def slots(self) -> int:
        """How many items the cluster can run at a time now, as far as this backend may use it."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        threads: int = sum(worker["nthreads"] for worker in workers.values())
        return max(1, threads if self._limit is None else min(self._limit, threads))

    def close(self) -> None:
        """Close the connection, unless it was given."""
        if self._owned:
            self._client.close()

    def _check_workers(self) -> None:
        address = self._client.scheduler.address
        try:
            self._client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError as error:
            raise BackendError(f"the scheduler at {address} has no workers") from error
        check_versions(self._client.run(describe, on_error="return"), versions_here())


def check_versions(found: Mapping[str, Any], here: Mapping[str, str | None]) -> None:
    """Compare what workers say of themselves with what the caller has.

    Raises
    ------
    BackendError
        If a worker has another Python or fanwise, or none; as a table.
    """
    rows, others = [], set()
    for worker, facts in sorted(found.items()):
        if not isinstance(facts, Mapping):
            rows.append(f"{worker} | {facts!r} | fanwise {here['fanwise']}")
            continue
        for name, mine in here.items():
            if facts[name] != mine and name in _MUST_AGREE:
                rows.append(f"{worker} | {name} {facts[name]} | {name} {mine}")
            elif facts[name] != mine and mine is not None:
                others.add(f"{name} {facts[name]} there, {mine} here")
    if rows:
        raise BackendError(
            "workers do not have what the caller has:\n" + "\n".join(["worker | has | caller has", *rows])
        )
    if others:
        warnings.warn(f"Dask workers have other versions: {', '.join(sorted(others))}", FanwiseWarning, stacklevel=2)


def _check_version() -> None:
    try:
        found = version("distributed")
    except PackageNotFoundError as error:
        raise UsageError("backend 'dask' needs: pip install 'fanwise[dask]'") from error
    numbers = tuple(int(part) for part in found.split(".")[:2])
    words = f"fanwise supports distributed >= 2026.8, < 2027; found {found}"
    if numbers < _OLDEST:
        raise UsageError(words)
    if numbers >= _NEXT_MAJOR:
        warnings.warn(words, FanwiseWarning, stacklevel=2)


def _connect(url: str) -> Any:
    address = comm_address(url)
    host, _, port = address.partition("://")[2].rpartition(":")
    open_client: Any = import_module("distributed").Client
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()  # a client would try for long
        return open_client(address, timeout=_CONNECT_S, set_as_default=False, name="fanwise")
    except (OSError, TimeoutError) as error:
        cause = "connection refused" if isinstance(error, ConnectionRefusedError) else "no answer"
        raise BackendError(
            f"no Dask scheduler answers at {host}:{port} ({cause}). Is it running? dask scheduler --port {port}"
        ) from error
