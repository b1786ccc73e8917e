"""Small plain Python values as JSON: names of columns and levels, attributes, labels of an index.

Text, integers, finite floats, booleans and None stand for themselves; what JSON lacks is an object of one key:
``{"float": hex}``, ``{"tuple": […]}``, ``{"list": […]}``, ``{"dict": [[key, value], …]}``.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["NotPlainError", "pack", "unpack"]

_AS_IS = frozenset({str, bool, type(None)})
_INT_MAX = 1 << 64  # Python refuses to read numbers of thousands of digits


class NotPlainError(Exception):
    """A value that needs a pickle."""


def pack(value: object) -> Any:
    """JSON for a value of exactly these types, at any depth; `NotPlainError` for any other."""
    kind = type(value)
    if kind in _AS_IS:
        return value
    match value:
        case int() if kind is int and -_INT_MAX < value < _INT_MAX:
            return value
        case float() if kind is float:
            return value if math.isfinite(value) else {"float": value.hex()}
        case tuple() | list() if kind in {tuple, list}:
            return {kind.__name__: [pack(v) for v in value]}
        case dict() if kind is dict:
            return {"dict": [[pack(k), pack(v)] for k, v in value.items()]}
    raise NotPlainError(f"{kind.__name__} is not plain")


def unpack(packed: Any) -> Any:
    """The value that `pack` was given."""
    match packed:
        case {"float": str(text)}:
            return float.fromhex(text)
        case {"tuple": list(members)}:
            return tuple(unpack(m) for m in members)
        case {"list": list(members)}:
            return [unpack(m) for m in members]
        case {"dict": list(pairs)}:
            return {unpack(k): unpack(v) for k, v in pairs}
        case dict() | list():
            raise ValueError(f"{packed!r} is no label")
    return packed
