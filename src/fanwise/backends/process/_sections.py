"""Several pickles and the buffers beside them, laid out in one payload.

Words of 8 bytes (their number, then for each section the length of its pickle, the number of its buffers and their
lengths), the pickles, then the buffers, each at a multiple of 64 bytes, so that arrays in mapped memory are aligned.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from fanwise.backends.process._pickling import Packed

__all__ = ["Section", "join", "split"]

_ALIGN = 64
_WORD = 8


class Section(NamedTuple):
    """One pickle as it came, and its buffers: writable, and not shared with a later message."""

    data: memoryview
    buffers: Sequence[memoryview | bytearray]


def join(sections: Sequence[Packed]) -> list[bytes | memoryview]:
    """The parts of a payload."""
    words = [0]
    for section in sections:
        words.append(len(section.data))
        words.append(len(section.buffers))
        if section.buffers:
            words.extend(view.nbytes for view in section.buffers)
    words[0] = len(words)
    parts: list[bytes | memoryview] = [array("Q", words).tobytes(), *(section.data for section in sections)]
    if any(section.buffers for section in sections):
        at = sum(map(len, parts))
        for section in sections:
            for view in section.buffers:
                parts.append(bytes(-at % _ALIGN))
                parts.append(view)
                at += -at % _ALIGN + view.nbytes
    return parts


def split(payload: memoryview, *, lasting: bool) -> list[Section]:
    """The sections of a payload; buffers of a payload that does not last are copied.

    Raises
    ------
    ValueError
        If the payload is not what `join` made.
    """
    count = int.from_bytes(payload[:_WORD], "little")
    if not 0 < count <= len(payload) // _WORD:
        raise ValueError(f"a payload of {len(payload):,} bytes cannot have {count:,} words")
    words = payload[_WORD : count * _WORD].cast("Q").tolist()
    shapes = _shapes(words)
    ends = [count * _WORD]
    for length, _ in shapes:
        ends.append(ends[-1] + length)
    data = [payload[begin:end] for begin, end in pairwise(ends)]
    at = ends[-1]
    sections = []
    for (_, lengths), pickled in zip(shapes, data, strict=True):
        buffers: list[memoryview | bytearray] = []
        for length in lengths:
            at += -at % _ALIGN
            view = payload[at : at + length]
            buffers.append(view if lasting else bytearray(view))
            at += length
        sections.append(Section(pickled, buffers))
    if at != len(payload):
        raise ValueError(f"sections of {at:,} bytes in a payload of {len(payload):,}")
    return sections


def _shapes(words: list[int]) -> list[tuple[int, list[int]]]:
    """Length of each pickle and of its buffers."""
    shapes = []
    at = 0
    while at < len(words):
        length, buffers = words[at : at + 2]
        lengths = words[at + 2 : at + 2 + buffers]
        if len(lengths) != buffers:
            raise ValueError("a section announces more buffers than it has")
        shapes.append((length, lengths))
        at += 2 + buffers
    return shapes
