"""The command line: one file a command, and the only place that prints."""

from __future__ import annotations

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

    return run(list(sys.argv[1:] if arguments is None else arguments))
