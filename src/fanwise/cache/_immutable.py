"""Which data cannot change in place, so that being the same object is being the same value."""

from __future__ import annotations

import dataclasses
import logging
import re
import types
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from fanwise.cache._plain_keys import is_code, is_wrapper

__all__ = ["ATOMS", "is_immutable"]

ATOMS = frozenset(
    {
        *(type(None), type(Ellipsis), type(NotImplemented), bool, int, float, complex, str, bytes, range),
        *(date, datetime, time, timedelta, timezone, Decimal, Fraction, UUID, re.Pattern, logging.Logger),
        *(types.GenericAlias, types.UnionType),
    }
)


def is_immutable(value: Any) -> bool:
    """Whether a value, with all that it holds, stays what it is. Code counts as such: it is watched by other means."""
    todo = [value]
    while todo:
        item = todo.pop()
        if type(item) in ATOMS or isinstance(item, Enum | PurePath | type):
            continue
        parts = _parts(item)
        if parts is None:
            return False
        todo.extend(parts)
    return True


def _parts(item: Any) -> list[Any] | None:
    """What an immutable container holds; None for what can change."""
    cls = type(item)
    if cls in {tuple, frozenset} or (isinstance(item, tuple) and hasattr(cls, "_fields")):
        return list(item)
    if dataclasses.is_dataclass(cls):
        frozen = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in the stubs
        return [getattr(item, field.name) for field in dataclasses.fields(item)] if frozen else None
    if cls.__module__ == "numpy":
        return _array_parts(item)
    return [] if is_code(cls) or is_wrapper(item) else None


def _array_parts(item: Any) -> list[Any] | None:
    import numpy as np

    from fanwise.cache._array_keys import is_frozen

    if isinstance(item, np.generic):
        return None if isinstance(item, np.void) else []
    return [] if type(item) is np.ndarray and is_frozen(item) else None
