"""Directories and the terminal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from fanwise._format import size
from fanwise.cache._home import is_network
from fanwise.cache._locks import lock
from fanwise.cli._doctor.finding import Finding
from fanwise.cli._errors import reason
from fanwise.progress._terminal import is_terminal, painter, speaks_utf8, unpainted
from fanwise.progress._terminal import size as size_of

__all__ = ["look"]

_ROOM = 256 << 20


def look(cache_dir: Path, stream: TextIO | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Where things are kept and shown."""
    yield directory("temporary directory", Path(tempfile.gettempdir()), "Set TMPDIR to a local directory.")
    yield directory("cache directory", cache_dir, "Name another one with --cache-dir or FANWISE_CACHE_DIR.")
    yield terminal(stream, environ)


def directory(check: str, path: Path, advice: str) -> Finding:
    """Whether a directory can be written to and locked in, has room, and is on this machine."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    facts = {"path": str(path), "network": is_network(str(there))}
    try:
        locks = _try_lock(there)
        found = os.statvfs(there)
    except OSError as error:
        return Finding(check, f"{path}: {reason(error)}", "problem", advice, facts)
    free = found.f_bavail * found.f_frsize
    facts |= {"free": free, "locks": locks}
    said = f"{path}, {size(free)} free"
    if not locks:
        return Finding(check, f"{said}, locks do not work", "problem", advice, facts)
    if facts["network"]:
        return Finding(check, f"{said}, on a network file system", "note", f"Slower. {advice}", facts)
    if free < _ROOM:
        return Finding(check, said, "note", f"Little room. {advice}", facts)
    return Finding(check, said, facts=facts)


def _try_lock(folder: Path) -> bool:
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            return lock(file.fileno(), wait=False)
        except OSError:
            return False


def terminal(stream: TextIO | None, environ: Mapping[str, str]) -> Finding:
    """What the bar can use."""
    if stream is None or not is_terminal(stream):
        return Finding("terminal", "stderr is none: plain lines instead of a bar", facts={"terminal": False})
    colour = painter(environ, terminal=True) is not unpainted
    encoding = getattr(stream, "encoding", None) or "unknown"
    columns, _ = size_of(stream, environ)
    facts = {"terminal": True, "columns": columns, "colour": colour, "encoding": encoding}
    said = f"{columns} columns, {'' if colour else 'no '}colour, {encoding}"
    if not speaks_utf8(stream):
        return Finding("terminal", said, "note", "The bar is drawn in ASCII; a UTF-8 locale makes it finer.", facts)
    return Finding("terminal", said, facts=facts)
