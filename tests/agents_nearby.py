"""A cluster of agents in threads of this process: what Dask and Ray have in common, without either."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
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
        self.agents: dict[str, Agent] = {}
        self.retired: set[str] = set()
        self.silent = False
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._names = (f"agent {number}" for number in itertools.count())
        self._waiting: dict[Ticket, asyncio.Task[bytes]] = {}
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        for _ in range(count):
            self.join()

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

    def join(self) -> None:
        """Another worker comes."""
        self.agents[next(self._names)] = Agent(1)

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
    """A backend of such agents: two of its own, or those of a cluster that is somebody else's to close."""

    name = "nearby"

    def __init__(self, cluster: Nearby | None = None) -> None:
        self._owned = cluster is None
        self.cluster = cluster or Nearby(2)

    def hire(self, work: Work, workers: int, clock: Clock) -> RemoteCrew:
        return RemoteCrew(self.cluster, work, clock, elastic=True)

    def close(self) -> None:
        if self._owned:
            self.cluster.close()


class NearbyCluster:
    """Agents in the place of a cluster that was started for tests."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._cluster = Nearby(2)
        self._lost: list[Agent] = []

    @property
    def url(self) -> NearbyBackend:
        return NearbyBackend(self._cluster)

    def keep(self, count: int) -> None:
        for _ in range(count - len(self._cluster.agents)):
            self._cluster.join()

    def kill_one(self) -> None:
        self._lost.append(self._cluster.lose(min(self._cluster.agents)))
        self._cluster.join()

    def close(self) -> None:
        for agent in self._lost:
            agent.close()
        self._cluster.close()
