"""What the frames hold: chunks on their way to a worker, results on their way back."""

from __future__ import annotations

import pickle
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import isnan, nan
from typing import Any, NamedTuple

from fanwise.backends._execution import Failure, Streak
from fanwise.backends._output import Piece
from fanwise.backends.process import _exceptions
from fanwise.backends.process._culprit import explain
from fanwise.backends.process._guard import Raised, attempt
from fanwise.backends.process._pickling import Packed, loads, pack_results
from fanwise.backends.process._sections import Section, join, split
from fanwise.backends.process._wire import INLINE, Frame
from fanwise.errors import NotPicklableError
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch, Failed, Said, Settled
from fanwise.typing import Attachment

__all__ = [
    "BARE_BELOW",
    "BARE_CHUNK",
    "ID_BYTES",
    "LAST",
    "SECTIONS",
    "ChunkHead",
    "FunctionOptions",
    "Range",
    "Results",
    "decode_attachments",
    "decode_bare_results",
    "decode_chunk",
    "decode_results",
    "encode_attachments",
    "encode_bare_results",
    "encode_chunk",
    "encode_results",
]

LAST = 1
"""Flag of the frame of results that ends a chunk."""
SECTIONS = 2
"""Flag of a payload in sections. Without it the payload is bare: a fixed head and at most one pickle.

One range of items and one batch of results are by far the most frequent: bare they cost a third of the time.
"""
BARE_BELOW = INLINE - 128
"""Bytes of a pickle that fits into one packet together with its head."""

BARE_CHUNK = struct.Struct("<IIQQ")
"""Head of a bare chunk: function, attempt, first, items; then their pickle, or nothing if they are inherited."""
_BARE_RESULTS = struct.Struct("<QIIIddddQQQ")
"""Head of bare results: first, attempt, items, counts, mean seconds (NaN: one number an item), seconds of the slowest,
processor, pickling, bytes in, bytes out, resident. Then come counts and seconds, as doubles, and the pickle.
"""
_CHUNK = struct.Struct("<IIQ")  # function, attempt, 1 if the items are inherited
_RANGE = struct.Struct("<QQ")  # first, count
_RESULTS = struct.Struct("<QII")  # first, attempt, words of statistics
_GROUP = struct.Struct("<IId")  # kind, items, mean seconds (NaN: one number an item follows)
ID_BYTES = 16
"""Bytes of the id of an attachment."""
_ATTACHMENT = struct.Struct(f"<{ID_BYTES}sQ")

_OK, _FAILED, _SAID = 0, 1, 2


class Range(NamedTuple):
    """Consecutive items; ``section`` holds their pickle unless the worker can take them itself."""

    first: int
    items: int
    section: Section | None


class ChunkHead(NamedTuple):
    """What a chunk says of itself."""

    function: int
    attempt: int
    ranges: list[Range]


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """How a function is to be run."""

    single: bool
    capture: bool
    seed: int | None
    isolate: bool
    state: bytes  # a snapshot if the caller's state has changed, else empty
    stops: bool = False


def encode_chunk(
    function: int, attempt: int, ranges: Sequence[tuple[int, int]], packs: Sequence[Packed]
) -> list[bytes | memoryview]:
    """The payload of a chunk with buffers, or with a pickle for each of several ranges of items."""
    head = _CHUNK.pack(function, attempt, 0) + b"".join(_RANGE.pack(*pair) for pair in ranges)
    return join([Packed(head), *packs])


def decode_chunk(frame: Frame) -> ChunkHead:
    """The ranges of a chunk, bare or not."""
    if not frame.flags & SECTIONS:
        function, attempt, first, items = BARE_CHUNK.unpack_from(frame.payload)
        pickled = frame.payload[BARE_CHUNK.size :]
        return ChunkHead(function, attempt, [Range(first, items, Section(pickled, ()) if pickled else None)])
    head, *sections = split(frame.payload, lasting=frame.lasting)
    function, attempt, _ = _CHUNK.unpack_from(head.data)
    pairs = _RANGE.iter_unpack(head.data[_CHUNK.size :])
    ranges = [Range(first, items, body) for (first, items), body in zip(pairs, sections, strict=True)]
    return ChunkHead(function, attempt, ranges)


def encode_attachments(attachments: Sequence[Attachment]) -> list[bytes]:
    """The payload that goes beside the descriptors."""
    return [_ATTACHMENT.pack(a.id, a.size) for a in attachments]


def decode_attachments(frame: Frame) -> list[Attachment]:
    """The attachments with the descriptors that came."""
    pairs = _ATTACHMENT.iter_unpack(frame.payload)
    return [Attachment(id, fd, size) for (id, size), fd in zip(pairs, frame.fds, strict=True)]


