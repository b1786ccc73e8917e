"""All talk of one run with Dask, on the event loop of the client; what is heard is posted to the crew.

Nothing here waits for a worker that is gone: a chunk's answer is awaited by a coroutine of its own, which the crew
cancels when the worker has left the cluster.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

from fanwise.backends.dask._agent import command, describe, run_chunk
from fanwise.backends.dask._blobs import has_blob, store_blob
from fanwise.backends.dask._letters import (
    Answer,
    Desk,
    Letter,
    Need,
    Note,
    Order,
    open_answer,
    pack_script,
    pieces,
)
from fanwise.errors import BackendError
from fanwise.records.scheduling import Chunk
from fanwise.typing import Attachment

__all__ = [
    "GRACE_S",
    "LEASE_S",
    "Answered",
    "Broken",
    "Joined",
    "Left",
    "Liaison",
    "Listed",
    "Message",
    "Node",
    "Withdrawn",
]

LEASE_S = 30.0
GRACE_S = 30.0
_RENEW_S = 10.0
_LOOK_S = 0.25
_PATIENCE_S = 5.0
_FAREWELL_S = 1.0
_LARGE = 1 << 20  # what is larger goes to its worker as data, not inside the task
_PIECE = 16 << 20
_TRIES = 5


class Node(NamedTuple):
    """A Dask worker."""

    address: str
    host: str
    threads: int


class Joined(NamedTuple):
    """A Dask worker can be used."""

    node: Node


class Left(NamedTuple):
    """A Dask worker is gone; ``expected`` if it was retired."""

    address: str
    expected: bool


class Listed(NamedTuple):
    """Those that were connected at the beginning have been named."""


class Answered(NamedTuple):
    """What became of a chunk, or why nobody knows."""

    worker: int
    chunk: int
    answer: Answer | BaseException


class Withdrawn(NamedTuple):
    """A chunk was taken back before it began; ``killed`` is why its worker was to be stopped, if it was."""

    worker: int
    chunk: int
    killed: str | None = None


class Broken(NamedTuple):
    """The scheduler is gone, or something of ours is defective."""

    error: BaseException


Message = Joined | Left | Listed | Answered | Withdrawn | Broken


class Liaison:
    """Speaks with Dask for one crew.

    Parameters
    ----------
    client : distributed.Client
        Synchronous; only its loop is used.
    desk : Desk
        Writes what is sent.
    post : callable
        Takes a message; called on the loop.
    """

    def __init__(self, client: Any, desk: Desk, post: Callable[[Message], None]) -> None:
        self._client = client
        self._desk = desk
        self._post = post
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._id = secrets.token_bytes(16)
        self._sent = 0
        self._told: set[tuple[str, bytes]] = set()  # which script each agent has
        self._stored: set[tuple[str, bytes]] = set()  # which bundle each host has
        self._storing: defaultdict[tuple[str, bytes], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._futures: dict[tuple[int, int], Any] = {}  # of Dask, by worker and chunk

    def begin(self) -> None:
        """Begin to watch who joins and leaves."""
        self._later(self._watch())

    def carry(self, node: Node, worker: int, chunk: Chunk, letter: Letter) -> None:
        """Have a chunk run; `Answered` follows."""
        self._later(self._carry(node, worker, chunk, letter), (worker, chunk.id))

    def drop(self, worker: int, chunk: int) -> None:
        """Listen no more for a chunk; if it has not begun, it never will."""
        self._later(self._drop([(worker, chunk)]))

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
        self._later(self._ask_all([node.address for node in nodes], "interrupt"))

    def running(self, nodes: Sequence[Node]) -> list[tuple[int, int, float]]:
        """What runs there: chunk, item, seconds since it began; nothing of those that do not answer within a second."""
        question = self._ask_all([node.address for node in nodes], "running", patience=_FAREWELL_S)
        replies = asyncio.run_coroutine_threadsafe(question, self._loop).result()
        return [entry for reply in replies.values() if isinstance(reply, list) for entry in reply]

    def close(self, nodes: Sequence[Node]) -> None:
        """Stop listening; have what still runs of the run killed, and wait for that at most a second."""
        if self._client.status in {"closed", "closing"}:
            return
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

    async def _drop(self, chunks: Sequence[tuple[int, int]]) -> None:
        """Cancel the futures: whoever awaits one hears of it, as he would not if he were cancelled himself."""
        futures = [self._futures[chunk] for chunk in chunks if chunk in self._futures]
        if futures:
            await self._client.cancel(futures, asynchronous=True, force=True)

    async def _watch(self) -> None:
        known: set[str] = set()
        heard = renewed = self._loop.time()
        first = True
        while True:
            try:
                found = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), _PATIENCE_S)
            except (OSError, TimeoutError) as error:
                if self._loop.time() - heard > GRACE_S:
                    raise BackendError(f"the scheduler at {self._address()} went away: {error}") from error
                await asyncio.sleep(_LOOK_S)
                continue
            heard = self._loop.time()
            connected = set(found["workers"])
            for address in known - connected:
                self._post(Left(address, await self._was_expected(address)))
            joined = await self._welcome(sorted(connected - known))
            known = (known & connected) | joined
            if first:
                self._post(Listed())
                first = False
            if heard - renewed > _RENEW_S:
                renewed = heard
                await self._ask_all(sorted(known), "renew")
            await asyncio.sleep(_LOOK_S)

    async def _welcome(self, addresses: Sequence[str]) -> set[str]:
        """Look at those that have joined; one that does not answer is looked at again."""
        if not addresses:
            return set()
        replies = await self._run(describe, workers=addresses)
        for address, facts in replies.items():
            if isinstance(facts, dict):
                self._post(Joined(Node(address, facts["host"], facts["threads"])))
        return {address for address, facts in replies.items() if isinstance(facts, dict)}

    async def _was_expected(self, address: str) -> bool:
        events = await self._client.scheduler.events(topic=address)
        return any(event.get("action") == "remove-worker" and event.get("expected") for _, event in events)

    def _address(self) -> str:
        return str(self._client.scheduler.address)

    async def _run(self, function: Callable[..., Any], *args: Any, workers: Sequence[str]) -> dict[str, Any]:
        """Call a function on the event loops of some workers; what went wrong is in the place of the answer."""
        run = self._client.run(function, *args, workers=list(workers), on_error="return", asynchronous=True)
        try:
            replies: dict[str, Any] = await asyncio.wait_for(run, _PATIENCE_S)
        except (OSError, TimeoutError, KeyError) as error:  # one of them is gone, which `_watch` will find
            return dict.fromkeys(workers, error)
        return replies

    async def _ask_all(
        self, addresses: Sequence[str], name: str, *args: Any, patience: float | None = None
    ) -> dict[str, Any]:
        if not addresses:
            return {}
        asking = self._run(command, name, self._id, *args, workers=addresses)
        if patience is None:
            return await asking
        try:
            return await asyncio.wait_for(asking, patience)
        except TimeoutError:
            return {}

    async def _stop(self, node: Node, order: Withdrawn) -> None:
        if order.killed is None:
            replies = await self._ask_all([node.address], "withdraw", order.chunk)
        else:
            replies = await self._ask_all([node.address], "kill", order.chunk, order.killed)
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
                self._post(Answered(worker, chunk.id, answer))
                return
            self._told = {told for told in self._told if told[0] != node.address}
            self._stored -= {(node.host, digest) for digest in lacks}
        raise BackendError(f"the worker at {node.address} does not keep what it is sent")

    async def _submit(self, node: Node, worker: int, order: Order, payload: bytes) -> Answer:
        script = self._desk.script
        told = node.address, script.digest
        self._sent += 1
        key = f"fanwise-{self._id.hex()}-{order.first}-{order.first + order.items}-{self._sent}"
        large = [
            await self._hand_over(node, data) for data in (payload, b"" if told in self._told else pack_script(script))
        ]
        future = self._client.submit(
            run_chunk, order, *large, key=key, workers=[node.address], allow_other_workers=False, retries=0, pure=False
        )
        self._futures[worker, order.chunk] = future
        try:
            answer = open_answer(await self._client.gather(future, asynchronous=True))
        finally:
            del self._futures[worker, order.chunk]
            for held in (future, *large):
                if not isinstance(held, bytes):
                    held.release()
        self._told.add(told)
        return answer

    async def _hand_over(self, node: Node, data: bytes) -> Any:
        """Something for one worker: as it is, or as data of Dask if it is large (in a task it would be copied often)."""
        if len(data) <= _LARGE:
            return data
        return await self._client.scatter(data, workers=[node.address], hash=False, asynchronous=True)

    async def _furnish(self, node: Node, need: Need, attachment: Attachment) -> None:
        """See that a bundle is on a host: sent once, whichever of its workers asks."""
        place = node.host, need.digest
        if place in self._stored:
            return
        async with self._storing[place]:
            if place in self._stored:
                return
            replies = await self._run(has_blob, need.digest, need.size, workers=[node.address])
            if replies.get(node.address) is not True:
                await self._store(node, need, attachment)
            self._stored.add(place)

    async def _store(self, node: Node, need: Need, attachment: Attachment) -> None:
        parts = [
            await self._client.scatter(piece, workers=[node.address], hash=False, asynchronous=True)
            for piece in pieces(attachment, _PIECE)
        ]
        future = self._client.submit(
            store_blob, need.digest, need.size, *parts, workers=[node.address], priority=1, pure=False
        )
        try:
            await self._client.gather(future, asynchronous=True)
        finally:
            for held in (future, *parts):
                held.release()

    async def _end(self, addresses: Sequence[str]) -> None:
        """Futures first, so that nothing begins any more; then whoever still waits for something else."""
        await self._drop(list(self._futures))
        await self._ask_all(addresses, "end", patience=_FAREWELL_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL_S)
