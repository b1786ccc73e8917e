"""Values as bytes: a tagged structure, and after it the raw buffers of arrays and tables, aligned to 64 bytes.

Reading runs no code and trusts no length: every count is compared with what is left. An object that a value holds twice
is written once, so that the copy has the same shape of references as the original.

========  ==============================================================
payload   u32 length of the structure · structure · padding · buffers
========  ==============================================================
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from fanwise.cache._hashing import Buffer
from fanwise.errors import CacheError

__all__ = ["ALIGN", "DEPTH", "Reader", "ReaderTable", "Unstorable", "Writer", "WriterTable", "damaged"]

ALIGN = 64
DEPTH = 200
_LENGTH = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_PLACE = struct.Struct("<QQ")
_REFERENCE = b"&"


class Unstorable(Exception):
    """A value that no safe codec can store; says which type was met."""

    def __init__(self, culprit: object) -> None:
        super().__init__(type(culprit).__qualname__)
        self.culprit = culprit


def damaged(what: str) -> CacheError:
    """The error of a payload that does not say what it should."""
    return CacheError(f"damaged cache entry: {what}")


class Writer:
    """Writes one value."""

    __slots__ = ("_alive", "_depth", "_kinds", "_open", "_seen", "_tail", "buffers", "out")

    def __init__(self, kinds: WriterTable) -> None:
        self.out = bytearray()
        self.buffers: list[Buffer] = []
        self._kinds = kinds
        self._tail = 0
        self._depth = 0
        self._seen: dict[int, int] = {}
        self._open: set[int] = set()
        self._alive: list[Any] = []

    def value(self, value: Any) -> None:
        """Write a value and all that it holds."""
        self._depth += 1
        kind = self._kinds.get(type(value))
        if kind is None or self._depth > DEPTH:
            raise Unstorable(value)
        kind(self, value)
        self._depth -= 1

    def number(self, value: int) -> None:
        self.out += _U64.pack(value)

    def framed(self, content: Buffer) -> None:
        """A length and that many bytes."""
        self.out += _U64.pack(len(content))
        self.out += content

    def begin(self, tag: bytes, value: Any) -> bool:
        """Start a value that has an identity; False if it was written before and a reference does."""
        mark = id(value)
        if mark in self._open:
            raise Unstorable(value)  # it contains itself
        place = self._seen.get(mark)
        if place is not None:
            self.out += _REFERENCE
            self.number(place)
            return False
        self._seen[mark] = len(self._seen)
        self._open.add(mark)
        self._alive.append(value)
        self.out += tag
        return True

    def end(self, value: Any) -> None:
        self._open.discard(id(value))

    def buffer(self, content: Buffer) -> None:
        """Put raw bytes behind the structure, and their place and length into it."""
        start = -self._tail % ALIGN
        if start:
            self.buffers.append(bytes(start))
        self.out += _PLACE.pack(self._tail + start, len(content))
        self.buffers.append(content)
        self._tail += start + len(content)

    def parts(self) -> list[Buffer]:
        """The payload in pieces."""
        head = _LENGTH.size + len(self.out)
        if head > 0xFFFF_FFFF:
            raise Unstorable(self.out)
        parts: list[Buffer] = [_LENGTH.pack(len(self.out)), bytes(self.out)]
        return [*parts, bytes(-head % ALIGN), *self.buffers] if self.buffers else parts


class Reader:
    """Reads one value from a payload; arrays are views of it if it is writable, else copies.

    Raises
    ------
    CacheError
        If the payload is not what a `Writer` wrote.
    """

    __slots__ = ("_at", "_base", "_data", "_depth", "_end", "_kinds", "_seen")

    def __init__(self, payload: Buffer, kinds: ReaderTable) -> None:
        self._data = memoryview(payload)
        if len(self._data) < _LENGTH.size:
            raise damaged("too short")
        (length,) = _LENGTH.unpack_from(self._data)
        self._at = _LENGTH.size
        self._end = _LENGTH.size + length
        self._base = self._end + -self._end % ALIGN
        if self._end > len(self._data):
            raise damaged("the structure is longer than the payload")
        self._kinds = kinds
        self._depth = 0
        self._seen: list[Any] = []

    def whole(self) -> Any:
        """The value, and nothing after it."""
        value = self.value()
        if self._at != self._end:
            raise damaged("bytes after the value")
        return value

    def value(self) -> Any:
        self._depth += 1
        tag = self.take(1)
        if tag == _REFERENCE:
            value = self._reference()
        else:
            kind = self._kinds.get(tag)
            if kind is None or self._depth > DEPTH:
                raise damaged(f"unknown tag {tag!r}" if kind is None else "nested too deep")
            value = kind(self)
        self._depth -= 1
        return value

    def _reference(self) -> Any:
        place = self.number()
        if place >= len(self._seen) or self._seen[place] is _UNFINISHED:
            raise damaged("a reference to nothing")
        return self._seen[place]

    def begin(self) -> int:
        """Take the place of a value that references may point to."""
        self._seen.append(_UNFINISHED)
        return len(self._seen) - 1

    def end(self, place: int, value: Any) -> Any:
        self._seen[place] = value
        return value

    def take(self, count: int) -> bytes:
        """The next bytes of the structure."""
        end = self._at + count
        if end > self._end:
            raise damaged("cut off")
        taken = bytes(self._data[self._at : end])
        self._at = end
        return taken

    def number(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def count(self) -> int:
        """How many values follow; each takes a byte at least."""
        count = self.number()
        if count > self._end - self._at:
            raise damaged("more values than bytes")
        return count

    def framed(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return self.framed().decode("utf-8", "surrogatepass")

    def buffer(self) -> memoryview:
        """Raw bytes from behind the structure."""
        start, length = _PLACE.unpack(self.take(_PLACE.size))
        start += self._base
        if start % ALIGN or start + length > len(self._data):
            raise damaged("a buffer outside the payload")
        return self._data[start : start + length]


class _Unfinished:
    """The place of a value that is still being read."""


_UNFINISHED = _Unfinished()

WriterTable = Mapping[type, Callable[[Writer, Any], None]]
ReaderTable = Mapping[bytes, Callable[[Reader], Any]]
