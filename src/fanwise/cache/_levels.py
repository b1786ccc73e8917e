"""The levels of one cache, one below the other: memory, directory, cluster.

A hit below fills the levels above; a store goes through all of them. A value may stay in memory only as long as the
epoch of the directory is the one that was read *before* the entry was: whatever was replaced since is not served.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fanwise.cache._blobs import BLOB_FROM
from fanwise.cache._cluster import ClusterLevel
from fanwise.cache._codecs import BYTES, Codecs, Encoded, Refused
from fanwise.cache._directory import is_unwritable
from fanwise.cache._flights import MISSING
from fanwise.cache._immutable import ATOMS
from fanwise.cache._level import Hit, Level, Pruning, Usage, Write, is_fresh
from fanwise.cache._memory import Entry, Memory
from fanwise.cache._records import MUTABLE, Record, cost_of
from fanwise.cache._reports import EntryInfo, PruneReport
from fanwise.cache._stats import Counters
from fanwise.cache._values import Unstorable
from fanwise.errors import CacheError, FanwiseWarning

__all__ = ["Kept", "Levels"]

LOOK_S = 5e-5  # how often deleted files are looked for: deleting a directory takes longer
UNASKED_S = 1.0  # how long memory is trusted where the level below has no epoch
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Kept(NamedTuple):
    """What became of a value: its bytes, if it has any, and whether this host holds it."""

    encoded: Encoded | None
    stored: bool


class Levels:
    """Finds, keeps and removes values.

    Attributes
    ----------
    recall : callable
        The entry of a key in memory, or None.
    epoch : sequence
        ``epoch[0]`` is the epoch of the directory as of now.
    since, until : float
        The span of wall time in which deleted files need not be looked for.
    """

    def __init__(
        self,
        *,
        memory: Memory,
        disk: Level | None,
        cluster: ClusterLevel | None,
        codecs: Codecs,
        counters: Counters,
        time: Callable[[], float],
        look_s: float = LOOK_S,
    ) -> None:
        self.memory = memory
        self.disk = disk
        self.cluster = cluster
        self.codecs = codecs
        self.counters = counters
        self.time = time
        self.recall = memory.recall
        self.since = self.until = 0.0
        self._look_s = look_s
        self._warned: set[str] = set()
        self._remembers = memory.limit > 0
        self._by_stamp = disk is not None and disk.epoch is None
        self.epoch: Any = (0,)
        self._note_epoch()

    def _note_epoch(self) -> None:
        epoch = self.disk.epoch if self.disk is not None else None
        if epoch is not None:
            self.epoch = epoch

    def refresh(self, now: float) -> None:
        """Notice files that were deleted or replaced."""
        if self.disk is not None:
            self.disk.refresh()
            self._note_epoch()
            self.since, self.until = now, now + self._look_s
        else:
            self.since, self.until = -float("inf"), float("inf")

    def quick(self, key: bytes) -> Any:
        """A value in memory that needs no decoding and no look at the disk, or `MISSING`."""
        entry = self.recall(key)
        if (
            entry is not None
            and entry.plain
            and entry.epoch == self.epoch[0]
            and entry.begin <= (now := self.time()) < entry.end
            and self.since <= now < self.until
        ):
            entry.used = True
            self.counters.hits_memory += 1
            self.counters.seconds_saved += entry.cost_s
            return entry.value
        return MISSING

    def find(self, key: bytes, *, far: bool = True, spares: bool = True) -> Any:
        """The value of a key, or `MISSING`; hits are counted, misses are the caller's to count.

        ``far``: other hosts are asked too; ``spares``: a hit spares the caller what computing it took.
        """
        now = self.time()
        if not self.since <= now < self.until:
            self.refresh(now)
        epoch = self.epoch[0]
        entry = self.recall(key)
        if entry is not None:
            value = self._in_memory(key, entry, now, epoch)
            if value is not MISSING:
                self.counters.hits_memory += 1
                self.counters.seconds_saved += entry.cost_s * spares
                return value
        if self.disk is not None:
            stamp = self._stamp(key) if self._by_stamp else None
            hit = self._read(self.disk, key, now)
            if hit is not None:
                codec, value, meta, flags, *_ = hit
                if codec != BYTES or type(value) is not bytes:
                    value = self._decoded(key, codec, value, meta)
                if value is not MISSING:
                    self.counters.hits_disk += 1
                    if spares:
                        self.counters.seconds_saved += cost_of(flags)
                    if self._remembers:
                        self._remember(key, value, hit, epoch, stamp)
                    return value
        return self._in_cluster(key, now, epoch, spares=spares) if far and self.cluster is not None else MISSING

    def _in_memory(self, key: bytes, entry: Entry, now: float, epoch: int) -> Any:
        if not self._holds(key, entry, now, epoch):
            self.memory.drop(key)
            return MISSING
        entry.used = True
        return entry.value if entry.plain else self._decoded(key, entry.codec, entry.payload, entry.meta)

    def _holds(self, key: bytes, entry: Entry, now: float, epoch: int) -> bool:
        """Whether an entry in memory is what a look at the level below would give."""
        if not entry.begin <= now < entry.end:
            self.counters.expired += self.disk is None
            return False
        if not self._by_stamp or self.disk is None:
            return entry.epoch == epoch
        if not 0 <= now - entry.checked < UNASKED_S:
            if self.disk.stamp(key) != entry.stamp:
                return False
            entry.checked = now
        return True

    def _read(self, disk: Level, key: bytes, now: float) -> Hit | None:
        try:
            return disk.read(key, now)
        except OSError as error:
            self._fail(error)
            return None

    def _stamp(self, key: bytes) -> object:
        """Taken before the entry is read, like the epoch."""
        return self.disk.stamp(key) if self.disk is not None and self._remembers else None

    def _in_cluster(self, key: bytes, now: float, epoch: int, *, spares: bool) -> Any:
        assert self.cluster is not None
        record = self.cluster.get_one(key)
        value = self._admit(record, now, epoch) if record is not None else MISSING
        if record is not None and value is not MISSING:
            self.counters.hits_shared += 1
            self.counters.seconds_saved += cost_of(record.flags) * spares
        return value

    def _admit(self, record: Record, now: float, epoch: int) -> Any:
        """Take a record of another host into the levels of this one."""
        key, created, expires = record.key, record.created, record.expires
        if not is_fresh(created, expires, now):
            self.counters.expired += 1
            return MISSING
        value = self._decoded(key, record.codec, record.payload, record.meta)
        if value is not MISSING:
            payload = bytes(record.payload)
            encoded = Encoded(record.codec, [payload], len(payload), record.meta)
            stored = self._write(Write(key, record.name, encoded, created, expires, record.flags))
            if self._may_remember(stored=stored):
                hit = record.codec, payload, record.meta, record.flags, created, expires
                self._remember(key, value, hit, epoch)
        return value

    def _may_remember(self, *, stored: bool) -> bool:
        """Whether a value just stored may stay in memory: where others can replace it unseen, it must be read first."""
        if self.disk is None:
            return True
        return stored and not self._by_stamp

    def prefetch(self, keys: Sequence[bytes]) -> None:
        """Ask other hosts for those of these keys that are not here, in one call: they will be looked up next."""
        if self.cluster is not None:
            self.cluster.prefetch([key for key in keys if not self.holds(key)])

    def _decoded(self, key: bytes, codec: int, payload: Any, meta: bytes) -> Any:
        try:
            return self.codecs.decode(key, codec, payload, meta)
        except Refused:
            self.counters.refused += 1
        except CacheError:
            self.counters.corrupt += 1
        return MISSING

    def _remember(self, key: bytes, value: Any, hit: Hit, epoch: int, stamp: object = None, name: str = "") -> bool:
        """Keep a value in memory, unless entries are being replaced right now."""
        codec, payload, meta, flags, created, expires = hit
        if epoch & 1 or (len(payload) >= BLOB_FROM and self.disk is not None):
            return False
        plain = _stays(value)
        entry = Entry(name, plain=plain, value=value if plain else None, payload=payload, codec=codec, meta=meta)
        entry.hold(epoch=epoch, created=created, expires=expires)
        entry.cost_s = cost_of(flags)
        if self._by_stamp:
            entry.stamp, entry.checked, entry.plain = stamp, self.time(), False
        elif plain:
            entry.payload = b""
        return self.memory.put(key, entry)

    def keep(self, key: bytes, name: str, value: Any, ttl: float, flags: int) -> Kept:
        """Store a value in memory and directory.

        A value that `put` could not store must not leave the one before it in place.
        """
        try:
            encoded = self.codecs.encode(key, value)
        except Unstorable as error:
            self.counters.uncacheable += 1
            self.warn_once(f"unstorable {name}", _unstorable(name, error))
            self._forget(key, flags)
            return Kept(None, stored=False)
        now = self.time()
        epoch = self.epoch[0]
        stored = self._write(Write(key, name, encoded, now, now + ttl, flags))
        self._note_epoch()
        if self._remembers and self._may_remember(stored=stored):
            hit = encoded.codec, encoded.joined(), encoded.meta, flags, now, now + ttl
            stored = self._remember(key, value, hit, epoch, name=name) or stored
        if stored:
            self.counters.stores += 1
        else:
            self._forget(key, flags)
        return Kept(encoded, stored=stored)

    def _forget(self, key: bytes, flags: int) -> None:
        if flags & MUTABLE:
            self.delete(key)

    def _write(self, entry: Write) -> bool:
        disk = self.disk
        if disk is None:
            return False
        try:
            stored = disk.write(entry)
        except OSError as error:
            self._fail(error)
            return False
        if stored:
            return True
        if disk.writable:
            self.counters.uncacheable += 1
        else:
            self.warn_once("read-only", "cache: the directory is read-only; results are not stored")
        return False

    def _fail(self, error: OSError) -> None:
        self.counters.errors += 1
        if error.errno in _FULL:
            self.warn_once("full", f"cache: no space left on {error.filename or 'the disk'}; results are not stored")
        elif is_unwritable(error):
            self.warn_once("read-only", "cache: the directory is read-only; results are not stored")
        else:
            self.warn_once("error", f"cache: {error.strerror or error}; results are not stored")

    def warn_once(self, topic: str, message: str) -> None:
        """Say something a single time."""
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(message, FanwiseWarning, stacklevel=4)

    def share(self, key: bytes, name: str, encoded: Encoded, ttl: float, flags: int) -> bool:
        """Send a value that its key stands for to other hosts; whether it went."""
        if self.cluster is None:
            return False
        now = self.time()
        record = Record(key, now, now + ttl, flags, encoded.codec, name, encoded.meta, encoded.joined())
        return self.cluster.put_many([record], ttl=None if ttl == float("inf") else ttl)

    def contains(self, key: bytes) -> bool:
        """Whether any level has a valid entry."""
        if self.holds(key):
            return True
        if self.cluster is None:
            return False
        record = self.cluster.get_one(key)
        return record is not None and is_fresh(record.created, record.expires, self.time())

    def holds(self, key: bytes) -> bool:
        """Whether memory or directory have a valid entry."""
        now = self.time()
        if not self.since <= now < self.until:
            self.refresh(now)
        entry = self.recall(key)
        if entry is not None and self._holds(key, entry, now, self.epoch[0]):
            return True
        try:
            return self.disk is not None and self.disk.contains(key, now)
        except OSError as error:
            self._fail(error)
            return False

    def delete(self, key: bytes) -> bool:
        """Remove a key from all levels; whether any held a valid entry. One in a read-only directory stays."""
        there = self.holds(key)
        self.memory.drop(key)
        if there and self.disk is not None and not self.disk.writable:
            there = False
            self.warn_once("stays", "cache: the directory is read-only; entries in it stay")
        elif self.disk is not None:
            try:
                self.disk.delete(key)
            except OSError as error:
                self._fail(error)
            self._note_epoch()
        if self.cluster is not None:
            there = self.cluster.delete(key) or there
        return there

    def usage(self) -> Usage:
        """Entries and bytes of the directory, or of the memory where there is none."""
        return self.disk.usage() if self.disk is not None else Usage(len(self.memory), self.memory.size)

    def entries(self, prefix: str) -> Iterator[EntryInfo]:
        """All entries whose names begin with ``prefix``."""
        return self.disk.entries(prefix) if self.disk is not None else self.memory.entries(prefix)

    def clear(self, prefix: str) -> int:
        """Remove them from memory and directory; how many there were."""
        if self.disk is None:
            return self.memory.clear(prefix)
        self.memory.clear()
        removed = self.disk.clear(prefix)
        self._note_epoch()
        return removed

    def prune(self, plan: Pruning) -> PruneReport:
        """Remove what is old; memory follows the epoch of the directory."""
        if self.disk is None:
            return self.memory.prune(plan)
        report = self.disk.prune(plan)
        self._note_epoch()
        return report

    def after_fork(self) -> None:
        """A child starts with empty memory and opens the directory again when it needs it."""
        self.memory.after_fork()
        for part in (self.disk, self.cluster):
            if part is not None:
                part.after_fork()
        self.since = self.until = 0.0

    def close(self) -> None:
        """Give back descriptors and maps."""
        self.memory.clear()
        for part in (self.disk, self.cluster):
            if part is not None:
                part.close()
        self.epoch = (1,)


def _stays(value: Any) -> bool:
    """Whether the object itself may be handed out again and again: it cannot be changed."""
    return type(value) in ATOMS or (type(value) is tuple and all(map(_stays, value)))


def _unstorable(name: str, error: Unstorable) -> str:
    cls = type(error.culprit)
    return (
        f"the result of {name} holds a {cls.__module__}.{cls.__qualname__}, which cannot be stored; "
        'pass codecs=[...] to the cache, or pickle="signed"'
    )
