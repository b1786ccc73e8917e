"""Faults by item and attempt: a function that misbehaves exactly where a test says."""

from __future__ import annotations

import os
import signal as signals
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from fanwise._task import current_task

__all__ = ["BadException", "Exit", "Fault", "Hang", "Kill", "Raise", "Return", "Scripted", "Unpicklable"]


class Fault(Protocol):
    """What happens instead of a call."""

    def happen(self) -> Any:
        """Do it, and return what the call shall return, if it returns."""


@dataclass(frozen=True, slots=True)
class Raise:
    """Raise ``error``."""

    error: BaseException

    def happen(self) -> NoReturn:
        raise self.error


@dataclass(frozen=True, slots=True)
class Kill:
    """Send a signal to the process that runs the item: SIGKILL, if none is named."""

    signal: int = int(getattr(signals, "SIGKILL", signals.SIGTERM))

    def happen(self) -> NoReturn:
        os.kill(os.getpid(), self.signal)
        time.sleep(60)  # a signal that another thread takes ends the process from there
        raise RuntimeError(f"signal {self.signal} did not end the process")


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process at once, without exit handlers."""

    code: int = 3

    def happen(self) -> NoReturn:
        os._exit(self.code)


@dataclass(frozen=True, slots=True)
class Hang:
    """Take ``seconds``, whatever the run's clock says."""

    seconds: float = 60.0

    def happen(self) -> None:
        time.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Return:
    """Return ``value``."""

    value: Any

    def happen(self) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Unpicklable:
    """Return a lock, which cannot leave its process."""

    def happen(self) -> Any:
        return threading.Lock()


class OddError(Exception):
    """An exception that pickle cannot rebuild: its ``__init__`` wants two arguments and passes one on."""

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(a)
        self.b = b


@dataclass(frozen=True, slots=True)
class BadException:
    """Raise an exception that pickle cannot rebuild."""

    def happen(self) -> NoReturn:
        raise OddError("first", "second")


@dataclass(frozen=True, slots=True)
class Scripted:
    """A function with faults at chosen items: attempt ``a`` of an item meets its ``a``-th fault, later ones none.

    Index and attempt come from `fanwise.current_task`, so that a script works in every backend. It can be pickled if
    the function and the faults can.

    Parameters
    ----------
    fn : callable
        What runs where nothing is scripted.
    faults : mapping of int to sequence of fault
        By index of the item.

    Examples
    --------
    >>> script = Scripted(abs, {17: [Kill(), Return(0)]})
    >>> script(-3)
    3
    """

    fn: Callable[..., Any]
    faults: Mapping[int, Sequence[Fault]] = field(default_factory=dict)

    def __call__(self, item: Any, **options: Any) -> Any:
        task = current_task()
        faults = self.faults.get(task.index, ()) if task is not None else ()
        if task is not None and task.attempt <= len(faults):
            return faults[task.attempt - 1].happen()
        return self.fn(item, **options)
