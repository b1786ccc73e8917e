"""What runs in a Ray worker: an actor that passes on to its agent what it is asked."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fanwise.backends.remote._agent import Agent
from fanwise.backends.remote._blobs import store_blob
from fanwise.backends.remote._letters import Order, pack_answer

__all__ = ["Deputy"]


class Deputy:
    """An asynchronous actor: chunks take their turn in a thread, commands are heard meanwhile."""

    def __init__(self) -> None:
        self._agent = Agent(1)
        self._turn = asyncio.Lock()

    async def place(self) -> str:
        """Which process on which host this is."""
        from ray.util import get_node_ip_address

        return f"{get_node_ip_address()} (process {os.getpid()})"

    async def endure(self) -> None:
        """Never return: whoever waits for this hears when the process is lost."""
        await asyncio.Event().wait()

    async def command(self, name: str, *args: Any) -> Any:
        """Ask the agent."""
        return getattr(self._agent, name)(*args)

    async def perform(self, order: Order, payload: bytes, written: bytes) -> bytes:
        """Run a chunk, after those that came before it."""
        async with self._turn:
            return pack_answer(await asyncio.to_thread(self._agent.perform, order, payload, written))

    async def store(self, digest: bytes, size: int, *pieces: bytes) -> None:
        """Write a bundle."""
        await asyncio.to_thread(store_blob, digest, size, *pieces)
