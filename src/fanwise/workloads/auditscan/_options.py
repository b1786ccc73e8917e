"""Words of the options: what they may be, and how to say that they are not."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fanwise.errors import UsageError

__all__ = ["COMPAT", "FORMATS", "UNKNOWN", "check_options", "checked_formats"]

COMPAT = ("kpat",)
FORMATS = ("xlsx", "jsonl", "csv", "sarif")
UNKNOWN = ("skip", "scan")


def check_options(compat: str | None, unknown: str, encoding: str | None, rule_timeout: float | None) -> None:
    """Refuse what no scan can run with, before any file is opened.

    Raises
    ------
    UsageError
        Naming the choices.
    """
    if compat is not None:
        _choose("compat", compat, COMPAT)
    _choose("unknown", unknown, UNKNOWN)
    if encoding is not None and not _is_text_encoding(encoding):
        raise UsageError(
            f"encoding is '{encoding}', which Python does not know; expected a name such as utf-8, cp1252 or utf-16"
        )
    if rule_timeout is not None and not (rule_timeout >= 0 and math.isfinite(rule_timeout)):
        raise UsageError(f"rule_timeout is {rule_timeout}; expected seconds ≥ 0 (0: no limit)")


def checked_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats in the order they are written, each once."""
    wanted = set(formats)
    for name in sorted(wanted):
        _choose("format", name, FORMATS)
    if not wanted:
        raise UsageError(f"format is empty; expected some of {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in wanted)


def _choose(option: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise UsageError(
            f"{option} is '{value}'; expected {' or '.join(words) if len(words) < 3 else ', '.join(words)}"
        )


def _is_text_encoding(name: str) -> bool:
    try:
        b"a".decode(name)  # empty bytes would be decoded without asking: rot13 is a codec, but not of text
    except LookupError:
        return False
    except UnicodeError:
        return True
    return True
