"""What a command says at its end: one JSON object for machines, the same for every command, and the report files."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Output", "Summary", "print_json", "workers_started"]

SCHEMA = "fanwise.summary/1"


@dataclass(frozen=True, slots=True)
class Output:
    """A file that the command wrote; ``rows`` without the header, None where rows have no meaning."""

    path: str
    rows: int | None = None

    def described(self) -> dict[str, Any]:
        """Path, digest of the content and number of rows."""
        with open(self.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        rows = {} if self.rows is None else {"rows": self.rows}
        return {"path": self.path, "sha256": digest, **rows}


def no_items() -> dict[str, int]:
    """Counts of a run that had no items, in the order of the report."""
    return dict.fromkeys(("total", "ok", "failed", "lost", "cached", "resumed", "retried", "not_run"), 0)


@dataclass(frozen=True, slots=True)
class Summary:
    """The common part of what ``--json`` prints; ``own`` are the workload's fields beside it."""

    command: str
    exit_code: int
    outputs: Sequence[Output] = ()
    report: RunReport | None = None
    report_path: Path | None = None
    wall_s: float = 0.0
    problems: Sequence[tuple[str, str]] = ()
    own: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """One object; numbers that JSON cannot hold are null."""
        record = json.loads(self.report.to_json()) if self.report is not None else {}
        common = {
            "schema": SCHEMA,
            "command": self.command,
            "exit_code": int(self.exit_code),
            "outputs": [output.described() for output in self.outputs],
            "items": record.get("items") or no_items(),
            "wall_s": round(self.wall_s, 6),
            "speedup_estimate": record.get("time", {}).get("speedup_estimate"),
            "problems": [{"where": where, "message": message} for where, message in self.problems],
        }
        if self.report_path is not None:
            common["report"] = os.fspath(self.report_path)
        text = json.dumps(finite(common | dict(self.own)), ensure_ascii=False, allow_nan=False)
        # A name of bytes that are no text has lone surrogates: they become \udce9, as JSON writes them.
        return text.encode("utf-8", "backslashreplace").decode()


def finite(value: Any) -> Any:
    """The same structure with NaN and infinity as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def workers_started(report: RunReport | None) -> int:
    """How many workers were started; 0 if all was done in the calling process."""
    lanes = json.loads(report.to_json())["workers"] if report is not None else []
    return sum(lane["lane"] > 0 for lane in lanes)


def print_json(summary: Summary | Mapping[str, Any]) -> None:
    """Print an object on stdout, in ASCII where stdout has not all its letters."""
    text = summary.as_json() if isinstance(summary, Summary) else json.dumps(finite(summary), ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text))
    print(text, flush=True)
