"""Log segments: sparse files to which records are appended, mapped for reading.

Numbers are never used twice as long as an index lives, so a map of a segment that was evicted shows old records but
never those of another file.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from fanwise.cache._directory import Directory, write_all
from fanwise.cache._records import HEADER, MAGIC, Record, unpack

__all__ = ["MIB", "Found", "Segments", "aligned", "is_cut", "segment_size"]

MIB = 1 << 20
_SHARE = 32
_LARGEST = 64 * MIB
_NAME = re.compile(r"log-(\d{8,10})")
_KEPT_MAPS = 64
_CHUNK = MIB


def segment_size(limit: int) -> int:
    """The size of a segment in whole MiB: another size is a sign that the file was cut."""
    return max(MIB, min(_LARGEST, limit // _SHARE // MIB * MIB))


def is_cut(size: int) -> bool:
    """Whether a segment's file is shorter than it was made."""
    return not size or size % MIB != 0


def aligned(length: int) -> int:
    """Records begin at multiples of 8."""
    return length + -length % 8


class Found(NamedTuple):
    """What a scan met: a valid record, or damage (``why``) or a hole (neither)."""

    offset: int
    length: int
    record: Record | None
    why: str = ""


class Segments:
    """The segments of one directory.

    Attributes
    ----------
    maps : dict of int to mmap
        Segments mapped so far; `open` adds to it.
    """

    __slots__ = ("_directory", "_tail_fd", "_tail_number", "_tail_size", "maps", "size")

    def __init__(self, directory: Directory, size: int) -> None:
        self._directory = directory
        self._tail_fd = -1
        self._tail_number = 0
        self._tail_size = 0
        self.maps: dict[int, mmap.mmap] = {}
        self.size = size

    @staticmethod
    def name(number: int) -> str:
        return f"log-{number:08d}"

    def numbers(self) -> list[int]:
        """The segments there are, oldest first."""
        matches = map(_NAME.fullmatch, self._directory.names())
        return sorted(int(match[1]) for match in matches if match)

    def open(self, number: int) -> mmap.mmap | None:
        """The map of a segment; None if it is gone or empty."""
        try:
            fd = self._directory.open(self.name(number))
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(fd).st_size
            if not size:
                return None
            mapped = mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        if len(self.maps) >= _KEPT_MAPS:
            self.forget_gone()
        self.maps[number] = mapped
        return mapped

    def reset(self) -> None:
        """Forget all that is open: another index may number its segments anew, if all were lost with the one before."""
        self.close()
        self.maps = {}

    def forget_gone(self) -> None:
        """Drop the maps of evicted segments; they hold memory and a descriptor each."""
        there = set(self.numbers())
        for number in [n for n in self.maps if n not in there]:
            self.maps.pop(number, None)

    def bytes_of(self, number: int) -> int:
        """The size of a segment's file, 0 if it is gone."""
        status = self._directory.status(self.name(number))
        return status.st_size if status else 0

    def create(self, number: int) -> int:
        """Make a segment, ``number`` or the next that is free, and return its number."""
        while True:
            try:
                fd = self._directory.open(self.name(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
                break
            except FileExistsError:
                number += 1
        try:
            os.ftruncate(fd, self.size)
        except BaseException:
            os.close(fd)
            self._directory.remove(self.name(number))
            raise
        self._use(number, fd)
        return number

    def room(self, number: int) -> int:
        """The size of the segment to append to; 0 if it is gone."""
        if number != self._tail_number or self._tail_fd < 0:
            try:
                self._use(number, self._directory.open(self.name(number), os.O_RDWR))
            except FileNotFoundError:
                return 0
        return self._tail_size

    def append(self, number: int, offset: int, data: bytes) -> None:
        """Write a record; the place was taken in the header, and `room` or `create` called, before."""
        assert number == self._tail_number
        write_all(self._tail_fd, data, offset)

    def flush(self) -> None:
        """Wait until what was appended is on the disk."""
        os.fdatasync(self._tail_fd)

    def _use(self, number: int, fd: int) -> None:
        self.close()
        self._tail_number, self._tail_fd, self._tail_size = number, fd, os.fstat(fd).st_size

    def close_if_gone(self) -> None:
        """Stop appending to a segment that was deleted by hand."""
        if self._tail_fd >= 0 and not os.fstat(self._tail_fd).st_nlink:
            self.close()

    def remove(self, number: int) -> None:
        self.maps.pop(number, None)
        if number == self._tail_number:
            self.close()
        self._directory.remove(self.name(number))

    def scan(self, number: int, end: int | None = None) -> Iterator[Found]:
        """All that a segment holds, in order; after damage it goes on at the next record."""
        try:
            fd = self._directory.open(self.name(number))
        except FileNotFoundError:
            return
        try:
            data = self.maps.get(number) or self.open(number)
            if data is None:
                return
            end = len(data) if end is None else min(end, len(data))
            at = 0
            while at < end:
                found = _at(data, fd, at, end)
                yield found
                at += aligned(found.length)
        finally:
            os.close(fd)

    def close(self) -> None:
        fd, self._tail_fd = self._tail_fd, -1
        self._tail_number = 0
        if fd >= 0:
            os.close(fd)


def _at(data: mmap.mmap, fd: int, at: int, end: int) -> Found:
    """What begins at ``at``: a record, damage up to the next record, or a hole."""
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    if data[at : at + 4] == MAGIC and HEADER <= length <= end - at:
        record = unpack(data[at : at + length])
        if record is not None:
            return Found(at, length, record)
        after = at + aligned(length)
        if after >= end or data[after : after + 4] == MAGIC or _gap(data, fd, after, end) == (end, True):
            return Found(at, length, None, "check does not agree")
    following, is_hole = _gap(data, fd, at, end)
    return Found(at, following - at, None, "" if is_hole else "no valid record")


def _gap(data: mmap.mmap, fd: int, at: int, end: int) -> tuple[int, bool]:
    """Where the next record begins, and whether there is nothing but zeros before it."""
    is_hole = True
    place = at
    while place < end:
        if is_hole:
            place = max(place, _next_data(fd, place, end) & ~7)
        chunk = data[place : min(place + _CHUNK, end)]
        found = chunk.find(MAGIC, 8 if place == at else 0)
        while found >= 0 and found % 8:
            found = chunk.find(MAGIC, found + 1)
        is_hole = is_hole and not chunk[: found if found >= 0 else None].strip(b"\0")
        if found >= 0:
            return place + found, is_hole
        place += _CHUNK
    return end, is_hole


def _next_data(fd: int, at: int, end: int) -> int:
    """Where the file goes on after a part that was never written; such a part of 64 MiB takes no time."""
    try:
        return min(end, os.lseek(fd, at, os.SEEK_DATA))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end
        raise
