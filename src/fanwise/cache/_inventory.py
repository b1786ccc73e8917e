"""What a cache holds, and what is done with all of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from fanwise.cache._home import SCHEMA
from fanwise.cache._level import Pruning, Usage
from fanwise.cache._opening import Engine
from fanwise.cache._reports import EntryInfo, PruneReport, VerifyReport
from fanwise.cache._settings import Settings
from fanwise.cache._sizes import parse_size, parse_ttl
from fanwise.cache._stats import CacheStats, Counters
from fanwise.errors import CacheError

__all__ = ["Inventory"]


class Inventory:
    """The part of `Cache` that looks after entries."""

    engine: Engine
    _settings: Settings
    _absorbed: Counters
    _last_usage: Usage | None
    _backend: str

    @property
    def path(self) -> str:
        """The directory."""
        return self._settings.path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._last_usage is not None

    @property
    def counters(self) -> Counters:
        """A copy of what this process counted so far."""
        return self.engine.counters.copy()

    def stats(self) -> CacheStats:
        """What was counted, in this process and in the workers of its runs, and what there is.

        Returns
        -------
        CacheStats
            Frozen, with ``to_json()``.
        """
        usage = self._last_usage
        return CacheStats.of(
            self.counters + self._absorbed,
            entries=(usage or self.engine.levels.usage()).entries,
            bytes=(usage or self.engine.levels.usage()).size,
            bytes_memory=0 if usage is not None else self.engine.levels.memory.size,
            path=self.path if self._settings.disk else "",
            backend=self._backend,
            schema=SCHEMA,
        )

    def uses(self, counters: Counters) -> Sequence[Mapping[str, Any]]:
        """What each level did, as a report says it.

        Parameters
        ----------
        counters : Counters
            What was counted in a run, in all its processes.

        Returns
        -------
        sequence of mapping
            One a level, with the fields of the report's ``cache``.
        """
        levels = None if self.closed else self.engine.levels
        bottom = levels is None or levels.disk is None
        named = [("memory", "", counters.hits_memory, levels.memory.size if levels is not None else 0)]
        if levels is not None and levels.disk is not None:
            named.append(("disk", self.path, counters.hits_disk, levels.usage().size))
        if levels is not None and levels.cluster is not None:
            named.append(("shared", "", counters.hits_shared, 0))
        lookups = counters.hits + counters.misses
        rows = []
        for level, where, hits, size in named:
            keeps = level == "disk" or (level == "memory" and bottom)
            unanswered = min(counters.unanswered, lookups - hits)  # a key may be asked for again before it is computed
            rows.append(
                {
                    "level": level,
                    "where": where,
                    "lookups": lookups,
                    "hits": hits,
                    "stored": counters.stores if keeps else 0,
                    "evicted": counters.evicted if keeps else 0,
                    "refused": counters.refused + counters.corrupt if keeps else 0,
                    "errors": unanswered if level == "shared" else counters.errors if keeps else 0,
                    "bytes": size,
                    "spent_s": counters.seconds_spent if level == "memory" else 0.0,
                    "saved_s": counters.seconds_saved if level == "memory" else 0.0,
                }
            )
            lookups -= hits
        return rows

    def absorb(self, counters: Counters) -> None:
        """Add what a worker counted, so that `stats` shows the sum.

        Parameters
        ----------
        counters : Counters
            The difference between two copies of the worker's ``cache.counters``.
        """
        self._absorbed = self._absorbed + counters

    def list(self, prefix: str = "", limit: int | None = None) -> Iterator[EntryInfo]:
        """Entries by the name of their function; values are not read.

        Parameters
        ----------
        prefix : str
            How names begin.
        limit : int, optional
            At most so many.

        Yields
        ------
        EntryInfo
            One entry.
        """
        return islice(self.engine.levels.entries(prefix), limit)

    def verify(self, *, repair: bool = False) -> VerifyReport:
        """Read and check every record and every blob.

        Parameters
        ----------
        repair : bool
            Remove what is damaged.

        Returns
        -------
        VerifyReport
            What was found.

        Raises
        ------
        CacheError
            If something is to be removed and the directory is read-only.
        """
        disk = self.engine.levels.disk
        if repair:
            self._check_removable()
        if disk is None:
            return VerifyReport(self.engine.levels.usage().entries)
        return disk.verify(repair=repair)

    def prune(
        self, *, max_bytes: int | str | None = None, older_than: float | timedelta | None = None, dry_run: bool = False
    ) -> PruneReport:
        """Remove expired entries and orphans, and on request old entries and the oldest of too many.

        Parameters
        ----------
        max_bytes : int or str, optional
            What may stay.
        older_than : float or timedelta, optional
            Seconds.
        dry_run : bool
            Only say what would go.

        Returns
        -------
        PruneReport
            What went and what stayed.

        Raises
        ------
        CacheError
            If the directory is read-only.
        """
        self._check_removable()
        now = self.engine.levels.time()
        plan = Pruning(
            now=now,
            before=None if older_than is None else now - parse_ttl(older_than),
            max_bytes=None if max_bytes is None else parse_size(max_bytes, "max_bytes"),
            dry_run=dry_run,
        )
        return self.engine.levels.prune(plan)

    def clear(self, prefix: str = "") -> int:
        """Remove all entries, or those of functions whose names begin so.

        Parameters
        ----------
        prefix : str
            How names begin.

        Returns
        -------
        int
            How many were removed.

        Raises
        ------
        CacheError
            If the directory is read-only.
        """
        self._check_removable()
        return self.engine.levels.clear(prefix)

    def _check_removable(self) -> None:
        disk = self.engine.levels.disk
        if disk is not None and not disk.writable:
            raise CacheError(f"cache directory {self.path!r} is read-only; nothing in it can be removed")
