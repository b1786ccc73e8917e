"""Header and directory: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise.bundle._layout import (
    HEADER_BYTES,
    MAX_BYTES,
    Entry,
    Extent,
    Header,
    aligned,
    pack_directory,
    pack_header,
    parse_directory,
    parse_header,
)
from fanwise.errors import BundleError

WHERE = "'f.fwb'"
HEADER = Header(bytes(range(16)), 0, 8192, 4160, 100, 7)


def checksum(data: bytes) -> int:
    return sum(data) * 0x9E3779B97F4A7C15 % 2**64


def page(header: Header = HEADER) -> bytes:
    return pack_header(header, checksum).ljust(HEADER_BYTES, b"\0")


def read(text: bytes, size: int = 8192) -> Header:
    return parse_header(text, size, WHERE, lambda flags: checksum)


def resealed(text: bytes) -> bytes:
    """A header changed on purpose, its checksum made good."""
    return text[:64] + checksum(text[:64]).to_bytes(8, "little") + text[72:]


class TestHeader:
    def test_reads_what_was_written(self) -> None:
        assert read(page()) == HEADER

    @given(st.integers(0, 71), st.integers(1, 255))
    def test_a_changed_byte_is_noticed(self, place: int, change: int) -> None:
        text = bytearray(page())
        text[place] ^= change
        with pytest.raises(BundleError):
            read(bytes(text))

    @given(st.binary(max_size=200))
    def test_no_other_bytes_are_a_header(self, text: bytes) -> None:
        with pytest.raises(BundleError, match=r"'f.fwb' is not a fanwise bundle|truncated|newer|damaged"):
            read(text, len(text))

    def test_a_short_file_says_both_sizes(self) -> None:
        with pytest.raises(BundleError, match=r"^'f.fwb' is truncated: 5,000 bytes, its header says 8,192$"):
            read(page(), 5000)

    def test_a_file_shorter_than_a_header_says_so(self) -> None:
        with pytest.raises(BundleError, match=r"^'f.fwb' is truncated: 40 bytes, a header has 4,096$"):
            read(page()[:40], 40)

    def test_a_longer_file_is_refused(self) -> None:
        with pytest.raises(BundleError, match="damaged header"):
            read(page(), 9000)

    def test_a_newer_schema_says_which(self) -> None:
        text = page()[:8] + (3).to_bytes(4, "little") + page()[12:]
        with pytest.raises(
            BundleError, match=r"^'f.fwb' was written by a newer fanwise \(schema 3; this one reads 1\)"
        ):
            read(text)

    @pytest.mark.parametrize(
        "changes",
        [
            {"flags": 4},
            {"directory_at": 64},
            {"directory_bytes": 5000},
            {"directory_at": 2**64 - 1},
            {"total": MAX_BYTES + 1},
        ],
        ids=str,
    )
    def test_a_header_that_contradicts_itself_is_damaged_although_its_checksum_is_right(
        self, changes: dict[str, int]
    ) -> None:
        header = replace(HEADER, **changes)
        with pytest.raises(BundleError, match="damaged header"):
            read(page(header), header.total)

    def test_schema_0_is_damage(self) -> None:
        with pytest.raises(BundleError, match="damaged header"):
            read(resealed(page()[:8] + bytes(4) + page()[12:]))

    def test_can_be_read_without_a_checksum(self) -> None:
        text = page()[:64] + bytes(8)
        assert parse_header(text, 8192, WHERE, lambda flags: None) == HEADER


class TestAlignment:
    @pytest.mark.parametrize(
        ("offset", "length", "place"),
        [(4096, 0, 4096), (4097, 1, 4160), (4160, 2**20 - 1, 4160), (4160, 2**20, 8192), (8192, 2**40, 8192)],
    )
    def test_begins_at_a_cache_line_or_a_page(self, offset: int, length: int, place: int) -> None:
        assert aligned(offset, length) == place


def line(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "kind": "bytes", "meta": {}, "buffers": [[4096, 10, None]]} | changes


def parse(lines: Any, end: int = 3 << 20) -> tuple[Entry, ...]:
    return parse_directory(json.dumps(lines).encode(), end, WHERE)


class TestDirectory:
    def test_reads_what_was_written(self) -> None:
        entries = (
            Entry("größe \ud800", "ndarray", {"shape": [2]}, (Extent(4096, 10, 2**64 - 1), Extent(4160, 0))),
            Entry("", "pickle", {}, ()),
            Entry("large", "bytes", {}, (Extent(8192, 1 << 20),)),
        )
        assert parse_directory(pack_directory(entries), 3 << 20, WHERE) == entries

    def test_an_entry_is_as_large_as_its_buffers(self) -> None:
        (entry,) = parse([line(buffers=[[4096, 10, None], [4160, 5, None]])])
        assert entry.nbytes == 15

    @pytest.mark.parametrize(
        "lines",
        [
            {},
            None,
            [1],
            [{}],
            [line(name=1)],
            [line(kind=None)],
            [line(meta=[])],
            [line(buffers={})],
            [line(buffers=[[4096, 10]])],
            [line(buffers=[[4096, 10.0, None]])],
            [line(buffers=[[True, 10, None]])],
            [line(buffers=[[-64, 10, None]])],
            [line(buffers=[[4096, -1, None]])],
            [line(buffers=[[4096, 10, -1]])],
            [line(buffers=[["4096", 10, None]])],
            [line(), line()],
        ],
        ids=json.dumps,
    )
    def test_refuses_what_is_no_list_of_entries(self, lines: Any) -> None:
        with pytest.raises(BundleError, match=r"^'f.fwb'"):
            parse(lines)

    @pytest.mark.parametrize(
        ("buffers", "fault"),
        [
            ([[4100, 10, None]], "not aligned at byte 4,100"),
            ([[4160, 1 << 20, None]], "not aligned at byte 4,160"),
            ([[4032, 10, None]], "overlaps the one before at byte 4,032"),
            ([[4096, 100, None], [4160, 10, None]], "overlaps the one before at byte 4,160"),
            ([[8192, 10, None], [4096, 10, None]], "overlaps the one before at byte 4,096"),
            ([[4096, 4 << 20, None]], "reaches past the data at byte 4,096"),
            ([[2**80, 0, None]], "reaches past the data"),
            ([[4096, 2**80, None]], "reaches past the data"),
        ],
    )
    def test_says_which_buffer_of_which_entry_lies_wrong(self, buffers: Any, fault: str) -> None:
        with pytest.raises(BundleError, match=rf"^'f.fwb': entry 'b' is damaged \(a buffer .*{fault}"):
            parse([line(buffers=[]), line(name="b", buffers=buffers)])

    @pytest.mark.parametrize(
        "text", [b"[", b"", b"\xff\xfe[\0]\0", b"[NaN]", b"[" * 100_000, b"[1" + b"0" * 5000 + b"]"]
    )
    def test_refuses_what_is_no_json(self, text: bytes) -> None:
        with pytest.raises(BundleError, match=r"^'f\.fwb': damaged directory"):
            parse_directory(text, 8192, WHERE)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda c: st.lists(c) | st.dictionaries(st.sampled_from(["name", "kind", "meta", "buffers"]), c),
        )
    )
    def test_any_other_json_is_refused_in_words(self, lines: Any) -> None:
        if lines == []:
            assert parse(lines) == ()
        else:
            with pytest.raises(BundleError):
                parse(lines)
