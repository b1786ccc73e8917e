"""Leases between processes: who holds the lock on a key's byte computes it, and the kernel takes it back from the dead.

There is no file per key and nothing to clean: a lease is a lock on one of 2^62 bytes of one file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from fanwise.cache import _locks
from fanwise.cache._directory import Directory

__all__ = ["Lease", "LeaseSource", "Leases", "poll"]

_COUNTERS = 1 << 16
_COUNTER_BYTES = 8
_OFFSET_MASK = (1 << 62) - 1
_POLL_FROM_S, _POLL_TO_S = 0.001, 0.02
_SPARE = 4


class Lease(NamedTuple):
    """The right to compute one key.

    Attributes
    ----------
    waited : bool
        Somebody else held it first.
    failed : bool
        While this one waited, a leader ended without a result that could be stored.
    """

    fd: int
    offset: int
    waited: bool = False
    failed: bool = False


class LeaseSource(Protocol):
    """Where leases come from."""

    def take(self, key: bytes, limit: float | None) -> Lease | None:
        """The lease of a key, waiting for it if need be; None after ``limit`` seconds, or where there are no locks."""

    def give_back(self, lease: Lease) -> None:
        """End a lease."""

    def note_failure(self, key: bytes) -> None:
        """Say that no result will come; before the lease is given back."""

    def after_fork(self) -> None:
        """In a child process: an inherited descriptor would keep the parent's leases alive."""

    def close(self) -> None:
        """Give back descriptors."""


def poll(attempt: Callable[[], bool], limit: float) -> bool:
    """Try again and again: a sleeping wait for a lock cannot be given a time limit."""
    until = time.monotonic() + limit
    pause = _POLL_FROM_S
    while not attempt():
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _POLL_TO_S)
    return True


class Leases:
    """Leases on the bytes of one file, which is also a sparse table of failure counters.

    Each lease has an open file of its own: these locks do not keep users of one open file apart.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._spare: list[int] = []
        self._open: set[int] = set()

    def _descriptor(self) -> int:
        while self._spare:
            fd = self._spare.pop()
            self._open.add(fd)
            if os.fstat(fd).st_nlink:
                return fd
            self._retire(fd)  # deleted by hand: others lock another file
        fd = self._directory.open("leases", os.O_RDWR | os.O_CREAT)
        self._open.add(fd)
        if os.fstat(fd).st_size < _COUNTERS * _COUNTER_BYTES:
            os.ftruncate(fd, _COUNTERS * _COUNTER_BYTES)
        return fd

    def take(self, key: bytes, limit: float | None) -> Lease | None:
        """Wait asleep in the kernel if there is no limit, else poll."""
        offset = int.from_bytes(key[:8], "little") & _OFFSET_MASK
        fd = self._descriptor()
        lease = None
        try:
            if _locks.lock(fd, offset, wait=False):
                lease = Lease(fd, offset)
            else:
                before = _failures(fd, key)
                if self._wait(fd, offset, limit):
                    lease = Lease(fd, offset, waited=True, failed=_failures(fd, key) != before)
        finally:
            if lease is None:
                self._retire(fd)
        return lease

    def _wait(self, fd: int, offset: int, limit: float | None) -> bool:
        if limit is None:
            return _locks.lock(fd, offset)
        return poll(lambda: _locks.lock(fd, offset, wait=False), limit)

    def give_back(self, lease: Lease) -> None:
        """Unlock, and keep the descriptor for the next one."""
        fd = lease.fd
        if fd not in self._open:  # taken before a fork: the parent's
            return
        _locks.unlock(fd, lease.offset)
        if len(self._spare) < _SPARE:
            self._open.discard(fd)
            self._spare.append(fd)
        else:
            self._retire(fd)

    def _retire(self, fd: int) -> None:
        if fd in self._open:
            self._open.discard(fd)
            os.close(fd)

    def note_failure(self, key: bytes) -> None:
        """Increase the counter that waiters of this key (and of a few others) look at."""
        fd = self._descriptor()
        try:
            count = (_failures(fd, key) + 1) % (1 << 64)
            os.pwrite(fd, count.to_bytes(_COUNTER_BYTES, "little"), _counter(key))
        finally:
            self._retire(fd)

    def after_fork(self) -> None:
        self.close()

    def close(self) -> None:
        fds = {*self._spare, *self._open}
        self._spare, self._open = [], set()
        for fd in fds:
            os.close(fd)


def _counter(key: bytes) -> int:
    return int.from_bytes(key[8:10], "little") * _COUNTER_BYTES


def _failures(fd: int, key: bytes) -> int:
    return int.from_bytes(os.pread(fd, _COUNTER_BYTES, _counter(key)), "little")
