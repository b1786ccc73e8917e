"""One byte a slot: 1 if the entry was read since it was written. Losing this file costs nothing."""

from __future__ import annotations

import mmap
import os

from fanwise.cache._directory import Directory

__all__ = ["Hits"]


class Hits:
    """The second-chance bits of an index, mapped for reading; written with ``pwrite``, once for each 0 that turns 1.

    Attributes
    ----------
    data : mmap
        One byte for each slot.
    """

    __slots__ = ("_fd", "data")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.data = mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)

    @classmethod
    def open(cls, directory: Directory, slots: int) -> Hits | None:
        """The bits for an index of so many slots; None where they cannot be written."""
        try:
            fd = directory.open("hits", os.O_RDWR | os.O_CREAT)
        except OSError:  # a read-only directory: entries have no second chance
            return None
        try:
            if os.fstat(fd).st_size < slots:  # never made smaller: somebody may have it mapped
                os.ftruncate(fd, slots)
            return cls(fd, slots)
        except OSError:
            os.close(fd)
            return None

    def mark(self, place: int) -> None:
        """Remember that an entry was read."""
        if not self.data[place]:
            self._write(place, b"\1")

    def clear(self, place: int) -> None:
        if self.data[place]:
            self._write(place, b"\0")

    def _write(self, place: int, bit: bytes) -> None:
        try:
            os.pwrite(self._fd, bit, place)
        except OSError:  # a full disk: the bit is only a hint
            return

    def is_marked(self, place: int) -> bool:
        return bool(self.data[place])

    def reset(self) -> None:
        """Forget all: the slots have been numbered anew."""
        try:
            os.pwrite(self._fd, bytes(len(self.data)), 0)
        except OSError:  # as above
            return

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
