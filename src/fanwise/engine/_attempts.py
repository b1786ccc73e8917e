"""What went wrong with single items so far: retries used, strikes, and what that means for the next attempt."""

from __future__ import annotations

from fanwise.errors import NotPicklableError, WorkerLostError
from fanwise.records.outcomes import Lost
from fanwise.typing import Retry

__all__ = ["Attempts", "delay_before", "lost", "never_ran"]

_MASK = (1 << 64) - 1


def _mixed(index: int, attempt: int) -> float:
    """A number in [0, 1) that depends on its arguments only (SplitMix64, Steele et al. 2014)."""
    z = (index * 0x9E3779B97F4A7C15 + attempt * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def delay_before(retry: Retry, index: int, attempt: int) -> float:
    """Seconds to wait before attempt 2, 3, …: exponential, times a jitter in [0.5, 1] that is the same every time."""
    wait = retry.delay
    for _ in range(attempt - 2):
        wait *= retry.factor
        if wait >= retry.max_delay:
            break
    return min(retry.max_delay, wait) * (0.5 + 0.5 * _mixed(index, attempt))


class Attempts:
    """Sparse: only items with which something went wrong have an entry."""

    __slots__ = ("_retries", "_retry", "_strikes")

    def __init__(self, retry: Retry | None) -> None:
        self._retry = retry if retry is not None and retry.times > 0 else None
        self._retries: dict[int, int] = {}
        self._strikes: set[int] = set()

    def strike(self, index: int) -> bool:
        """Note that a worker died of this item; True if it may be tried once more for free, on its own."""
        if index in self._strikes:
            return False
        self._strikes.add(index)
        return True

    def retry(self, index: int, attempt: int, error: BaseException) -> float | None:
        """Seconds to wait before attempt ``attempt + 1``, or None if the failure is final."""
        retry = self._retry
        if retry is None or not isinstance(error, retry.on) or isinstance(error, (SystemExit, NotPicklableError)):
            return None
        used = self._retries.get(index, 0)
        if used >= retry.times:
            return None
        self._retries[index] = used + 1
        return delay_before(retry, index, attempt + 1)

    def forget(self, index: int) -> None:
        """Drop what is known of a settled item."""
        self._retries.pop(index, None)
        self._strikes.discard(index)


def lost(index: int, attempts: int, reason: str) -> Lost:
    """The outcome of an item whose worker died too often."""
    text = (
        f"item {index} was lost: the process that ran it ended ({reason}), in each of {attempts} attempts; "
        'run it alone with workers=1 to see why, or pass on_error="return" to keep all other results'
    )
    return Lost(index=index, attempts=attempts, error=WorkerLostError(text), reason=reason)


def never_ran(index: int, attempts: int, reason: str) -> Lost:
    """The outcome of an item for which no worker is left."""
    text = f"item {index} was not run: {reason}; run it with workers=1, or mend what ends the workers"
    return Lost(index=index, attempts=attempts, error=WorkerLostError(text), reason=reason)
