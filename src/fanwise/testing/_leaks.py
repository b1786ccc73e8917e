"""What a piece of code leaves behind: processes, threads, descriptors, shared memory, temporary files."""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields

__all__ = ["leaks"]

_PATIENCE_S = 1.0
_FORKSERVER = "fanwise.backends.process._forkserver"


@dataclass(frozen=True, slots=True)
class _Traces:
    children: frozenset[int]
    threads: frozenset[str]
    descriptors: frozenset[str]
    shared_memory: frozenset[str]
    temporary_files: frozenset[str]

    def beyond(self, before: _Traces) -> dict[str, list[object]]:
        """What is here and was not before."""
        pairs = {f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)}
        return {name: sorted(extra) for name, extra in pairs.items() if extra}


@contextmanager
def leaks(patience: float = _PATIENCE_S) -> Iterator[None]:
    """Assert that the block leaves no child process, thread, descriptor, shared memory or temporary file.

    The fork server, kept for the life of a process, is stopped at the end of the block.

    Parameters
    ----------
    patience : float
        Seconds granted to what is just ending.

    Raises
    ------
    AssertionError
        Lists what was left.

    Examples
    --------
    >>> with leaks():
    ...     values = list(map(abs, [-1, 2]))
    """
    before = _traces(others=True)
    yield
    if _FORKSERVER in sys.modules:
        sys.modules[_FORKSERVER].shared.stop()
    gc.collect()
    until = time.monotonic() + patience
    while (left := _traces(others=False).beyond(before)) and time.monotonic() < until:
        time.sleep(0.01)
    if left:
        raise AssertionError("left behind: " + "; ".join(f"{name}: {found}" for name, found in left.items()))


def _traces(*, others: bool) -> _Traces:
    """What there is now; files of ``others`` too, since what was there before stays when its program ends."""
    return _Traces(
        frozenset(_children()),
        frozenset(f"{thread.name} ({thread.ident})" for thread in threading.enumerate()),
        frozenset(_descriptors()),
        frozenset(name for name in _entries("/dev/shm", "") if others or not _is_of_another(name)),  # noqa: S108 - looked at only
        frozenset(name for name in _entries(tempfile.gettempdir(), "fanwise") if others or not _is_of_another(name)),
    )


def _is_of_another(name: str) -> bool:
    """Whether an entry is named after a live process that does not descend from this one, as libraries name theirs."""
    pids = [int(part) for part in re.split(r"[-_.]", name) if part.isdecimal()]
    return any(os.path.isdir(f"/proc/{pid}") and not _is_from_here(pid) for pid in pids)


def _is_from_here(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            return False
    return pid == os.getpid()


def _children() -> Iterator[int]:
    for task in _entries("/proc/self/task", ""):
        with suppress(OSError), open(f"/proc/self/task/{task}/children") as file:  # a thread that has just ended
            yield from map(int, file.read().split())


def _descriptors() -> Iterator[str]:
    for fd in _entries("/proc/self/fd", ""):
        with suppress(OSError):  # that of the listing itself
            yield f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}"


def _entries(folder: str, prefix: str) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(prefix)] if os.path.isdir(folder) else []
