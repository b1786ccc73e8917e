"""The one place that catches everything: calls of user code, and the end of a process."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from fanwise.records._record import record

__all__ = ["DEFECT", "Raised", "attempt", "exit_after"]

DEFECT = 70
"""Exit code of a process that cannot go on."""

T = TypeVar("T")


@record
class Raised:
    """What user code raised, as a value."""

    error: BaseException


def attempt(
    call: Callable[..., T], *args: object, caught: type[BaseException] | tuple[type[BaseException], ...] = Exception
) -> T | Raised:
    """Call something that may raise anything, such as importing, pickling or printing a user's object."""
    try:
        return call(*args)
    except caught as error:
        return Raised(error)


def exit_after(task: Callable[[], object]) -> NoReturn:
    """Run ``task`` and leave by `os._exit`: no exit handlers, no inherited buffers flushed a second time."""
    code = DEFECT
    try:
        outcome = attempt(task, caught=BaseException)
        if isinstance(outcome, Raised):
            text = "".join(traceback.format_exception(outcome.error))
            with suppress(OSError):  # the item may have closed the descriptor
                os.write(2, text.encode("utf-8", "backslashreplace"))
        else:
            code = 0
    finally:
        os._exit(code)
