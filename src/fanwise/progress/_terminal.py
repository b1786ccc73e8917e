"""What a stream can show: is it a terminal, whose turn is it, how wide, which characters and colours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol, TextIO

__all__ = [
    "Painter",
    "encodable",
    "in_foreground",
    "is_terminal",
    "painter",
    "size",
    "speaks_utf8",
    "unpainted",
]

_COLUMNS, _ROWS = 80, 24
_ASCII = str.maketrans("·…", "-.")
_CODES = {"done": "32", "dim": "2", "bad": "31", "bold": "1"}


class Painter(Protocol):
    """Colours a piece of text; ``style`` is ``done``, ``dim``, ``bad`` or ``bold``."""

    def __call__(self, text: str, style: str, /) -> str: ...


def painted(text: str, style: str, /) -> str:
    """The text in a colour of the terminal's own palette."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if text else ""


def unpainted(text: str, _: str, /) -> str:
    """The text as it is."""
    return text


def painter(environ: Mapping[str, str], *, terminal: bool) -> Painter:
    """Colour on a terminal, unless ``NO_COLOR`` is set; elsewhere only where ``FORCE_COLOR`` asks for it."""
    if environ.get("NO_COLOR"):
        return unpainted
    return painted if terminal or environ.get("FORCE_COLOR") else unpainted


def _descriptor(stream: TextIO) -> int | None:
    """The stream's descriptor, if it has one."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def is_terminal(stream: TextIO | None) -> bool:
    """True if the stream is open and a terminal. Streams may be None (services), replaced (tests) or closed."""
    try:
        return stream is not None and stream.isatty()
    except (ValueError, AttributeError):
        return False


def in_foreground(stream: TextIO) -> bool:
    """True if this process may write to its terminal without being stopped or disturbing another program."""
    number = _descriptor(stream)
    if number is None or not hasattr(os, "tcgetpgrp"):
        return True
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:  # not our controlling terminal: there is no other group to disturb
        return True


def size(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """Columns and rows of the terminal now; ``COLUMNS`` and ``LINES`` win."""
    number = _descriptor(stream)
    try:
        found = os.get_terminal_size(number) if number is not None else (0, 0)
    except OSError:
        found = (0, 0)
    columns, rows = (_positive(environ.get(name, "")) for name in ("COLUMNS", "LINES"))
    return columns or found[0] or _COLUMNS, rows or found[1] or _ROWS


def _positive(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def encodable(text: str, encoding: str | None) -> str:
    """The text in characters that the encoding has."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding or "utf-8", "replace").decode(encoding or "utf-8")
    return text


def speaks_utf8(stream: TextIO) -> bool:
    """True if the stream can show what is not ASCII."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").replace("_", "") == "utf8"
