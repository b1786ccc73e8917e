"""The actors of one connection to Ray: one for each processor of the cluster, replaced when they are lost."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from fanwise.backends.ray._deputy import Deputy

__all__ = ["Actors"]

_LOOK_S = 1.0
_FAREWELL_S = 1.0


class Actors:
    """Keeps as many actors as may be used. All but `allow`, `start` and `close` is for the event loop, which is its own."""

    def __init__(self) -> None:
        self._limit: float = 1
        self._recipe = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Deputy)
        self._kept: dict[asyncio.Task[None], Any] = {}  # who attends to an actor, and the actor
        self._retired: set[str] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self.ready: dict[str, Any] = {}
        self.wanted = 1
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="fanwise-ray", daemon=True)
        self._thread.start()

    def allow(self, limits: Iterable[int | None]) -> None:
        """Say how many actors each of the users wants: None for one a processor, also of hosts that join later."""
        self._limit = max((math.inf if limit is None else limit for limit in limits), default=0)

    def start(self, patience_s: float) -> None:
        """Return when an actor is there and ``wanted`` is known.

        Raises
        ------
        TimeoutError
            If there is none within so many seconds.
        RayError
            If it could not be made.
        """
        asyncio.run_coroutine_threadsafe(self._begin(patience_s), self.loop).result()

    async def _begin(self, patience_s: float) -> None:
        if self._keeper is None:
            self._keeper = self.loop.create_task(self._keep())
        await self._adjust()
        if not self.ready:
            if self._first is None or self._first.done():
                self._first = self.loop.create_future()
            await asyncio.wait_for(asyncio.shield(self._first), patience_s)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._adjust()

    async def _adjust(self) -> None:
        self.wanted = await asyncio.to_thread(self._affordable)
        while len(self._kept) < self.wanted:
            actor = self._recipe.remote()
            self._kept[self.loop.create_task(self._attend(actor))] = actor
        there = {id(actor) for actor in self.ready.values()}
        waiting = [actor for actor in self._kept.values() if id(actor) not in there]
        for actor in waiting[: len(self._kept) - self.wanted]:  # a host has left: nobody shall start one for these
            ray.kill(actor)

    def _affordable(self) -> int:
        return int(max(1, min(self._limit, ray.cluster_resources().get("CPU", 1))))

    async def _attend(self, actor: Any) -> None:
        """From its birth to its death."""
        address = None
        try:
            address = await self.answer(actor.place.remote())
            self.ready[address] = actor
            self._tell_first(None)
            await self.answer(actor.endure.remote())
        except RayError as error:
            if not isinstance(error, RayActorError) or error.actor_init_failed:
                self._tell_first(error)  # so would the next one fail; one that was killed is replaced
            if address is not None and isinstance(error, RayActorError) and error.preempted:
                self._retired.add(address)
        finally:
            self._kept = {task: kept for task, kept in self._kept.items() if kept is not actor}
            if address is not None:
                del self.ready[address]

    def _tell_first(self, error: RayError | None) -> None:
        if self._first is None or self._first.done():
            return
        if error is None:
            self._first.set_result(None)
        else:
            self._first.set_exception(error)

    def was_retired(self, address: str) -> bool:
        """Whether an actor was lost with a host that Ray had announced to end."""
        return address in self._retired

    def answer(self, reference: Any) -> asyncio.Future[Any]:
        """What a call comes to. It may be cancelled, which the call itself does not hear of."""
        waiting: asyncio.Future[Any] = self.loop.create_future()
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # not everybody looks
        reference.future().add_done_callback(partial(self._pass_on, waiting))
        return waiting

    def _pass_on(self, waiting: asyncio.Future[Any], done: Any) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, waiting, done)

    def close(self) -> None:
        """Stop all actors and the loop."""
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _end(self) -> None:
        """Kindly first: an agent ends the processes that it keeps warm."""
        if self._keeper is not None:
            self._keeper.cancel()
        farewells = [self.answer(actor.command.remote("close")) for actor in self.ready.values()]
        if farewells:
            await asyncio.wait(farewells, timeout=_FAREWELL_S)
        for actor in self._kept.values():
            ray.kill(actor)
        if self._kept:
            _, unaware = await asyncio.wait(list(self._kept), timeout=_FAREWELL_S)
            for task in unaware:
                task.cancel()


def _settle(waiting: asyncio.Future[Any], done: Any) -> None:
    if waiting.done():
        return
    error = done.exception()
    if error is None:
        waiting.set_result(done.result())
    else:
        waiting.set_exception(error)
