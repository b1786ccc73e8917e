"""Ray as a liaison sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from fanwise.backends.ray._actors import Actors
from fanwise.backends.remote._letters import Need, Order, pieces
from fanwise.backends.remote._port import Ticket
from fanwise.typing import Attachment

__all__ = ["RayCluster"]

_PATIENCE_S = 5.0
_PIECE = 16 << 20


class RayCluster:
    """See `fanwise.backends.remote._port.Cluster` for what each method promises.

    Parameters
    ----------
    actors : Actors
        Those of the connection.
    where : str
        The cluster in words.
    limit : int or None
        Most actors to use.
    """

    name = "Ray"

    def __init__(self, actors: Actors, where: str, limit: int | None) -> None:
        self._actors = actors
        self._limit = limit
        self._waiting: dict[Ticket, asyncio.Future[bytes]] = {}
        self._put: dict[bytes, asyncio.Task[list[Any]]] = {}  # bundles, in pieces in Ray's store
        self.where = where
        self.loop = actors.loop

    def is_open(self) -> bool:
        """Whether the loop of the connection turns."""
        return self.loop.is_running()

    async def workers(self) -> set[str]:
        """The actors that have answered."""
        return set(list(self._actors.ready)[: self._limit])

    async def was_expected(self, worker: str) -> bool:
        """Whether it went with a host that Ray had announced to end."""
        return self._actors.was_retired(worker)

    async def ask(self, workers: Sequence[str], name: str, *args: Any) -> dict[str, Any]:
        """Through the event loops of the actors."""
        ready = self._actors.ready
        asked = {
            worker: self._actors.answer(ready[worker].command.remote(name, *args))
            for worker in workers
            if worker in ready
        }
        if not asked:
            return {}
        answered, _ = await asyncio.wait(asked.values(), timeout=_PATIENCE_S)
        return {worker: answer.exception() or answer.result() for worker, answer in asked.items() if answer in answered}

    async def perform(self, worker: str, ticket: Ticket, order: Order, payload: bytes, written: bytes) -> bytes:
        """As one call of the actor."""
        actor = self._actors.ready.get(worker)
        waiting = self._waiting[ticket] = (
            self.loop.create_future()
            if actor is None
            else self._actors.answer(actor.perform.remote(order, payload, written))
        )
        try:
            answer: bytes = await waiting
            return answer
        except RayActorError:
            return await self._told_to_drop(ticket)
        finally:
            del self._waiting[ticket]

    async def _told_to_drop(self, ticket: Ticket) -> bytes:
        """Its actor is lost, which `workers` will tell."""
        self._waiting[ticket] = self.loop.create_future()
        return await self._waiting[ticket]

    async def drop(self, tickets: Iterable[Ticket]) -> None:
        """Wait no more; what waits for its turn in the actor returns at once, for it was withdrawn or its run ends."""
        for ticket in tickets:
            if ticket in self._waiting:
                self._waiting[ticket].cancel()

    async def store(self, worker: str, need: Need, attachment: Attachment) -> None:
        """Put once for the run, fetched by one actor of each host."""
        if need.digest not in self._put:
            self._put[need.digest] = self.loop.create_task(asyncio.to_thread(_put, attachment))
        references = await self._put[need.digest]
        actor = self._actors.ready.get(worker)
        if actor is not None:
            await self._actors.answer(actor.store.remote(need.digest, need.size, *references))


def _put(attachment: Attachment) -> list[Any]:
    return [ray.put(piece) for piece in pieces(attachment, _PIECE)]
