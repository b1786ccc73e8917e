"""A time limit on a search that no other code can end.

A pattern such as ``(a+)+$`` runs inside one call for hours. CPython's engine polls for signals, so in the main thread a
timer whose handler raises ends it at once (3.11 to 3.14).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from fanwise.errors import UsageError

__all__ = ["ALARMS", "Alarm", "RuleTimeout", "can_be_set"]

T = TypeVar("T")

ALARMS = hasattr(signal, "setitimer")
"""Whether the platform has timers that interrupt a computation; Windows has none."""


class RuleTimeout(Exception):
    """A rule has used up its time in this file."""


def can_be_set() -> bool:
    """Whether this thread can end a search: only the main thread hears signals."""
    return ALARMS and threading.current_thread() is threading.main_thread()


class Alarm:
    """Lets each call of `limit` run so many seconds; 0: as long as it likes.

    Use as a context manager: the process's own handler and timer are put back at the end.
    """

    def __init__(self, seconds: float) -> None:
        if seconds and not can_be_set():
            raise UsageError(
                "rule_timeout needs the main thread of a process: use a process backend, or rule_timeout=0"
            )
        self._seconds = seconds
        self._armed = False
        self._before: tuple[Any, float, float, float] | None = None

    def __enter__(self) -> Self:
        if self._seconds:
            handler = signal.signal(signal.SIGALRM, self._on_alarm)
            self._before = (handler, *signal.setitimer(signal.ITIMER_REAL, 0), time.monotonic())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is None:
            return
        handler, left, interval, since = self._before
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, left - (time.monotonic() - since)), interval)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            raise RuleTimeout(f"took longer than {self._seconds:g} s in one file")

    def limit(self, search: Callable[[], T]) -> T:
        """What ``search`` returns.

        Raises
        ------
        RuleTimeout
            If it takes longer than it may.
        """
        if not self._seconds:
            return search()
        try:
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
            return search()
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
