"""The record: whole or nothing, whatever was written, cut, changed or put under another key."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._hashing import check64, digest128
from fanwise.cache._records import (
    BLOB,
    FRONT,
    HEADER,
    LAYOUT,
    LAYOUT_AT,
    MAC,
    MAGIC,
    MUTABLE,
    PICKLED,
    TOMBSTONE,
    Record,
    blob_of,
    blob_place,
    cost_of,
    pack,
    pack_parts,
    unpack,
    with_cost,
)

KEY = bytes(range(16))
SAMPLE = Record(KEY, 1_000.0, math.inf, MUTABLE, 3, "app:load", b"meta", b"payload" * 5)
LAYOUT_OF_SAMPLE = struct.Struct("<4sI16s16sddHHHHQ")

times = st.floats(allow_nan=False)
flags = st.integers(0, 0xFFFF)
records = st.builds(
    Record,
    st.binary(min_size=16, max_size=16),
    times,
    times,
    flags,
    flags,
    st.text(max_size=40),
    st.binary(max_size=40),
    st.binary(max_size=300),
)


def same(found: Record | None, wanted: Record) -> bool:
    return found is not None and found._replace(payload=bytes(found.payload)) == wanted


def changed(**fields: Any) -> bytes:
    """The sample with a check that agrees, and with header fields that do not."""
    body = bytearray(pack(SAMPLE)[FRONT.size :])
    for name, (at, layout) in {"names": (20, "<H"), "metas": (22, "<H"), "key_check": (24, "<Q")}.items():
        if name in fields:
            struct.pack_into(layout, body, at, fields[name])
    key = fields.get("key", KEY)
    return FRONT.pack(MAGIC, FRONT.size + len(body), key, digest128(body)) + bytes(body)


@given(records)
def test_what_was_packed_is_unpacked(record: Record) -> None:
    printable = record.name.encode("utf-8", "replace").decode()
    assert same(unpack(pack(record)), record._replace(name=printable))


@given(records, st.lists(st.integers(0, 300), max_size=4))
def test_a_payload_in_pieces_is_the_same_record(record: Record, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(record.payload)]
    pieces = [record.payload[start:end] for start, end in pairwise(edges)]
    whole = record._replace(payload=b"".join(pieces))
    assert b"".join(pack_parts(record, pieces)) == pack(whole)


@given(records, st.binary(max_size=64))
def test_what_follows_a_record_does_not_matter(record: Record, rest: bytes) -> None:
    data = pack(record)
    assert unpack(data + rest) == unpack(data)


@given(records, st.data())
def test_a_single_changed_bit_is_no_record(record: Record, data: st.DataObject) -> None:
    raw = bytearray(pack(record))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    assert unpack(bytes(raw)) is None


@given(records, st.data())
def test_any_beginning_of_a_record_is_none(record: Record, data: st.DataObject) -> None:
    raw = pack(record)
    assert unpack(raw[: data.draw(st.integers(0, len(raw) - 1))]) is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    assert unpack(data) is None
    assert unpack(MAGIC + data) is None


def test_the_layout_is_the_published_one() -> None:
    raw = pack(SAMPLE)
    magic, length, key, check, created, expires, flag, codec, names, metas, hashed = LAYOUT_OF_SAMPLE.unpack_from(raw)
    assert (magic, length, key, check) == (b"FWR1", len(raw), KEY, digest128(raw[40:]))
    assert (created, expires, flag, codec) == (1_000.0, math.inf, MUTABLE, 3)
    assert (names, metas, hashed) == (8, 4, check64(KEY))
    assert raw[HEADER:] == b"app:load" + b"meta" + b"payload" * 5
    assert HEADER == LAYOUT_OF_SAMPLE.size == 72


def test_codec_and_lengths_can_be_read_without_the_rest() -> None:
    assert LAYOUT.unpack_from(pack(SAMPLE), LAYOUT_AT) == (3, 8, 4)


@pytest.mark.parametrize(
    "fields",
    [{"names": 60_000}, {"metas": 60_000}, {"names": 40, "metas": 40}, {"key_check": 0}, {"key": bytes(16)}],
    ids=["a name beyond the end", "meta beyond the end", "both beyond the end", "no key check", "another key"],
)
def test_a_forged_header_is_no_record_though_its_check_agrees(fields: dict[str, Any]) -> None:
    assert unpack(changed()) == SAMPLE._replace(payload=memoryview(SAMPLE.payload))
    assert unpack(changed(**fields)) is None


@pytest.mark.parametrize("length", [0, 1, HEADER - 1, 0xFFFF_FFFF])
def test_a_length_that_cannot_be_is_no_record(length: int) -> None:
    raw = bytearray(pack(SAMPLE))
    struct.pack_into("<I", raw, 4, length)
    assert unpack(raw) is None


def test_the_payload_is_a_view_and_no_copy() -> None:
    raw = bytearray(pack(SAMPLE))
    found = unpack(raw)
    assert found is not None
    raw[-1] = 0
    assert found.payload[-1] == 0
    found.payload.release()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1024),
        ("ü" * 512, "ü" * 512),
        ("x" + "ü" * 512, "x" + "ü" * 511 + "\N{REPLACEMENT CHARACTER}"),
        ("lone \ud800", "lone ?"),
    ],
    ids=["fits", "one byte too long", "fits in two-byte letters", "cut within a letter", "a lone surrogate"],
)
def test_long_and_odd_names_are_cut_and_not_refused(name: str, kept: str) -> None:
    found = unpack(pack(SAMPLE._replace(name=name)))
    assert found is not None
    assert found.name == kept
    assert found.payload == SAMPLE.payload


def test_flags_do_not_overlap() -> None:
    assert len({TOMBSTONE, MUTABLE, BLOB, PICKLED, MAC}) == 5
    assert TOMBSTONE | MUTABLE | BLOB | PICKLED | MAC == 31


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1))
def test_a_blob_is_named_by_digest_and_length(digest: bytes, length: int) -> None:
    assert blob_of(blob_place(digest, length)) == (digest, length)


@pytest.mark.parametrize("size", [0, 16, 23, 25, 4096])
def test_a_payload_of_another_size_names_no_blob(size: int) -> None:
    assert blob_of(bytes(size)) is None


@given(flags=st.integers(0, 0xFF), seconds=st.floats(1e-6, 5e6))
def test_flags_tell_what_computing_took_to_six_per_cent(flags: int, seconds: float) -> None:
    told = with_cost(flags, seconds)
    assert told & 0xFF == flags
    assert told <= 0xFFFF
    assert cost_of(told) == pytest.approx(seconds, rel=0.06)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, 0.0), (1e-9, 0.0), (math.inf, 2.0 ** (254 / 6 - 20))])
def test_a_cost_outside_of_what_flags_can_tell_is_the_nearest(seconds: float, told: float) -> None:
    assert cost_of(with_cost(MUTABLE, seconds)) == told
