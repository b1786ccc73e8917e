"""Dask as a liaison sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from fanwise.backends.dask._agents import command, run_chunk, store_blob
from fanwise.backends.remote._letters import Need, Order, pieces
from fanwise.backends.remote._port import Ticket
from fanwise.typing import Attachment

__all__ = ["DaskCluster"]

_PATIENCE_S = 5.0
_LARGE = 1 << 20  # what is larger goes to its worker as data, not inside the task
_PIECE = 16 << 20


class DaskCluster:
    """See `fanwise.backends.remote._port.Cluster` for what each method promises.

    Parameters
    ----------
    client : distributed.Client
        Synchronous; only its loop is used.
    """

    name = "Dask"

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sent = 0
        self._futures: dict[Ticket, Any] = {}  # of Dask
        self.where = f"the scheduler at {client.scheduler.address}"
        self.loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop

    def is_open(self) -> bool:
        """Whether the client is not closed."""
        return self._client.status not in {"closed", "closing"}

    async def workers(self) -> set[str]:
        """Asked of the scheduler."""
        found = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), _PATIENCE_S)
        return set(found["workers"])

    async def was_expected(self, worker: str) -> bool:
        """Asked of the scheduler's events."""
        events = await self._client.scheduler.events(topic=worker)
        return any(event.get("action") == "remove-worker" and event.get("expected") for _, event in events)

    async def ask(self, workers: Sequence[str], name: str, *args: Any) -> dict[str, Any]:
        """Through the event loops of the workers."""
        run = self._client.run(command, name, *args, workers=list(workers), on_error="return", asynchronous=True)
        try:
            replies: dict[str, Any] = await asyncio.wait_for(run, _PATIENCE_S)
        except (OSError, KeyError) as error:  # one of them is gone, which `workers` will tell
            return dict.fromkeys(workers, error)
        return replies

    async def perform(self, worker: str, ticket: Ticket, order: Order, payload: bytes, written: bytes) -> bytes:
        """As one task, pinned, under a key that is never used twice."""
        self._sent += 1
        key = f"fanwise-{order.run.hex()}-{order.first}-{order.first + order.items}-{self._sent}"
        large = [await self._hand_over(worker, data) for data in (payload, written)]
        future = self._client.submit(
            run_chunk, order, *large, key=key, workers=[worker], allow_other_workers=False, retries=0, pure=False
        )
        self._futures[ticket] = future
        try:
            answer: bytes = await self._client.gather(future, asynchronous=True)
        finally:
            del self._futures[ticket]
            for held in (future, *large):
                if not isinstance(held, bytes):
                    held.release()
        return answer

    async def drop(self, tickets: Iterable[Ticket]) -> None:
        """Cancel the futures: whoever awaits one hears of it, as he would not if he were cancelled himself."""
        futures = [self._futures[ticket] for ticket in tickets if ticket in self._futures]
        if futures:
            await self._client.cancel(futures, asynchronous=True, force=True)

    async def store(self, worker: str, need: Need, attachment: Attachment) -> None:
        """In pieces, so that no message is too large for Dask."""
        parts = [
            await self._client.scatter(piece, workers=[worker], hash=False, asynchronous=True)
            for piece in pieces(attachment, _PIECE)
        ]
        future = self._client.submit(
            store_blob, need.digest, need.size, *parts, workers=[worker], priority=1, pure=False
        )
        try:
            await self._client.gather(future, asynchronous=True)
        finally:
            for held in (future, *parts):
                held.release()

    async def _hand_over(self, worker: str, data: bytes) -> Any:
        """Something for one worker: as it is, or as data of Dask if it is large (in a task it would be copied often)."""
        if len(data) <= _LARGE:
            return data
        return await self._client.scatter(data, workers=[worker], hash=False, asynchronous=True)
