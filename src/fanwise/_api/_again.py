"""Items that failed in the calling process and are to be tried again: they wait without holding up the others."""

from __future__ import annotations

import heapq
from typing import Any

from fanwise.engine._attempts import Attempts
from fanwise.typing import Clock, Retry

__all__ = ["Again", "SecondChances"]


class Again:
    """One item that waits for its next attempt."""

    __slots__ = ("attempt", "due", "index", "item")

    def __init__(self, due: float, index: int, attempt: int, item: Any) -> None:
        self.due = due
        self.index = index
        self.attempt = attempt
        self.item = item

    def __lt__(self, other: Again) -> bool:
        return (self.due, self.index) < (other.due, other.index)


class SecondChances:
    """The items that wait, soonest first."""

    def __init__(self, retry: Retry | None, clock: Clock) -> None:
        self._attempts = Attempts(retry)
        self._clock = clock
        self._waiting: list[Again] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def grant(self, index: int, attempt: int, error: BaseException, item: Any) -> bool:
        """Queue the next attempt of an item whose ``attempt`` failed; False if that was its last."""
        delay = self._attempts.retry(index, attempt, error)
        if delay is None:
            return False
        heapq.heappush(self._waiting, Again(self._clock.now() + delay, index, attempt + 1, item))
        return True

    def due(self, *, wait: bool) -> Again | None:
        """The next item whose time has come; with ``wait`` sleep until it has."""
        if not self._waiting:
            return None
        left = self._waiting[0].due - self._clock.now()
        if left > 0:
            if not wait:
                return None
            self._clock.sleep(left)
        return heapq.heappop(self._waiting)
