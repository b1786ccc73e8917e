"""Futures of an `Executor`: one daemon thread that drives bursts of submitted tasks through the same scheduler as a run.

While nothing is submitted the thread sleeps on a condition and the workers are back in their pool, so that runs can
borrow them. A burst begins with the first task and ends a moment after the last one.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from fanwise._api._hiring import prepare_bundles
from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._driver import Driver, Hands
from fanwise.engine._interrupts import NoInterrupts
from fanwise.engine._scheduler import Scheduler
from fanwise.errors import BackendError, WorkerLostError
from fanwise.records import scheduling as s
from fanwise.records._record import record
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Failed, Ok, Settled
from fanwise.typing import Work

if TYPE_CHECKING:
    from fanwise.engine._resources import Resources
    from fanwise.typing import Backend, Clock

__all__ = ["Collector", "Submitted"]

_LINGER_S = 0.001  # hiring a crew again costs about 0.2 ms: not between tasks that follow each other closely


@record
class Submitted:
    """A call to make, and the future that waits for it."""

    future: Future[Any]
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def call_submitted(item: tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]) -> Any:
    """What workers run for a future."""
    fn, args, kwargs = item
    return fn(*args, **kwargs)


class Silence:
    """A listener that does not listen."""

    def hear(self, event: s.Event, commands: Sequence[s.Command]) -> None:
        return None

    def tick(self, now: float) -> float | None:
        return None


class Collector:
    """The thread behind the futures of one executor. Holds no reference to the executor itself."""

    def __init__(self, backend: Backend, workers: int, clock: Clock, resources: Resources, *, isolate: bool) -> None:
        self._backend = backend
        self._workers = workers
        self._clock = clock
        self._resources = resources
        self._isolate = isolate
        self._news = threading.Condition()
        self._inbox: deque[Submitted] = deque()
        self._sent: dict[int, Submitted] = {}
        self._wake: Callable[[], None] | None = None
        self._stopping = False
        self._killing = False
        self._broken: BackendError | None = None
        self._thread = threading.Thread(target=self._collect, name="fanwise-collector", daemon=True)
        self._next_index = 0

    def __repr__(self) -> str:
        return f"<Collector {len(self._inbox)} waiting, {len(self._sent)} begun>"

    def start(self) -> None:
        """Begin to collect."""
        self._thread.start()

    def submit(self, task: Submitted) -> None:
        """Queue a task.

        Raises
        ------
        BackendError
            If the workers of this executor cannot be started.
        RuntimeError
            If they have been killed.
        """
        with self._news:
            if self._broken is not None:
                raise self._broken
            if self._killing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._inbox.append(task)
            self._news.notify()
            if self._wake is not None:
                self._wake()

    def stop(self, *, cancel: bool = False) -> None:
        """Finish what was submitted, or what of it has been begun, and end."""
        with self._news:
            self._stopping = True
            if cancel:
                self._cancel_waiting()
            self._news.notify()
            if self._wake is not None:
                self._wake()

    def kill(self) -> None:
        """End at once, and the workers with it: what is waiting is cancelled, what was begun has failed."""
        with self._news:
            self._killing = True
            self.stop()

    def _cancel_waiting(self) -> None:
        """Cancel what no worker has, but for as many tasks as there are workers to take them now."""
        tasks = [*self._sent.values(), *self._inbox]
        waiting = [task for task in tasks if not task.future.running()]
        for task in waiting[max(0, self._workers - len(tasks) + len(waiting)) :]:
            task.future.cancel()

    def join(self) -> None:
        """Wait for the end."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _collect(self) -> None:
        while self._wait_for_news():
            try:
                self._burst()
            except Exception as error:  # noqa: BLE001  # whatever it is: no future may wait for a thread that has ended
                self._break(s.Finish("broken", error))
        self._backend.close()
        if self._killing:
            self._give_up()

    def _give_up(self) -> None:
        """No worker is left, and none is to come."""
        for task in self._take_all():
            if not task.future.cancel() and not task.future.done():
                task.future.set_exception(WorkerLostError("the workers of this executor were killed"))

    def _wait_for_news(self) -> bool:
        with self._news:
            while not self._inbox and not self._stopping:
                self._news.wait()
            return bool(self._inbox) and not self._killing

    def _burst(self) -> None:
        """Drive one crew until nothing is left to do for a moment."""
        self._next_index = 0
        prepare_bundles()
        work = Work(call_submitted, self._take, single=True, isolate=self._isolate)
        crew = self._backend.hire(work, self._workers, self._clock)
        driver = Driver(Scheduler(self._config()), self._hands(crew))
        driver.feed(s.Tick(self._clock.now()))
        with self._news:
            self._wake = crew.wake
        try:
            quiet = False
            while not self._killing and ((busy := bool(self._feed(driver) or self._sent)) or not quiet):
                quiet = not busy
                driver.turn(None if busy else _LINGER_S)
                self._settle(driver.settled)
                if driver.finish is not None:
                    self._break(driver.finish)
                    return
        finally:
            with self._news:
                self._wake = None
            crew.close(kill=self._killing)

    def _config(self) -> SchedulerConfig:
        return SchedulerConfig(self._workers, ordered=False, raise_on_error=False, chunks=ChunkAim(size=1))

    def _hands(self, crew: Any) -> Hands:
        return Hands(
            crew,
            None,
            self._clock,
            Silence(),
            NoInterrupts(),
            self._resources,
            is_dropped=self._is_dropped,
        )

    def _is_dropped(self, chunk: Chunk) -> bool:
        """Whether the future was cancelled before it was sent; from now on it cannot be."""
        future = self._sent[chunk.first].future
        return not future.running() and not future.set_running_or_notify_cancel()

    def _feed(self, driver: Driver) -> int:
        """Hand new tasks to the scheduler; returns how many there were."""
        with self._news:
            tasks = list(self._inbox)
            self._inbox.clear()
        for task in tasks:
            self._sent[self._next_index] = task
            self._next_index += 1
        if tasks:
            driver.feed(s.Drawn(self._clock.now(), len(tasks)))
        return len(tasks)

    def _take(self, first: int, count: int) -> list[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]]:
        tasks = (self._sent[index] for index in range(first, first + count))
        return [(task.fn, task.args, task.kwargs) for task in tasks]

    def _settle(self, settled: deque[Settled]) -> None:
        while settled:
            piece = settled.popleft()
            for outcome in piece.outcomes() if isinstance(piece, Batch) else (piece,):
                task = self._sent.pop(outcome.index)
                if task.future.cancelled():
                    continue
                if isinstance(outcome, Ok):
                    task.future.set_result(outcome.value)
                else:
                    if isinstance(outcome, Failed) and outcome.worker != os.getpid():
                        show_origin(outcome.error, outcome.traceback)
                    task.future.set_exception(outcome.error)

    def _break(self, finish: s.Finish) -> None:
        """No worker can be started: every future that waits fails, and so does every later submit."""
        with self._news:
            self._broken = broken_backend(finish)
        for task in self._take_all():
            if not task.future.cancelled():
                task.future.set_exception(self._broken)

    def _take_all(self) -> list[Submitted]:
        """What no worker will do any more."""
        with self._news:
            tasks = [*self._sent.values(), *self._inbox]
            self._sent.clear()
            self._inbox.clear()
        return tasks


def show_origin(error: BaseException, traceback: str) -> None:
    """Give an exception from another process the traceback it had there, as the standard library's pool does."""
    if traceback and error.__cause__ is None:
        from concurrent.futures.process import _RemoteTraceback

        error.__cause__ = _RemoteTraceback(traceback)  # type: ignore[arg-type]  # typeshed errs: it takes text


def broken_backend(finish: s.Finish) -> BackendError:
    """What to raise when workers cannot be started; the initializer's own error is the cause."""
    error = finish.error
    if isinstance(error, BackendError):
        return error
    broken = BackendError(f"workers cannot be started: {error}" if error else "workers cannot be started")
    broken.__cause__ = error
    return broken
