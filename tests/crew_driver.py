"""The least that can drive a crew, for tests that go through the `Backend` and `Crew` protocols alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Settled
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    StartFailed,
    Unsendable,
    WorkerDied,
    WorkerReady,
)
from fanwise.typing import Crew, Work

PATIENCE_S = 30
STRIKES = 2


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float, /) -> None:
        time.sleep(seconds)


def work(fn: Callable[..., Any], items: list[Any], **options: Any) -> Work:
    return Work(fn, lambda first, count: items[first : first + count], **options)


@dataclass
class Driver:
    """The least that can drive a crew: two chunks in flight per worker, no decisions."""

    crew: Crew
    workers: int = 2
    events: list[Event] = field(default_factory=list)

    def hear(self, kind: type[Event], count: int = 1) -> list[Any]:
        """Wait until ``count`` events of a kind have come; return all of that kind."""
        until = time.monotonic() + PATIENCE_S
        while len(found := [e for e in self.events if isinstance(e, kind)]) < count:
            left = until - time.monotonic()
            assert left > 0, f"no {kind.__name__} among {self.events}"
            self.events += self.crew.wait(left)
        return found

    def ready(self) -> list[int]:
        self.crew.start(self.workers)
        return [e.worker for e in self.hear(WorkerReady, self.workers)]

    def run(self, chunks: list[Chunk]) -> dict[int, Any]:
        """Run all chunks; return outcomes by index."""
        waiting = list(reversed(chunks))
        for worker in self.ready() * 2:
            if waiting:
                self.crew.send(worker, waiting.pop())
        done = 0
        seen = len(self.events)
        while done < len(chunks):
            self.hear(ChunkFinished, done + 1)
            for event in self.events[seen:]:
                assert not isinstance(event, WorkerDied | StartFailed), event
                if isinstance(event, ChunkFinished):
                    done += 1
                    if waiting:
                        self.crew.send(event.worker, waiting.pop())
            seen = len(self.events)
        return self.outcomes()

    def outcomes(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        for event in self.events:
            for settled in results_of(event):
                for outcome in settled.outcomes() if isinstance(settled, Batch) else [settled]:
                    assert outcome.index not in found, "settled twice"
                    found[outcome.index] = outcome
        return found


def results_of(event: Event) -> tuple[Settled, ...]:
    """The results that an event brings."""
    return event.settled if isinstance(event, Finished | ChunkFinished) else ()


def chunks_of(count: int, size: int, attempt: int = 1) -> list[Chunk]:
    return [Chunk(7 + n, at, min(size, count - at), attempt) for n, at in enumerate(range(0, count, size))]


@dataclass
class Rescuer(Driver):
    """Survives deaths as a scheduler would: what a dead worker had is sent again item by item; two strikes, out."""

    lost: dict[int, str] = field(default_factory=dict)
    unsendable: dict[int, BaseException] = field(default_factory=dict)

    def run(self, chunks: list[Chunk]) -> dict[int, Any]:
        self.waiting = list(chunks)
        self.flying: dict[int, tuple[int, Chunk]] = {}
        self.next_id = 1000
        strikes: dict[int, int] = {}
        until = time.monotonic() + PATIENCE_S
        for worker in self.ready():
            self._feed(worker)
        while self.waiting or self.flying:
            assert time.monotonic() < until, f"nothing happens: {self.flying}"
            news = self.crew.wait(until - time.monotonic())
            self.events += news
            for event in news:
                self._hear(event, strikes)
        return self.outcomes()

    def _hear(self, event: Event, strikes: dict[int, int]) -> None:
        assert not isinstance(event, StartFailed), event
        if isinstance(event, ChunkFinished):
            del self.flying[event.chunk]
            self._feed(event.worker)
        elif isinstance(event, ChunkReturned):
            self._requeue(self.flying.pop(event.chunk)[1])
        elif isinstance(event, WorkerReady):
            self._feed(event.worker)
        elif isinstance(event, Unsendable):
            self.unsendable[event.index] = event.error
        elif isinstance(event, WorkerDied):
            self._bury(event, strikes)

    def _bury(self, event: WorkerDied, strikes: dict[int, int]) -> None:
        theirs = [c for c, (w, _) in self.flying.items() if w == event.worker]
        chunks = [self.flying.pop(c)[1] for c in theirs]
        index = event.index
        if index is None and len(chunks) == 1 and chunks[0].count == 1:
            index = chunks[0].first
        if index is not None:
            strikes[index] = strikes.get(index, 0) + 1
            if strikes[index] == STRIKES:
                self.lost[index] = event.reason
        for chunk in chunks:
            self._requeue(chunk, strikes)
        self.crew.start(1)

    def _requeue(self, chunk: Chunk, strikes: dict[int, int] | None = None) -> None:
        settled = self.outcomes()
        for index in range(chunk.first, chunk.first + chunk.count):
            if index not in settled and index not in self.lost and index not in self.unsendable:
                self.next_id += 1
                self.waiting.insert(0, Chunk(self.next_id, index, 1, 1 + (strikes or {}).get(index, 0)))

    def _feed(self, worker: int) -> None:
        if self.waiting:
            chunk = self.waiting.pop(0)
            self.flying[chunk.id] = worker, chunk
            self.crew.send(worker, chunk)
