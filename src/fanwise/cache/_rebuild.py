"""What the log says the index should hold, when the index itself is lost."""

from __future__ import annotations

from typing import NamedTuple

from fanwise.cache._index import Slot
from fanwise.cache._log import Found, Segments, aligned, is_cut
from fanwise.cache._records import MUTABLE, TOMBSTONE

__all__ = ["Collected", "collect"]


class Collected(NamedTuple):
    """The live entries of a log, the number of its last segment, and the bytes in use."""

    slots: list[Slot]
    last: int
    size: int


def collect(segments: Segments) -> Collected:
    """Read all segments in order: later records win, tombstones remove.

    What was damaged may have replaced or removed any entry before it. Entries of functions stand for their values, so
    those are kept; what `put` wrote before the damage could be out of date and is dropped.
    """
    live: dict[bytes, Slot] = {}
    size = 0
    numbers = segments.numbers()
    for place, number in enumerate(numbers):
        if place and number != numbers[place - 1] + 1:
            _distrust(live)
        used = 0
        for found in segments.scan(number):
            if found.record is None:
                if found.why or not _is_rest(segments, number, found):
                    _distrust(live)
                continue
            used = found.offset + aligned(found.length)
            _apply(live, number, found)
        if is_cut(segments.bytes_of(number)):
            _distrust(live)
        size += used
    return Collected(list(live.values()), numbers[-1] if numbers else 0, size)


def _is_rest(segments: Segments, number: int, found: Found) -> bool:
    """A hole at the end of a segment is what was never used."""
    return found.offset + found.length >= segments.bytes_of(number)


def _distrust(live: dict[bytes, Slot]) -> None:
    for key in [key for key, slot in live.items() if slot.flags & MUTABLE]:
        del live[key]


def _apply(live: dict[bytes, Slot], number: int, found: Found) -> None:
    record = found.record
    assert record is not None
    live.pop(record.key, None)
    if not record.flags & TOMBSTONE:
        live[record.key] = Slot(
            record.key, number, found.offset, found.length, record.flags, record.expires, record.created
        )
