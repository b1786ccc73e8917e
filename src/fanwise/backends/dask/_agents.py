"""What runs on a Dask worker: its agent is found or made, and asked."""

from __future__ import annotations

import weakref
from threading import Lock
from typing import Any

from fanwise.backends.remote._agent import Agent
from fanwise.backends.remote._blobs import store_blob
from fanwise.backends.remote._letters import Order, pack_answer

__all__ = ["command", "run_chunk", "store_blob"]


class _Agents:
    """The agent of each Dask worker of this process: usually one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._agents: weakref.WeakKeyDictionary[Any, Agent] = weakref.WeakKeyDictionary()

    def of(self, worker: Any) -> Agent:
        with self._lock:
            if worker not in self._agents:
                agent = self._agents[worker] = Agent(worker.state.nthreads)
                weakref.finalize(worker, agent.close)
            return self._agents[worker]


_agents = _Agents()


def run_chunk(order: Order, payload: bytes, written: bytes) -> bytes:
    """What Dask runs for a chunk."""
    from distributed import get_worker

    return pack_answer(_agents.of(get_worker()).perform(order, payload, written))


def command(name: str, *args: Any, dask_worker: Any) -> Any:
    """What Dask's event loop runs at once, also while all threads are busy: a method of the agent."""
    return getattr(_agents.of(dask_worker), name)(*args)
