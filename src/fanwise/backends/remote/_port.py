"""What a liaison needs of a cluster: the port behind which Dask and Ray are alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from fanwise.backends.remote._letters import Need, Order
from fanwise.typing import Attachment

__all__ = ["Cluster", "Ticket"]

Ticket = tuple[bytes, int, int]
"""Run, worker of the crew and chunk: what an answer is awaited under."""


class Cluster(Protocol):
    """A connection to a cluster. Coroutines run on ``loop``, which turns in a thread of its own."""

    name: str
    where: str
    loop: asyncio.AbstractEventLoop

    def is_open(self) -> bool:
        """Whether the connection stands."""

    async def workers(self) -> set[str]:
        """The addresses of those connected now; an `OSError` if the cluster does not answer."""

    async def was_expected(self, worker: str) -> bool:
        """Whether a worker that has left was retired."""

    async def ask(self, workers: Sequence[str], name: str, *args: Any) -> dict[str, Any]:
        """Call a method of the agents of some workers, also of busy ones; what went wrong is in the place of an answer."""

    async def perform(self, worker: str, ticket: Ticket, order: Order, payload: bytes, written: bytes) -> bytes:
        """Have an agent run a chunk. There is no answer from a worker that is lost: whoever waits is told to `drop` it."""

    async def drop(self, tickets: Iterable[Ticket]) -> None:
        """Cancel those that wait for these answers; what has not begun need not begin."""

    async def store(self, worker: str, need: Need, attachment: Attachment) -> None:
        """Have an agent write a bundle to its host."""
