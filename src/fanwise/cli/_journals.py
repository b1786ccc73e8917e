"""Where finished work is kept between two calls of a command, and what it was computed with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanwise.cli._errors import reason
from fanwise.errors import UsageError

if TYPE_CHECKING:
    from fanwise.cli._options import RunOptions

__all__ = ["Journal", "journal_of", "kept"]


@dataclass(frozen=True, slots=True)
class Journal:
    """A file of finished items for ``resume=``; beside it the settings they were computed with.

    A command with more than one run puts further journals at ``path`` with something added to the name.
    """

    path: Path

    @property
    def _settings(self) -> Path:
        return self.path.with_suffix(".json")

    def begin(self, settings: Mapping[str, Any], options: RunOptions) -> bool:
        """Start afresh, or go on where a run with the same settings ended.

        Returns
        -------
        bool
            False if no journal can be kept, which only ``--resume`` needs.

        Raises
        ------
        UsageError
            If ``--resume`` would go on with other settings; the first one that differs is named.
        """
        try:
            if not options.resume or options.force:
                self.remove()
            elif self.path.exists() and self._settings.exists():
                _compare(_settings_in(self._settings), settings)
            for folder in (self.path.parent.parent, self.path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self.path.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(dict(settings)), "utf-8")
            temporary.replace(self._settings)
        except OSError as error:
            if options.resume:
                raise
            options.note(f"fanwise: no journal, so --resume will not work: {self.path.parent}: {reason(error)}.")
            return False
        return True

    def remove(self) -> None:
        """Forget the run: its output is complete, or it starts afresh."""
        for file in (*self.path.parent.glob(f"{self.path.name}*"), self._settings):
            with contextlib.suppress(NotADirectoryError):  # a file in the place of the directory: there is no journal
                file.unlink(missing_ok=True)


def _settings_in(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"--resume: {path} is damaged; use --force to start afresh.")
    return found


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name, value in now.items():
        if before.get(name) != value:
            raise UsageError(
                f"--resume: the interrupted run had {name} {before.get(name)}, this one has {value}; "
                "give the same options, or --force to start afresh."
            )


def journal_of(cache_dir: Path, command: str, anchor: Path) -> Journal:
    """The journal of ``command`` for the output (or input) ``anchor``, found by its resolved path."""
    key = hashlib.blake2b(os.fsencode(anchor.resolve()), digest_size=16).hexdigest()
    return Journal(cache_dir / "journals" / f"{command}-{key}.journal")


@contextlib.contextmanager
def kept(journal: Journal | None, count: int, what: str) -> Iterator[None]:
    """Say, if this is interrupted, that all is computed and only to be written."""
    try:
        yield
    except KeyboardInterrupt as error:
        if journal is not None:
            error.args = (f"{count:,} of {count:,} {what} are kept.",)
        raise