@dataclass(slots=True)
class Results:
    """Results that wait in the worker to be sent."""

    first: int
    attempt: int
    heads: list[bytes] = field(default_factory=list)
    packs: list[Packed] = field(default_factory=list)
    items: int = 0
    spread: float | tuple[float, ...] = 0.0  # seconds of the items added last

    def add(self, settled: Streak | Failure) -> None:
        """Pickle what is settled."""
        if isinstance(settled, Failure):
            self._add(_FAILED, 1, settled.seconds, _exceptions.encode(settled.error))
            return
        packs = pack_results(settled.values)
        if len(packs) == 1 and isinstance(packs[0], Packed):
            self.items += len(settled.values)
            self.spread = settled.spread
            self._add(_OK, len(settled.values), self.spread, packs[0])
            return
        for value, packed, seconds in zip(settled.values, packs, settled.seconds, strict=True):
            if isinstance(packed, Packed):
                self._add(_OK, 1, seconds, packed)
            else:
                why = explain(value, "the result", packed) if isinstance(packed, NotPicklableError) else packed
                self._add(_FAILED, 1, seconds, _exceptions.encode(why))

    def bare(self) -> bytes | None:
        """The one pickle that this is, if it is one that has nothing beside it and is not large."""
        if len(self.packs) == 1 and self.items:
            only = self.packs[0]
            if not only.buffers and not only.attachments and len(only.data) < BARE_BELOW:
                return only.data
        return None

    def _add(self, kind: int, count: int, seconds: float | tuple[float, ...], packed: Packed) -> None:
        if isinstance(seconds, tuple):
            head = _GROUP.pack(kind, count, seconds[0] if count == 1 else nan)
            self.heads.append(head if count == 1 else head + array("d", seconds).tobytes())
        else:
            self.heads.append(_GROUP.pack(kind, count, seconds))
        self.packs.append(packed)

    def say(self, pieces: Sequence[Piece]) -> None:
        """Add what the items printed."""
        self._add(_SAID, len(pieces), 0.0, Packed(pickle.dumps(pieces, 5)))

    @property
    def size(self) -> int:
        """Bytes pickled."""
        return sum(packed.size for packed in self.packs)

    @property
    def attachments(self) -> list[Attachment]:
        """What must arrive before these results."""
        return [attachment for packed in self.packs for attachment in packed.attachments]


def encode_results(results: Results, stats: ChunkStats | None) -> list[bytes | memoryview]:
    """The payload of results; with the statistics of the chunk if it ends here."""
    words = _flat_stats(stats) if stats is not None else ()
    head = _RESULTS.pack(results.first, results.attempt, len(words)) + array("d", words).tobytes()
    return join([Packed(head + b"".join(results.heads)), *results.packs])


def encode_bare_results(
    origin: tuple[int, int, int], spread: float | tuple[float, ...], stats: ChunkStats, pickled: bytes
) -> bytes:
    """The payload of a whole chunk of results in one pickle; ``origin``: first item, attempt, items."""
    mean, seconds = (spread, ()) if isinstance(spread, float) else (nan, spread)
    measured = stats.cpu, stats.codec, stats.bytes_in, stats.bytes_out, stats.rss
    head = _BARE_RESULTS.pack(*origin, len(stats.counts), mean, stats.greatest, *measured)
    numbers = (*stats.counts, *seconds)
    return head + array("d", numbers).tobytes() + pickled if numbers else head + pickled


def _flat_stats(s: ChunkStats) -> list[float]:
    return [s.busy, s.cpu, s.codec, s.bytes_in, s.bytes_out, s.rss, s.greatest, *s.counts]


def _stats(words: Sequence[float]) -> ChunkStats:
    busy, cpu, codec, bytes_in, bytes_out, rss, greatest, *counts = words
    return ChunkStats(busy, cpu, codec, int(bytes_in), int(bytes_out), int(rss), greatest, tuple(counts))


class _Group(NamedTuple):
    kind: int
    items: int
    seconds: float | tuple[float, ...]
    section: Section


def decode_results(frame: Frame, worker: int | None, most: int) -> tuple[tuple[Settled, ...], ChunkStats | None]:
    """The records that stand for these results, loaded; a value that fails to load is one `Failed`.

    ``most`` is the number of items of the chunk: a damaged frame that announces more would be unrolled for minutes.
    """
    head, *sections = split(frame.payload, lasting=frame.lasting)
    first, attempt, words = _RESULTS.unpack_from(head.data)
    at = _RESULTS.size + 8 * words
    stats = _stats(head.data[_RESULTS.size : at].cast("d").tolist()) if words else None
    groups = list(_groups(head.data[at:], sections))
    said = tuple(Said(*piece) for group in groups if group.kind == _SAID for piece in loads(*group.section))
    outcomes = [group for group in groups if group.kind != _SAID]
    if sum(group.items for group in outcomes) > most:
        raise ValueError(f"more than the {most} results of a chunk have come")
    settled = _settle(outcomes, first, attempt, worker, said)
    return tuple(_merge(settled)), stats


_OF_A_VALUE = (Exception, SystemExit, GeneratorExit)
"""What loading a value may raise that is the value's. A KeyboardInterrupt may be of somebody at the keyboard."""


