"""`bytes`, `bytearray`, `memoryview` and `array.array`, as they lie in memory.

Meta: empty for `bytes`; else ``type``, ``format`` (one letter of `struct`, native size) and ``shape``. They are read as
read-only memory views; `bytes` alone comes back as itself, a copy.
"""

from __future__ import annotations

import array
from typing import Any, TypeAlias, cast

from fanwise.bundle._codecs.parts import Encoded, Meta, Part, Span

__all__ = ["decode", "encode", "thaw"]

_FORMATS = frozenset("cbB?hHiIlLqQnNfd")
_TYPES = ("bytearray", "memoryview", "array")

Bytes: TypeAlias = "bytes | bytearray | memoryview | array.array[Any]"


def encode(value: Any) -> Encoded | None:
    """Take bytes apart; None for other types, and formats that a view cannot be cast to."""
    if type(value) is bytes:
        return Encoded("bytes", {}, (Span(memoryview(value)),))
    if type(value).__name__ not in _TYPES:
        return None
    view = memoryview(value)
    shape = list(view.shape or ())
    if view.format not in _FORMATS or 0 in shape[1:]:
        return None
    meta: Meta = {"type": type(value).__name__, "format": view.format, "shape": shape}
    if not view.nbytes:
        return Encoded("bytes", meta, (Span(memoryview(b"")),))
    return Encoded("bytes", meta, (Span(view.cast("B") if view.c_contiguous else memoryview(view.tobytes())),))


def decode(part: Part) -> bytes | memoryview:
    """`bytes`, or a view of the buffer in the format and shape it had."""
    meta, buffer = part.meta, part.buffer
    if not meta:
        return bytes(buffer)
    if meta["type"] not in _TYPES or meta["format"] not in _FORMATS:
        raise ValueError(f"{meta['type']!r} of format {meta['format']!r} is unknown")
    shape: Any = (meta["shape"],) if buffer.nbytes else ()  # no view without bytes can be given a shape
    return cast(memoryview, buffer.cast(meta["format"], *shape))


def thaw(meta: Meta, view: bytes | memoryview) -> Bytes:
    """The type that was frozen, over memory of the reader's own."""
    if not meta or meta["type"] == "memoryview":
        return view
    if meta["type"] == "bytearray":
        return bytearray(view)
    return array.array(meta["format"], bytes(view))
