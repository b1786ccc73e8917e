"""A cluster of agents in threads of this process: what Dask and Ray have in common, without either."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from fanwise.backends.remote._agent import Agent
from fanwise.backends.remote._blobs import store_blob
from fanwise.backends.remote._crew import RemoteCrew
from fanwise.backends.remote._letters import Need, Order, pack_answer, pieces
from fanwise.backends.remote._port import Ticket
from fanwise.typing import Attachment, Clock, Work


class Nearby:
    """The port `Cluster` over agents that one event loop calls."""

    name = "Nearby"
    where = "the cluster of this process"

    def __init__(self, count: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.agents = {f"agent {number}": Agent(1) for number in range(count)}
        self.retired: set[str] = set()
        self.silent = False
        self._turns = {name: asyncio.Lock() for name in self.agents}
        self._waiting: dict[Ticket, asyncio.Task[bytes]] = {}
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def is_open(self) -> bool:
        return self.loop.is_running()

    async def workers(self) -> set[str]:
        if self.silent:
            raise OSError("nobody answers")
        return set(self.agents)

    async def was_expected(self, worker: str) -> bool:
        return worker in self.retired

    async def ask(self, workers: Sequence[str], name: str, *args: Any) -> dict[str, Any]:
        return {worker: getattr(self.agents[worker], name)(*args) for worker in workers if worker in self.agents}

    async def perform(self, worker: str, ticket: Ticket, order: Order, payload: bytes, written: bytes) -> bytes:
        self._waiting[ticket] = self.loop.create_task(self._perform(worker, order, payload, written))
        try:
            return await self._waiting[ticket]
        finally:
            del self._waiting[ticket]

    async def _perform(self, worker: str, order: Order, payload: bytes, written: bytes) -> bytes:
        async with self._turns[worker]:
            agent = self.agents[worker]
            answer = pack_answer(await asyncio.to_thread(agent.perform, order, payload, written))
        if worker not in self.agents:
            await asyncio.Event().wait()  # a lost worker answers nothing
        return answer

    async def drop(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            if ticket in self._waiting:
                self._waiting[ticket].cancel()

    async def store(self, worker: str, need: Need, attachment: Attachment) -> None:
        await asyncio.to_thread(store_blob, need.digest, need.size, *pieces(attachment, 1 << 20))

    def lose(self, worker: str, *, expected: bool = False) -> Agent:
        """A worker is gone; the agent is the caller's to close."""
        if expected:
            self.retired.add(worker)
        return self.agents.pop(worker)

    def close(self) -> None:
        for agent in self.agents.values():
            agent.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class NearbyBackend:
    """A backend of such agents."""

    name = "nearby"

    def __init__(self, count: int = 2, *, elastic: bool = True) -> None:
        self.cluster = Nearby(count)
        self._elastic = elastic

    def hire(self, work: Work, workers: int, clock: Clock) -> RemoteCrew:
        return RemoteCrew(self.cluster, work, clock, elastic=self._elastic)

    def slots(self) -> int:
        return max(1, len(self.cluster.agents))

    def close(self) -> None:
        self.cluster.close()
