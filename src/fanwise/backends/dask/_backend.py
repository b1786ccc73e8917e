"""A connection to a Dask cluster, for one run or many."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fanwise.backends.dask._address import comm_address, warn_if_open
from fanwise.backends.dask._agents import command
from fanwise.backends.dask._cluster import DaskCluster
from fanwise.backends.remote._crew import RemoteCrew
from fanwise.backends.remote._reach import knock, no_answer
from fanwise.backends.remote._versions import Pins, check_package, check_versions, versions_here
from fanwise.errors import BackendError, UsageError
from fanwise.typing import Clock, Work

__all__ = ["DaskBackend"]

_CONNECT_S = 10.0
_WORKERS_S = 30.0
_PINS = Pins("distributed", "dask", oldest=(2026, 8), stop=(2027,))


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
        check_package(_PINS)
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

    def hire(self, work: Work, workers: int, clock: Clock) -> RemoteCrew:
        """A crew for one run; nothing is sent yet.

        Raises
        ------
        NotPicklableError
            If the function cannot be pickled; names the path to the culprit.
        """
        return RemoteCrew(DaskCluster(self._client), work, clock, elastic=self._limit is None)

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
        check_versions(self._client.run(command, "describe", on_error="return"), versions_here())


def _connect(url: str) -> Any:
    address = comm_address(url)
    host, _, port = address.partition("://")[2].rpartition(":")
    answer = {"who": "Dask scheduler", "hint": f"dask scheduler --port {port}"}
    open_client: Any = import_module("distributed").Client
    if address.startswith("tls:"):
        _check_certificates(url)
    knock(host, port, patience_s=_CONNECT_S, **answer)
    try:
        return open_client(address, timeout=_CONNECT_S, set_as_default=False, name="fanwise")
    except OSError as error:
        raise no_answer(host, port, error, **answer) from error


def _check_certificates(url: str) -> None:
    """Dask itself would complain of a type, and then wait."""
    security: Any = import_module("distributed").Security()
    if security.get_connection_args("client")["ssl_context"] is None:
        raise UsageError(
            f"backend {url!r} needs certificates: set distributed.comm.tls.ca-file, .client.cert and .client.key in "
            "Dask's configuration, or pass a Client that has them"
        )
