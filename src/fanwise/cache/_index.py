"""The index: one page of header and 2^n slots, open addressing, mapped for reading and written with ``pwrite`` only.

A slot tells where the record of a key lies. Readers take no lock: a torn or damaged slot fails its checksum. A key is
in one of the 64 slots from its home on, and a reader looks at all of them, so clearing a slot breaks no chain.

======  ================================================================================================
offset  header (little endian)
======  ================================================================================================
0       magic, u32 schema, u32 log2 of the number of slots
16      u64 epoch, u32 moved, u32 tail segment, u64 tail offset, u64 entries, u64 bytes
56      random id, 16 bytes; u64 check of magic, schema, size and id
80      u64 check of the tail: a segment or offset that was damaged would lead writers into old records
4096    slots: key 16, u32 segment, u32 offset, u32 length, u32 flags, f64 expires, f64 created, 8 reserved, u64
        check of all before it
======  ================================================================================================

The epoch is odd while entries are being replaced or removed: a writer that dies in between leaves it odd, and nobody
keeps values in memory until the next writer has made it even.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from fanwise.cache._directory import Directory, write_all
from fanwise.cache._hashing import check64

__all__ = ["HEADER_BYTES", "PROBES", "SLOT_BYTES", "START_BITS", "Index", "Slot", "Tail"]

MAGIC = b"FWIDX\0\0\1"
SCHEMA = 1
HEADER_BYTES = 4096
SLOT_BYTES = 64
PROBES = 64
START_BITS = 12
MAX_BITS = 32
WINDOW = PROBES * SLOT_BYTES

FRONT = Struct("<8sII")
MIDDLE = Struct("<QIIQQQ")
IDENTITY = Struct("<16sQ")
_EPOCH_AT, _MOVED_AT, _TAIL_AT, _ID_AT, _TAIL_CHECK_AT = 16, 24, 28, 56, 80
_TAIL = Struct("<IQQQ")
_U64 = Struct("<Q")
_U32 = Struct("<I")
SLOT = Struct("<16sIIIIdd8sQ")
_SLOT_BODY = Struct("<16sIIIIdd8s")
EMPTY = bytes(SLOT_BYTES)
KEY = 16
_TELLING = 15  # a byte of the key in which neighbours differ, as they do not in those that the home is made of
_CHECK_AT = 56


class Slot(NamedTuple):
    """Where the record of a key lies."""

    key: bytes
    segment: int
    offset: int
    length: int
    flags: int
    expires: float
    created: float

    def pack(self) -> bytes:
        body = _SLOT_BODY.pack(*self, b"")
        return body + _U64.pack(check64(body))


class Tail(NamedTuple):
    """Where the next record goes, and what there is so far."""

    segment: int
    offset: int
    entries: int
    size: int


def parse_slot(data: bytes) -> Slot | None:
    """The slot that 64 bytes hold, or None if they are damaged."""
    *fields, _, check = SLOT.unpack(data)
    return Slot(*fields) if check64(data[:-8]) == check else None


class Index:
    """One index file, mapped.

    Attributes
    ----------
    epoch : memoryview of u64
        ``epoch[0]`` is the epoch as the file holds it now.
    """

    __slots__ = ("bits", "constant", "data", "epoch", "fd", "home_mask", "identity", "size", "writable")

    def __init__(self, fd: int, bits: int, identity: bytes, *, writable: bool) -> None:
        self.fd = fd
        self.bits = bits
        self.identity = identity
        self.writable = writable
        self.home_mask = (1 << bits) - 1
        self.size = HEADER_BYTES + (SLOT_BYTES << bits)
        self.data = mmap.mmap(fd, self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        self.constant = self.data[_ID_AT:_TAIL_CHECK_AT]
        self.epoch = memoryview(self.data)[_EPOCH_AT:_MOVED_AT].cast("Q")

    @classmethod
    def open(cls, directory: Directory, *, writable: bool = True) -> Index | None:
        """The index of a directory; None if it is missing or not what it should be, size included."""
        try:
            fd = directory.open("index", os.O_RDWR if writable else os.O_RDONLY)
        except FileNotFoundError:
            return None
        index = None
        try:
            head = os.pread(fd, HEADER_BYTES, 0)
            bits = _valid_bits(head)
            if bits is not None and os.fstat(fd).st_size == HEADER_BYTES + (SLOT_BYTES << bits):
                index = cls(fd, bits, head[_ID_AT : _ID_AT + 16], writable=writable)
        finally:
            if index is None:
                os.close(fd)
        return index

    @staticmethod
    def write(directory: Directory, bits: int, slots: dict[int, Slot], tail: Tail) -> None:
        """Write a new index file and put it in the place of the old one."""
        identity = secrets.token_bytes(16)
        front = FRONT.pack(MAGIC, SCHEMA, bits)
        head = bytearray(HEADER_BYTES)
        head[: len(front)] = front
        epoch = secrets.randbits(48) * 2  # never that of an earlier file, whose values somebody may still hold
        MIDDLE.pack_into(head, _EPOCH_AT, epoch, 0, *tail)
        IDENTITY.pack_into(head, _ID_AT, identity, check64(front + identity))
        _U64.pack_into(head, _TAIL_CHECK_AT, check64(_TAIL.pack(*tail)))
        table = bytearray(SLOT_BYTES << bits)
        for place, slot in slots.items():
            table[place * SLOT_BYTES : (place + 1) * SLOT_BYTES] = slot.pack()
        draft = f"index-{secrets.token_hex(8)}"
        fd = directory.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(fd, memoryview(head), 0)
            write_all(fd, memoryview(table), HEADER_BYTES)
            directory.rename(draft, directory, "index")
        except BaseException:
            directory.remove(draft)
            raise
        finally:
            os.close(fd)

    def home(self, key: bytes) -> int:
        """The number of the first slot that a key may be in."""
        return int.from_bytes(key[:8], "little") & self.home_mask

    def column(self, home: int, at: int) -> bytes:
        """Byte ``at`` of each of the 64 slots from ``home`` on, round the end of the table.

        One byte is found in them in a fifth of the time in which 16 are found in the slots themselves (measured).
        """
        start = HEADER_BYTES + home * SLOT_BYTES + at
        found = self.data[start : start + WINDOW : SLOT_BYTES]
        if len(found) < PROBES:
            found += self.data[HEADER_BYTES + at : start : SLOT_BYTES][: PROBES - len(found)]
        return found

    def places(self, key: bytes) -> list[int]:
        """The numbers of all slots that hold a key, damaged ones included."""
        home = self.home(key)
        column = self.column(home, _TELLING)
        if key[_TELLING] not in column:
            return []
        near = ((home + step) & self.home_mask for step in _steps(column, key[_TELLING]))
        return [place for place in near if self.raw(place)[:KEY] == key]

    def free_place(self, key: bytes) -> int | None:
        """The first empty slot for a key, or else a damaged one; None if there is none within reach."""
        home = self.home(key)
        if self.raw(home) == EMPTY:
            return home
        for step in _steps(self.column(home, _CHECK_AT), 0):
            if self.raw(place := (home + step) & self.home_mask) == EMPTY:
                return place
        near = ((home + step) & self.home_mask for step in range(PROBES))
        return next((place for place in near if self.slot(place) is None), None)

    def raw(self, place: int) -> bytes:
        start = HEADER_BYTES + place * SLOT_BYTES
        return self.data[start : start + SLOT_BYTES]

    def slot(self, place: int) -> Slot | None:
        data = self.raw(place)
        return None if data == EMPTY else parse_slot(data)

    def find(self, key: bytes) -> tuple[int, Slot] | None:
        """Number and content of the valid slot of a key."""
        for place in self.places(key):
            slot = self.slot(place)
            if slot is not None:
                return place, slot
        return None

    def slots(self) -> Iterator[tuple[int, Slot | None]]:
        """All slots in use, with None for damaged ones."""
        for place in range(self.home_mask + 1):
            data = self.raw(place)
            if data != EMPTY:
                yield place, parse_slot(data)

    def tail(self) -> Tail | None:
        """Where the next record goes; None if the header is damaged there."""
        head = self.data[_TAIL_AT : _TAIL_CHECK_AT + 8]
        raw = head[: _TAIL.size]
        return Tail._make(_TAIL.unpack(raw)) if head[-8:] == _U64.pack(check64(raw)) else None

    def marks(self) -> bytes:
        """What the header says except for the epoch: whether the file has moved, the tail, and which file it is."""
        return self.data[_MOVED_AT : _TAIL_CHECK_AT + 8]

    def write_tail(self, tail: Tail) -> bytes:
        """Write tail and check at once, the bytes between them are constant; what `marks` is as long as nobody writes."""
        raw = _TAIL.pack(*tail)
        written = raw + self.constant + _U64.pack(check64(raw))
        write_all(self.fd, written, _TAIL_AT)
        return _UNMOVED + written

    def write_slot(self, place: int, slot: Slot) -> None:
        write_all(self.fd, slot.pack(), HEADER_BYTES + place * SLOT_BYTES)

    def clear_slot(self, place: int) -> None:
        write_all(self.fd, EMPTY, HEADER_BYTES + place * SLOT_BYTES)

    def begin_change(self) -> None:
        """Say that entries are about to be replaced or removed."""
        write_all(self.fd, _U64.pack((self.epoch[0] | 1) & _MAX_U64), _EPOCH_AT)

    def end_change(self) -> None:
        """Say that they are, so that what others hold in memory is dropped."""
        write_all(self.fd, _U64.pack((self.epoch[0] + 2 & ~1) & _MAX_U64), _EPOCH_AT)

    def is_moved(self) -> bool:
        """Whether another file has taken this one's place."""
        return bool(_U32.unpack_from(self.data, _MOVED_AT)[0])

    def retire(self) -> None:
        """Send everybody who holds this file to its successor; between `begin_change` and `end_change`."""
        write_all(self.fd, _U32.pack(1), _MOVED_AT)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


_MAX_U64 = (1 << 64) - 1
_UNMOVED = bytes(_TAIL_AT - _MOVED_AT)


def _steps(column: bytes, byte: int) -> Iterator[int]:
    """Where a byte is, in order."""
    at = column.find(byte)
    while at >= 0:
        yield at
        at = column.find(byte, at + 1)


def _valid_bits(head: bytes) -> int | None:
    if len(head) < HEADER_BYTES:
        return None
    magic, schema, bits = FRONT.unpack_from(head)
    identity, check = IDENTITY.unpack_from(head, _ID_AT)
    if magic != MAGIC or schema != SCHEMA or not 0 < bits <= MAX_BITS:
        return None
    return int(bits) if check64(head[: FRONT.size] + identity) == check else None
