"""Reading and checking everything that the index backend holds, and removing what is damaged."""

from __future__ import annotations

from fanwise.cache._blobs import ORPHAN_AGE_S
from fanwise.cache._index import HEADER_BYTES, SLOT_BYTES, Index, Slot
from fanwise.cache._log import Segments, is_cut
from fanwise.cache._records import BLOB, blob_of
from fanwise.cache._reports import Damage, VerifyReport
from fanwise.cache._store import Store
from fanwise.cache._upkeep import compact, live_digests, record_at

__all__ = ["verify"]


def verify(store: Store, *, repair: bool) -> VerifyReport:
    """Check all records, slots and blobs; with ``repair`` nothing damaged is left."""
    if not store.writable:
        return _check(store, store.index)[0] if store.index is not None else VerifyReport(0)
    with store as index:
        report, places = _check(store, index)
        if not repair or report.ok:
            return report
        store.erase(index, places)
        store.adjust(index, entries=-len(places), size=0)
        compact(store, index)
        keep = live_digests(store, index)
        for stray in list(store.blobs.all()):
            if stray.digest not in keep and (stray.age_s > ORPHAN_AGE_S or _names(report, stray.name)):
                store.blobs.remove_stray(stray)
        return VerifyReport(report.entries, report.damage, repaired=True)


def _names(report: VerifyReport, name: str) -> bool:
    return any(each.file == f"blobs/{name}" for each in report.damage)


def _check(store: Store, index: Index) -> tuple[VerifyReport, list[int]]:
    """What is damaged, and the slots that lead there."""
    damage: list[Damage] = []
    places: list[int] = []
    whole = 0
    if store.rebuilt:
        damage.append(Damage("index", 0, "", store.rebuilt))
        store.rebuilt = ""
    for place, slot in index.slots():
        offset = HEADER_BYTES + place * SLOT_BYTES
        if slot is None:
            damage.append(Damage("index", offset, index.raw(place)[:16].hex(), "check of the slot does not agree"))
            places.append(place)
            continue
        why = _why_lost(store, slot)
        if why is None:
            whole += 1
            continue
        places.append(place)
        damage.append(why)
    known = {(each.file, each.offset) for each in damage}
    damage += [each for each in _scan(store, index) if (each.file, each.offset) not in known]
    return VerifyReport(whole, sorted(damage, key=lambda each: (each.file, each.offset))), places


def _why_lost(store: Store, slot: Slot) -> Damage | None:
    """What is wrong with the entry of a slot."""
    name = Segments.name(slot.segment)
    record = record_at(store, slot)
    if record is None:
        why = "check of the record does not agree" if store.segments.bytes_of(slot.segment) else "segment is missing"
        return Damage(name, slot.offset, slot.key.hex(), why)
    if not record.flags & BLOB:
        return None
    place = blob_of(record.payload)
    if place is None:
        return Damage(name, slot.offset, slot.key.hex(), "names no blob")
    digest, size = place
    if store.blobs.is_whole(digest, size):
        return None
    return Damage(f"blobs/{digest[:1].hex()}/{digest.hex()}", 0, slot.key.hex(), "missing, cut or changed")


def _scan(store: Store, index: Index) -> list[Damage]:
    """Damage in the log, also where no entry is: after the loss of the index it would cost mutable entries."""
    damage = []
    tail = index.tail()
    for number in store.segments.numbers():
        name = Segments.name(number)
        size = store.segments.bytes_of(number)
        if is_cut(size):
            damage.append(Damage(name, size, "", "cut off"))
        end = tail.offset if tail is not None and number == tail.segment else None
        damage += [
            Damage(name, found.offset, "", found.why)
            for found in store.segments.scan(number, end)
            if found.record is None and found.why
        ]
    return damage
