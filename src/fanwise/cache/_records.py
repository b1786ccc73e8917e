"""The record: one entry as bytes, the same in a log segment, in a file of its own and on another host.

=======  =============================================================================================
offset   content (little endian)
=======  =============================================================================================
0        magic ``FWR1``, u32 length of the whole record, 16-byte key, 16-byte check of all that follows
40       f64 created, f64 expires (inf: never), u16 flags, u16 codec, u16 name length, u16 meta length
64       u64 hash of the key: the check does not cover it, and a scan has nothing to compare it with
72       name, meta, payload
=======  =============================================================================================

A record is valid only if magic, length, key and check agree. Large payloads lie in a blob; the record then holds its
digest and length. The upper byte of the flags says what the value took to compute: 0 if that is not known, else c for
2^((c - 1) / 6 - 20) seconds, from 1 µs to 65 days in steps of 12 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from struct import Struct
from typing import NamedTuple

from fanwise.cache._hashing import Buffer, check64, digest128, digest_parts

__all__ = [
    "BLOB",
    "BODY",
    "FRONT",
    "HEADER",
    "LAYOUT",
    "LAYOUT_AT",
    "MAC",
    "MAGIC",
    "MUTABLE",
    "PICKLED",
    "TOMBSTONE",
    "Record",
    "blob_of",
    "blob_place",
    "cost_of",
    "pack",
    "pack_parts",
    "unpack",
    "with_cost",
]

MAGIC = b"FWR1"
TOMBSTONE, MUTABLE, BLOB, PICKLED, MAC = 1, 2, 4, 8, 16  # flags
FRONT = Struct("<4sI16s16s")
BODY = Struct("<ddHHHHQ")
HEADER = FRONT.size + BODY.size
LAYOUT, LAYOUT_AT = Struct("<HHH"), 58  # codec, name length and meta length alone
_BLOB_PLACE = Struct("<16sQ")
_NAME_BYTES = 1024
_COST_SHIFT, _COSTS, _STEPS, _LEAST = 8, 255, 6, -20
_SECONDS: tuple[float, ...] = (0.0, *(2.0 ** (step / _STEPS + _LEAST) for step in range(_COSTS)))


class Record(NamedTuple):
    """One entry as stored; times are seconds since 1970."""

    key: bytes
    created: float
    expires: float
    flags: int
    codec: int
    name: str
    meta: bytes
    payload: Buffer


def pack(record: Record) -> bytes:
    """The record as bytes, not padded."""
    key, created, expires, flags, codec, name, meta, payload = record
    label = name.encode("utf-8", "replace")[:_NAME_BYTES]
    head = BODY.pack(created, expires, flags, codec, len(label), len(meta), check64(key))
    body = b"".join((head, label, meta, payload))
    return FRONT.pack(MAGIC, FRONT.size + len(body), key, digest128(body)) + body


def pack_parts(record: Record, payload: Sequence[Buffer]) -> list[Buffer]:
    """The same in pieces, for payloads that should not be copied; the one of ``record`` is not looked at."""
    parts: list[Buffer] = [*_body(record), *payload]
    length = FRONT.size + sum(map(len, parts))
    return [FRONT.pack(MAGIC, length, bytes(record.key), digest_parts(parts)), *parts]


def _body(record: Record) -> tuple[bytes, bytes, bytes]:
    name = record.name.encode("utf-8", "replace")[:_NAME_BYTES]
    sizes = (record.flags, record.codec, len(name), len(record.meta))
    return BODY.pack(record.created, record.expires, *sizes, check64(record.key)), name, record.meta


def unpack(data: Buffer) -> Record | None:
    """The record that ``data`` begins with, or None if there is no valid one; the payload is a view of ``data``."""
    if len(data) < HEADER:
        return None
    magic, length, key, check = FRONT.unpack_from(data)
    if magic != MAGIC or not HEADER <= length <= len(data):
        return None
    body = memoryview(data)[FRONT.size : length]
    if digest128(body) != check:
        return None
    created, expires, flags, codec, names, metas, key_check = BODY.unpack_from(body)
    start = BODY.size + names + metas
    if key_check != check64(key) or start > len(body):
        return None
    name = bytes(body[BODY.size : BODY.size + names]).decode("utf-8", "replace")
    return Record(key, created, expires, flags, codec, name, bytes(body[start - metas : start]), body[start:])


def blob_place(digest: bytes, length: int) -> bytes:
    """The payload of a record whose value lies in a blob."""
    return _BLOB_PLACE.pack(digest, length)


def blob_of(payload: Buffer) -> tuple[bytes, int] | None:
    """Digest and length of the blob that a payload names; None if it names none."""
    if len(payload) != _BLOB_PLACE.size:
        return None
    digest, length = _BLOB_PLACE.unpack(payload)
    return digest, length


def with_cost(flags: int, seconds: float) -> int:
    """Flags that also say what computing took."""
    step = _STEPS * (log2(seconds) - _LEAST) if seconds > 0.0 else -1.0
    return flags | round(min(max(step + 1.0, 0.0), float(_COSTS))) << _COST_SHIFT


def cost_of(flags: int) -> float:
    """What flags say that computing took, in seconds."""
    return _SECONDS[flags >> _COST_SHIFT & _COSTS]
