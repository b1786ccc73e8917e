"""The page a worker shares with its coordinator: what it is at, and whether it should stop; behind it, its last words.

========  ====================================================================================
bytes     content
========  ====================================================================================
0-23      running now: start (seconds, monotonic clock), index, items of the block (0: none, `index` is over)
24-31     resident size in bytes
32-39     phase of life, frames sent (used when items run in children of the worker)
64        1 once the run is to end
68-71     1 + number of a chunk to give back
4096-     what `faulthandler` writes at a fatal signal
========  ====================================================================================
"""

from __future__ import annotations

import mmap
import os
import struct
from enum import IntEnum

from fanwise import _memfd

__all__ = ["CRASH_AT", "Cell", "Phase", "make_page"]

CRASH_AT = 4096
_SIZE = 1 << 16

_RUNNING = struct.Struct("<dQQ")
_NOWHERE = (1 << 64) - 1
_RSS = struct.Struct("<Q")
_LIFE = struct.Struct("<II")
_STOP_AT = 64
_CHUNK = struct.Struct("<I")
_CHUNK_AT = 68
_HALT = struct.Struct("<B3xI")


class Phase(IntEnum):
    """How far a worker has come."""

    STARTING = 0
    INITIALIZING = 1
    READY = 2


def make_page() -> int:
    """A descriptor of a fresh page, placed where the worker's `faulthandler` shall write."""
    fd = _memfd.make([bytes(_SIZE)])
    os.lseek(fd, CRASH_AT, os.SEEK_SET)
    return fd


class Cell:
    """Either side's view of the page. Nothing is locked: each field has one writer."""

    __slots__ = ("_map", "_view")

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _SIZE)
        self._view = memoryview(self._map)

    def mark(self, index: int, count: int, now: float) -> None:
        """Worker: ``count`` items from ``index`` on begin at ``now``."""
        _RUNNING.pack_into(self._view, 0, now, index, count)

    def settle(self) -> None:
        """Worker: the item just run is over, but not yet sent: it is still the one to blame for a death."""
        start, index, count = _RUNNING.unpack_from(self._view, 0)
        if count == 1:
            _RUNNING.pack_into(self._view, 0, start, index, 0)

    def rest(self) -> None:
        """Worker: everything has been sent."""
        _RUNNING.pack_into(self._view, 0, 0.0, _NOWHERE, 0)

    def running(self) -> tuple[float, int, int]:
        """Coordinator: start, index and number of the items running now; read until two readings agree."""
        before = None
        while before != (now := _RUNNING.unpack_from(self._view, 0)):
            before = now
        start, index, count = now
        return start, index, count

    @property
    def rss(self) -> int:
        """Resident bytes when the worker last looked."""
        size: int = _RSS.unpack_from(self._view, 24)[0]
        return size

    @rss.setter
    def rss(self, size: int) -> None:
        _RSS.pack_into(self._view, 24, size)

    @property
    def phase(self) -> Phase:
        return Phase(_LIFE.unpack_from(self._view, 32)[0])

    @phase.setter
    def phase(self, phase: Phase) -> None:
        _LIFE.pack_into(self._view, 32, phase, self.frames)

    @property
    def frames(self) -> int:
        """How many frames the worker and its children have sent."""
        count: int = _LIFE.unpack_from(self._view, 32)[1]
        return count

    @frames.setter
    def frames(self, count: int) -> None:
        _LIFE.pack_into(self._view, 32, self.phase, count)

    def stop(self, *, wanted: bool) -> None:
        """Coordinator: the run is to end, or a new one begins."""
        self._view[_STOP_AT] = wanted
        self.give_back(None)

    def is_stopping(self) -> bool:
        """Worker: whether the run is to end."""
        return self._view[_STOP_AT] != 0

    def give_back(self, chunk: int | None) -> None:
        """Coordinator: the worker shall not go on with this chunk."""
        _CHUNK.pack_into(self._view, _CHUNK_AT, 0 if chunk is None else (chunk + 1) & 0xFFFFFFFF)

    def is_halted(self, chunk: int) -> bool:
        """Worker: whether the run is to end, or this chunk is to be given back."""
        stop, unwanted = _HALT.unpack_from(self._view, _STOP_AT)
        return bool(stop) or unwanted == (chunk + 1) & 0xFFFFFFFF

    def last_words(self) -> str:
        """Coordinator: what the interpreter wrote when it crashed."""
        return bytes(self._view[CRASH_AT:]).split(b"\0", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Unmap."""
        self._view.release()
        self._map.close()

    def __repr__(self) -> str:
        if self._map.closed:
            return "<Cell closed>"
        _, index, count = self.running()
        return f"<Cell {self.phase.name} at item {index} (+{count}), {self.rss:,} bytes>"
