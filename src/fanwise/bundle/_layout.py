r"""Where things lie in a segment or file: values in, values out.

All numbers are little endian; buffers are aligned so that any view is, and large ones so that pages can be shared::

    0     magic "FWBNDL\r\n"      8  u32 schema        12 u32 flags (1: contains pickle, 2: checksums are blake2b-64)
    16    bundle id, 16 bytes     32 u64 total length
    40    u64 directory offset    48 u64 directory length    56 u64 checksum of the directory
    64    u64 checksum of bytes 0..63                        72…4095 zero
    4096  buffers, each at a multiple of 64, at a multiple of 4096 from 1 MiB on; gaps are zero
    …     directory, JSON: [{"name", "kind", "meta", "buffers": [[offset, length, checksum or null], …]}, …]

A directory comes from outside: every number in it is checked before it is used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from fanwise.errors import BundleError

__all__ = [
    "HEADER_BYTES",
    "MAX_BYTES",
    "PICKLED_FLAG",
    "Entry",
    "Extent",
    "Header",
    "aligned",
    "pack_directory",
    "pack_header",
    "parse_directory",
    "parse_header",
]

MAGIC = b"FWBNDL\r\n"
SCHEMA = 1
PICKLED_FLAG = 1
HEADER_BYTES = 4096
MAX_BYTES = 1 << 47  # what a process can address on x86-64 and arm64
_KNOWN_FLAGS = 3
_ALIGN = 64
_PAGE = 4096
_LARGE = 1 << 20
_FIELDS = struct.Struct("<8sII16sQQQQ")
_SUM = struct.Struct("<Q")
_SUM_END = _FIELDS.size + _SUM.size

Checksum = Callable[[bytes], int]


@dataclass(frozen=True, slots=True)
class Header:
    """The first page."""

    id: bytes
    flags: int
    total: int
    directory_at: int
    directory_bytes: int
    directory_sum: int


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes ``offset … offset+length-1`` of a segment; ``checksum`` is None where none was taken."""

    offset: int
    length: int
    checksum: int | None = None

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the directory."""

    name: str
    kind: str
    meta: dict[str, Any]
    buffers: tuple[Extent, ...]

    @property
    def nbytes(self) -> int:
        return sum(b.length for b in self.buffers)


def aligned(offset: int, length: int) -> int:
    """The first place at or after ``offset`` where a buffer of this length may begin."""
    step = _step(length)
    return -(-offset // step) * step


def _step(length: int) -> int:
    return _PAGE if length >= _LARGE else _ALIGN


def pack_header(header: Header, checksum: Checksum) -> bytes:
    """The first 72 bytes; the rest of the page is zero."""
    fields = _FIELDS.pack(
        MAGIC,
        SCHEMA,
        header.flags,
        header.id,
        header.total,
        header.directory_at,
        header.directory_bytes,
        header.directory_sum,
    )
    return fields + _SUM.pack(checksum(fields))


def parse_header(page: bytes, size: int, where: str, checksum_for: Callable[[int], Checksum | None]) -> Header:
    """The header of a segment of ``size`` bytes that begins with ``page``.

    ``checksum_for(flags)`` gives the hash the segment was written with, or None to go without.
    """
    if page[: len(MAGIC)] != MAGIC:
        raise BundleError(f"{where} is not a fanwise bundle")
    if len(page) < _SUM_END:
        raise BundleError(f"{where} is truncated: {size:,} bytes, a header has {HEADER_BYTES:,}")
    _, schema, flags, id, total, at, length, directory_sum = _FIELDS.unpack_from(page)
    if schema > SCHEMA:
        raise BundleError(
            f"{where} was written by a newer fanwise (schema {schema}; this one reads {SCHEMA}): pip install -U fanwise"
        )
    checksum = checksum_for(flags)
    if checksum is not None and checksum(page[: _FIELDS.size]) != _SUM.unpack_from(page, _FIELDS.size)[0]:
        raise BundleError(f"{where}: damaged header")
    if size < total:
        raise BundleError(f"{where} is truncated: {size:,} bytes, its header says {total:,}")
    header = Header(id, flags, total, at, length, directory_sum)
    if schema < SCHEMA or flags & ~_KNOWN_FLAGS or size != total or total > MAX_BYTES or not _holds(header):
        raise BundleError(f"{where}: damaged header ({size:,} bytes, its header says {total:,})")
    return header


def _holds(header: Header) -> bool:
    return header.directory_at >= HEADER_BYTES and header.directory_at + header.directory_bytes <= header.total


def pack_directory(entries: Iterable[Entry]) -> bytes:
    """The directory as it is written."""
    lines = [
        {
            "name": e.name,
            "kind": e.kind,
            "meta": e.meta,
            "buffers": [[b.offset, b.length, b.checksum] for b in e.buffers],
        }
        for e in entries
    ]
    return json.dumps(lines, allow_nan=False).encode()


def parse_directory(text: bytes, end: int, where: str) -> tuple[Entry, ...]:
    """The entries of a segment whose buffers end at byte ``end``: ascending, aligned, apart, names unique."""
    try:
        lines = json.loads(text.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: damaged directory ({error})") from error
    if not isinstance(lines, list):
        raise BundleError(f"{where}: damaged directory (a list of entries is expected)")
    entries = tuple(_entry(line, number, where) for number, line in enumerate(lines))
    if len({e.name for e in entries}) < len(entries):
        raise BundleError(f"{where}: damaged directory (two entries have one name)")
    _check_extents(entries, end, where)
    return entries


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _entry(line: object, number: int, where: str) -> Entry:
    match line:
        case {"name": str(name), "kind": str(kind), "meta": dict(meta), "buffers": list(buffers)}:
            return Entry(name, kind, meta, tuple(_extent(b, name, where) for b in buffers))
        case _:
            raise BundleError(f"{where}: damaged directory (entry {number} lacks name, kind, meta or buffers)")


def _extent(triple: object, name: str, where: str) -> Extent:
    if isinstance(triple, list) and len(triple) == 3:
        offset, length, checksum = triple
        if _is_count(offset) and _is_count(length) and (checksum is None or _is_count(checksum)):
            return Extent(offset, length, checksum)
    raise BundleError(f"{where}: entry {name!r} is damaged (a buffer is [offset, length, checksum or null])")


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0


def _check_extents(entries: Iterable[Entry], end: int, where: str) -> None:
    at = HEADER_BYTES
    for entry in entries:
        for buffer in entry.buffers:
            fault = _fault(buffer, at, end)
            if fault:
                raise BundleError(f"{where}: entry {entry.name!r} is damaged ({fault} at byte {buffer.offset:,})")
            at = buffer.end


def _fault(buffer: Extent, at: int, end: int) -> str | None:
    if buffer.offset < at:
        return "a buffer overlaps the one before"
    if buffer.offset % _step(buffer.length):
        return "a buffer is not aligned"
    if buffer.end > end:
        return "a buffer reaches past the data"
    return None
