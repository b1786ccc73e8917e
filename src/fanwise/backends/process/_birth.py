"""The first moments of a worker: descriptors, signals, liveness, crash reports, the caller's state."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fanwise import _task
from fanwise.backends.process import _blas, _life
from fanwise.backends.process._ends import WorkerEnds
from fanwise.backends.process._state import reseed, restore
from fanwise.records._record import record

__all__ = ["Initializer", "Setup", "guard_signals", "settle_in"]


@record
class Initializer:
    """What each worker calls before its first item."""

    call: Callable[..., object]
    args: tuple[Any, ...] = ()


@record
class Setup:
    """What a worker is told at its start. A forked one has the caller's state and the initializer already."""

    budget: int
    blas_threads: int | None
    max_tasks: int | None = None
    state: bytes = b""
    initializer: bytes = b""

    def apply(self) -> None:
        """Make this process what it says."""
        if self.state:
            restore(self.state)
        self.share_cores()
        reseed()

    def share_cores(self) -> None:
        """Use no more than this worker's part of the machine."""
        _task.set_budget(self.budget)
        if self.blas_threads is not None:
            _blas.limit_threads(self.blas_threads)


def settle_in(ends: WorkerEnds) -> None:
    """Take possession of the worker's descriptors; from here on this process ends with its caller."""
    guard_signals()
    yield_to_callers()
    _life.arm(ends.life)
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (ends.out, 1), (ends.err, 2)):
        os.dup2(source, target)
    for fd in {null, ends.out, ends.err} - {0, 1, 2}:
        os.close(fd)
    faulthandler.enable(ends.page)


def yield_to_callers() -> None:
    """Be scheduled as what computes in the background, where nothing else was asked for.

    A worker that is woken by its first chunk would else take the processor from the caller, which has chunks to send to
    the others: they begin 2 ms later then. And it has the processor at once when results have come.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # forbidden in a sandbox
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def guard_signals() -> None:
    """Ctrl-C is the caller's business. A handler, not SIG_IGN: that would be inherited by what items start."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, ignore)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def ignore(number: int, frame: object) -> None:
    """Do nothing at a signal."""
