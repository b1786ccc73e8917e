"""Workers in virtual time: a discrete-event model that answers as a crew would."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import accumulate
from math import exp, inf
from random import Random

from fanwise.errors import UsageValueError
from fanwise.records.chunks import Chunk, ChunkStats
from fanwise.records.outcomes import Batch, Failed, Settled
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    StartFailed,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)

__all__ = ["Cost", "Fault", "Fleet", "Price", "Values", "World"]

Fault = tuple[int, str]
"""Item and deed: ``raise``, ``kill`` or ``hang``; the n-th fault of an item happens at its n-th attempt."""

DEEDS = frozenset({"raise", "kill", "hang"})


Cost = float | Sequence[float] | Callable[[int], float]
"""What items cost, in seconds: one number for all, one each, or a function of the index."""


class Price:
    """Seconds for runs of items, from running sums that grow as far as they are needed."""

    __slots__ = ("_cost", "_each", "_sums")

    def __init__(self, cost: Cost) -> None:
        self._each = float(cost) if isinstance(cost, (int, float)) else None
        self._cost = cost if callable(cost) else None
        self._sums = [0.0] if isinstance(cost, (int, float)) or callable(cost) else [0.0, *accumulate(cost)]

    def of(self, first: int, count: int) -> float:
        """Seconds for consecutive items."""
        if self._each is not None:
            return self._each * count
        self._grow(first + count)
        return self._sums[first + count] - self._sums[first]

    def reached(self, first: int, count: int, seconds: float) -> int:
        """The item at which a worker is that began at ``first`` so many seconds ago."""
        if self._each is not None:
            done = int(seconds / self._each) if self._each > 0.0 else count
        else:
            self._grow(first + count)
            done = bisect_right(self._sums, self._sums[first] + seconds) - 1 - first
        return first + min(max(done, 0), count - 1)

    def _grow(self, stop: int) -> None:
        if self._cost is not None:
            for index in range(len(self._sums) - 1, stop):
                self._sums.append(self._sums[-1] + self._cost(index))


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated workers are like.

    Attributes
    ----------
    price : Price
        Seconds per item.
    latency_s : float
        One way of a message.
    bandwidth : float
        Bytes per second; ``item_bytes`` is what one item and its result weigh.
    start_s, restart_s : float
        From the order to a worker that is ready: for the first order, and for all later ones.
    faults : iterable of (index, deed)
        Scripted by item and attempt.
    stragglers : iterable of (worker, factor)
        These workers are so many times slower.
    kill_rate_hz : float
        Deaths for no reason per busy second.
    tells_index : bool
        A death is reported with the item that was running.
    seed : int
        Of the deaths.
    """

    price: Price
    latency_s: float = 50e-6
    bandwidth: float = inf
    item_bytes: float = 0.0
    start_s: float = 0.002
    restart_s: float = 0.002
    faults: tuple[Fault, ...] = ()
    stragglers: tuple[tuple[int, float], ...] = ()
    kill_rate_hz: float = 0.0
    tells_index: bool = True
    seed: int = 0


class _Job:
    """A chunk at a worker: when it begins and ends, how, and before which item. A job that is ``gone`` ends no more."""

    __slots__ = ("begins", "chunk", "ends", "gone", "how", "index", "stop")

    def __init__(self, chunk: Chunk, begins: float) -> None:
        self.chunk = chunk
        self.begins = begins
        self.ends = begins
        self.how = "done"
        self.index = chunk.first
        self.stop = chunk.first + chunk.count
        self.gone = False


class _Worker:
    __slots__ = ("free_at", "id", "jobs", "slowness")

    def __init__(self, id: int, slowness: float, free_at: float) -> None:
        self.id = id
        self.slowness = slowness
        self.free_at = free_at
        self.jobs: deque[_Job] = deque()


Values = Callable[[int, int, int, int], list[Settled]]
"""``values(first, count, attempt, worker)``: results of items that a worker ran."""


