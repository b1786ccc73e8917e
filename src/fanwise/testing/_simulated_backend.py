"""A backend whose workers exist in virtual time only: real functions and results, invented costs and faults."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from fanwise._seeds import generator
from fanwise._task import Place, enter, leave
from fanwise.errors import BackendError, UsageValueError
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Failed, Settled
from fanwise.records.scheduling import Event
from fanwise.testing._fleet import Cost, Fault, Fleet, Price, World
from fanwise.typing import Clock, Work

__all__ = ["SimulatedBackend"]


class SimulatedBackend:
    """Runs functions in the calling process and pretends that workers took ``cost`` seconds for each item.

    Give the run a fake clock: waiting is done by ``clock.sleep``. What functions print is not captured.

    Parameters
    ----------
    workers : int
        Most workers there are.
    cost : float, sequence of float or callable
        Seconds per item: one number, one each, or a function of the index.
    latency : float
        Seconds a message takes one way.
    bandwidth : float
        Bytes per second of a worker's connection; counts if ``item_bytes`` is given.
    faults : iterable of (index, deed)
        ``"raise"``, ``"kill"`` or ``"hang"``; the n-th fault of an item happens at its n-th attempt.
    stragglers : iterable of (worker, factor)
        Workers, counted from 1, that are so many times slower.
    seed : int
        Of what is left to chance.
    item_bytes : float
        What an item and its result weigh together.

    Examples
    --------
    >>> from fanwise.testing import SimulatedBackend
    >>> SimulatedBackend(2, 0.01).name
    'simulated'
    """

    name = "simulated"

    def __init__(
        self,
        workers: int,
        cost: Cost,
        latency: float = 50e-6,
        bandwidth: float = inf,
        faults: Iterable[Fault] = (),
        stragglers: Iterable[tuple[int, float]] = (),
        seed: int = 0,
        item_bytes: float = 0.0,
    ) -> None:
        if workers < 1:
            raise UsageValueError(f"workers must be an integer of at least 1, got {workers!r}")
        self.workers = workers
        self._world = World(
            Price(cost),
            latency,
            bandwidth,
            item_bytes,
            faults=tuple(faults),
            stragglers=tuple(stragglers),
            seed=seed,
        )

    def hire(self, work: Work, workers: int, clock: Clock) -> SimulatedCrew:
        """A crew for one run, as in `fanwise.typing.Backend`."""
        return SimulatedCrew(self._world, work, min(workers, self.workers), clock)

    def close(self) -> None:
        """Nothing is kept."""


class SimulatedCrew:
    """The crew of a `SimulatedBackend`."""

    method = "simulated"

    def __init__(self, world: World, work: Work, workers: int, clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._fleet = Fleet(world, self._run, workers)
        self._interrupted = False
        self._awake = False

    def start(self, count: int) -> None:
        self._fleet.start(count, self._clock.now())

    def send(self, worker: int, chunk: Chunk) -> None:
        self._fleet.send(worker, chunk, self._clock.now())

    def cancel(self, worker: int, chunk: int) -> None:
        self._fleet.cancel(worker, chunk, self._clock.now())

    def kill(self, worker: int, reason: str) -> None:
        self._fleet.kill(worker, reason, self._clock.now())

    def retire(self, worker: int) -> None:
        self._fleet.retire(worker, self._clock.now())

    def running(self) -> Sequence[tuple[int, int, float]]:
        return self._fleet.running(self._clock.now())

    def sizes(self) -> Mapping[int, int]:
        return dict.fromkeys(self._fleet.names(), 0)

    def wait(self, timeout: float | None) -> list[Event]:
        """What happened; the clock sleeps until then."""
        until = self._clock.now() + (inf if timeout is None else timeout)
        at = min(until, self._fleet.next_at)
        if self._awake:
            at = self._clock.now()
        elif at == inf:
            raise BackendError("simulated workers have nothing to do and nobody else will wake this run")
        self._awake = False
        if at > self._clock.now():
            self._clock.sleep(at - self._clock.now())
        events: list[Event] = []
        while self._fleet.next_at <= self._clock.now():
            events += self._fleet.receive(self._clock.now())
        return events

    def wake(self) -> None:
        self._awake = True

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self, *, kill: bool) -> None:
        for worker in self._fleet.names():
            self._fleet.retire(worker, self._clock.now())

    def _run(self, first: int, count: int, attempt: int, worker: int) -> list[Settled]:
        """Call the function on consecutive items; what it raises is the outcome of that item."""
        settled: list[Settled] = []
        done: list[Any] = []
        before = enter(Place(first, done, attempt, worker, lambda: self._interrupted))
        try:
            for index, item in enumerate(self._work.take(first, count), first):
                settled.append(self._call(index, item, attempt, worker))
                done.append(None)
        finally:
            leave(before)
        return settled

    def _call(self, index: int, item: Any, attempt: int, worker: int) -> Settled:
        options = {} if self._work.seed is None else {"rng": generator(self._work.seed, index)}
        try:
            return Batch(index, (self._work.fn(item, **options),), 0.0, worker, attempt)
        except BaseException as error:  # noqa: BLE001 - whatever an item raises is its outcome, as in a worker
            text = "".join(traceback.format_exception(error))
            return Failed(index=index, attempts=attempt, worker=worker, error=error, traceback=text)
