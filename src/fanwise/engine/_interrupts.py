"""Ctrl-C and SIGTERM during a run: counted and passed on, and the host program's handlers put back.

Handlers are installed only in the main thread and only over Python's defaults: whoever has a handler of his own keeps
it, and what it raises ends the run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Protocol, Self

from fanwise._signals import DEFAULT, Handler, handle, handler_of
from fanwise.typing import InterruptPolicy

__all__ = ["Interrupts", "NoInterrupts", "SignalInterrupts", "TerminateAsInterrupt", "Terminated"]


class Terminated(KeyboardInterrupt):
    """SIGTERM, turned into the exception that Ctrl-C would be."""


class Interrupts(Protocol):
    """How often the user asked to stop, and by which signal."""

    count: int
    signal: int

    def __enter__(self) -> Self:
        """Begin to listen."""

    def __exit__(self, *exc: object) -> None:
        """Put back what was there before."""

    def raising(self) -> AbstractContextManager[None]:
        """While an item runs in this thread: a signal raises `KeyboardInterrupt` in it, which ends with this block.

        So does one that it raises itself, or that somebody else's handler raises: it counts as a signal.
        """


class NoInterrupts:
    """Nobody interrupts: the collector thread of an executor."""

    count = 0
    signal = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def raising(self) -> AbstractContextManager[None]:
        return nullcontext()


class SignalInterrupts:
    """Counts signals and wakes the driver, which sits in a wait."""

    def __init__(self, policy: InterruptPolicy, wake: Callable[[], None]) -> None:
        self.count = 0
        self.signal = 0
        self._policy = policy
        self._wake = wake
        self._before: dict[int, Handler] = {}
        self._raising = False

    def __repr__(self) -> str:
        return f"<SignalInterrupts {self.count} so far>"

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in sorted(self._policy.handle):
                if has_default_handler(number):
                    self._before[number] = handle(number, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            if handler_of(number) == self._on_signal:
                handle(number, handler)

    def note(self, number: int) -> None:
        """Hear of a signal that another handler has met."""
        self.count += 1
        self.signal = number
        self._wake()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.note(number)
        if self._raising:
            self._raising = False
            raise KeyboardInterrupt

    @contextmanager
    def raising(self) -> Iterator[None]:
        seen = self.count
        self._raising = True
        try:
            yield
        except KeyboardInterrupt:
            if self.count == seen:
                self.note(signal.SIGINT)
        finally:
            self._raising = False


def has_default_handler(number: int) -> bool:
    """Whether nobody changed what Python does on this signal."""
    return handler_of(number) in {DEFAULT, signal.default_int_handler}


class TerminateAsInterrupt:
    """While items run in the calling process: a SIGTERM with the default action raises `Terminated`."""

    def __init__(self) -> None:
        self._installed = False

    def install(self) -> None:
        """Begin; does nothing outside the main thread, over somebody's handler, or a second time."""
        if self._installed or threading.current_thread() is not threading.main_thread():
            return
        if has_default_handler(signal.SIGTERM):
            handle(signal.SIGTERM, _raise_terminated)
            self._installed = True

    def remove(self) -> None:
        """Put the default action back."""
        if self._installed and handler_of(signal.SIGTERM) is _raise_terminated:
            handle(signal.SIGTERM, DEFAULT)
        self._installed = False


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated
