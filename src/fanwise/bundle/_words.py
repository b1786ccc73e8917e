"""Sizes and names as messages say them."""

from __future__ import annotations

__all__ = ["called", "readable"]

_STEP = 1000


def readable(size: int, digits: int = 1) -> str:
    """Decimal units, as storage is sold: ``readable(8_000_000_000)`` is ``8.0 GB``."""
    if size < _STEP:
        return f"{size} B"
    scaled = float(size)
    for unit in ("kB", "MB", "GB"):
        scaled /= _STEP
        if scaled < _STEP:
            return f"{scaled:.{digits}f} {unit}"
    return f"{scaled / _STEP:.{digits}f} TB"


def called(name: str | None) -> str:
    """A bundle, with its name if it has one."""
    return f"bundle {name!r}" if name else "this bundle"
