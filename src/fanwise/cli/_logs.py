"""Log records of fanwise and of workers on stderr: text with ``-v``, one JSON object a line with FANWISE_LOG=json."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping

from fanwise.progress import JsonLogFormatter

__all__ = ["configure"]

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def configure(verbose: int, environment: Mapping[str, str], run: str) -> Callable[[], None]:
    """Send records of the root logger to stderr; returns what puts the logging of before back.

    The compiler's own debug records (thousands for one kernel) are nobody's concern here.
    """
    root = logging.getLogger()
    before = root.handlers[:], root.level
    handler = logging.StreamHandler(sys.stderr)
    if environment.get("FANWISE_LOG") == "json":
        handler.setFormatter(JsonLogFormatter(run))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[min(verbose, 2)])
    logging.getLogger("numba").setLevel(logging.WARNING)

    def restore() -> None:
        root.handlers[:], level = before
        root.setLevel(level)

    return restore
