"""A conversation with the scheduler, written so that tests read aloud."""

from __future__ import annotations

from typing import Any, TypeVar

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._scheduler import Scheduler
from fanwise.records.chunks import HERE, Chunk, ChunkStats
from fanwise.records.outcomes import Batch, Failed, Outcome, Settled, count_of, first_of
from fanwise.records.scheduling import (
    ChunkFinished,
    Command,
    Emit,
    Event,
    Finish,
    Finished,
    RunHere,
    Send,
    Tick,
    WakeAt,
    WorkerReady,
)

C = TypeVar("C")


class Talk:
    """One run in slow motion. ``now`` is set by hand; every answer is remembered."""

    def __init__(self, workers: int = 2, total: int | None = 10, **config: Any) -> None:
        self.scheduler = Scheduler(SchedulerConfig(workers, total, **config))
        self.now = 0.0
        self.said: list[Command] = []
        self.all: list[Command] = []
        self.chunks: dict[int, tuple[int, Chunk]] = {}
        self.step(Tick(0.0))

    def step(self, event: Event) -> list[Command]:
        self.said = self.scheduler.step(event)
        self.all += self.said
        for command in self.said:
            if isinstance(command, Send):
                self.chunks[command.chunk.id] = command.worker, command.chunk
            elif isinstance(command, RunHere):
                self.chunks[command.chunk.id] = HERE, command.chunk
        return self.said

    def tell(self, kind: type, *args: Any, **more: Any) -> list[Command]:
        """Report an event that happens now."""
        return self.step(kind(self.now, *args, **more))

    def ready(self, *workers: int) -> Talk:
        for worker in workers:
            self.tell(WorkerReady, worker, pid=100 + worker)
        return self

    def wait(self, seconds: float) -> list[Command]:
        self.now += seconds
        return self.tell(Tick)

    def heard(self, kind: type[C]) -> list[C]:
        """Commands of one kind in the last answer."""
        return [command for command in self.said if isinstance(command, kind)]

    def ever(self, kind: type[C]) -> list[C]:
        return [command for command in self.all if isinstance(command, kind)]

    def chunk_of(self, worker: int, which: int = 0) -> Chunk:
        """A chunk this worker holds, in the order sent."""
        return [chunk for holder, chunk in self.chunks.values() if holder == worker][which]

    def results(
        self, chunk: Chunk, *, fails: tuple[int, ...] = (), error: BaseException | None = None
    ) -> list[Settled]:
        settled: list[Settled] = []
        for index in range(chunk.first, chunk.first + chunk.count):
            if index in fails:
                settled.append(Failed(index=index, attempts=chunk.attempt, error=error or ValueError(f"bad {index}")))
            else:
                settled.append(Batch(index, (index,), attempts=chunk.attempt))
        return settled

    def finish(self, worker: int, *, fails: tuple[int, ...] = (), error: BaseException | None = None) -> Talk:
        """The worker does its oldest chunk to the end."""
        id, chunk = next((id, chunk) for id, (holder, chunk) in self.chunks.items() if holder == worker)
        before = len(self.all)
        self.tell(Finished, worker, id, tuple(self.results(chunk, fails=fails, error=error)))
        self.tell(ChunkFinished, worker, id, ChunkStats(busy=0.001 * chunk.count))
        self.said = self.all[before:]
        del self.chunks[id]
        return self

    def drop_chunks(self, worker: int) -> None:
        self.chunks = {id: pair for id, pair in self.chunks.items() if pair[0] != worker}

    @property
    def emitted(self) -> list[int]:
        """Indexes in the order in which their results were told."""
        return [
            index
            for emit in self.ever(Emit)
            for index in range(first_of(emit.settled), first_of(emit.settled) + count_of(emit.settled))
        ]

    @property
    def outcomes(self) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        for emit in self.ever(Emit):
            every = emit.settled.outcomes() if isinstance(emit.settled, Batch) else (emit.settled,)
            found.update((outcome.index, outcome) for outcome in every)
        return found

    @property
    def ending(self) -> Finish | None:
        return next(iter(self.ever(Finish)), None)

    @property
    def alarm(self) -> float | None:
        """When the driver was asked to wake the scheduler, last."""
        alarms = self.ever(WakeAt)
        return alarms[-1].at if alarms else None

    def sent(self) -> list[tuple[int, int, int]]:
        """(worker, first, count) of each chunk sent in the last answer."""
        return [(c.worker, c.chunk.first, c.chunk.count) for c in self.heard(Send)]
