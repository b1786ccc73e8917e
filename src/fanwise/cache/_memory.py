"""Level L1: values in the memory of this process, first in first out with a second chance, bounded by bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from fanwise.cache._codecs import CODEC_NAMES
from fanwise.cache._hashing import Buffer
from fanwise.cache._level import SKEW_S, Aged, Pruning, choose, summary
from fanwise.cache._reports import EntryInfo, PruneReport

__all__ = ["Entry", "Memory"]

_OVERHEAD = 300  # bytes of key, entry and dict slot (measured)


class Entry:
    """A value kept in memory: the object itself if it cannot be changed (``plain``), else its bytes.

    It holds while the epoch of the level below is still ``epoch``, from ``begin`` to ``end`` on the wall clock.
    """

    __slots__ = (
        *("begin", "checked", "codec", "cost_s", "end", "epoch", "length", "meta", "name", "payload", "plain"),
        *("size", "stamp", "used", "value"),
    )

    def __init__(self, name: str, *, plain: bool, value: Any, payload: Buffer, codec: int, meta: bytes) -> None:
        self.name = name
        self.plain = plain
        self.value = value
        self.payload = payload
        self.codec = codec
        self.meta = meta
        self.used = False
        self.epoch = 0
        self.begin = self.end = self.cost_s = 0.0
        self.stamp: object = None
        self.checked = 0.0
        self.length = len(payload)
        self.size = self.length + _OVERHEAD

    def hold(self, *, epoch: int, created: float, expires: float) -> None:
        """Say how long it holds."""
        self.epoch = epoch
        self.begin = created - SKEW_S
        self.end = expires


class Memory:
    """The entries of one process.

    Attributes
    ----------
    recall : callable
        ``recall(key)`` is the entry or None; the bound method of the dict itself (45 ns).
    size : int
        Bytes in use.
    """

    __slots__ = ("_entries", "_lock", "limit", "recall", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._entries: dict[bytes, Entry] = {}
        self._lock = threading.Lock()
        self.recall: Callable[[bytes], Entry | None] = self._entries.get

    def put(self, key: bytes, entry: Entry) -> bool:
        """Keep an entry; False if it is too large."""
        if entry.size > self.limit:
            return False
        with self._lock:
            before = self._entries.pop(key, None)
            self.size += entry.size - (before.size if before is not None else 0)
            self._entries[key] = entry
            while self.size > self.limit:
                self._shed()
        return True

    def _shed(self) -> None:
        """Drop the oldest entry, or put it last if it was used."""
        key = next(iter(self._entries))
        entry = self._entries.pop(key)
        if entry.used:
            entry.used = False
            self._entries[key] = entry
        else:
            self.size -= entry.size

    def drop(self, key: bytes) -> bool:
        """Forget one entry."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self.size -= entry.size
        return entry is not None

    def entries(self, prefix: str) -> Iterator[EntryInfo]:
        """All entries whose names begin with ``prefix``."""
        for key, entry in list(self._entries.items()):
            if entry.name.startswith(prefix):
                created = entry.begin + SKEW_S
                codec = CODEC_NAMES[entry.codec]
                yield EntryInfo(key.hex(), entry.name, entry.length, created, entry.end, codec, "memory")

    def clear(self, prefix: str = "") -> int:
        """Forget all, or those whose names begin so; how many there were."""
        return sum(self.drop(bytes.fromhex(each.key)) for each in list(self.entries(prefix)))

    def prune(self, plan: Pruning) -> PruneReport:
        """Forget what is expired, old or too much."""
        entries = [Aged(key, e.begin + SKEW_S, e.end, e.size) for key, e in list(self._entries.items())]
        doomed = choose(entries, plan)
        if not plan.dry_run:
            for each in doomed:
                self.drop(each.place)
        return summary(entries, doomed)

    def __len__(self) -> int:
        return len(self._entries)

    def after_fork(self) -> None:
        """A child starts empty, with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._entries.clear()
        self.size = 0
