"""Where finished work is kept between two calls of a command, and what it was computed with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanwise.errors import UsageError

__all__ = ["JournalFiles", "journal_files"]


@dataclass(frozen=True, slots=True)
class JournalFiles:
    """A journal of finished items and, beside it, the settings it belongs to."""

    journal: Path
    settings: Path

    def begin(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Start afresh, or go on if the settings are those of the run before; a change of one is named and refused."""
        if not resume:
            self.remove()
        elif self.journal.exists() and self.settings.exists():
            _compare(json.loads(self.settings.read_text("utf-8")), json.loads(json.dumps(dict(settings))))
        self.journal.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.journal.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = self.settings.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(dict(settings)), "utf-8")
        temporary.replace(self.settings)

    def remove(self) -> None:
        """Forget the run: its output is complete, or it starts afresh."""
        self.journal.unlink(missing_ok=True)
        self.settings.unlink(missing_ok=True)


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in now:
        if before.get(name) != now[name]:
            raise UsageError(
                f"--resume: the interrupted run had {name} {before.get(name)}, this one has {now[name]}; "
                f"give the same options, or --force to start afresh."
            )


def journal_files(cache_dir: Path, command: str, anchor: Path) -> JournalFiles:
    """Journal of ``command`` for the output (or input) ``anchor``, found by its resolved path."""
    key = hashlib.blake2b(os.fsencode(anchor.resolve()), digest_size=16).hexdigest()
    base = cache_dir / "journals" / f"{command}-{key}"
    return JournalFiles(base.with_suffix(".journal"), base.with_suffix(".json"))
