"""Options of a call: what a test chose, and for the others what the verbs have."""

from __future__ import annotations

from typing import Any

from fanwise._api._options import Options, read_options

__all__ = ["options"]

_GIVEN: dict[str, Any] = {
    "workers": None, "backend": "auto", "executor": None, "chunk_size": None, "on_error": "raise", "retries": 0, "timeout": None,
    "deadline": None, "seed": None, "cache": None, "progress": "none", "resume": None,
}  # fmt: skip


def options(**chosen: Any) -> Options:
    return read_options(**_GIVEN | chosen)
