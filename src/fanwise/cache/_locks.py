"""Open-file-description locks on one byte: released by the kernel when their holder dies, wherever the byte lies.

Unlike ``lockf`` they belong to the open file and not to the process, so that closing another descriptor does not drop
them, and unlike ``flock`` there is one for each of 2^62 bytes. They do not keep threads of one open file apart.
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import Struct

__all__ = ["lock", "unlock"]

_FLOCK = Struct("hhqqi4x")  # type, whence, start, length, pid (must be 0)
_BUSY = {errno.EAGAIN, errno.EACCES}


def _request(kind: int, offset: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)


_FIRST = {kind: _request(kind, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK)}  # every store asks for these two


def lock(fd: int, offset: int = 0, *, wait: bool = True) -> bool:
    """Lock one byte for writing; False if it is taken and ``wait`` is false. Waiting sleeps in the kernel."""
    request = _request(fcntl.F_WRLCK, offset) if offset else _FIRST[fcntl.F_WRLCK]
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if not wait and error.errno in _BUSY:
            return False
        raise
    return True


def unlock(fd: int, offset: int = 0) -> None:
    """Release the byte."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK, offset) if offset else _FIRST[fcntl.F_UNLCK])
