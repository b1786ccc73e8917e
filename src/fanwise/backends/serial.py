"""The serial backend: items run in the calling thread, inside `wait`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import count

from fanwise._format import traceback_of
from fanwise._seeds import bind
from fanwise._task import Place
from fanwise.backends._execution import Failure, Function, Streak, Tally, execute
from fanwise.backends._output import Aside, Piece
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Failed, Said, Settled, count_of, first_of
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    Printed,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)
from fanwise.typing import Clock, Work

__all__ = ["SerialBackend", "SerialCrew"]


class SerialBackend:
    """Runs items in the calling thread: for one worker, and as the measure for the others.

    ``beside``: other workers run other items meanwhile, so that what items say is kept, to be said in item order.
    """

    name = "serial"

    def __init__(self, *, beside: bool = False) -> None:
        self._beside = beside

    def hire(self, work: Work, workers: int, clock: Clock) -> SerialCrew:
        """A crew whose only worker is the caller of `SerialCrew.wait`."""
        return SerialCrew(work, clock, beside=self._beside)

    def close(self) -> None:
        """Nothing is kept warm."""


class SerialCrew:
    """One worker that works while it is waited for.

    `KeyboardInterrupt` and `GeneratorExit` of an item pass through `wait`, as they do in a loop; what was finished
    before is reported by the next `wait`.
    """

    method = "serial"
    caught = (Exception, SystemExit)

    def __init__(self, work: Work, clock: Clock, *, beside: bool = False) -> None:
        self._function = Function(bind(work.fn, work.seed), single=work.single, stops=work.stops)
        self._take = work.take
        self._clock = clock
        self._numbers = count(1)
        self._queue: deque[tuple[int, Chunk | None]] = deque()  # no chunk: the worker retires
        self._events: list[Event] = []
        self._awake = threading.Event()
        self._interrupted = False
        self._worker, self._attempt = 0, 1
        self._streak = Streak(0)
        self._at: tuple[int, int, float] | None = None
        self._keeps = beside and work.capture
        self._pieces: list[Piece] = []  # what was said and not yet settled

    @cached_property
    def _aside(self) -> Aside:
        """Where items speak to."""
        aside = Aside()
        aside.index = self._here
        return aside

    def start(self, count: int) -> None:
        """Become ``count`` workers (in turn)."""
        for _ in range(count):
            self._events.append(WorkerReady(self._clock.now(), next(self._numbers), None, self.method))

    def send(self, worker: int, chunk: Chunk) -> None:
        """Put a chunk in the queue."""
        self._queue.append((worker, chunk))

    def cancel(self, worker: int, chunk: int) -> None:
        """Take a chunk out of the queue."""
        for entry in tuple(self._queue):
            if entry[1] is not None and entry[1].id == chunk:
                self._queue.remove(entry)
                self._events.append(ChunkReturned(self._clock.now(), worker, chunk, entry[1].first))

    def kill(self, worker: int, reason: str) -> None:
        """Drop what the worker still has in its queue."""
        self._queue = deque(e for e in self._queue if e[0] != worker)
        self._events.append(WorkerDied(self._clock.now(), worker, reason))

    def retire(self, worker: int) -> None:
        """Let a worker go when its queue is empty."""
        self._queue.append((worker, None))

    def running(self) -> Sequence[tuple[int, int, float]]:
        """What the caller is at, for one who asks from another thread."""
        at = self._at
        return [at] if at else []

    def sizes(self) -> Mapping[int, int]:
        """Nothing: the workers have no memory of their own."""
        return {}

    def wait(self, timeout: float | None) -> list[Event]:
        """Run one chunk, if there is one, and return what happened."""
        if not self._events and self._queue:
            self._run_next()
        if not self._events:
            self._awake.wait(timeout)
        self._awake.clear()
        events, self._events = self._events, []
        return events

    def _run_next(self) -> None:
        worker, chunk = self._queue.popleft()
        if chunk is None:
            self._events.append(WorkerRetired(self._clock.now(), worker))
        else:
            self._run(worker, chunk)

    def _run(self, worker: int, chunk: Chunk) -> None:
        self._worker, self._attempt = worker, chunk.attempt
        tally, began = Tally(), time.thread_time()
        reached = chunk.first
        try:
            with self._aside if self._keeps else nullcontext():
                for settled in execute(self._function, self._take(chunk.first, chunk.count), chunk.first, self):
                    tally.add(settled)
                    reached = self._settle(worker, chunk, settled)
        except BaseException:
            if self._streak.first == reached and self._streak.values:
                reached = self._settle(worker, chunk, self._streak)
            self._print_rest(worker)
            self._events.append(ChunkReturned(self._clock.now(), worker, chunk.id, reached))
            raise
        finally:
            self._at = None
        if reached < chunk.first + chunk.count:
            self._events.append(ChunkReturned(self._clock.now(), worker, chunk.id, reached))
        else:
            stats = tally.stats(cpu=time.thread_time() - began)
            self._events.append(ChunkFinished(self._clock.now(), worker, chunk.id, stats))

    def _settle(self, worker: int, chunk: Chunk, settled: Streak | Failure) -> int:
        record = record_of(settled, None, chunk.attempt)
        end = first_of(record) + count_of(record)
        said = self._said_before(end)
        self._events.append(
            Finished(self._clock.now(), worker, chunk.id, (replace(record, said=said) if said else record,))
        )
        return end

    def _here(self) -> int:
        """The index of the item now running."""
        return self._streak.first + len(self._streak.values)

    def _said_before(self, end: int) -> tuple[Said, ...]:
        """What items below ``end`` have said."""
        self._hear()
        said = tuple(Said(*piece) for piece in self._pieces if piece[0] < end)
        self._pieces = [piece for piece in self._pieces if piece[0] >= end]
        return said

    def _hear(self) -> None:
        if self._keeps:
            self._pieces += self._aside.take()

    def _print_rest(self, worker: int) -> None:
        """The item that was interrupted has no record to keep what it printed."""
        self._hear()
        rest, self._pieces = self._pieces, []
        for _, stream, text in rest:
            if stream in {"stdout", "stderr"}:
                self._events.append(Printed(self._clock.now(), worker, 1 if stream == "stdout" else 2, text))

    def begin(self, streak: Streak) -> Place:
        """Remember where results go."""
        self._streak = streak
        return Place(streak.first, streak.values, self._attempt, None, lambda: self._interrupted)

    def mark(self, index: int, count: int, now: float) -> None:
        """Remember the item now running."""
        self._at = self._worker, index, now

    def halted(self) -> bool:
        """Stop at an interrupt."""
        return self._interrupted

    def wake(self) -> None:
        """Make `wait` return."""
        self._awake.set()

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true."""
        self._interrupted = True

    def close(self, *, kill: bool) -> None:
        """Forget the queue."""
        self._queue.clear()


def record_of(settled: Streak | Failure, worker: int | None, attempts: int) -> Settled:
    """The record of something settled in this process."""
    if isinstance(settled, Streak):
        return settled.batch(worker, attempts)
    text = traceback_of(settled.error, settled.error.__traceback__)
    return Failed(
        index=settled.index,
        attempts=attempts,
        seconds=settled.seconds,
        worker=worker,
        error=settled.error,
        traceback=text,
    )
