"""Single flight: of all threads and processes that want one missing value, one computes it and the others wait.

Threads of one process queue first on a table of keys, then one of them takes the lease of the key. A leader that fails,
or whose value cannot be stored, says so before it releases, and whoever waited computes for itself at once instead of
queueing. A caller that already computes something waits two seconds at most, so that no ring of waiting can close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from fanwise.cache._leases import Lease, LeaseSource
from fanwise.cache._stats import Counters
from fanwise.errors import CacheError

__all__ = ["MISSING", "Job", "SingleFlight"]

NESTED_WAIT_S = 2.0


class _Missing:
    """Stands for no value, since None is one."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class Job(Protocol):
    """How one value is found, computed and stored."""

    def look(self) -> Any:
        """The stored value, or `MISSING`."""

    def compute(self) -> Any:
        """The value, at its cost."""

    def publish(self, value: Any) -> bool:
        """Store it; False if it cannot be stored."""

    def describe(self) -> tuple[str, str]:
        """Where the function lives and how the call reads: ``app:`` and ``f(3)``."""


class _Held(NamedTuple):
    place: object
    key: bytes
    describe: Callable[[], tuple[str, str]]


_computing: ContextVar[tuple[_Held, ...]] = ContextVar("fanwise_cache_computing", default=())


class _Flight:
    """One key that somebody of this process is computing."""

    __slots__ = ("failures", "turn", "users")

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.failures = 0
        self.users = 0


class SingleFlight:
    """The computations of one cache.

    Parameters
    ----------
    place : object
        What the keys belong to: the directory.
    leases : callable
        The current source of leases between processes, or None.
    """

    def __init__(self, place: object, leases: Callable[[], LeaseSource | None], counters: Counters) -> None:
        self._place = place
        self._leases = leases
        self._counters = counters
        self._flights: dict[bytes, _Flight] = {}
        self._table = threading.Lock()

    def run(self, key: bytes, job: Job) -> Any:
        """The value of a key: found after waiting, or computed here.

        Raises
        ------
        CacheError
            If this very thread or task is computing that key already.
        """
        held = _computing.get()
        if held:
            _refuse_recursion(held, self._place, key, job)
        flight = self._join(key)
        token = _computing.set((*held, _Held(self._place, key, job.describe)))
        try:
            return self._take_turn(flight, key, job, NESTED_WAIT_S if held else None)
        finally:
            _computing.reset(token)
            self._part(key, flight)

    def _join(self, key: bytes) -> _Flight:
        with self._table:
            flight = self._flights.setdefault(key, _Flight())
            flight.users += 1
        return flight

    def _part(self, key: bytes, flight: _Flight) -> None:
        with self._table:
            flight.users -= 1
            if not flight.users and self._flights.get(key) is flight:
                del self._flights[key]

    def _take_turn(self, flight: _Flight, key: bytes, job: Job, limit: float | None) -> Any:
        failures = flight.failures
        waited = not flight.turn.acquire(blocking=False)
        if waited:
            self._counters.waits += 1
            if not flight.turn.acquire(timeout=-1 if limit is None else limit):
                return self._alone(job)
        try:
            value = job.look() if waited else MISSING
            if value is MISSING and flight.failures == failures:
                value = self._lead(flight, key, job, limit)
        finally:
            flight.turn.release()
        return self._alone(job) if value is MISSING else value

    def _lead(self, flight: _Flight, key: bytes, job: Job, limit: float | None) -> Any:
        """With the turn of this process: take the lease, look again, compute. `MISSING`: compute without the turn."""
        leases = self._leases()
        if leases is None:
            return self._compute(flight, None, key, job)
        lease = self._taken(leases, key, limit)
        if lease is None:
            return MISSING
        try:
            value = job.look()
            if lease.waited:
                self._counters.waits += 1
                if value is MISSING and not lease.failed:
                    self._counters.takeovers += 1
            if value is MISSING and not lease.failed:
                value = self._compute(flight, leases, key, job)
            return value
        finally:
            leases.give_back(lease)

    def _taken(self, leases: LeaseSource, key: bytes, limit: float | None) -> Lease | None:
        """The lease, or None; a directory where none can be taken costs the single flight, not the value."""
        try:
            return leases.take(key, limit)
        except OSError:
            self._counters.errors += 1
            return None

    def _compute(self, flight: _Flight, leases: LeaseSource | None, key: bytes, job: Job) -> Any:
        try:
            value = job.compute()
            stored = job.publish(value)
        except Exception:
            self._fail(flight, leases, key)
            raise
        if not stored:
            self._fail(flight, leases, key)
        return value

    def _fail(self, flight: _Flight, leases: LeaseSource | None, key: bytes) -> None:
        flight.failures += 1
        try:
            if leases is not None:
                leases.note_failure(key)
        except OSError:  # whoever waits takes over instead of computing at once
            self._counters.errors += 1

    def _alone(self, job: Job) -> Any:
        value = job.compute()
        job.publish(value)
        return value

    def after_fork(self) -> None:
        """A child has none of the threads that held these locks."""
        self._table = threading.Lock()
        self._flights = {}


def _refuse_recursion(held: tuple[_Held, ...], place: object, key: bytes, job: Job) -> None:
    start = next((at for at, each in enumerate(held) if each.key == key and each.place == place), None)
    if start is None:
        return
    ring = [*(each.describe() for each in held[start:]), job.describe()]
    full = "".join(ring[-1])
    chain = " -> ".join(short for _, short in ring)
    raise CacheError(f"computing {full!r} needs {full!r} again ({chain})")
