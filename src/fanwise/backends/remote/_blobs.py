"""Bundles on a worker's host: one file each, named by the digest of its bytes, mapped by every worker of the host."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

from fanwise._folders import cache_folder
from fanwise.backends.remote._letters import digest_of
from fanwise.errors import BackendError

__all__ = ["folder", "has_blob", "open_blob", "store_blob"]

_KEPT_S = 600.0  # after its last use: the next run may want it
_SHARE = 0.2  # of the disk's free space
_NOT_OURS = frozenset({errno.ENOENT, errno.ELOOP, errno.EACCES})  # absent, a link, unreadable: of somebody else


def folder() -> str:
    """Where they lie; only this user may enter."""
    path = os.path.join(cache_folder(), "bundles")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _path(digest: bytes) -> str:
    return os.path.join(folder(), f"{digest.hex()}.fwb")


def has_blob(digest: bytes, size: int) -> bool:
    """Whether the file is here, whole; if so, it counts as used just now."""
    fd = open_blob(digest, size)
    if fd is not None:
        os.close(fd)
    return fd is not None


def open_blob(digest: bytes, size: int) -> int | None:
    """A read-only descriptor of the file; None if it is not here.

    A file of another owner, or one that others could write, is not ours: whoever put it there could change it later.
    """
    try:
        fd = os.open(_path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return None
        raise
    status = os.fstat(fd)
    if status.st_size != size or status.st_uid != os.geteuid() or status.st_mode & 0o222:
        os.close(fd)
        return None
    os.utime(fd)
    return fd


def store_blob(digest: bytes, size: int, *pieces: bytes) -> None:
    """Write the file: complete and verified, or not at all. Whoever comes second replaces equal bytes by equal bytes.

    Raises
    ------
    BackendError
        If the bytes are not those of the digest.
    """
    if digest_of(pieces) != digest or sum(map(len, pieces)) != size:
        raise BackendError(f"a bundle of {size:,} bytes did not arrive whole")
    _evict(size)
    draft = f"{_path(digest)}.{secrets.token_hex(8)}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    try:
        for piece in pieces:
            _write(fd, piece)
        os.rename(draft, _path(digest))
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)


def _write(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _evict(coming: int) -> None:
    """Remove what nobody has used for ten minutes, oldest first, down to a fifth of the free space.

    A file that is mapped stays until its last map is gone.
    """
    disk = os.statvfs(folder())
    room = _SHARE * disk.f_bavail * disk.f_frsize - coming
    kept = 0
    for used, size, path in sorted(_listing(), reverse=True):
        kept += size
        if used < time.time() - _KEPT_S and kept > room:
            with suppress(FileNotFoundError):  # another worker of the host was quicker
                os.unlink(path)


def _listing() -> Sequence[tuple[float, int, str]]:
    found = []
    for entry in os.scandir(folder()):
        with suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            found.append((status.st_mtime, status.st_size, entry.path))
    return found
