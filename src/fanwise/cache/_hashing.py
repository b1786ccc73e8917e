"""The hash of keys and checks: xxh3 where ``xxhash`` is installed, else BLAKE2b of the same sizes.

The two give different keys and different checks, so each has a folder of its own (``v1`` and ``v1-blake2b``), and the
name of the hash is in every key: hosts with different extras miss instead of mismatching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

__all__ = ["FOLDER", "NAME", "Buffer", "check64", "digest128", "digest_parts"]

Buffer = Any  # bytes, bytearray, memoryview or mmap: whatever a hash accepts


class Hasher(Protocol):
    """A hash that is fed piece by piece."""

    def update(self, data: Buffer, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One family of hashes: its name, its folder, 128 bits at once or by pieces, and 64 bits as a number."""

    name: str
    folder: str
    digest128: Callable[[Buffer], bytes]
    stream: Callable[[], Hasher]
    check64: Callable[[Buffer], int]


def _blake2b() -> Suite:
    def digest128(data: Buffer) -> bytes:
        return blake2b(data, digest_size=16).digest()

    def stream() -> Hasher:
        return blake2b(digest_size=16)

    def check64(data: Buffer) -> int:
        return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")

    return Suite("blake2b-128", "v1-blake2b", digest128, stream, check64)


def choose() -> Suite:
    """The fastest suite that this environment has."""
    try:
        import xxhash
    except ImportError:
        return _blake2b()
    return Suite("xxh3_128", "v1", xxhash.xxh3_128_digest, xxhash.xxh3_128, xxhash.xxh3_64_intdigest)


_SUITE = choose()
NAME = _SUITE.name
FOLDER = _SUITE.folder
digest128 = _SUITE.digest128
check64 = _SUITE.check64


def digest_parts(parts: Iterable[Buffer]) -> bytes:
    """The 128-bit digest of several buffers, one after the other."""
    hasher = _SUITE.stream()
    for part in parts:
        hasher.update(part)
    return hasher.digest()
