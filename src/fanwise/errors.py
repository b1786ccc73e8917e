"""The errors fanwise raises: each says what happened, where, and what to do next.

The user's own exceptions are never wrapped; what is listed here is only what fanwise itself has to say.

============================ ==============================================================
error                        whose fault, and what then
============================ ==============================================================
`UsageError`                 the call: an argument is wrong; nothing has run
`InputError`                 the data: a file, row or value is bad
`NotPicklableError`          the task: a function, item, result or exception cannot travel
`BackendError`               the surroundings: workers cannot be started or reached
`WorkerLostError`            the item: the process that ran it died, twice
`ItemTimeoutError`           the item: it took longer than ``timeout``
`RunTimeoutError`            the run: it took longer than ``deadline``; has ``run``
`CacheError`, `BundleError`  the files and memory that fanwise keeps
`RunInterrupted`             nobody: Ctrl-C or SIGTERM; has ``run`` and ``signal``
============================ ==============================================================
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from pickle import PicklingError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanwise._api.run import Run

__all__ = [
    "BackendError",
    "BundleError",
    "CacheError",
    "FanwiseError",
    "FanwiseWarning",
    "InputError",
    "ItemTimeoutError",
    "NotPicklableError",
    "RunInterrupted",
    "RunTimeoutError",
    "UsageError",
    "WorkerLostError",
]


class FanwiseError(Exception):
    """Parent of every error that fanwise raises on its own account."""


class UsageError(FanwiseError):
    """An argument or option is wrong: the caller's to mend, before anything ran."""


class UsageTypeError(UsageError, TypeError):
    """A `UsageError` that is also the `TypeError` a plain function would raise."""


class UsageValueError(UsageError, ValueError):
    """A `UsageError` that is also the `ValueError` a plain function would raise."""


class UsageRuntimeError(UsageError, RuntimeError):
    """A `UsageError` that is also the `RuntimeError` of ``concurrent.futures``."""


class InputError(FanwiseError):
    """A file, row or value given as data is bad; the message names it."""


class NotPicklableError(FanwiseError, PicklingError):
    """A function, item, result or exception cannot travel between processes. Also a `pickle.PicklingError`.

    Attributes
    ----------
    original_type : str or None
        ``module.qualname`` of an exception that could not be sent.
    original_traceback : str or None
        Its traceback as text.
    """

    original_type: str | None = None
    original_traceback: str | None = None


class BackendError(FanwiseError, BrokenExecutor):
    """Workers cannot be started or reached (also a `concurrent.futures.BrokenExecutor`)."""


class WorkerLostError(FanwiseError):
    """The process that ran an item died, and died again when the item was tried alone."""


class ItemTimeoutError(FanwiseError, TimeoutError):
    """An item took longer than ``timeout``; its worker was stopped and replaced."""


class RunTimeoutError(FanwiseError, TimeoutError):
    """The run took longer than ``deadline``; ``run`` holds what was finished."""

    run: Run | None = None


class CacheError(FanwiseError):
    """A cache directory cannot be used, or a computation asks for its own result."""


class BundleError(FanwiseError):
    """A bundle is closed, damaged, too large for this machine, or out of reach."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended the run; ``run`` holds what was finished, ``signal`` the number."""

    run: Run | None = None
    signal: int = 2


class FanwiseWarning(UserWarning):
    """Something a user should know but need not act on."""
