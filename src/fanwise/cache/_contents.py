"""A file as an argument: its key is what is in it, not what it is called."""

from __future__ import annotations

import os
import time

from fanwise.cache._hashing import digest_parts

__all__ = ["FileContent", "Stamp", "is_settled", "stamp_of"]

_PIECE = 1 << 20
_TICK_NS = 20_000_000  # a change within one tick of the file system's clock leaves the stamp as it was

Stamp = tuple[int, int, int, int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """What changes when a file does: device, inode, size, times of data and of inode (ns)."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(stamp: Stamp) -> bool:
    """Whether a later change is sure to show in the stamp."""
    return time.time_ns() - stamp[4] > _TICK_NS


class FileContent:
    """A path whose key is the digest of the file's bytes, read again when the file changed.

    Parameters
    ----------
    path : str or path-like
        The file. The object itself is path-like: ``open`` takes it.
    """

    __slots__ = ("_digest", "_stamp", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._stamp: Stamp | None = None
        self._digest = b""

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Cache.file({self.path!r})"

    def __reduce__(self) -> tuple[type[FileContent], tuple[str]]:
        return FileContent, (self.path,)

    def __fanwise_key__(self) -> bytes:
        with open(self.path, "rb", buffering=0) as file:
            stamp = stamp_of(os.fstat(file.fileno()))
            if stamp == self._stamp:
                return self._digest
            settled = is_settled(stamp)
            digest = digest_parts(iter(lambda: file.read(_PIECE), b""))
            self._digest = digest
            self._stamp = stamp if settled and stamp == stamp_of(os.fstat(file.fileno())) else None
            return digest
