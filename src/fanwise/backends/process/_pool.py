"""The process backend: items run in worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fanwise.backends.process._birth import Initializer
from fanwise.backends.process._crew import ProcessCrew
from fanwise.backends.process._dispatch import Dispatcher
from fanwise.backends.process._method import choose
from fanwise.backends.process._parcel import Numbering, Parcel, pack_function
from fanwise.backends.process._reserve import Reserve
from fanwise.backends.process._start import Starter, modules_of
from fanwise.backends.process._state import Snapshot
from fanwise.errors import BackendError, NotPicklableError
from fanwise.typing import Clock, Work

__all__ = ["ProcessBackend", "start_server"]


class ProcessBackend:
    """Worker processes, one socket each, sharing no lock.

    Parameters
    ----------
    method : {"fork", "forkserver", "spawn"} or None
        How workers start; None decides at each `hire`: fork where that is safe.
    initializer : callable or None
        Called as ``initializer(*initargs)`` in each worker before its first item.
    max_tasks_per_child : int or None
        Items after which a worker retires.
    isolate : bool
        Run every item in a process of its own, forked from a warm worker.
    keep_warm : bool
        Keep workers when a crew is closed, for the next one.
    max_workers : int or None
        Most workers to keep warm.
    preload : sequence of str
        Modules that a fork server imports once, besides those of the function.

    Examples
    --------
    >>> backend = ProcessBackend(keep_warm=True)
    >>> backend.close()
    """

    name = "process"

    def __init__(
        self,
        *,
        method: str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
        max_tasks_per_child: int | None = None,
        isolate: bool = False,
        keep_warm: bool = False,
        max_workers: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._method = method
        self._initializer = Initializer(initializer, tuple(initargs)) if initializer is not None else None
        self._max_tasks = max_tasks_per_child
        self._isolate = isolate
        self._preload = tuple(preload)
        self._reserve = Reserve(max_workers, keeps=keep_warm)
        self._numbering = Numbering()
        self._owner = os.getpid()
        self._closed = False

    def hire(self, work: Work, workers: int, clock: Clock) -> ProcessCrew:
        """A crew of at most ``workers`` processes for one run; nothing is started yet.

        Raises
        ------
        NotPicklableError
            If the function has to be sent and cannot be pickled; names the path to the culprit.
        BackendError
            If this backend is closed, or a copy in a forked child.
        """
        self._check_usable()
        work = replace(work, isolate=True, single=True) if self._isolate else work
        snapshot = Snapshot()
        starter = Starter(
            partial(choose, self._method),
            work,
            workers,
            initializer=self._initializer,
            max_tasks=self._max_tasks,
            modules=lambda: (*self._preload, *modules_of(work.fn)),
            snapshot=snapshot,
        )
        parcel = self._pack(work, starter)
        starter.number = parcel.number if parcel is not None else self._numbering.reserve()
        dispatcher = Dispatcher(work, starter.number, parcel, snapshot)
        return ProcessCrew(work, clock, starter, dispatcher, self._reserve, self._numbering)

    def _check_usable(self) -> None:
        if not sys.platform.startswith("linux"):
            raise BackendError("worker processes need what Linux offers (packet sockets, memfd); use backend='thread'")
        if self._closed:
            raise BackendError("this process backend is closed")
        if self._owner != os.getpid():
            raise BackendError("this backend belongs to another process")

    def _pack(self, work: Work, starter: Starter) -> Parcel | None:
        """The pickled function; None if only workers forked for this crew are to be used, which have it."""
        if not len(self._reserve) and starter.method == "fork":
            return None
        try:
            return pack_function(work, self._numbering, isolate=work.isolate)
        except NotPicklableError:
            if starter.method == "fork":
                return None
            raise

    @property
    def idle(self) -> int:
        """How many warm workers wait to be borrowed; those that are still starting are not counted."""
        return self._reserve.ready

    def warm_up(self, clock: Clock) -> None:
        """Start the workers that ``max_workers`` leaves room for, without waiting for them: crews can borrow them at once.

        One that cannot be started is left out; whoever needs it hears of it then.
        """
        workers = self._reserve.room + len(self._reserve)
        if workers:
            crew = self.hire(Work(_nothing, _no_items), workers, clock)
            crew.start(workers)
            crew.close(kill=False)

    def close(self) -> None:
        """Stop idle workers. Crews on loan go on and stop theirs when they are closed."""
        self._closed = True
        if self._owner == os.getpid():
            self._reserve.close()


def _nothing(item: Any) -> None:
    """What workers run that were started for nothing in particular."""


def _no_items(first: int, count: int) -> Sequence[Any]:
    return ()


def start_server(fn: Callable[..., Any]) -> None:
    """Start the fork server of this process in the background, with what ``fn`` needs."""
    from fanwise.backends.process import _forkserver

    with suppress(OSError):  # whoever needs it hears of that
        _forkserver.shared.prepare(modules_of(fn))
