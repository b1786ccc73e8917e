"""The two hashes of schema 1: xxh3 where `xxhash` is installed, else blake2b."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fanwise.errors import BundleError

__all__ = ["BLAKE2B_FLAG", "Hash", "Hasher", "for_flags", "preferred"]

BLAKE2B_FLAG = 2


class Hasher(Protocol):
    """A hash that is fed piece by piece."""

    def update(self, data: bytes | memoryview, /) -> object: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash in its two widths; ``flag`` is the bit of the header that names it."""

    name: str
    flag: int
    new64: Callable[[], Hasher]
    new128: Callable[[], Hasher]

    def sum64(self, data: bytes | memoryview) -> int:
        """The 64-bit checksum of one buffer."""
        hasher = self.new64()
        hasher.update(data)
        return self.value(hasher)

    def value(self, hasher: Hasher) -> int:
        """What a fed 64-bit hasher comes to, as the integer that the layout stores."""
        return int.from_bytes(hasher.digest(), "little" if self.flag else "big")


_BLAKE2B = Hash(
    "blake2b", BLAKE2B_FLAG, partial(hashlib.blake2b, digest_size=8), partial(hashlib.blake2b, digest_size=16)
)


def _xxh3() -> Hash | None:
    try:
        import xxhash
    except ImportError:
        return None
    return Hash("xxh3", 0, xxhash.xxh3_64, xxhash.xxh3_128)


def preferred() -> Hash:
    """What this process writes with, and takes content digests with."""
    return _xxh3() or _BLAKE2B


def for_flags(flags: int, where: str, *, needed: bool) -> Hash | None:
    """The hash a segment was written with; None if it is not to be had and not ``needed``."""
    if flags & BLAKE2B_FLAG:
        return _BLAKE2B
    found = _xxh3()
    if found is None and needed:
        raise BundleError(
            f"{where} needs xxhash to be verified: pip install 'fanwise[cache]', or open it with verify=False"
        )
    return found
