"""What becomes of an item that failed, ran out of time, or was running when its worker died."""

from __future__ import annotations

from collections.abc import Callable

from fanwise.engine._attempts import Attempts, lost, never_ran
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._flights import Flight, Worker
from fanwise.engine._queue import Queue, Waiting
from fanwise.engine._results import Results
from fanwise.errors import ItemTimeoutError
from fanwise.records.outcomes import Failed, Lost, Settled
from fanwise.records.scheduling import Command, Retrying, WorkerDied

__all__ = ["Losses"]


class Losses:
    """Decides between another attempt and a final outcome.

    The progress cell of a worker tells which item it was at: that one gets a strike and one more attempt, alone; at the
    second strike it is lost. Where nobody knows, the chunk is halved until one item is left.
    """

    __slots__ = ("_attempts", "_queue", "_results", "_say", "_timeout")

    def __init__(self, config: SchedulerConfig, queue: Queue, results: Results, say: Callable[[Command], None]) -> None:
        self._attempts = Attempts(config.retry)
        self._timeout = config.timeout
        self._queue = queue
        self._results = results
        self._say = say

    def settle(self, record: Settled, flight: Flight, now: float) -> None:
        """Settle a record of a chunk, unless it is a failure that may be tried again."""
        chunk = flight.chunk
        if isinstance(record, (Failed, Lost)) and self._tried_again(
            record.index, chunk.attempt, record.error, now, suspect=flight.suspect
        ):
            return
        if chunk.attempt > 1:
            self._attempts.forget(chunk.first)
        self._results.settle(record)

    def blame(self, worker: Worker, event: WorkerDied) -> bool:
        """Find the item a worker died of and decide what becomes of it; False if it was at none."""
        if worker.doom is not None:
            if worker.late is not None:
                self._time_out(worker, worker.late, event.now)
            return True
        if event.idle:
            return False
        busy = [flight for flight in worker.flights if flight.open()]
        if event.index is not None:
            return any(self._strike(flight, event.index, event) for flight in busy)
        if busy:
            self._halve(busy[0], event)
        return bool(busy)

    def abandon(self, waiting: Waiting, reason: str) -> None:
        """No worker is left for these items."""
        for index in range(waiting.first, waiting.stop):
            if self._results.wanted(index):
                self._results.settle(never_ran(index, waiting.attempt, reason))

    def forget(self, index: int) -> None:
        """An item is no longer wanted."""
        self._attempts.forget(index)

    def _tried_again(self, index: int, attempt: int, error: BaseException, now: float, *, suspect: bool) -> bool:
        wait = self._attempts.retry(index, attempt, error)
        if wait is None:
            self._attempts.forget(index)
            return False
        self._queue.delay(now + wait, Waiting(index, index + 1, attempt + 1, suspect))
        self._say(Retrying(index, attempt + 1))
        return True

    def _strike(self, flight: Flight, index: int, event: WorkerDied) -> bool:
        """An item killed its worker: once more on its own, then it is lost. False if it is not of this chunk."""
        if not flight.move_out(index):
            return False
        attempt = flight.chunk.attempt
        if self._attempts.strike(index):
            self._queue.put_back(Waiting(index, index + 1, attempt + 1, suspect=True))
            self._say(Retrying(index, attempt + 1))
            return True
        outcome = lost(index, attempt, event.reason)
        if not self._tried_again(index, attempt, outcome.error, event.now, suspect=True):
            self._results.settle(outcome)
        return True

    def _halve(self, flight: Flight, event: WorkerDied) -> None:
        """Nobody knows which item it was: halves go out again until a chunk has one item."""
        ranges = flight.open()
        if sum(stop - first for first, stop in ranges) == 1:
            self._strike(flight, ranges[0][0], event)
            return
        attempt = flight.chunk.attempt
        for first, stop in ranges:
            middle = (first + stop + 1) // 2
            self._queue.put_back(Waiting(first, middle, attempt, suspect=True))
            self._queue.put_back(Waiting(middle, stop, attempt, suspect=True))
        flight.abandon()

    def _time_out(self, worker: Worker, index: int, now: float) -> None:
        """The item for which a worker was stopped pays; all others of its chunks do not."""
        flight = next((flight for flight in worker.flights if flight.move_out(index)), None)
        if flight is None:
            return  # it was done just before
        limit, attempt = self._timeout or 0.0, flight.chunk.attempt
        error = ItemTimeoutError(
            f"item {index} took longer than timeout={limit:g} s; its worker was stopped and replaced"
        )
        if not self._tried_again(index, attempt, error, now, suspect=flight.suspect):
            self._results.settle(Failed(index=index, attempts=attempt, seconds=limit, worker=worker.pid, error=error))
