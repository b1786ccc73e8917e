"""What a codec makes of a value: a kind, JSON that describes it, and buffers; and how such parts nest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

__all__ = [
    "Encoded",
    "Meta",
    "Packing",
    "Part",
    "Sink",
    "Source",
    "Span",
    "Stream",
    "Unpacking",
    "UntrustedPickleError",
]

Meta = dict[str, Any]


class Sink(Protocol):
    """Where a source writes itself to."""

    def write(self, data: bytes | memoryview, /) -> int: ...


class Source(Protocol):
    """One buffer to be: it knows its size and writes itself without being copied as a whole first."""

    @property
    def nbytes(self) -> int: ...
    def write(self, sink: Sink, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that lie one after the other in memory."""

    view: memoryview

    @property
    def nbytes(self) -> int:
        return self.view.nbytes

    def write(self, sink: Sink) -> None:
        sink.write(self.view)


@dataclass(frozen=True, slots=True)
class Stream:
    """``nbytes`` bytes that somebody writes."""

    nbytes: int
    send: Callable[[Sink], object]

    def write(self, sink: Sink) -> None:
        self.send(sink)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value taken apart. ``is_pickled``: whether any part of it is a pickle, so that reading it runs code."""

    kind: str
    meta: Meta
    sources: tuple[Source, ...] = ()
    is_pickled: bool = False

    @property
    def nbytes(self) -> int:
        return sum(s.nbytes for s in self.sources)


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be put together: a kind, its description, and its buffers.

    ``trust`` says whether pickles may be loaded, and compiled code rely on contents that nobody has looked at.
    """

    kind: str
    meta: Meta
    buffers: Sequence[memoryview]
    trust: bool

    @property
    def buffer(self) -> memoryview:
        """The only one."""
        (buffer,) = self.buffers
        return buffer


class Packing:
    """Puts values made of values together: each part becomes a node of JSON that says how many buffers are its own."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._is_pickled = False

    def add(self, part: Encoded) -> Meta:
        """Take in a part; returns its node."""
        self._sources += part.sources
        self._is_pickled |= part.is_pickled
        return {"kind": part.kind, "meta": part.meta, "buffers": len(part.sources)}

    def encoded(self, kind: str, meta: Meta) -> Encoded:
        """The whole."""
        return Encoded(kind, meta, tuple(self._sources), self._is_pickled)


class Unpacking:
    """Takes such a value apart again: nodes must be asked for in the order in which they were added."""

    def __init__(self, whole: Part, decode: Callable[[Part], Any]) -> None:
        self.whole = whole
        self.meta = whole.meta
        self._rest: Iterator[memoryview] = iter(whole.buffers)
        self._decode = decode

    def take(self, node: Meta) -> Any:
        """The value of the next node."""
        own = list(islice(self._rest, node["buffers"]))
        return self._decode(Part(node["kind"], node["meta"], own, self.whole.trust))


class UntrustedPickleError(Exception):
    """A pickle was met where none may be loaded."""
