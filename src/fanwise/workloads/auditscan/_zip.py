"""A ZIP archive of members that are deflated already, with the same bytes every time.

`zipfile` can only compress by itself; here the workers have done it. All dates are 1980-01-01.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from fanwise.errors import InputError

__all__ = ["Deflated", "ZipWriter", "deflate"]

LEVEL = 1  # 6 makes files a quarter smaller and takes three times as long
_DATE = (1 << 5) | 1  # 1980-01-01
_LOCAL, _CENTRAL, _END = 0x04034B50, 0x02014B50, 0x06054B50
_NEEDS = 20
_UTF8 = 0x800
_DEFLATED = 8
_MOST_BYTES = 0xFFFFFFFF
_MOST_MEMBERS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Deflated:
    """Compressed content with the checksum and size of what it was."""

    data: bytes
    crc: int
    size: int


def deflate(chunks: Iterable[str]) -> Deflated:
    """Compress text as it comes."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts, crc, size = [], 0, 0
    for chunk in chunks:
        raw = chunk.encode()
        crc, size = zlib.crc32(raw, crc), size + len(raw)
        parts.append(packer.compress(raw))
    parts.append(packer.flush())
    return Deflated(b"".join(parts), crc, size)


class ZipWriter:
    """Writes members to a file one after the other; `close` writes the directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory: list[bytes] = []
        self._at = 0

    def add(self, name: str, member: Deflated) -> None:
        """Append a member.

        Raises
        ------
        InputError
            If the archive or the member gets larger than 4 GiB.
        """
        if max(member.size, self._at + len(member.data)) > _MOST_BYTES or len(self._directory) == _MOST_MEMBERS:
            raise InputError(
                f"workbook member {name}: larger than a workbook can be (4 GiB); choose --format jsonl or csv"
            )
        raw = name.encode()
        facts = struct.pack(
            "<HHHHHIIIHH", _NEEDS, _UTF8, _DEFLATED, 0, _DATE, member.crc, len(member.data), member.size, len(raw), 0
        )
        at = self._at
        self._write(struct.pack("<I", _LOCAL) + facts + raw)
        self._write(member.data)
        entry = struct.pack("<IH", _CENTRAL, _NEEDS) + facts + struct.pack("<HHHII", 0, 0, 0, 0, at) + raw
        self._directory.append(entry)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)

    def close(self) -> None:
        """Write the directory of members; the file stays open."""
        directory = b"".join(self._directory)
        count = len(self._directory)
        self._file.write(directory + struct.pack("<IHHHHIIH", _END, 0, 0, count, count, len(directory), self._at, 0))
