"""What was counted: in this process, and summed over the workers of its runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["CacheStats", "Counters"]


@dataclass(slots=True)
class Counters:
    """Counts of one process; they can be added, subtracted and pickled, so workers return them with each chunk.

    ``+=`` on a field is a single step between two bytecodes that may switch threads, hence no lock.
    """

    hits_memory: int = 0
    hits_disk: int = 0
    hits_shared: int = 0
    misses: int = 0
    stores: int = 0
    computes: int = 0
    waits: int = 0
    takeovers: int = 0
    bypassed: int = 0
    uncacheable: int = 0
    expired: int = 0
    evicted: int = 0
    corrupt: int = 0
    refused: int = 0
    errors: int = 0
    unanswered: int = 0
    seconds_saved: float = 0.0
    seconds_spent: float = 0.0

    def copy(self) -> Counters:
        """These counts as they are now."""
        return self + Counters()

    def reset(self) -> None:
        """Begin again at zero, as a child process does."""
        for name in _NAMES:
            setattr(self, name, 0)

    def __add__(self, other: Counters) -> Counters:
        return _counters(a + b for a, b in zip(self.values(), other.values(), strict=True))

    def __sub__(self, other: Counters) -> Counters:
        return _counters(a - b for a, b in zip(self.values(), other.values(), strict=True))

    def values(self) -> tuple[float, ...]:
        """The counts in the order of the fields, as a worker sends them."""
        return tuple([getattr(self, name) for name in _NAMES])

    @classmethod
    def of(cls, values: Iterable[float]) -> Counters:
        """What `values` gave, sent as floating-point numbers."""
        return cls(*[kind(value) for kind, value in zip(_KINDS, values, strict=True)])

    @property
    def hits(self) -> int:
        """Look-ups that found a value, at any level."""
        return self.hits_memory + self.hits_disk + self.hits_shared


def _counters(values: Iterable[Any]) -> Counters:
    return Counters(*values)


_NAMES = tuple(field.name for field in fields(Counters))
_KINDS: tuple[Any, ...] = tuple(type(field.default) for field in fields(Counters))


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What a cache did and what it holds.

    Attributes
    ----------
    hits_memory, hits_disk, hits_shared, misses : int
        Look-ups by where they ended.
    stores, computes : int
        Values stored; functions called because of a miss.
    waits, takeovers : int
        Calls that waited for another one's result; that took over from one that died.
    bypassed, uncacheable : int
        Calls of functions too cheap to be worth a look-up; values or arguments that cannot be stored or keyed.
    expired, evicted, corrupt, refused, errors : int
        Entries too old, dropped for space, damaged, not trusted; failed writes and calls of other hosts.
    unanswered : int
        Look-ups in the shared level that nobody answered, or that were not made for want of an answer before: misses.
    seconds_saved, seconds_spent : float
        What the values that were found had taken to compute when they were stored (to 6 %; `Cache.get` counts none),
        and what look-ups and stores took (sampled).
    entries, bytes, bytes_memory : int
        What is on the disk, and in the memory of this process.
    """

    hits_memory: int
    hits_disk: int
    hits_shared: int
    misses: int
    stores: int
    computes: int
    waits: int
    takeovers: int
    bypassed: int
    uncacheable: int
    expired: int
    evicted: int
    corrupt: int
    refused: int
    errors: int
    unanswered: int
    seconds_saved: float
    seconds_spent: float
    entries: int
    bytes: int
    bytes_memory: int
    path: str
    backend: str
    schema: int

    @classmethod
    def of(cls, counters: Counters, **rest: Any) -> CacheStats:
        """Counts of this process and its workers together with what there is."""
        return cls(**asdict(counters), **rest)

    @property
    def hits(self) -> int:
        """Look-ups that found a value, at any level."""
        return self.hits_memory + self.hits_disk + self.hits_shared

    @property
    def hit_rate(self) -> float:
        """Share of look-ups that found a value; 0.0 when there was none."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    def to_json(self) -> str:
        """All fields, ``hits`` and ``hit_rate`` as one JSON object."""
        return json.dumps({**asdict(self), "hits": self.hits, "hit_rate": self.hit_rate})
