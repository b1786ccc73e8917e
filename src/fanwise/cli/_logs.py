"""Log records of fanwise and of workers on stderr: text with ``-v``, one JSON object a line with FANWISE_LOG=json."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonLines", "configure"]

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def format(self, record: logging.LogRecord) -> str:
        """Write the fields that the documentation names, and no others."""
        fields: dict[str, Any] = {
            "t": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
            "run": self.run,
        }
        for name in ("item", "worker"):
            if (value := getattr(record, f"fanwise_{name}", None)) is not None:
                fields[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            trace = "".join(traceback.format_exception(error))
            fields["error"] = {"type": type(error).__name__, "message": str(error), "traceback": trace}
        return json.dumps(fields, ensure_ascii=False)


def configure(verbose: int, environment: Mapping[str, str], run: str) -> None:
    """Send records of the root logger to stderr, once a process."""
    handler = logging.StreamHandler(sys.stderr)
    if environment.get("FANWISE_LOG") == "json":
        handler.setFormatter(JsonLines(run))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=LEVELS[min(verbose, 2)], force=True)
