"""Workers as fresh interpreters; and how any fresh interpreter of ours is begun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from fanwise.backends.process._ends import WorkerEnds
from fanwise.backends.process._process import Spawned
from fanwise.backends.process._worker import run

__all__ = ["begin", "launch", "main"]


def launch(ends: WorkerEnds) -> Spawned:
    """Start a worker in a fresh interpreter; what it needs to know comes through its socket."""
    return Spawned(begin("fanwise.backends.process._spawn", ends.fds()))


def begin(module: str, fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start ``module.main(*fds)`` in a fresh interpreter with the flags and the module path of this one."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main(*{tuple(fds)!r})"
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    return subprocess.Popen([sys.executable, *flags, "-c", code], stdin=subprocess.DEVNULL, pass_fds=fds)


def main(*fds: int) -> None:
    """Be a worker."""
    for fd in fds:
        os.set_inheritable(fd, False)
    run(WorkerEnds(*fds), None)
