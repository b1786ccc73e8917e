"""Leases for file systems without byte locks: ``flock`` on 256 files.

The holder writes its key into the file. Who wants another key of the same stripe waits a moment only: the holder may be
waiting for just that result. The moment is for a holder that has the lock and has not written its key yet.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import closing

from fanwise.cache._directory import Directory
from fanwise.cache._leases import Lease, poll

__all__ = ["StripeLeases"]

_KEY_BYTES = 16
_COUNTER_BYTES = 8
_FOREVER_S = 1e9
_MOMENT_S = 0.05
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class StripeLeases:
    """Leases on 256 files below ``locks``: the key of the holder, then a count of leaders that failed."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._open: set[int] = set()

    def _stripe(self, key: bytes) -> int:
        with closing(self._directory.child("locks")) as locks:
            fd = locks.open(key[:1].hex(), os.O_RDWR | os.O_CREAT)
        self._open.add(fd)
        return fd

    def take(self, key: bytes, limit: float | None) -> Lease | None:
        """Poll as long as the holder has the same key; None where there are no locks."""
        fd = self._stripe(key)
        lease = None
        try:
            before = _failures(fd)
            if _lock(fd):
                lease = Lease(fd, 0)
            else:
                lease = self._wait(fd, key, _FOREVER_S if limit is None else limit, before)
            if lease is not None:
                os.pwrite(fd, key[:_KEY_BYTES], 0)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        finally:
            if lease is None:
                self._retire(fd)
        return lease

    def _wait(self, fd: int, key: bytes, limit: float, failures: int) -> Lease | None:
        got = met = False
        moment = time.monotonic() + _MOMENT_S

        def is_over() -> bool:
            nonlocal got, met, moment
            now = time.monotonic()
            if os.pread(fd, _KEY_BYTES, 0) == key[:_KEY_BYTES]:
                met, moment = True, now + _MOMENT_S
            got = _lock(fd)
            return got or now > moment

        poll(is_over, limit)
        if not got:
            return None
        return Lease(fd, 0, waited=met, failed=met and _failures(fd) != failures)

    def give_back(self, lease: Lease) -> None:
        """Closing the file ends the lock."""
        self._retire(lease.fd)

    def _retire(self, fd: int) -> None:
        if fd in self._open:
            self._open.discard(fd)
            os.close(fd)

    def note_failure(self, key: bytes) -> None:
        """Increase the count behind the key."""
        fd = self._stripe(key)
        try:
            os.pwrite(fd, ((_failures(fd) + 1) % (1 << 64)).to_bytes(_COUNTER_BYTES, "little"), _KEY_BYTES)
        finally:
            self._retire(fd)

    def after_fork(self) -> None:
        self.close()

    def close(self) -> None:
        fds, self._open = self._open, set()
        for fd in fds:
            os.close(fd)


def _failures(fd: int) -> int:
    return int.from_bytes(os.pread(fd, _COUNTER_BYTES, _KEY_BYTES), "little")


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
