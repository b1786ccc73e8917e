"""Level L3: a store that several hosts share. Whatever goes wrong there is a miss; nothing it holds is trusted unread.

Three failures within ten seconds open the circuit: for half a minute nobody asks (twice as long each time, five minutes
at most), then one call tries again.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fanwise.cache._hashing import Buffer
from fanwise.cache._records import MAC, Record, pack, unpack
from fanwise.cache._redis import RedisLevel
from fanwise.cache._signed import MAC_BYTES, Signer
from fanwise.cache._stats import Counters
from fanwise.errors import FanwiseWarning
from fanwise.typing import SharedLevel

__all__ = ["Circuit", "ClusterLevel"]

T = TypeVar("T")

LARGEST = 8 << 20
FAILURES = 3
WITHIN_S = 10.0
OPEN_S = 30.0
OPEN_MOST_S = 300.0


@dataclass(slots=True)
class Circuit:
    """Whether to ask at all; times are seconds on any one clock."""

    failures: list[float] = field(default_factory=list)
    open_until: float = 0.0
    pause: float = OPEN_S
    trying: bool = False

    def allows(self, now: float) -> bool:
        """True if a call may be made; after a pause one call is let through."""
        if not self.open_until:
            return True
        if now < self.open_until or self.trying:
            return False
        self.trying = True
        return True

    def on_success(self) -> None:
        """Close it."""
        if self.open_until or self.failures:
            self.failures.clear()
            self.open_until, self.pause, self.trying = 0.0, OPEN_S, False

    def on_failure(self, now: float) -> None:
        """Count a failure; the third within ten seconds, or a failed trial, opens it."""
        self.failures = [at for at in self.failures if now - at < WITHIN_S] + [now]
        if self.trying:
            self.pause = min(2 * self.pause, OPEN_MOST_S)
        if self.trying or len(self.failures) >= FAILURES:
            self.open_until = now + self.pause
            self.trying = False
            self.failures.clear()


class ClusterLevel:
    """A `SharedLevel` as the cache uses it: guarded by a circuit, every record verified.

    Parameters
    ----------
    store : SharedLevel
        The client.
    signer : Signer or None
        Signs and checks every record. Without one, only safe codecs are read and written.
    counters : Counters
        Where refused and damaged records and failed calls are counted.
    now : callable
        Seconds, for the circuit.
    """

    def __init__(
        self, store: SharedLevel, *, signer: Signer | None, counters: Counters, now: Callable[[], float]
    ) -> None:
        self.store = store
        self.circuit = Circuit()
        self._signer = signer
        self._counters = counters
        self._now = now
        self._namespace = str(getattr(store, "namespace", "")).encode()
        self._lock = threading.Lock()
        self._is_advised = False
        self._ahead: dict[bytes, Buffer | None] = {}  # what was asked for in one call, and will be looked at one by one

    def prefetch(self, keys: Sequence[bytes]) -> None:
        """Ask for what will be looked up soon, in one call; each answer serves one look-up."""
        found = self._call(lambda: self.store.get_many(keys)) if keys else None
        self._ahead = {} if found is None else dict(zip(keys, found, strict=True))

    def get_one(self, key: bytes) -> Record | None:
        """The valid record of a key: from what was asked for in advance, or by a call."""
        if key not in self._ahead:
            return self.get_many([key])[0]
        data = self._ahead.pop(key)
        return None if data is None else self._verified(key, data)

    def get_many(self, keys: Sequence[bytes]) -> list[Record | None]:
        """The valid record of each key, in one call."""
        found = self._call(lambda: self.store.get_many(keys))
        if found is None:
            self._counters.unanswered += len(keys)
            return [None] * len(keys)
        return [self._verified(key, data) if data is not None else None for key, data in zip(keys, found, strict=True)]

    def put_many(self, records: Sequence[Record], *, ttl: float | None) -> bool:
        """Send records, in one call; large ones stay on this host. Whether any went."""
        ready = {record.key: data for record in records if len(data := self._sealed(record)) <= LARGEST}

        def send() -> bool:
            self.store.put_many(ready, ttl=ttl)
            return True

        return bool(ready) and self._call(send) is not None

    def delete(self, key: bytes) -> bool:
        """Remove an entry; False if there was none, or nobody answers."""
        return bool(self._call(lambda: self.store.delete([key])))

    def lease(self, key: bytes, *, seconds: float) -> bool | None:
        """The right to compute a key; None if the store knows no leases, or does not answer."""
        lease = getattr(self.store, "lease", None)
        return self._call(lambda: lease(key, seconds=seconds)) if lease is not None else None

    def _call(self, ask: Callable[[], T]) -> T | None:
        with self._lock:
            if not self.circuit.allows(self._now()):
                return None
        try:
            answer = ask()
        except Exception as error:  # noqa: BLE001 - a port: whatever a client raises is a failure of the level, counted and shown
            self._counters.errors += 1
            with self._lock:
                self.circuit.on_failure(self._now())
            self._advise(error)
            return None
        except BaseException:  # an interrupt says nothing of the server, and must not leave the trial open for ever
            self.circuit.trying = False
            raise
        if self.circuit.failures or self.circuit.open_until:
            with self._lock:
                self.circuit.on_success()
        return answer

    def _advise(self, error: Exception) -> None:
        """Say once what to do about a failure that will not pass by itself."""
        advice = getattr(self.store, "advice", None)
        words = advice(error) if advice is not None and not self._is_advised else None
        if words is not None:
            self._is_advised = True
            warnings.warn(words, FanwiseWarning, stacklevel=2)

    def _fields(self, record: Record) -> tuple[Buffer, ...]:
        return self._namespace, record.key, record.codec.to_bytes(2, "little"), record.payload

    def _sealed(self, record: Record) -> bytes:
        if self._signer is None:
            return pack(record)
        return pack(record._replace(flags=record.flags | MAC)) + self._signer.mac(self._fields(record))

    def _verified(self, key: bytes, data: Buffer) -> Record | None:
        """A record that is whole, is the one asked for, and carries the MAC that it must."""
        record = unpack(data)
        if record is None or record.key != key:
            self._counters.corrupt += 1
            return None
        if not self._is_trusted(record, data):
            self._counters.refused += 1
            return None
        return record._replace(flags=record.flags & ~MAC)

    def _is_trusted(self, record: Record, data: Any) -> bool:
        if self._signer is None:
            return not record.flags & MAC
        if not record.flags & MAC:
            return False
        return self._signer.accepts(memoryview(data)[-MAC_BYTES:], self._fields(record))

    def after_fork(self) -> None:
        """A child has a lock and connections of its own."""
        self._lock = threading.Lock()
        after_fork = getattr(self.store, "after_fork", None)
        if after_fork is not None:
            after_fork()

    def close(self) -> None:
        """Close the connections that were opened for a URL; a store that was given is its owner's."""
        if isinstance(self.store, RedisLevel):
            self.store.close()
