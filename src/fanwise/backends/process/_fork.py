"""Workers by fork: 1 ms, and function and items are inherited."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from contextlib import suppress

from fanwise.backends.process._ends import WorkerEnds, fork_gate
from fanwise.backends.process._process import Child
from fanwise.backends.process._worker import Inherited, run

__all__ = ["launch"]

_HELD = (signal.SIGINT, signal.SIGTERM)


def launch(ends: WorkerEnds, inherited: Inherited) -> Child:
    """Fork a worker.

    Raises
    ------
    OSError
        If there is no room for another process (EAGAIN, ENOMEM).
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, broken or absent: nothing to print twice
            stream.flush()
    # a handler of the caller's must not run in the child before the child has its own
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        pid = _fork()
        if pid == 0:
            gc.freeze()  # the collector's marks would copy all pages that are shared with the caller
            fork_gate.release()  # held by the parent around `launch`
            run(ends, inherited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Child(pid)


def _fork() -> int:
    if sys.version_info < (3, 12):
        return os.fork()
    with warnings.catch_warnings():  # whether threads make this unsafe has been decided already
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        return os.fork()
