"""A worker ends with its caller, even when the caller is killed and the worker is deep in C code.

The worker's liveness pipe raises SIGIO when its write end closes, and SIGIO's default action ends a process: the kernel
does it, no thread is needed. ``PR_SET_PDEATHSIG`` would need ctypes and fires when the forking *thread* ends.
"""

from __future__ import annotations

import os
import select
import signal

__all__ = ["ORPHANED", "arm"]

ORPHANED = 75


def arm(fd: int) -> None:
    """End this process when the last write end of pipe ``fd`` is closed; at once if that has happened already."""
    import fcntl  # absent on Windows

    if hasattr(os, "O_ASYNC"):
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if poll.poll(0):
        os._exit(ORPHANED)
