"""Which function a journal belongs to: its code, what that reaches, and its data; not its address."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from fanwise.cache import code_digest

__all__ = ["fingerprint"]


def fingerprint(fn: Callable[..., Any]) -> str:
    """32 hexadecimal digits that change when the function, or a function of the project that it calls, is another one.

    As the keys of a cache, apart from data without a stable key: these count by their pickle, or by their type.
    """
    return code_digest(fn, _content).hex()


def _content(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except (pickle.PicklingError, TypeError, AttributeError):
        return type(value).__qualname__.encode()
