"""Which way to start workers: fork where that is safe, else a fork server of our own; a fresh interpreter if told."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from functools import lru_cache

from fanwise.backends.process import _blas
from fanwise.errors import FanwiseWarning, UsageValueError

__all__ = ["METHODS", "choose", "cores", "server_running"]

METHODS = ("fork", "forkserver", "spawn")
OWN_THREADS = "fanwise-"
"""How the names of our own threads begin: they hold no lock at a fork."""


def choose(requested: str | None) -> str:
    """The start method for workers started now.

    Parameters
    ----------
    requested : str or None
        What the caller or ``FANWISE_START_METHOD`` asks for; None to decide.
    """
    wanted = requested or os.environ.get("FANWISE_START_METHOD") or None
    if wanted is None:
        return "fork" if _is_fork_safe() else "forkserver"
    if wanted not in METHODS:
        raise UsageValueError(f"start method must be one of {', '.join(METHODS)}, got {wanted!r}")
    if wanted == "fork" and any(not t.name.startswith(OWN_THREADS) for t in threading.enumerate()[1:]):
        others = threading.active_count() - 1
        warnings.warn(
            f"workers are forked as requested, although {others} other threads run: a lock that one of them holds "
            "stays locked in the workers. Leave the start method out to be safe",
            FanwiseWarning,
            stacklevel=4,
        )
    return wanted


def _is_fork_safe() -> bool:
    if threading.active_count() > 1:
        return False
    foreign = _native_threads() - 1
    if foreign <= 0:
        return True
    return foreign <= _stopped_at_fork(foreign, len(sys.modules)) * (cores() - 1)


@lru_cache(maxsize=1)  # nothing new is loaded without an import or a thread, and to read the map takes 2 ms
def _stopped_at_fork(_foreign: int, _modules: int) -> int:
    """Libraries of which each has a thread for every other core that it stops before a fork.

    OpenBLAS does so; OpenMP, rayon and Arrow do not, nor CUDA, beside which nothing is safe.
    """
    return 0 if _has_cuda() else _blas.copies_of_openblas()


def _native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _has_cuda() -> bool:
    with open("/proc/self/maps", "rb") as maps:
        return b"/libcuda.so" in maps.read()


def server_running() -> bool:
    """Whether the fork server of this process is up."""
    loaded = sys.modules.get("fanwise.backends.process._forkserver")
    return loaded is not None and loaded.shared.is_up()


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
