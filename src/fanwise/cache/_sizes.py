"""Sizes and ages as people write them."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from fanwise.errors import UsageTypeError, UsageValueError

__all__ = ["parse_age", "parse_size", "parse_ttl", "show_bytes", "show_limit"]

_UNITS = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([smhdw])")


def parse_size(value: int | str, subject: str) -> int:
    """Bytes of ``64`` or ``"64MiB"``; ``subject`` is what the message begins with.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    factor = _UNITS.get(match[2] or "B") if match else None
    if match is None or factor is None:
        raise UsageValueError(
            f"{subject} {value!r}: expected a number with B, KiB, MiB, GiB, kB, MB or GB, such as 500MB"
        )
    return int(float(match[1]) * factor)


def parse_age(value: str, subject: str) -> float:
    """Seconds of ``"30d"``.

    Raises
    ------
    UsageError
        If it is not a number with a unit.
    """
    match = _AGE.fullmatch(value.strip())
    if match is None:
        raise UsageValueError(f"{subject} {value!r}: expected a number with s, m, h, d or w, such as 30d")
    return float(match[1]) * _SECONDS[match[2]]


def parse_ttl(ttl: float | timedelta | None) -> float:
    """Seconds that an entry lives; infinite for None.

    Raises
    ------
    UsageError
        Unless it is above zero.
    """
    if ttl is None:
        return math.inf
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise UsageTypeError(f"ttl must be seconds or a timedelta, got {type(ttl).__name__}")
    if not seconds > 0:
        raise UsageValueError(f"ttl must be above 0 seconds, got {ttl!r}; leave it out for entries that do not expire")
    return float(seconds)


def show_bytes(size: int) -> str:
    """``18.9 MB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def show_limit(size: int) -> str:
    """A limit in the units in which limits are usually given: ``2.0 GiB``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size * 10 % factor == 0:
            return f"{size / factor:.1f} {unit}"
    return show_bytes(size)
