"""The files of the index backend and the one way to write them: under the lock, in an order that survives a kill.

A new entry is written as *tail in the header → record → slot*; one that replaces another makes the epoch odd before the
slot and even after it. Whatever a killed writer leaves is a hole in the log that nobody points to, or an odd epoch that
the next writer settles.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from fanwise.cache import _locks
from fanwise.cache._blobs import Blobs
from fanwise.cache._directory import Directory, is_unwritable
from fanwise.cache._hits import Hits
from fanwise.cache._index import PROBES, START_BITS, Index, Slot, Tail
from fanwise.cache._leases import Leases
from fanwise.cache._log import Segments, aligned, segment_size
from fanwise.cache._rebuild import collect

__all__ = ["Store", "arrange", "bits_for"]

_FULL = 0.6
FULL = 1 << 40  # a tail offset that no segment has
_TICK_NS = 20_000_000  # changes in one tick of the file system's clock have one time
LOOK_S = 5e-5  # how often files are looked at: deleting a directory takes longer


class Store:
    """One directory of the index backend, open.

    Attributes
    ----------
    index : Index or None
        None only where the directory cannot be written and has no usable index.
    allowance : int
        Bytes that records and blobs may take.
    rebuilt : str
        Why the index was made anew, if it was there and damaged.
    step : callable
        Is told of each step of a write; tests make a process die there.
    """

    def __init__(self, directory: Directory, *, limit: int, durable: bool, step: Callable[[str], None]) -> None:
        self.directory = directory
        self.limit = limit
        self.durable = durable
        self.step = step
        self.segments = Segments(directory, segment_size(limit))
        self.blobs = Blobs(directory, durable=durable)
        self.leases = Leases(directory)
        self.index: Index | None = None
        self.hits: Hits | None = None
        self.marks: mmap.mmap | None = None
        self.rebuilt = ""
        self.allowance = limit
        self.tail = Tail(0, 0, 0, 0)
        self._marks = b""
        self._looked = -math.inf
        self._changed_ns = 0
        self._threads = threading.Lock()
        self._lock_fd = self._open_lock()
        self.writable = self._lock_fd >= 0
        self.load()

    def _open_lock(self) -> int:
        try:
            return self.directory.open("lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if is_unwritable(error):
                return -1
            raise

    def load(self) -> None:
        """Open the index; make one if there is none and it can be written."""
        index = Index.open(self.directory, writable=self.writable)
        if index is not None and not index.is_moved() and index.tail() is not None:
            self._adopt(index)
        elif self.writable:
            if index is not None:
                index.close()
            with self:
                pass

    def _adopt(self, index: Index) -> None:
        self.segments.reset()
        overhead = index.size + index.home_mask + 1  # of a very small limit it would take most, and nothing could stay
        self.allowance = self.limit - (overhead if 4 * overhead < self.limit else 0)
        before, self.index = self.index, index
        if before is not None:
            before.close()
        if self.hits is not None:
            self.hits.close()
        self.hits = Hits.open(self.directory, index.home_mask + 1) if self.writable else None
        self.marks = self.hits.data if self.hits is not None else None

    def current(self) -> Index:
        """The index in use; under the lock there is one."""
        assert self.index is not None
        return self.index

    def is_stale(self) -> bool:
        """Whether the index has been replaced, or deleted."""
        index = self.index
        return index is None or index.is_moved() or os.fstat(index.fd).st_nlink == 0

    def __enter__(self) -> Index:
        """Take the writer lock: first of this process's threads, then of all processes."""
        self._threads.acquire()
        try:
            _locks.lock(self._lock_fd)
            if time.monotonic() - self._looked > LOOK_S:
                self._look()
            return self._settled()
        except BaseException:
            self._release()
            raise

    def _look(self) -> None:
        """Notice files that were deleted by hand: others make new ones, and this one's writes would be lost.

        As long as the directory has the time of change that it had long ago, nothing in it was deleted.
        """
        changed_ns = os.fstat(self.directory.fd).st_mtime_ns
        self._looked = time.monotonic()
        if changed_ns == self._changed_ns:
            return
        self._changed_ns = changed_ns if time.time_ns() - changed_ns > _TICK_NS else 0
        while not os.fstat(self._lock_fd).st_nlink:
            fd = self.directory.open("lock", os.O_RDWR | os.O_CREAT)
            os.close(self._lock_fd)
            self._lock_fd = fd
            _locks.lock(fd)
        self.segments.close_if_gone()
        if self.index is not None and not os.fstat(self.index.fd).st_nlink:
            self._reload()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        try:
            _locks.unlock(self._lock_fd)
        finally:
            self._threads.release()

    def _settled(self) -> Index:
        """The index as it is now, with what a killed writer left undone put right."""
        index = self.index
        if index is None or index.marks() != self._marks:  # else nobody has written since this process did
            index = self._reread()
        if index.epoch[0] & 1:
            index.end_change()
        return index

    def _reread(self) -> Index:
        index = self.index
        tail = index.tail() if index is not None and not index.is_moved() else None
        if index is None or tail is None:
            index = self._reload()
            tail = index.tail()
            assert tail is not None
        self.tail = tail
        return index

    def _reload(self) -> Index:
        index = Index.open(self.directory)
        if index is None or index.is_moved() or index.tail() is None:
            return self._rebuild(index)
        self._adopt(index)
        return index

    def _rebuild(self, damaged: Index | None) -> Index:
        """Make the index from the log; what comes next goes into a new segment."""
        found = collect(self.segments)
        if damaged is not None or self.directory.status("index") is not None:
            self.rebuilt = "header or size is not what it should be"
        elif found.last:
            self.rebuilt = "missing"
        bits, table = arrange(found.slots, bits_for(len(found.slots)))
        size = found.size + sum(stray.size for stray in self.blobs.all())
        tail = Tail(found.last, self.segments.bytes_of(found.last), len(table), size)
        if damaged is None:
            Index.write(self.directory, bits, table, tail)
            return self._reopened()
        self.index, before = damaged, self.index
        if before is not None:
            before.close()
        return self.replace(damaged, bits, table, tail)

    def _reopened(self) -> Index:
        index = Index.open(self.directory)
        assert index is not None
        self._adopt(index)
        if self.hits is not None:
            self.hits.reset()
        return index

    def append(self, index: Index, data: bytes, *, entries: int = 0, size: int = 0) -> tuple[int, int]:
        """Write a record at the tail; its segment and offset. The header's sums grow by ``entries`` and ``size``."""
        tail = self.tail
        segment, offset = tail.segment, tail.offset
        need = aligned(len(data))
        fresh = offset + need > self.segments.room(segment)
        if fresh:
            segment, offset = self.segments.create(segment + 1), 0
        try:
            self._move_tail(index, Tail(segment, offset + need, tail.entries + entries, tail.size + need + size))
            self.step("tail")
            self.segments.append(segment, offset, data)
        except OSError:
            self._move_tail(index, tail)
            if fresh:
                self.segments.remove(segment)
            raise
        self.step("record")
        if self.durable:
            self.segments.flush()
        return segment, offset

    def _move_tail(self, index: Index, tail: Tail) -> None:
        self._marks = index.write_tail(tail)
        self.tail = tail

    def begin_segment(self, index: Index) -> None:
        """Let whoever writes next begin a new segment."""
        self._move_tail(index, self.tail._replace(offset=FULL))

    def adjust(self, index: Index, *, entries: int, size: int) -> None:
        """Add to the sums in the header."""
        tail = self.tail
        sums = {"entries": max(0, tail.entries + entries), "size": max(0, tail.size + size)}
        self._move_tail(index, tail._replace(**sums))

    def place(self, index: Index, slot: Slot, places: list[int]) -> None:
        """Point a key at its new record; ``places`` are the slots that hold the key now."""
        if places:
            index.begin_change()
            self.step("epoch")
            for other in places[1:]:
                index.clear_slot(other)
            index.write_slot(places[0], slot)
            self.step("slot")
            index.end_change()
            self.step("settled")
            self._unmark(places[0])
            return
        place = index.free_place(slot.key)
        while place is None:
            index = self.grow(index)
            place = index.free_place(slot.key)
        index.write_slot(place, slot)
        self.step("slot")
        self._unmark(place)

    def _unmark(self, place: int) -> None:
        if self.hits is not None:
            self.hits.clear(place)

    def mark(self, place: int) -> None:
        """Remember that an entry was read."""
        if self.hits is not None:
            self.hits.mark(place)

    def erase(self, index: Index, places: Iterable[int]) -> None:
        """Clear slots, so that nobody serves what they pointed to."""
        index.begin_change()
        self.step("epoch")
        for place in places:
            index.clear_slot(place)
        self.step("slot")
        index.end_change()
        self.step("settled")

    def is_crowded(self, index: Index) -> bool:
        return self.tail.entries > _FULL * (index.home_mask + 1)

    def grow(self, index: Index) -> Index:
        """Write an index with four times the slots and put it in the place of this one."""
        slots = [slot for _, slot in index.slots() if slot is not None]
        bits, table = arrange(slots, index.bits + 2)
        return self.replace(index, bits, table, self.tail._replace(entries=len(table)))

    def replace(self, index: Index, bits: int, table: dict[int, Slot], tail: Tail) -> Index:
        """Put a new index file in the place of the old one and send everybody there."""
        index.begin_change()
        self.step("epoch")
        Index.write(self.directory, bits, table, tail)
        self.step("renamed")
        self.tail = tail
        index.retire()
        index.end_change()
        return self._reopened()

    def close(self) -> None:
        for part in (self.index, self.hits, self.segments, self.leases, self.directory):
            if part is not None:
                part.close()
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)


def bits_for(entries: int) -> int:
    """log2 of the slots that hold so many entries with room to spare."""
    bits = START_BITS
    while entries > _FULL / 2 * (1 << bits):
        bits += 2
    return bits


def arrange(slots: list[Slot], bits: int) -> tuple[int, dict[int, Slot]]:
    """A slot number for each entry, in a table large enough that all lie within reach of their homes."""
    while True:
        mask = (1 << bits) - 1
        table: dict[int, Slot] = {}
        for slot in slots:
            home = int.from_bytes(slot.key[:8], "little")
            place = next((p for p in ((home + step) & mask for step in range(PROBES)) if p not in table), None)
            if place is None:
                break
            table[place] = slot
        else:
            return bits, table
        bits += 2
