"""The standard streams of a command: closed or full ones, or ones without all letters, are no reason for it to fail."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

__all__ = ["abandon", "fit_streams", "tell"]


@contextlib.contextmanager
def fit_streams() -> Iterator[None]:
    """Make the streams fit for a command, and have warnings of fanwise told as its other messages are."""
    _occupy()
    if sys.stderr is None:  # else what is printed there would go to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for as long as the process lasts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")
    before = warnings.showwarning
    ours: Any = partial(_show, before)
    warnings.showwarning = ours
    try:
        yield
    finally:
        if warnings.showwarning is ours:
            warnings.showwarning = before


def _occupy() -> None:
    """Fill closed descriptors, or else the next file that is opened would be taken for a standard stream."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd == 1 else os.O_RDWR)  # writing results must go on failing


def _show(before: Any, message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    from fanwise.errors import FanwiseWarning

    if issubclass(category, FanwiseWarning):
        tell(f"fanwise: {message}.")
    else:
        before(message, category, *where, **more)


def tell(text: str) -> None:
    """Say something on stderr; one that cannot be written does not end the command."""
    with contextlib.suppress(ValueError):  # somebody closed the object
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            abandon(sys.stderr)


def abandon(stream: TextIO | None) -> None:
    """Send what a stream still holds, and all that is to come, nowhere: the interpreter would fail on it at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be None, closed, or have no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]  # suppressed