class Fleet:
    """Workers, their chunks, and the messages on their way, ordered by time.

    Parameters
    ----------
    world : World
        What the workers are like.
    values : callable
        Makes the results of consecutive items; by default the value of an item is its index.
    limit : int or None
        Workers that can be alive at once; to start more fails.
    """

    def __init__(self, world: World, values: Values | None = None, limit: int | None = None) -> None:
        self._world = world
        self._limit = limit
        self._values = values or _indexes
        self._random = Random(world.seed)
        self._script = _by_item(world.faults)
        self._slow = dict(world.stragglers)
        self._workers: dict[int, _Worker] = {}
        self._mail: list[tuple[float, int, Callable[[float], list[Event]]]] = []
        self._letters = 0
        self._named = 0
        self.lost_s = 0.0

    @property
    def next_at(self) -> float:
        """When the next message arrives; infinity if none is on its way."""
        return self._mail[0][0] if self._mail else inf

    def receive(self, now: float) -> list[Event]:
        """The message that arrives first, as events of this moment."""
        return heappop(self._mail)[2](now)

    def start(self, count: int, now: float) -> None:
        """Order workers."""
        if self._limit is not None and (excess := count + len(self._workers) - self._limit) > 0:
            count -= excess
            self._post(now, lambda now: [StartFailed(now, f"there are {self._limit} simulated workers", excess)])
        takes = self._world.restart_s if self._named else self._world.start_s
        for _ in range(count):
            self._named += 1
            worker = _Worker(self._named, self._slow.get(self._named, 1.0), now + takes)
            self._workers[worker.id] = worker
            self._post(now + takes, partial(self._ready, worker.id, takes))

    def send(self, id: int, chunk: Chunk, now: float) -> None:
        """A chunk goes to a worker; nobody hears of one for a worker that is gone."""
        worker, world = self._workers.get(id), self._world
        if worker is not None:
            moved = chunk.count * world.item_bytes / world.bandwidth
            job = _Job(chunk, max(worker.free_at, now + world.latency_s + moved))
            self._foresee(worker, job)
            worker.free_at = job.ends
            worker.jobs.append(job)
            if job.ends < inf:
                self._post(job.ends + world.latency_s, partial(self._over, worker, job))

    def cancel(self, id: int, chunk: int, now: float) -> None:
        """Ask back a chunk: it comes whole if the worker has not begun it, else from the item after the next to end."""
        worker = self._workers.get(id)
        arrives = now + self._world.latency_s
        job = next((job for job in worker.jobs if job.chunk.id == chunk), None) if worker is not None else None
        if worker is None or job is None:
            return
        if job.begins > arrives:
            job.gone = True
            worker.jobs.remove(job)
            first = job.chunk.first
            worker.free_at = worker.jobs[-1].ends if worker.jobs else arrives
            self._post(arrives + self._world.latency_s, lambda now: [ChunkReturned(now, id, chunk, first)])
        elif job is worker.jobs[-1]:
            self._cut(worker, job, arrives)

    def _cut(self, worker: _Worker, job: _Job, at: float) -> None:
        """A worker gives back what it has not begun, once the item at hand is done."""
        chunk, price = job.chunk, self._world.price
        stop = price.reached(chunk.first, chunk.count, (at - job.begins) / worker.slowness) + 1
        ends = job.begins + price.of(chunk.first, stop - chunk.first) * worker.slowness
        if at <= job.ends and stop < chunk.first + chunk.count and (job.how == "done" or stop <= job.index):
            job.gone = True
            rest = worker.jobs[-1] = _Job(chunk, job.begins)
            rest.ends = worker.free_at = ends
            rest.stop = stop
            self._post(ends + self._world.latency_s, partial(self._over, worker, rest))

    def kill(self, id: int, reason: str, now: float) -> None:
        """Stop a worker at once."""
        worker = self._workers.get(id)
        if worker is not None:
            self._post(now + self._world.latency_s, partial(self._dead, worker, reason, self._at(worker, now), now))

    def retire(self, id: int, now: float) -> None:
        """Let a worker go."""
        if self._workers.pop(id, None) is not None:
            self._post(now + self._world.latency_s, lambda now: [WorkerRetired(now, id)])

    def running(self, now: float) -> list[tuple[int, int, float]]:
        """What busy workers are at: (worker, item, since)."""
        found = []
        for worker in self._workers.values():
            index = self._at(worker, now)
            if index is not None:
                job = worker.jobs[0]
                before = self._world.price.of(job.chunk.first, index - job.chunk.first)
                found.append((worker.id, index, job.begins + before * worker.slowness))
        return found

    def names(self) -> list[int]:
        """Live workers."""
        return list(self._workers)

    def _foresee(self, worker: _Worker, job: _Job) -> None:
        """Decide how a chunk will end, and when."""
        chunk, price = job.chunk, self._world.price
        duration = price.of(chunk.first, chunk.count) * worker.slowness
        for index in range(chunk.first, chunk.first + chunk.count) if self._script else ():
            deed = self._deed(index, chunk.attempt)
            if deed in {"kill", "hang"}:
                job.how, job.index = deed, index
                duration = price.of(chunk.first, index + 1 - chunk.first) * worker.slowness if deed == "kill" else inf
                break
        rate = self._world.kill_rate_hz
        if rate and job.how == "done" and self._random.random() < 1.0 - exp(-rate * duration):
            duration *= self._random.random()
            job.how, job.index = "kill", price.reached(chunk.first, chunk.count, duration / worker.slowness)
        job.ends = job.begins + duration

    def _ready(self, id: int, took: float, now: float) -> list[Event]:
        return [WorkerReady(now, id, id, "simulated", took)] if id in self._workers else []

    def _over(self, worker: _Worker, job: _Job, now: float) -> list[Event]:
        """A chunk came to its end, one way or the other."""
        if job.gone:
            return []
        if job.how == "kill":
            return self._dead(worker, "SIGKILL", job.index, job.ends, now)
        worker.jobs.popleft()
        chunk, spent = job.chunk, job.ends - job.begins
        done = Finished(now, worker.id, chunk.id, tuple(self._results(chunk, job.stop, worker.id)))
        if job.stop < chunk.first + chunk.count:
            return [done, ChunkReturned(now, worker.id, chunk.id, job.stop)]
        return [done, ChunkFinished(now, worker.id, chunk.id, ChunkStats(busy=spent, cpu=spent))]

    def _dead(self, worker: _Worker, reason: str, index: int | None, at: float, now: float) -> list[Event]:
        if self._workers.pop(worker.id, None) is None:
            return []
        for job in worker.jobs:
            job.gone = True
            self.lost_s += max(0.0, min(at, job.ends) - job.begins)
        known = self._world.tells_index
        return [WorkerDied(now, worker.id, reason, index if known else None, idle=known and index is None)]

    def _results(self, chunk: Chunk, stop: int, worker: int) -> Iterator[Settled]:
        """Results in order; a scripted failure stands in for its item."""
        first = chunk.first
        for index in range(first, stop) if self._script else ():
            if self._deed(index, chunk.attempt) == "raise":
                yield from self._values(first, index - first, chunk.attempt, worker) if index > first else ()
                error = RuntimeError(f"item {index} was told to fail")
                yield Failed(index=index, attempts=chunk.attempt, worker=worker, error=error)
                first = index + 1
        yield from self._values(first, stop - first, chunk.attempt, worker) if stop > first else ()

    def _deed(self, index: int, attempt: int) -> str | None:
        deeds = self._script.get(index, ())
        return deeds[attempt - 1] if attempt <= len(deeds) else None

    def _at(self, worker: _Worker, now: float) -> int | None:
        """The item a worker is at."""
        if not worker.jobs or worker.jobs[0].begins > now:
            return None
        job = worker.jobs[0]
        reached = self._world.price.reached(job.chunk.first, job.chunk.count, (now - job.begins) / worker.slowness)
        return min(reached, job.index) if job.how == "hang" else reached

    def _post(self, at: float, letter: Callable[[float], list[Event]]) -> None:
        self._letters += 1
        heappush(self._mail, (at, self._letters, letter))


def _indexes(first: int, count: int, attempt: int, worker: int) -> list[Settled]:
    return [Batch(first, range(first, first + count), 0.0, worker, attempt)]


def _by_item(faults: Iterable[Fault]) -> dict[int, tuple[str, ...]]:
    script: dict[int, tuple[str, ...]] = {}
    for index, deed in faults:
        if deed not in DEEDS:
            raise UsageValueError(f"faults must be pairs (item, deed) with a deed of {sorted(DEEDS)}, got {deed!r}")
        script[index] = (*script.get(index, ()), deed)
    return script
