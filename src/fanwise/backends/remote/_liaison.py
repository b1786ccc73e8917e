"""All talk of one run with its cluster, on the event loop of the connection; what is heard is posted to the crew.

Nothing here waits for a worker that is gone: a chunk's answer is awaited by a coroutine of its own, which the crew
cancels when the worker has left the cluster.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from fanwise.backends.remote._letters import Answer, Desk, Letter, Need, Note, Order, open_answer, pack_script
from fanwise.backends.remote._news import Answered, Broken, Joined, Left, Listed, Message, Node, Withdrawn
from fanwise.backends.remote._port import Cluster, Ticket
from fanwise.errors import BackendError
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment

__all__ = ["GRACE_S", "LEASE_S", "Liaison"]

LEASE_S = 30.0
GRACE_S = 30.0
_RENEW_S = 10.0
_LOOK_S = 0.25
_FAREWELL_S = 1.0
_TRIES = 5


class Liaison:
    """Speaks with the cluster for one crew.

    Parameters
    ----------
    cluster : Cluster
        The connection; it outlives the run.
    desk : Desk
        Writes what is sent.
    post : callable
        Takes a message; called on the loop.
    """

    def __init__(self, cluster: Cluster, desk: Desk, post: Callable[[Message], None]) -> None:
        self._cluster = cluster
        self._desk = desk
        self._post = post
        self._loop = cluster.loop
        self._id = secrets.token_bytes(16)
        self._told: set[tuple[str, bytes]] = set()  # which script each agent has
        self._stored: set[tuple[str, bytes]] = set()  # which bundle each host has
        self._storing: defaultdict[tuple[str, bytes], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tickets: set[Ticket] = set()
        self._answered = 0

    def begin(self) -> None:
        """Begin to watch who joins and leaves."""
        self._later(self._watch())

    def carry(self, node: Node, worker: int, chunk: Chunk, letter: Letter) -> None:
        """Have a chunk run; `Answered` follows."""
        self._later(self._carry(node, worker, chunk, letter), (worker, chunk.id))

    def drop(self, worker: int, chunk: int) -> None:
        """Listen no more for a chunk; if it has not begun, it never will."""
        self._later(self._cluster.drop([(self._id, worker, chunk)]))

    def withdraw(self, node: Node, worker: int, chunk: int, *, wait: bool) -> None:
        """Take a chunk back; `Withdrawn` follows if it had not begun. With ``wait`` return once the worker knows."""
        order = Withdrawn(worker, chunk)
        if wait:
            asyncio.run_coroutine_threadsafe(self._stop(node, order), self._loop).result()
        else:
            self._later(self._stop(node, order))

    def kill(self, node: Node, worker: int, chunk: int, reason: str) -> None:
        """Stop the process that runs a chunk; the chunk's answer tells of it, or `Withdrawn`."""
        self._later(self._stop(node, Withdrawn(worker, chunk, reason)))

    def interrupt(self, nodes: Iterable[Node]) -> None:
        """Let nothing more of the run begin."""
        self._later(self._ask([node.address for node in nodes], "interrupt"))

    def running(self, nodes: Sequence[Node]) -> list[tuple[int, int, float]]:
        """What runs there: chunk, item, seconds since it began; nothing of those that do not answer within a second."""
        question = self._ask_shortly([node.address for node in nodes], "running")
        replies = asyncio.run_coroutine_threadsafe(question, self._loop).result()
        return [entry for reply in replies.values() if isinstance(reply, list) for entry in reply]

    def close(self, nodes: Sequence[Node]) -> None:
        """Stop listening; have what still runs of the run killed, and wait for that at most a second."""
        if self._cluster.is_open():
            asyncio.run_coroutine_threadsafe(self._end([node.address for node in nodes]), self._loop).result()

    def _later(self, coroutine: Coroutine[Any, Any, Any], chunk: tuple[int, int] | None = None) -> None:
        self._loop.call_soon_threadsafe(self._begin, coroutine, chunk)

    def _begin(self, coroutine: Coroutine[Any, Any, None], chunk: tuple[int, int] | None) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(done, chunk))

    def _over(self, task: asyncio.Task[None], chunk: tuple[int, int] | None) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._post(Broken(error) if chunk is None else Answered(*chunk, error))

    async def _watch(self) -> None:
        known: set[str] = set()
        heard = renewed = self._loop.time()
        first = True
        while True:
            try:
                connected = await self._cluster.workers()
            except OSError as error:
                if self._loop.time() - heard > GRACE_S:
                    words = f"{self._cluster.where} went away after {self._answered:,} items"
                    raise BackendError(f"{words} ({error!r}); what is finished is kept") from error
                await asyncio.sleep(_LOOK_S)
                continue
            heard = self._loop.time()
            for address in known - connected:
                self._post(Left(address, await self._cluster.was_expected(address)))
            joined = await self._welcome(sorted(connected - known))
            known = (known & connected) | joined
            if first:
                self._post(Listed())
                first = False
            if heard - renewed > _RENEW_S:
                renewed = heard
                await self._ask(sorted(known), "renew")
            await asyncio.sleep(_LOOK_S)

    async def _welcome(self, addresses: Sequence[str]) -> set[str]:
        """Look at those that have joined; one that does not answer is looked at again."""
        if not addresses:
            return set()
        replies = await self._cluster.ask(addresses, "describe")
        known = {address: facts for address, facts in replies.items() if isinstance(facts, dict)}
        for address, facts in known.items():
            self._post(Joined(Node(address, facts["host"], facts["threads"])))
        return set(known)

    async def _ask(self, addresses: Sequence[str], name: str, *args: Any) -> dict[str, Any]:
        """Ask agents about this run."""
        return await self._cluster.ask(addresses, name, self._id, *args) if addresses else {}

    async def _ask_shortly(self, addresses: Sequence[str], name: str) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(self._ask(addresses, name), _FAREWELL_S)
        except TimeoutError:
            return {}

    async def _stop(self, node: Node, order: Withdrawn) -> None:
        if order.killed is None:
            replies = await self._ask([node.address], "withdraw", order.chunk)
        else:
            replies = await self._ask([node.address], "kill", order.chunk, order.killed)
        if replies.get(node.address) is True:
            self._post(order)

    async def _carry(self, node: Node, worker: int, chunk: Chunk, letter: Letter) -> None:
        needs = tuple(need for need, _ in letter.bundles)
        order = Order(self._id, chunk.id, chunk.first, chunk.count, letter.flags, needs)
        for _ in range(_TRIES):
            for need, attachment in (*self._desk.bundles, *letter.bundles):
                await self._furnish(node, need, attachment)
            answer = await self._submit(node, worker, order, letter.payload)
            lacks = [note[1] for note in answer.notes if note[0] == Note.LACKS]
            if not lacks:
                self._answered += order.items
                self._post(Answered(worker, chunk.id, answer))
                return
            self._told = {told for told in self._told if told[0] != node.address}
            self._stored -= {(node.host, digest) for digest in lacks}
        raise BackendError(f"the worker at {node.address} does not keep what it is sent")

    async def _submit(self, node: Node, worker: int, order: Order, payload: bytes) -> Answer:
        script = self._desk.script
        told = node.address, script.digest
        written = b"" if told in self._told else pack_script(script)
        ticket = self._id, worker, order.chunk
        self._tickets.add(ticket)
        try:
            answer = open_answer(await self._cluster.perform(node.address, ticket, order, payload, written))
        finally:
            self._tickets.discard(ticket)
        self._told.add(told)
        return answer

    async def _furnish(self, node: Node, need: Need, attachment: Attachment) -> None:
        """See that a bundle is on a host: sent once, whichever of its workers asks."""
        place = node.host, need.digest
        if place in self._stored:
            return
        async with self._storing[place]:
            if place in self._stored:
                return
            replies = await self._cluster.ask([node.address], "has_blob", need.digest, need.size)
            if replies.get(node.address) is not True:
                await self._cluster.store(node.address, need, attachment)
            self._stored.add(place)

    async def _end(self, addresses: Sequence[str]) -> None:
        """Chunks first, so that nothing begins any more; then whoever still waits for something else."""
        await self._cluster.drop(list(self._tickets))
        await self._ask_shortly(addresses, "end")
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_S)
