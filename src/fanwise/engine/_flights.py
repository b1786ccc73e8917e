"""Chunks on their way: which of their items are settled, and which workers carry them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Settled, count_of, first_of

__all__ = ["Flight", "Worker"]


class Flight:
    """One chunk sent. Items settle in order; ``next`` is the first of which nothing was heard.

    A record beyond ``next`` leaves a gap (a frame was lost, an item could not be sent); gaps are given back when the
    worker is through.
    """

    __slots__ = ("_elsewhere", "_gaps", "chunk", "next", "recalled", "stop", "suspect", "worker")

    def __init__(self, chunk: Chunk, worker: int, *, suspect: bool) -> None:
        self.chunk = chunk
        self.worker = worker
        self.suspect = suspect
        self.next = chunk.first
        self.stop = chunk.first + chunk.count
        self.recalled = False
        self._gaps: list[tuple[int, int]] = []
        self._elsewhere: set[int] | None = None

    def accept(self, record: Settled) -> Settled | None:
        """What is new in a record: not settled before and part of the chunk."""
        first = first_of(record)
        stop = first + count_of(record)
        if first != self.next or stop > self.stop:
            low, high = max(first, self.next), min(stop, self.stop)
            if low >= high:
                return None
            if isinstance(record, Batch) and (low, high) != (first, stop):
                record = _cut(record, low - first, high - first)
            if low > self.next:
                self._gaps.append((self.next, low))
            stop = high
        self.next = stop
        return record

    def move_out(self, index: int) -> bool:
        """Take one item out of the chunk: it goes another way. False if it is not open here."""
        if not self.holds(index):
            return False
        if self._elsewhere is None:
            self._elsewhere = set()
        self._elsewhere.add(index)
        return True

    def open(self) -> list[tuple[int, int]]:
        """Ranges of items that are not settled."""
        ranges = [*self._gaps, (self.next, self.stop)] if self.next < self.stop else self._gaps
        if not self._elsewhere:
            return ranges
        return [part for low, high in ranges for part in _without(low, high, self._elsewhere)]

    def holds(self, index: int) -> bool:
        """True if this item is of the chunk and not settled."""
        return any(low <= index < high for low, high in self.open())

    def abandon(self) -> None:
        """What is open goes another way."""
        self._gaps.clear()
        self.next = self.stop

    @property
    def at(self) -> int | None:
        """The item the worker must be at if it is at this chunk; None if nothing is left."""
        index = self.next
        if self._elsewhere is not None:
            while index in self._elsewhere:
                index += 1
        return index if index < self.stop else None


class Worker:
    """A live worker and the chunks it has, oldest first.

    Attributes
    ----------
    at : int or None
        The item it is at, ``since`` when.
    began : float
        When it began its oldest chunk.
    sent, proven : bool
        It had a chunk before; it has finished something.
    late : int or None
        The item for which it was killed.
    doom : str or None
        Why it was told to end; nothing is sent to it any more.
    place : dict or None
        Which of the places of the roster it is in.
    """

    __slots__ = ("at", "began", "doom", "flights", "id", "late", "pid", "place", "proven", "since")

    def __init__(self, id: int, pid: int | None) -> None:
        self.id = id
        self.pid = pid
        self.flights: list[Flight] = []
        self.at: int | None = None
        self.since = 0.0
        self.began = 0.0
        self.proven = False
        self.late: int | None = None
        self.doom: str | None = None
        self.place: dict[int, Worker] | None = None

    def holds(self, index: int) -> bool:
        """True if it has this item, not settled."""
        return any(flight.holds(index) for flight in self.flights)

    def take(self, flight: Flight, now: float) -> None:
        """One more chunk."""
        self.flights.append(flight)
        if len(self.flights) == 1:
            self.began = now
            self.turn_to_next(now)

    def begin(self, since: float) -> None:
        """It has only begun with what it was sent."""
        if self.flights and not self.proven:
            self.began = max(self.began, since)

    def drop(self, flight: Flight, now: float) -> None:
        """One chunk less; it turns to the next."""
        if flight is self.flights[0]:
            self.began = now
        self.flights.remove(flight)
        self.turn_to_next(now)

    def remains(self, cost: float, now: float) -> float:
        """Seconds until its oldest chunk is done. One that is late by some time is expected to take as long again."""
        return abs(self.flights[0].chunk.count * cost - (now - self.began))

    def turn_to_next(self, now: float) -> None:
        """It must be at the first item that is not settled. Time counts from now, until a progress cell says better."""
        at = None
        for flight in self.flights:
            at = flight.at
            if at is not None:
                break
        if at != self.at:
            self.at, self.since = at, now


def _cut(batch: Batch, start: int, stop: int) -> Batch:
    spread = batch.seconds if isinstance(batch.seconds, float) else batch.seconds[start:stop]
    first, end = batch.first + start, batch.first + stop
    said = tuple(s for s in batch.said if first <= s.index < end)
    return replace(batch, first=first, values=batch.values[start:stop], seconds=spread, said=said)


def _without(low: int, high: int, cuts: set[int]) -> list[tuple[int, int]]:
    edges = [low - 1, *sorted(i for i in cuts if low <= i < high), high]
    return [(a + 1, b) for a, b in pairwise(edges) if a + 1 < b]
