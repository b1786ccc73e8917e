"""One item, one fresh process: the worker stays a warm template and forks a child for each item.

When a child dies, the template dies in the same way, so that the coordinator sees one kind of death only. The child's
liveness pipe hangs up with the template, and the template's with the caller.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from fanwise.backends.process import _life
from fanwise.backends.process._guard import exit_after
from fanwise.backends.process._state import reseed

__all__ = ["run_apart"]


def run_apart(task: Callable[[], None]) -> None:
    """Call ``task`` in a child and wait for its end; if that is not a good one, end likewise."""
    watched, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(held)
        exit_after(partial(_be_child, task, watched))
    os.close(watched)
    _, status = os.waitpid(pid, 0)
    os.close(held)
    code = os.waitstatus_to_exitcode(status)
    if code:
        _end_likewise(code)


def _be_child(task: Callable[[], None], watched: int) -> None:
    _life.arm(watched)
    reseed()
    task()


def _end_likewise(code: int) -> NoReturn:
    faulthandler.disable()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
