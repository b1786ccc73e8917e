"""`Executor`: workers that stay warm between calls, and a drop-in `concurrent.futures.Executor`."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from fanwise._api._collector import Collector, Submitted
from fanwise._api._options import LOCAL_BACKENDS, checked_backend
from fanwise._clock import SystemClock
from fanwise.engine._costs import Rent
from fanwise.engine._resources import HostResources, budget
from fanwise.errors import BackendError, UsageValueError
from fanwise.typing import InterruptPolicy

if TYPE_CHECKING:
    from fanwise.typing import Backend

__all__ = ["Executor"]

R = TypeVar("R")

_START_METHODS = (None, "fork", "forkserver", "spawn")

_collectors: weakref.WeakSet[Collector] = weakref.WeakSet()
_exiting = threading.Event()


def _finish_at_exit() -> None:
    """Pending futures are finished before the interpreter ends, as the standard library does."""
    _exiting.set()
    for collector in list(_collectors):
        collector.stop()
        collector.join()


atexit.register(_finish_at_exit)


class Executor(StandardExecutor):
    """Warm workers for many calls: pass it as ``executor=``, or use it as a `concurrent.futures.Executor`.

    Workers start when they are first needed. A worker that dies costs the future it was at, which then holds a
    `WorkerLostError`; the executor stays usable.

    Parameters
    ----------
    workers : int, optional
        At most this many; default as for `fanwise.map`. Also accepted as ``max_workers``.
    mp_context : multiprocessing context or str, optional
        Only its start method is used: ``fork``, ``forkserver`` or ``spawn``.
    initializer : callable, optional
        Run in each worker before its first task, with ``initargs``.
    initargs : tuple
        Arguments of the initializer.
    max_workers : int, optional
        Another name for ``workers``.
    backend : {"auto", "process", "thread", "serial"}, a cluster as in `map`, or Backend
        Where tasks run. With ``"auto"`` futures go to worker processes; only `fanwise.map` and its kin plan.
    max_tasks_per_child : int, optional
        A worker that has run this many tasks is replaced.
    isolate : bool
        One fresh process for each task.
    interrupts : fanwise.typing.InterruptPolicy, optional
        Which signals end a run, and the grace that running items get.

    Raises
    ------
    ValueError, TypeError
        As the standard library does for the same arguments.

    Examples
    --------
    >>> import fanwise
    >>> with fanwise.Executor(2) as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     squares = fanwise.map(abs, range(-3, 0), executor=executor)
    >>> future.result(), squares
    (1024, [3, 2, 1])
    """

    def __init__(
        self,
        workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_workers: int | None = None,
        backend: str | Backend = "auto",
        max_tasks_per_child: int | None = None,
        isolate: bool = False,
        interrupts: InterruptPolicy | None = None,
    ) -> None:
        if workers is not None and max_workers is not None and workers != max_workers:
            raise UsageValueError(f"workers={workers!r} and max_workers={max_workers!r} are one number; leave one out")
        wanted = workers if max_workers is None else max_workers
        _check(wanted, initializer, max_tasks_per_child)
        self.workers = budget(HostResources(), wanted=wanted, nested=False).workers
        self.backend = checked_backend(backend)
        if backend in ("thread", "serial") and (isolate or max_tasks_per_child is not None):
            what = "isolate" if isolate else "max_tasks_per_child"
            raise UsageValueError(f"{what} needs worker processes (backend is {backend!r})")
        if self.backend not in LOCAL_BACKENDS and (initializer is not None or max_tasks_per_child is not None):
            what = "max_tasks_per_child" if initializer is None else "initializer"
            raise UsageValueError(f"{what} needs worker processes of this host (backend is {backend!r})")
        self.wanted = wanted
        self.interrupts = interrupts or InterruptPolicy()
        self.isolate = isolate
        self.asked_method = _start_method(mp_context)
        self._recipe: dict[str, Any] = {
            "initializer": initializer,
            "initargs": initargs,
            "max_tasks_per_child": max_tasks_per_child,
            "isolate": isolate,
        }
        self._rent = Rent()
        self._lock = threading.Lock()
        self._closed = False
        self._places: Backend | None = None
        self._collector: Collector | None = None
        self._pid = os.getpid()
        if self.backend in ("auto", "process"):  # made to have workers: what they need is loaded before the first call
            import_module("fanwise._api._crewed")
            import_module("fanwise.backends.process._pool")

    def __repr__(self) -> str:
        state = "shut down" if self._closed else "ready"
        return f"<Executor {self.backend!r}, {self.workers} workers, {state}>"

    @property
    def closed(self) -> bool:
        """Whether it was shut down (the copy in a forked child always is)."""
        return self._closed or os.getpid() != self._pid

    @property
    def in_workers_only(self) -> bool:
        """Whether nothing that is given to this executor may run in the calling process."""
        return self.isolate or self.backend not in {"auto", "thread", "serial"}

    def idle(self) -> int:
        """How many warm workers wait to be borrowed."""
        return int(getattr(self._places, "idle", 0))

    def warm_up(self) -> None:
        """Start worker processes now, without waiting for them; else they start when they are first needed.

        Examples
        --------
        >>> import fanwise
        >>> with fanwise.Executor(2) as executor:
        ...     executor.warm_up()  # they start while the input is read
        ...     results = fanwise.map(abs, [-1, 2], executor=executor)
        >>> results
        [1, 2]
        """
        start = getattr(self.places(), "warm_up", None)
        if start is not None and not self.closed:
            start(SystemClock())

    def missed(self, seconds: float, price: float) -> None:
        """Running workers would have saved so many seconds: they are started once what was missed is worth it.

        ``price`` is how many seconds a start keeps its caller.
        """
        if self._rent.pay(seconds, price):
            with suppress(BackendError):  # the run that missed them has ended well without
                self.warm_up()

    def start_method(self) -> str:
        """How its workers are started: ``fork``, ``forkserver``, ``spawn`` or ``thread``."""
        from fanwise.backends.process import start_method

        return "thread" if self.backend == "thread" else start_method(self.asked_method)

    def places(self) -> Backend:
        """The backend whose warm workers runs borrow."""
        with self._lock:
            if self._places is None:
                self._places = self._make_backend()
            return self._places

    def _make_backend(self) -> Backend:
        if not isinstance(self.backend, str) and hasattr(self.backend, "hire"):
            return self.backend
        if self.backend == "thread":
            from fanwise.backends.thread import ThreadBackend

            return ThreadBackend(initializer=self._recipe["initializer"], initargs=self._recipe["initargs"])
        if self.backend == "serial":
            from fanwise.backends.serial import SerialBackend

            return SerialBackend()
        if self.backend not in LOCAL_BACKENDS:
            from fanwise.backends._clusters import cluster

            return cluster(self.backend, workers=self.wanted)
        from fanwise.backends.process import ProcessBackend

        return ProcessBackend(method=self.asked_method, keep_warm=True, max_workers=self.workers, **self._recipe)

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Schedule ``fn(*args, **kwargs)`` in a worker and return its future.

        Raises
        ------
        RuntimeError
            After `shutdown`, or once the interpreter is exiting.
        BackendError
            If the workers of this executor cannot be started.
        """
        future: Future[R] = Future()
        collector = self._collecting()
        collector.submit(Submitted(future, fn, args, kwargs))
        return future

    def _collecting(self) -> Collector:
        places = self.places()
        with self._lock:
            if self.closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if _exiting.is_set():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._collector is None:
                self._collector = Collector(places, self.workers, SystemClock(), HostResources(), isolate=self.isolate)
                _collectors.add(self._collector)
                weakref.finalize(self, self._collector.stop).atexit = False
                self._collector.start()
            return self._collector

    def map(
        self, fn: Callable[..., R], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[R]:
        """As `concurrent.futures.Executor.map`: results in order, ``chunksize`` calls to a task.

        Raises
        ------
        ValueError
            If ``chunksize`` is below 1.
        TimeoutError
            If a result is not there ``timeout`` seconds after this call.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        pieces = super().map(_Calls(fn), _batches(zip(*iterables, strict=False), chunksize), timeout=timeout)
        return (result for piece in pieces for result in piece)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the parent's
        """Take no more tasks; finish those submitted (or cancel those not begun); with ``wait`` return only then."""
        with self._lock:
            self._closed = True
            collector, places = self._collector, self._places
        if os.getpid() != self._pid:
            return
        if collector is not None:
            collector.stop(cancel=cancel_futures)
            if wait:
                collector.join()
        elif places is not None:
            places.close()

    def kill_workers(self) -> None:
        """End the workers at once, whatever they are at, and shut down; as in Python 3.14's `ProcessPoolExecutor`.

        Futures that wait are cancelled; those that run get a `WorkerLostError`. Threads cannot be killed: what they are
        at goes on, unheard.
        """
        with self._lock:
            self._closed = True
            collector = self._collector
        if collector is None:
            self.shutdown()
        elif os.getpid() == self._pid:
            collector.kill()
            collector.join()


class _Calls:
    """Several calls as one task."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn

    def __call__(self, batch: list[tuple[Any, ...]]) -> list[Any]:
        return [self._fn(*args) for args in batch]


def _batches(calls: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while batch := list(islice(calls, size)):
        yield batch


def _check(workers: int | None, initializer: object, max_tasks_per_child: object) -> None:
    """The checks and exception types of the standard library."""
    if workers is not None:
        if isinstance(workers, bool) or not isinstance(workers, int):
            raise UsageValueError(f"workers must be an integer of at least 1 or None, got {workers!r}")
        if workers <= 0:
            raise UsageValueError("max_workers must be greater than 0")
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    if max_tasks_per_child is not None:
        if not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")


def _start_method(context: Any) -> str | None:
    method: str | None = context.get_start_method() if hasattr(context, "get_start_method") else context
    if method not in _START_METHODS:
        raise UsageValueError(f"mp_context must be a context, 'fork', 'forkserver' or 'spawn', got {context!r}")
    return method
