"""Log records as lines of JSON (``FANWISE_LOG=json``)."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from traceback import format_exception

from fanwise._format import message_of

__all__ = ["JsonLogFormatter"]


class JsonLogFormatter(logging.Formatter):
    """One JSON object a record: ``t, level, logger, msg, run``, and where they apply ``item, worker, error``.

    Records that come from a worker bear ``fanwise_item`` and ``fanwise_worker``, and their traceback as text.

    Parameters
    ----------
    run : str
        Identifies the run; a record's own ``fanwise_run`` wins.

    Examples
    --------
    >>> import logging
    >>> handler = logging.StreamHandler()
    >>> handler.setFormatter(JsonLogFormatter(run="0123456789abcdef0123456789abcdef"))
    """

    def __init__(self, run: str = "") -> None:
        super().__init__()
        self._run = run

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        said: dict[str, object] = {
            "t": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
            "run": getattr(record, "fanwise_run", self._run),
        }
        for key in ("item", "worker"):
            value = getattr(record, f"fanwise_{key}", None)
            if value is not None:
                said[key] = value
        error = _error(record)
        return json.dumps(said | ({"error": error} if error else {}), ensure_ascii=False, default=str)


def _error(record: logging.LogRecord) -> dict[str, str] | None:
    """The exception of a record, or of the traceback text that came from a worker."""
    kind, error, _ = record.exc_info or (None, None, None)
    if kind is not None and error is not None:
        return {"type": kind.__qualname__, "message": message_of(error), "traceback": "".join(format_exception(error))}
    if not record.exc_text:
        return None
    last = record.exc_text.rstrip().rpartition("\n")[2]
    name, _, message = last.partition(": ")
    return {"type": name.rpartition(".")[2], "message": message, "traceback": record.exc_text}