def decode_bare_results(payload: memoryview, worker: int | None) -> tuple[tuple[Settled, ...], ChunkStats]:
    """What `encode_bare_results` made, as the records it stands for; one value may fail to load, and is `Failed`."""
    head = _BARE_RESULTS.unpack_from(payload)
    first, attempts, items, own, mean, greatest, cpu, codec, received, sent, rss = head
    listed = own + (items if isnan(mean) else 0)
    at = _BARE_RESULTS.size + 8 * listed
    if at > len(payload):
        raise ValueError(f"{listed} numbers are announced in a payload of {len(payload):,} bytes")
    numbers = tuple(payload[_BARE_RESULTS.size : at].cast("d")) if listed else ()
    seconds, busy = (numbers[own:], sum(numbers[own:])) if isnan(mean) else (mean, mean * items)
    stats = ChunkStats(busy, cpu, codec, received, sent, rss, greatest, numbers[:own])
    return (_one_record(payload[at:], items, seconds, (first, attempts, worker)),), stats


def _one_record(
    pickled: memoryview, items: int, seconds: float | tuple[float, ...], origin: tuple[int, int, int | None]
) -> Batch | Failed:
    """The batch of one pickle, of which one value may fail to load; ``origin``: first item, attempt, worker."""
    first, attempts, worker = origin
    values = attempt(pickle.loads, pickled, caught=_OF_A_VALUE)
    if isinstance(values, Raised):
        if items != 1:  # several travel in one pickle only if nothing in it can fail
            raise ValueError(f"{items} results cannot be loaded") from values.error
        error, each = _unloadable(first, values.error), seconds if isinstance(seconds, float) else seconds[0]
        return Failed(index=first, attempts=attempts, seconds=each, worker=worker, error=error)
    if len(values) != items:
        raise ValueError(f"{items} results are announced, {len(values)} have come")
    return Batch(first, values, seconds, worker, attempts)


def _groups(heads: memoryview, sections: Sequence[Section]) -> Iterator[_Group]:
    at = 0
    for section in sections:
        kind, count, mean = _GROUP.unpack_from(heads, at)
        at += _GROUP.size
        if isnan(mean):
            yield _Group(kind, count, tuple(heads[at : at + 8 * count].cast("d").tolist()), section)
            at += 8 * count
        else:
            yield _Group(kind, count, mean, section)


def _settle(
    groups: Sequence[_Group], first: int, attempts: int, worker: int | None, said: tuple[Said, ...]
) -> Iterator[Settled]:
    index = first
    for group in groups:
        _check(group)
        loaded = _load(group, index)
        theirs = tuple(s for s in said if index <= s.index < index + group.items) if said else ()
        if isinstance(loaded, list):
            yield Batch(index, loaded, group.seconds, worker, attempts, theirs)
        else:
            error, text = loaded
            for failed in range(index, index + group.items):
                yield Failed(
                    index=failed,
                    attempts=attempts,
                    seconds=group.seconds if isinstance(group.seconds, float) else group.seconds[failed - index],
                    worker=worker,
                    said=tuple(s for s in theirs if s.index == failed),
                    error=error,
                    traceback=text,
                )
        index += group.items


def _check(group: _Group) -> None:
    """A number of items that its bytes cannot hold is damage, not so many failures: none takes less than a byte."""
    most = 1 if group.kind == _FAILED else len(group.section.data)
    costs = group.items if isinstance(group.seconds, float) else len(group.seconds)
    if group.items > most or costs != group.items:
        raise ValueError(f"{group.items} results are announced, room is for {min(most, costs)}")


def _merge(settled: Iterable[Settled]) -> Iterator[Settled]:
    """One batch for neighbouring batches: results that were pickled singly come as one of one item each."""
    for _, run in groupby(settled, lambda record: isinstance(record, Batch)):
        records = list(run)
        batches = [record for record in records if isinstance(record, Batch)]
        if len(batches) > 1:
            values = [value for batch in batches for value in batch.values]
            seconds = tuple([cost for batch in batches for cost in _costs(batch)])
            said = tuple([said for batch in batches for said in batch.said])
            yield replace(batches[0], values=values, seconds=seconds, said=said)
        else:
            yield from records


def _costs(batch: Batch) -> Sequence[float]:
    return [batch.seconds] * len(batch) if isinstance(batch.seconds, float) else batch.seconds


def _load(group: _Group, index: int) -> list[Any] | tuple[BaseException, str]:
    if group.kind == _FAILED:
        return _exceptions.decode(group.section.data)
    values = attempt(loads, *group.section, caught=_OF_A_VALUE)
    if not isinstance(values, Raised):
        if len(values) != group.items:
            raise ValueError(f"{group.items} results are announced, {len(values)} have come")
        return list(values)
    return _unloadable(index, values.error), ""


def _unloadable(index: int, failure: BaseException) -> NotPicklableError:
    error = NotPicklableError(f"the result of item {index} cannot be loaded: {type(failure).__name__}: {failure}")
    error.__cause__ = failure
    return error
