"""The thread backend: items run in threads of this process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue

from fanwise._seeds import bind
from fanwise._task import Place
from fanwise.backends._execution import Failure, Function, Streak, Tally, execute
from fanwise.backends.serial import record_of
from fanwise.records.chunks import Chunk, ChunkStats
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
from fanwise.typing import Clock, Work

__all__ = ["ThreadBackend", "ThreadCrew"]

_PATIENCE_S = 0.05
_GRACE_S = 0.2


class ThreadBackend:
    """Runs items in threads: for work that waits, or releases the interpreter lock.

    What items print goes straight to the streams of the process, and a thread cannot be killed: a busy one that is told
    to end does so at the end of its item.
    """

    name = "thread"

    def __init__(self, *, initializer: Callable[..., object] | None = None, initargs: Sequence[object] = ()) -> None:
        self._prepare = None if initializer is None else partial(initializer, *initargs)

    def hire(self, work: Work, workers: int, clock: Clock) -> ThreadCrew:
        """A crew of at most ``workers`` threads; none is started yet."""
        return ThreadCrew(work, clock, self._prepare)

    def close(self) -> None:
        """Nothing is kept warm."""


class ThreadCrew:
    """Threads lent to one run."""

    method = "thread"

    def __init__(self, work: Work, clock: Clock, prepare: Callable[[], object] | None = None) -> None:
        self._work = work
        self._clock = clock
        self._prepare = prepare
        self._numbers = count(1)
        self._workers: dict[int, _Worker] = {}
        self._news: SimpleQueue[Event | None] = SimpleQueue()
        self._interrupted = False

    def start(self, count: int) -> None:
        """Start ``count`` threads."""
        for _ in range(count):
            number = next(self._numbers)
            worker = self._workers[number] = _Worker(number, self._work, self._clock, self._news, self._is_interrupted)
            worker.prepare = self._prepare
            worker.thread.start()

    def _is_interrupted(self) -> bool:
        return self._interrupted

    def send(self, worker: int, chunk: Chunk) -> None:
        """Put a chunk in the queue of a thread."""
        self._workers[worker].put(chunk)

    def cancel(self, worker: int, chunk: int) -> None:
        """Take a chunk back that the thread has not begun; a running one stops before its next item."""
        self._workers[worker].cancel(chunk)

    def kill(self, worker: int, reason: str) -> None:
        """Give a thread up: it ends with its item, and what it still says is not heard."""
        self._workers.pop(worker).abandon()
        self._news.put(WorkerDied(self._clock.now(), worker, reason))

    def retire(self, worker: int) -> None:
        """Let a thread end when its queue is empty."""
        self._workers[worker].put(None)

    def running(self) -> Sequence[tuple[int, int, float]]:
        """What each busy thread is at."""
        lag = self._clock.now() - time.monotonic()
        at = [(number, worker.at) for number, worker in self._workers.items()]
        return [(number, place[0], place[1] + lag) for number, place in at if place]

    def sizes(self) -> Mapping[int, int]:
        """Nothing: threads have no memory of their own."""
        return {}

    def wait(self, timeout: float | None) -> list[Event]:
        """Return what happened, at the latest after ``timeout`` seconds."""
        heard: list[Event] = []
        with suppress(Empty):  # an empty queue ends the reading
            news = self._news.get(timeout != 0, timeout)
            while True:
                if news is not None:
                    heard.append(news)
                news = self._news.get_nowait()
        return heard

    def wake(self) -> None:
        """Make `wait` return."""
        self._news.put(None)

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true; threads stop before their next item."""
        self._interrupted = True

    def close(self, *, kill: bool) -> None:
        """End all threads. One that is inside an item ends after it, unheard."""
        self._interrupted = True
        for worker in self._workers.values():
            worker.abandon()
        until = time.monotonic() + (_GRACE_S if kill else _PATIENCE_S)
        for worker in self._workers.values():
            worker.thread.join(max(0.0, until - time.monotonic()))
        self._workers.clear()


class _Worker:
    """One thread and its queue."""

    caught = BaseException

    def __init__(
        self,
        number: int,
        work: Work,
        clock: Clock,
        news: SimpleQueue[Event | None],
        interrupted: Callable[[], bool],
    ) -> None:
        self.at: tuple[int, float] | None = None
        self.prepare: Callable[[], object] | None = None
        self.thread = threading.Thread(target=self._serve, name=f"fanwise-worker-{number}", daemon=True)
        self._number = number
        self._function = Function(bind(work.fn, work.seed), single=work.single, stops=work.stops)
        self._take = work.take
        self._clock = clock
        self._news = news
        self._interrupted = interrupted
        self._queue: deque[Chunk | None] = deque()  # None: retire
        self._changed = threading.Condition()
        self._chunk: Chunk | None = None
        self._cancelled = False
        self._abandoned = False

    def put(self, chunk: Chunk | None) -> None:
        with self._changed:
            self._queue.append(chunk)
            self._changed.notify()

    def cancel(self, chunk: int) -> None:
        with self._changed:
            for waiting in tuple(self._queue):
                if waiting is not None and waiting.id == chunk:
                    self._queue.remove(waiting)
                    self._say(ChunkReturned(self._clock.now(), self._number, chunk, waiting.first))
            self._cancelled |= self._chunk is not None and self._chunk.id == chunk

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._queue.clear()
            self._changed.notify()

    def _say(self, event: Event) -> None:
        if not self._abandoned:
            self._news.put(event)

    def _next(self) -> Chunk | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._abandoned)
            self._chunk = None if self._abandoned else self._queue.popleft()
            self._cancelled = False
            return self._chunk

    def _serve(self) -> None:
        try:
            if self.prepare is not None:
                self.prepare()
        except BaseException as error:  # the user's initializer may raise anything
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            reason = f"the initializer raised {type(error).__name__}"
            self._say(StartFailed(self._clock.now(), reason, fatal=True, error=error))
            return
        self._say(WorkerReady(self._clock.now(), self._number, os.getpid(), ThreadCrew.method))
        while (chunk := self._next()) is not None:
            self._run(chunk)
        self._say(WorkerRetired(self._clock.now(), self._number))

    def _run(self, chunk: Chunk) -> None:
        tally, began, reached = Tally(), time.thread_time(), chunk.first
        for settled in execute(self._function, self._take(chunk.first, chunk.count), chunk.first, self):
            tally.add(settled)
            reached += 1 if isinstance(settled, Failure) else len(settled.values)
            record = record_of(settled, os.getpid(), chunk.attempt)
            self._say(Finished(self._clock.now(), self._number, chunk.id, (record,)))
        self.at = None
        if reached < chunk.first + chunk.count:
            self._say(ChunkReturned(self._clock.now(), self._number, chunk.id, reached))
        else:
            stats: ChunkStats = tally.stats(cpu=time.thread_time() - began)
            self._say(ChunkFinished(self._clock.now(), self._number, chunk.id, stats))

    def begin(self, streak: Streak) -> Place:
        attempt = self._chunk.attempt if self._chunk is not None else 1
        return Place(streak.first, streak.values, attempt, os.getpid(), self._is_to_end)

    def _is_to_end(self) -> bool:
        return self._abandoned or self._interrupted()

    def mark(self, index: int, count: int, now: float) -> None:
        self.at = (index, now)

    def halted(self) -> bool:
        return self._cancelled or self._abandoned or self._interrupted()
