"""The index level: entries in a log that all processes of a host map, found through an index that they map too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from fanwise.cache import _upkeep
from fanwise.cache._blobs import BLOB_FROM
from fanwise.cache._codecs import PICKLE
from fanwise.cache._hashing import check64, digest128
from fanwise.cache._home import Home
from fanwise.cache._index import HEADER_BYTES, SLOT, SLOT_BYTES, Index, Slot
from fanwise.cache._leases import LeaseSource
from fanwise.cache._level import SKEW_S, Hit, Pruning, Usage, Write, is_fresh
from fanwise.cache._records import (
    BLOB,
    HEADER,
    LAYOUT,
    LAYOUT_AT,
    MAGIC,
    PICKLED,
    Record,
    blob_of,
    blob_place,
    pack,
)
from fanwise.cache._reports import EntryInfo, PruneReport, VerifyReport
from fanwise.cache._stats import Counters
from fanwise.cache._store import Store
from fanwise.cache._verify import verify

__all__ = ["DiskLevel"]

_TRIES = 3
_SHARE_OF_ONE = 4  # a value larger than a quarter of the limit is not stored


def _no_step(step: str) -> None:
    """What happens at each step of a write outside of tests: nothing."""


class DiskLevel:
    """Level L2 on a local file system.

    Parameters
    ----------
    home : Home
        Where the directory is, and how it is made again.
    limit : int
        Bytes of everything under it.
    durable : bool
        Whether a store is on the disk before it is seen.
    counters : Counters
        Where damage and expired entries are counted.
    """

    backend = "index"

    def __init__(
        self,
        home: Home,
        *,
        limit: int,
        durable: bool,
        counters: Counters,
        step: Callable[[str], None] = _no_step,
    ) -> None:
        self._home = home
        self._limit = limit
        self._durable = durable
        self._counters = counters
        self._step = step
        self._unreadable: set[bytes] = set()
        self._reopening = threading.Lock()
        self._store: Store | None = self._open(make=True)

    def _open(self, *, make: bool) -> Store | None:
        directory = self._home.open(make=make)
        if directory is None:
            return None
        try:
            return Store(directory, limit=self._limit, durable=self._durable, step=self._step)
        except BaseException:
            directory.close()
            raise

    @property
    def epoch(self) -> Any:
        """The mapped epoch of the index in use; a constant odd one while there is none."""
        store = self._store
        return store.index.epoch if store is not None and store.index is not None else _NO_EPOCH

    @property
    def usable(self) -> bool:
        """Whether there is a directory, or one can be made."""
        return self._store is not None or self._home.writable

    @property
    def writable(self) -> bool:
        """Whether entries can be stored."""
        return self._home.writable and (self._store is None or self._store.writable)

    def refresh(self) -> None:
        """Notice an index that was replaced and a directory that was deleted."""
        store = self._store
        if store is not None and not store.is_stale():
            return
        with self._reopening:
            if store is None or store.directory.is_gone():
                self._store = self._open(make=False)
                if store is not None and self._store is not store:
                    store.close()
            elif store.is_stale():
                store.load()

    def read(self, key: bytes, now: float) -> Hit | None:  # noqa: C901 - calls would cost a third of the time
        """One straight line for the common case: the key in its home slot, the payload in the log."""
        store = self._store
        if store is None or store.index is None:
            return None
        index = store.index
        place = int.from_bytes(key[:8], "little") & index.home_mask
        start = HEADER_BYTES + place * SLOT_BYTES
        raw = index.data[start : start + SLOT_BYTES]
        found, segment, offset, length, flags, expires, created, _, check = SLOT.unpack(raw)
        if found != key:
            places = index.places(key)
            if not places:
                return None
            place = places[0]
            raw = index.raw(place)
            found, segment, offset, length, flags, expires, created, _, check = SLOT.unpack(raw)
        if check64(raw[:56]) != check:
            return self._read_torn(index, key, now)
        if not created - SKEW_S <= now < expires:
            self._counters.expired += 1
            return None
        log = store.segments.maps.get(segment)
        if log is None:
            log = store.segments.open(segment)
            if log is None:
                return self._lost(key, damaged=False)
        record = log[offset : offset + length]
        if record[:24] != MAGIC + raw[24:28] + key or digest128(record[40:]) != record[24:40]:
            return self._lost(key, damaged=True)
        codec, names, metas = LAYOUT.unpack_from(record, LAYOUT_AT)
        if store.marks is not None and not store.marks[place]:
            store.mark(place)
        body = HEADER + names + metas
        meta = record[body - metas : body] if metas else b""
        if flags & BLOB:
            return self._read_blob(store, key, (codec, record[body:], meta, flags, created, expires))
        return codec, record[body:], meta, flags, created, expires

    def _read_torn(self, index: Index, key: bytes, now: float) -> Hit | None:
        """A slot that is being written, or was damaged: look again, then it is a miss."""
        for _ in range(_TRIES):
            if index.find(key) is not None:
                return self.read(key, now)
        return self._lost(key, damaged=True)

    def _lost(self, key: bytes, *, damaged: bool) -> Hit | None:
        """A slot that leads nowhere is cleared by the next writer of this process."""
        self._counters.corrupt += damaged
        self._unreadable.add(bytes(key))
        return None

    def _read_blob(self, store: Store, key: bytes, hit: Hit) -> Hit | None:
        """The hit with the blob's content in the place of its name."""
        codec, payload, meta, flags, created, expires = hit
        place = blob_of(payload)
        try:
            content = store.blobs.load(*place) if place is not None else None
        except FileNotFoundError:
            return self._lost(key, damaged=False)
        if content is None:
            return self._lost(key, damaged=True)
        return codec, content, meta, flags, created, expires

    def contains(self, key: bytes, now: float) -> bool:
        """Whether there is a valid entry; the value is not decoded."""
        store = self._store
        found = store.index.find(key) if store is not None and store.index is not None else None
        if store is None or found is None or not is_fresh(found[1].created, found[1].expires, now):
            return False
        return _upkeep.record_at(store, found[1]) is not None

    def stamp(self, _key: bytes, /) -> object:
        """Not needed: the epoch says when entries change."""
        return None

    def write(self, entry: Write) -> bool:
        """Store an entry; a directory that was deleted meanwhile is made again."""
        if entry.encoded.size > self._limit // _SHARE_OF_ONE:
            return False
        try:
            return self._write(entry)
        except FileNotFoundError:
            self.refresh()
            return self._write(entry)

    def _write(self, entry: Write) -> bool:
        store = self._made()
        if store is None or not store.writable:
            return False
        key, name, encoded, created, expires, flags = entry
        if encoded.codec == PICKLE:
            flags |= PICKLED
        new = 0
        if encoded.size >= BLOB_FROM:
            digest, length, new = store.blobs.store(encoded.parts)
            flags |= BLOB
            payload = blob_place(digest, length)
        else:
            payload = encoded.joined()
        data = pack(Record(key, created, expires, flags, encoded.codec, name, encoded.meta, payload))
        with store as index:
            if self._unreadable:
                self._clear_unreadable(store, index)
            places = index.places(key)
            replaced = _upkeep.digests_at(store, index, places) if places else set()
            segment, offset = store.append(index, data, entries=0 if places else 1, size=new)
            store.place(index, Slot(key, segment, offset, len(data), flags, expires, created), places)
            self._make_room(store, replaced)
        return True

    def _make_room(self, store: Store, replaced: set[bytes]) -> None:
        """What a store may bring with it: blobs that nobody names any more, a larger index, eviction."""
        index = store.current()
        if replaced:
            _upkeep.free_blobs(store, index, replaced)
        if store.is_crowded(index):
            index = store.grow(index)
        if store.tail.size > store.allowance:
            self._counters.evicted += _upkeep.evict(store, index)

    def _clear_unreadable(self, store: Store, index: Index) -> None:
        keys, self._unreadable = self._unreadable, set()
        places = [place for key in keys for place in index.places(key) if not _upkeep.is_readable(store, index, place)]
        if places:
            store.erase(index, places)
            store.adjust(index, entries=-len(places), size=0)

    def _made(self) -> Store | None:
        """The store, made again if its directory was deleted."""
        if self._store is None and self._home.writable:
            with self._reopening:
                if self._store is None:
                    self._store = self._open(make=True)
        return self._store

    def delete(self, key: bytes) -> bool:
        """Remove an entry, also a damaged one."""
        store = self._writable()
        if store is None or store.index is None:
            return False
        with store as index:
            places = index.places(key)
            if places or store.tail.size:
                _upkeep.delete(store, index, {key: places})
            return bool(places)

    def entries(self, prefix: str) -> Iterator[EntryInfo]:
        return _upkeep.entries(self._store, prefix) if self._store is not None else iter(())

    def clear(self, prefix: str) -> int:
        store = self._writable()
        return _upkeep.clear(store, prefix) if store is not None else 0

    def prune(self, plan: Pruning) -> PruneReport:
        store = self._writable()
        if store is None:
            return PruneReport()
        if not plan.dry_run:
            self._home.remove_old_schemas()
        return _upkeep.prune(store, plan)

    def verify(self, *, repair: bool) -> VerifyReport:
        self.refresh()
        return verify(self._store, repair=repair) if self._store is not None else VerifyReport(0)

    def _writable(self) -> Store | None:
        self.refresh()
        return self._store if self._store is not None and self._store.writable else None

    def usage(self) -> Usage:
        index = self._store.index if self._store is not None else None
        tail = index.tail() if index is not None else None
        return Usage(tail.entries, tail.size) if tail is not None else Usage(0, 0)

    def leases(self) -> LeaseSource | None:
        """Where leases between processes come from."""
        store = self._store
        return store.leases if store is not None and store.writable else None

    def after_fork(self) -> None:
        """Open again when it is needed: locks of threads that do not exist here are left behind.

        A lock that another thread of the parent holds stays with the parent: this side only closes its copy of the
        descriptor.
        """
        self._reopening = threading.Lock()
        self._unreadable = set()
        self.close()

    def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


_NO_EPOCH = (1,)
