"""What is done to the index backend now and then: list, clear, evict, prune. Each under the writer lock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from fanwise.cache._blobs import ORPHAN_AGE_S
from fanwise.cache._codecs import CODEC_NAMES
from fanwise.cache._index import START_BITS, Index, Slot, Tail
from fanwise.cache._level import Aged, Pruning, choose, summary
from fanwise.cache._log import aligned
from fanwise.cache._records import BLOB, MUTABLE, TOMBSTONE, Record, blob_of, pack, unpack
from fanwise.cache._reports import EntryInfo, PruneReport
from fanwise.cache._store import FULL, Store

__all__ = [
    "clear",
    "compact",
    "delete",
    "digests_at",
    "entries",
    "evict",
    "free_blobs",
    "is_readable",
    "live_digests",
    "prune",
    "record_at",
]

_SURVIVORS = 4  # a quarter of a segment is written again at most


def record_at(store: Store, slot: Slot) -> Record | None:
    """The valid record of a slot."""
    data = store.segments.maps.get(slot.segment) or store.segments.open(slot.segment)
    record = unpack(data[slot.offset : slot.offset + slot.length]) if data is not None else None
    return record if record is not None and record.key == slot.key else None


def size_of(record: Record) -> int:
    """Bytes of the value."""
    place = blob_of(record.payload) if record.flags & BLOB else None
    return place[1] if place else len(record.payload)


def entries(store: Store, prefix: str) -> Iterator[EntryInfo]:
    """All entries whose names begin with ``prefix``."""
    index = store.index
    for _, slot in list(index.slots()) if index is not None else ():
        record = record_at(store, slot) if slot is not None else None
        if record is not None and record.name.startswith(prefix):
            codec = CODEC_NAMES.get(record.codec, str(record.codec))
            where = "blob" if record.flags & BLOB else "log"
            yield EntryInfo(
                record.key.hex(), record.name, size_of(record), record.created, record.expires, codec, where
            )


def tombstone(key: bytes) -> bytes:
    """The record that says that an entry was deleted."""
    return pack(Record(key, 0.0, math.inf, TOMBSTONE | MUTABLE, 0, "", b"", b""))


def delete(store: Store, index: Index, victims: Mapping[bytes, list[int]]) -> None:
    """Remove keys for good: a tombstone each, then their slots, then blobs that nobody names any more.

    A key without a slot gets one too: the log may hold a record of it whose slot was damaged, and an index made from
    the log would bring it back.
    """
    places = [place for each in victims.values() for place in each]
    blobs = digests_at(store, index, places)
    try:
        for key in victims:
            store.append(index, tombstone(key))
    finally:  # a full disk: clearing a slot needs no space
        if places:
            store.erase(index, places)
            store.adjust(index, entries=-len(places), size=0)
    free_blobs(store, index, blobs)


def is_readable(store: Store, index: Index, place: int) -> bool:
    """Whether a slot leads to a value."""
    slot = index.slot(place)
    record = record_at(store, slot) if slot is not None else None
    if record is None or not record.flags & BLOB:
        return record is not None
    where = blob_of(record.payload)
    return where is not None and store.blobs.is_whole(*where)


def clear(store: Store, prefix: str) -> int:
    """Remove all entries, or those whose names begin with ``prefix``."""
    with store as index:
        found = [(place, slot) for place, slot in index.slots() if slot is not None]
        if not prefix:
            _clear_all(store, index)
            return len(found)
        victims = {
            slot.key: [place]
            for place, slot in found
            if (record := record_at(store, slot)) is not None and record.name.startswith(prefix)
        }
        if victims:
            delete(store, index, victims)
        return len(victims)


def _clear_all(store: Store, index: Index) -> None:
    """Log and blobs go first: a process killed in between leaves slots that point to nothing."""
    index.begin_change()
    numbers = store.segments.numbers()
    for stray in list(store.blobs.all()):
        store.blobs.remove_stray(stray)
    for number in numbers:
        store.segments.remove(number)
    last = max([*numbers, store.tail.segment])
    store.replace(index, START_BITS, {}, Tail(last, FULL, 0, 0))


def evict(store: Store, index: Index) -> int:
    """Drop the oldest segments until everything fits; entries read since they were written get a second chance."""
    evicted = 0
    while store.tail.size > store.allowance:
        numbers = store.segments.numbers()
        if not numbers or not store.tail.size:
            break
        if numbers[0] == store.tail.segment:
            store.begin_segment(index)
        evicted += rewrite(store, index, numbers[0], _was_read(store), store.segments.size // _SURVIVORS)
    return evicted


def _was_read(store: Store) -> Callable[[int], bool]:
    hits = store.hits
    return hits.is_marked if hits is not None else lambda _: False


def rewrite(store: Store, index: Index, number: int, keep: Callable[[int], bool], budget: float) -> int:
    """Write the entries of a segment that are to stay once more, forget the others, and remove the segment."""
    dropped: list[Slot] = []
    end = 0
    index.begin_change()
    try:
        for found in list(store.segments.scan(number)):
            if found.record is None:
                continue
            end = found.offset + aligned(found.length)
            at = index.find(found.record.key)
            if at is None or (at[1].segment, at[1].offset) != (number, found.offset):
                continue
            place, slot = at
            if keep(place) and budget >= found.length:
                budget -= found.length
                segment, offset = store.append(index, pack(found.record))
                index.write_slot(place, slot._replace(segment=segment, offset=offset))
                if store.hits is not None:
                    store.hits.clear(place)
            else:
                dropped.append(slot)
                index.clear_slot(place)
        blobs = _digests(store, dropped)
        lost = [place for place, slot in index.slots() if slot is not None and slot.segment == number]
        for place in lost:
            index.clear_slot(place)
        store.adjust(index, entries=-len(dropped) - len(lost), size=-end)
    finally:
        index.end_change()
    store.step("evicted")
    free_blobs(store, index, blobs)
    store.segments.remove(number)
    return len(dropped)


def _digests(store: Store, slots: Iterable[Slot]) -> set[bytes]:
    """The blobs that entries name."""
    found = set()
    for slot in slots:
        record = record_at(store, slot) if slot.flags & BLOB else None
        place = blob_of(record.payload) if record is not None else None
        if place is not None:
            found.add(place[0])
    return found


def digests_at(store: Store, index: Index, places: Iterable[int]) -> set[bytes]:
    """The blobs that the entries of some slots name."""
    return _digests(store, (slot for place in places if (slot := index.slot(place)) is not None))


def live_digests(store: Store, index: Index) -> set[bytes]:
    return _digests(store, (slot for _, slot in index.slots() if slot is not None))


def free_blobs(store: Store, index: Index, candidates: set[bytes]) -> None:
    """Remove blobs unless an entry still names them."""
    if not candidates:
        return
    freed = sum(store.blobs.remove(digest) for digest in candidates - live_digests(store, index))
    store.adjust(index, entries=0, size=-freed)


def compact(store: Store, index: Index) -> None:
    """Write all live entries into new segments, oldest first, and remove the old ones with all that is dead in them."""
    store.begin_segment(index)
    for number in store.segments.numbers():
        rewrite(store, index, number, lambda _: True, math.inf)


def prune(store: Store, plan: Pruning) -> PruneReport:
    """Remove expired, old and surplus entries, orphans, and the space that dead records take."""
    with store as index:
        entries = [
            Aged((place, slot), slot.created, slot.expires, slot.length + (size_of(record) if slot.flags & BLOB else 0))
            for place, slot in index.slots()
            if slot is not None and (record := record_at(store, slot)) is not None
        ]
        doomed = choose(entries, plan)
        named = live_digests(store, index)
        orphans = [s for s in store.blobs.all() if s.age_s > ORPHAN_AGE_S and s.digest not in named]
        report = summary(entries, doomed, len(orphans))
        if not plan.dry_run:
            if doomed:
                delete(store, index, {slot.key: [place] for place, slot in (each.place for each in doomed)})
            _sweep(store, index, report.kept_bytes)
            for stray in orphans:
                store.blobs.remove_stray(stray)
        return report


def _sweep(store: Store, index: Index, live: int) -> None:
    """Compact once a quarter of the log is dead: tombstones alone never free anything."""
    if store.tail.size - live > store.tail.size // _SURVIVORS:
        compact(store, index)
