"""Items that wait to be sent: ranges of indexes, lowest first, and those whose next attempt has to wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf
from typing import NamedTuple

__all__ = ["UNBOUNDED", "Queue", "Waiting"]

UNBOUNDED = 1 << 62


class Waiting(NamedTuple):
    """Items ``first … stop-1``, all at the same attempt; a ``suspect`` may have killed the worker that ran it."""

    first: int
    stop: int
    attempt: int = 1
    suspect: bool = False


class Queue:
    """Waiting items.

    What comes back (a lost worker, a chunk recalled, a retry) has a lower index than anything fresh, so it goes first:
    a small heap before a queue of fresh ranges.

    Attributes
    ----------
    size : int
        Items that could be sent now; those whose time has not come are not counted.
    """

    __slots__ = ("_back", "_ceiling", "_delayed", "_fresh", "size")

    def __init__(self) -> None:
        self.size = 0
        self._ceiling: int | None = None
        self._fresh: deque[Waiting] = deque()
        self._back: list[Waiting] = []
        self._delayed: list[tuple[float, Waiting]] = []

    def add(self, first: int, stop: int) -> None:
        """Append fresh items above all others, except those above the ceiling."""
        if self._ceiling is not None:
            stop = min(stop, self._ceiling)
        if first >= stop:
            return
        self.size += stop - first
        if self._fresh and self._fresh[-1].stop == first:
            first = self._fresh.pop().first
        self._fresh.append(Waiting(first, stop))

    def put_back(self, waiting: Waiting) -> None:
        """Return items to the front, except those above the ceiling."""
        if self._ceiling is not None:
            waiting = waiting._replace(stop=min(waiting.stop, self._ceiling))
        if waiting.first < waiting.stop:
            heappush(self._back, waiting)
            self.size += waiting.stop - waiting.first

    def delay(self, due: float, waiting: Waiting) -> None:
        """Hold items back until ``due``."""
        heappush(self._delayed, (due, waiting))

    def wake(self, now: float) -> None:
        """Let items whose time has come take their place."""
        while self._delayed and self._delayed[0][0] <= now:
            self.put_back(heappop(self._delayed)[1])

    @property
    def next_due(self) -> float:
        """When the next delayed item may go; infinity if there is none."""
        return self._delayed[0][0] if self._delayed else inf

    @property
    def suspects(self) -> int:
        """Ranges that may have killed a worker and could be sent now."""
        return sum(waiting.suspect for waiting in self._back)

    @property
    def innocents(self) -> bool:
        """True if there is something that could run in the calling process now."""
        return bool(self._fresh) or any(not waiting.suspect for waiting in self._back)

    @property
    def lowest(self) -> int | None:
        """The lowest index that waits, delayed or not."""
        heads = [waiting.first for _, waiting in self._delayed]
        heads += [waiting.first for waiting in (*self._back[:1], *tuple(self._fresh)[:1])]
        return min(heads, default=None)

    def take(self, count: int) -> Waiting:
        """Remove the lowest items, at most ``count``, all of one attempt. The queue must not be empty."""
        return self._cut(heappop(self._back), count) if self._back else self._take_fresh(count)

    def take_innocent(self, count: int) -> Waiting | None:
        """Like `take`, but never a suspect: for items that are to run in the calling process."""
        innocent = min((waiting for waiting in self._back if not waiting.suspect), default=None)
        if innocent is None:
            return self._take_fresh(count) if self._fresh else None
        return self._take_back(innocent, count)

    def take_all(self) -> list[Waiting]:
        """Remove everything, delayed items too, ascending."""
        everything = sorted([*self._back, *(waiting for _, waiting in self._delayed), *self._fresh])
        self._sift(lambda _: [])
        return everything

    def take_suspect(self) -> Waiting | None:
        """Remove the lowest items that may have killed a worker, if there are any."""
        suspect = min((waiting for waiting in self._back if waiting.suspect), default=None)
        return None if suspect is None else self._take_back(suspect, UNBOUNDED)

    def take_suspects(self) -> list[Waiting]:
        """Remove what may have killed a worker, delayed items too."""
        suspects = [w for w in (*self._back, *(waiting for _, waiting in self._delayed)) if w.suspect]
        self._sift(lambda waiting: [] if waiting.suspect else [waiting])
        return sorted(suspects)

    def drop_from(self, ceiling: int) -> None:
        """Drop every item at or above ``ceiling``, now and in future: a lower one failed and the run will raise."""
        self._ceiling = ceiling
        self._sift(lambda w: [w._replace(stop=min(w.stop, ceiling))] if w.first < ceiling else [])

    def remove(self, indexes: Iterable[int]) -> list[int]:
        """Take out single items; returns those that were waiting."""
        unwanted = frozenset(indexes)
        found: list[int] = []

        def without(waiting: Waiting) -> list[Waiting]:
            cuts = sorted(unwanted.intersection(range(waiting.first, waiting.stop)))
            found.extend(cuts)
            edges = [waiting.first - 1, *cuts, waiting.stop]
            return [waiting._replace(first=low + 1, stop=high) for low, high in pairwise(edges) if low + 1 < high]

        self._sift(without)
        return found

    def _sift(self, keep: Callable[[Waiting], list[Waiting]]) -> None:
        """Replace each range by what ``keep`` makes of it."""
        self._back = [kept for waiting in self._back for kept in keep(waiting)]
        self._delayed = [(due, kept) for due, waiting in self._delayed for kept in keep(waiting)]
        self._fresh = deque(kept for waiting in self._fresh for kept in keep(waiting))
        heapify(self._back)
        heapify(self._delayed)
        self.size = sum(waiting.stop - waiting.first for waiting in (*self._back, *self._fresh))

    def _take_fresh(self, count: int) -> Waiting:
        fresh = self._fresh[0]
        if fresh.stop - fresh.first <= count:
            self._fresh.popleft()
            taken = fresh
        else:
            middle = fresh.first + count
            self._fresh[0] = Waiting(middle, fresh.stop)
            taken = Waiting(fresh.first, middle)
        self.size -= taken.stop - taken.first
        return taken

    def _take_back(self, waiting: Waiting, count: int) -> Waiting:
        self._back.remove(waiting)
        heapify(self._back)
        return self._cut(waiting, count)

    def _cut(self, waiting: Waiting, count: int) -> Waiting:
        """The first ``count`` of returned items; the rest stays in front."""
        if waiting.stop - waiting.first > count:
            heappush(self._back, waiting._replace(first=waiting.first + count))
            waiting = waiting._replace(stop=waiting.first + count)
        self.size -= waiting.stop - waiting.first
        return waiting
