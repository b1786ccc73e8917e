"""The command line: one file a command, and the only place that prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``fanwise`` with these arguments (those of the process by default) and return its exit code."""
    if find_spec("click") is None:
        print("fanwise: the command line needs one more package: pip install 'fanwise[cli]'", file=sys.stderr)
        return 2
    from fanwise.cli._main import run

    if arguments is None:
        _prepare_streams()
    return run(list(sys.argv[1:] if arguments is None else arguments))


def _prepare_streams() -> None:
    """Have stdout take every letter, and three standard streams.

    What has no letter in a POSIX locale is escaped, as on stderr. Where stderr is closed, ``print`` would write messages
    into stdout, and a file that is opened would get its descriptor.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
