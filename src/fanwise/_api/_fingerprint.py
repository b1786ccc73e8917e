"""Which function a journal belongs to: its code, defaults, closure and bound arguments, not its address."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from types import CodeType
from typing import Any

__all__ = ["fingerprint"]


def fingerprint(fn: Callable[..., Any]) -> str:
    """32 hexadecimal digits that change when the function would compute something else, as far as its own code shows."""
    digest = blake2b(f"{sys.version_info[:2]}".encode(), digest_size=16)
    for part in _parts(fn):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(fn: Any) -> Iterator[bytes]:
    if isinstance(fn, partial):
        yield from _parts(fn.func)
        yield from map(_data, (fn.args, sorted(fn.keywords.items())))
        return
    yield f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__qualname__)}".encode()
    code = getattr(fn, "__code__", None)
    if not isinstance(code, CodeType):
        owner = getattr(fn, "__self__", fn if not isinstance(fn, type) else None)
        yield _data(owner) if not callable(owner) or not hasattr(owner, "__name__") else b""
        return
    yield from _of_code(code)
    yield from map(_data, (fn.__defaults__, fn.__kwdefaults__))
    for cell in fn.__closure__ or ():
        yield _data(cell.cell_contents)


def _of_code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant).encode()


def _data(value: Any) -> bytes:
    """A value by content; what cannot be pickled by its type."""
    try:
        return pickle.dumps(value, 5)
    except (pickle.PicklingError, TypeError, AttributeError):
        return type(value).__qualname__.encode()
