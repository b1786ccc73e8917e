"""Which function a journal belongs to: its code, what that reaches, and its data; not its address."""

from __future__ import annotations

import dis
import pickle
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

__all__ = ["fingerprint"]

_LOADS = {"LOAD_GLOBAL", "LOAD_DEREF"}
_CHANGERS = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"}
    | {"setdefault", "update"}
)


def fingerprint(fn: Callable[..., Any]) -> str:
    """32 hexadecimal digits that change when the function, or a function of the project that it calls, is another one.

    As the keys of a cache, with two exceptions: data without a stable key count by their pickle, or by their type; and
    what the function itself writes to, such as a list of what it has done, does not count, or no run could go on.
    """
    from fanwise.cache import code_digest

    code = getattr(getattr(fn, "func", fn), "__code__", None)
    return code_digest(fn, _content, frozenset(_written(code)) if isinstance(code, CodeType) else ()).hex()


def _written(code: CodeType) -> Iterator[str]:
    """Globals and closure variables that the code rebinds or changes, as far as one can see: ``ran.append(x)``."""
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    for (name, at), (op, what), (then, _) in zip(steps, steps[1:], [*steps[2:], ("", "")], strict=False):
        if name in {"STORE_GLOBAL", "STORE_DEREF"}:
            yield at
        elif name in _LOADS:
            is_item = op.startswith("LOAD") and then in {"STORE_SUBSCR", "DELETE_SUBSCR", "COPY"}
            if is_item or (op in {"LOAD_METHOD", "LOAD_ATTR"} and what in _CHANGERS):
                yield at
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _written(constant)


def _content(value: Any) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except (pickle.PicklingError, TypeError, AttributeError):
        return type(value).__qualname__.encode()
