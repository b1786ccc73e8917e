"""Envelopes in a cache: keys over everything that counts, entries of plain data, expiry, damage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fanwise import __version__
from fanwise.workloads.envelope._digests import HASH, digest_of
from fanwise.workloads.envelope._envelopes import Envelopes, from_entry, to_entry

__all__ = ["FORMAT", "PREFIX", "Answer", "Store", "key_text"]

FORMAT = 1
"""Revision of the calculation and of entries: raise it when either changes, and older entries are not found."""

PREFIX = "fanwise.workloads.envelope"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Envelopes, and where they came from: ``computed`` here, ``waited`` for another process, or a ``hit``."""

    envelopes: Envelopes
    origin: str = "computed"
    corrupt: int = 0
    expired: int = 0


def key_text(parts: Mapping[str, Any]) -> str:
    """32 hexadecimal digits over canonical JSON of what a result depends on, versions and hash included."""
    whole = {
        "kind": "envelope",
        "format": FORMAT,
        "fanwise": __version__,
        "numpy": np.__version__,
        "hash": HASH,
        **parts,
    }
    return digest_of([json.dumps(whole, sort_keys=True, ensure_ascii=True)])


def envelopes(key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An entry; memoised by ``key`` alone."""
    del key
    return compute()


def columns(key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The columns of input files; memoised by ``key`` alone."""
    del key
    return compute()


class Store:
    """The entries of this workload in a cache. Travels to workers, which open the same directory.

    Parameters
    ----------
    cache : fanwise.Cache
    max_age : float, optional
        Seconds after which an entry is deleted and computed again.
    """

    def __init__(self, cache: Any, max_age: float | None = None) -> None:
        self.cache = cache
        self.max_age = max_age
        self._entry = cache.memoize(envelopes, ignore=("compute",), adaptive=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.cache, self.max_age)

    def find(self, key: str, curves: int) -> Answer | None:
        """What is stored, whole and not too old; anything else is deleted."""
        before = self.cache.counters.corrupt
        found, entry = self._entry.lookup(key, None)
        if not found:
            return None if self.cache.counters.corrupt == before else _nothing(corrupt=1)
        kept = from_entry(entry, curves)
        if kept is not None and not self._is_old(entry):
            return Answer(kept, "hit")
        self._entry.forget(key, None)
        return _nothing(corrupt=1) if kept is None else _nothing(expired=1)

    def _is_old(self, entry: Mapping[str, Any]) -> bool:
        return (
            self.max_age is not None
            and self.cache.time() - float(json.loads(entry["header"])["created"]) > self.max_age
        )

    def forget(self, key: str) -> None:
        """Remove an entry, so that it is computed again and replaced."""
        self._entry.forget(key, None)

    def answer(
        self,
        key: str,
        curves: int,
        compute: Callable[[], Envelopes],
        header: Callable[[float], Mapping[str, Any]],
    ) -> Answer:
        """Compute what is missing, by one process only; the others wait for it."""
        made: list[Envelopes] = []

        def entry() -> dict[str, Any]:
            made.append(compute())
            return to_entry(made[0], header(self.cache.time()))

        before = self.cache.counters.corrupt
        value = self._entry(key, entry)
        corrupt = self.cache.counters.corrupt - before
        if made:
            return Answer(made[0], "computed", corrupt)
        kept = from_entry(value, curves)
        return Answer(compute(), "computed", corrupt + 1) if kept is None else Answer(kept, "waited", corrupt)

    def headers(self) -> list[tuple[dict[str, Any], int]]:
        """Header and size in bytes of every entry."""
        found = []
        for info in self.cache.list(f"{envelopes.__module__}:{envelopes.__qualname__}"):
            entry = self.cache.get(self._key(info.key))
            if isinstance(entry, dict) and "header" in entry:
                found.append((json.loads(entry["header"]), info.bytes))
        return found

    def clear_older(self, seconds: float) -> int:
        """Remove this workload's entries that are older than so many seconds; returns how many."""
        before = self.cache.time() - seconds
        old = [info.key for info in self.cache.list(PREFIX) if info.created < before]
        return sum(bool(self.cache.delete(self._key(key))) for key in old)

    def _key(self, digits: str) -> Any:
        """A key as the cache makes them, from its digits."""
        return type(self._entry.key("", None))(bytes.fromhex(digits))


def _nothing(*, corrupt: int = 0, expired: int = 0) -> Answer:
    empty = Envelopes(np.empty(0, np.int64), np.empty((0, 0)), np.empty((0, 0)))
    return Answer(empty, "miss", corrupt, expired)


def memo_columns(cache: Any) -> Any:
    """The function that keeps columns of input files."""
    return cache.memoize(columns, ignore=("compute",), adaptive=False)
