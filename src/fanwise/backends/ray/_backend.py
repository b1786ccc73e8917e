"""A connection to a Ray cluster, for one run or many."""

from __future__ import annotations

import asyncio

from ray.exceptions import RayError

from fanwise.backends.ray._cluster import RayCluster
from fanwise.backends.ray._context import context
from fanwise.backends.remote._crew import RemoteCrew
from fanwise.backends.remote._versions import check_versions, versions_here
from fanwise.errors import BackendError
from fanwise.typing import Clock, Work

__all__ = ["RayBackend"]

_WORKERS_S = 30.0


class RayBackend:
    """Runs items on a Ray cluster, in worker processes beside one actor for each processor.

    Parameters
    ----------
    url : str
        ``ray``: the cluster that this process is connected to, else one of its own on this host, which ends with the
        last backend that uses it; or ``ray://host:port``.
    workers : int or None
        Most workers to use; None: as many as the cluster has processors, also those that join later.

    Raises
    ------
    UsageError
        If this process is connected to another cluster.
    BackendError
        If nobody answers there, no processor is free, or workers run another Python or fanwise.
    """

    name = "ray"
    chunk_cost_s = 0.45e-3  # of the coordinator, sending and receiving: measured with ray 2.60

    def __init__(self, url: str, *, workers: int | None = None) -> None:
        self._where = "the Ray cluster of this process" if url == "ray" else f"the Ray cluster at {url}"
        self._limit = workers
        self._is_open = True
        self._connection = context.enter(url, workers)
        self._actors = self._connection.actors
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<RayBackend {self._where}>"

    def hire(self, work: Work, workers: int, clock: Clock) -> RemoteCrew:
        """A crew for one run; nothing is sent yet.

        Raises
        ------
        NotPicklableError
            If the function cannot be pickled; names the path to the culprit.
        """
        return RemoteCrew(self._cluster(), work, clock, elastic=self._limit is None)

    def slots(self) -> int:
        """How many items the cluster can run at a time now, as far as this backend may use it."""
        wanted = self._actors.wanted
        return wanted if self._limit is None else min(self._limit, wanted)

    def close(self) -> None:
        """Stop the actors; close the connection if it was opened here."""
        if self._is_open:
            self._is_open = False
            context.leave(self._connection, self._limit)

    def _cluster(self) -> RayCluster:
        return RayCluster(self._actors, self._where, self._limit)

    def _check_workers(self) -> None:
        try:
            self._actors.start(_WORKERS_S)
        except TimeoutError as error:
            raise BackendError(
                f"{self._where} has no free processor: no worker came within {_WORKERS_S:g} s"
            ) from error
        except RayError as error:
            raise BackendError(f"no worker could be started on {self._where}: {error}") from error
        cluster = self._cluster()
        describing = cluster.ask(list(self._actors.ready), "describe")
        check_versions(asyncio.run_coroutine_threadsafe(describing, cluster.loop).result(), versions_here())
