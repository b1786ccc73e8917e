"""What must not leave the machine with a report: passwords in addresses, the name of the home directory."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite

__all__ = ["plain_value", "redact"]

_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)[^\s/]+@")
_PARAMETER = re.compile(r"([?&](?:password|token|secret)=)[^\s&#'\"]+", re.IGNORECASE)


@lru_cache(maxsize=4)
def _home_pattern(home: str) -> re.Pattern[str] | None:
    """Matches the home directory as a whole leading part of a path; None where it is not worth hiding."""
    return re.compile(rf"(?<![\w./-]){re.escape(home)}(?![\w.-])") if len(home) > 1 else None


def redact(text: str) -> str:
    """The text with passwords in URLs as ``***`` and the home directory as ``~``."""
    if "://" in text:
        text = _PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1***@", text))
    home = _home_pattern(os.path.expanduser("~").rstrip("/"))
    return text if home is None else home.sub("~", text)


def plain_value(value: object) -> object:
    """What JSON can say of a value: text redacted, NaN and infinity as None, anything unknown as its type's name."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): plain_value(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(part) for part in value]
    return type(value).__qualname__
