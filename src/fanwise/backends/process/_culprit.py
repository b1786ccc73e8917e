"""Which part of a thing cannot be pickled: the path to it, for the message."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from fanwise.backends.process._birth import Initializer
from fanwise.backends.process._pickling import dumps
from fanwise.errors import NotPicklableError

__all__ = ["explain"]

_DEPTH = 12
_TRIES = 400
_REOPEN = "pass what is needed to open it instead"
_ADVICE = {
    "generator": "pass a list of its values instead",
    "module": "import it inside the function instead",
    "frame": "leave it out",
    "traceback": "leave it out",
    "lock": "make it inside the function instead",
    "RLock": "make it inside the function instead",
}


def explain(obj: Any, name: str, error: BaseException) -> NotPicklableError:
    """An error that names the path from ``name`` to the innermost part of ``obj`` that cannot be pickled."""
    path, culprit = _search(obj, name, _DEPTH, [_TRIES])
    kind = type(culprit)
    title = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    advice = _ADVICE.get(kind.__name__, _REOPEN)
    article = "an" if title[0] in "aeiouAEIOU" else "a"
    explained = NotPicklableError(
        f"{path} is {article} {title} and cannot be sent to another process; {advice} ({error})"
    )
    explained.__cause__ = error.__cause__
    return explained


def _search(obj: Any, path: str, depth: int, tries: list[int]) -> tuple[str, Any]:
    if depth:
        for step, part in _inside(obj):
            tries[0] -= 1
            if tries[0] < 0:
                break
            if not _travels(part):
                return _search(part, path + step, depth - 1, tries)
    return path, obj


def _travels(obj: Any) -> bool:
    with suppress(NotPicklableError):
        dumps(obj, main_by_value=False)
        return True
    return False


def _inside(obj: Any) -> Iterator[tuple[str, Any]]:
    """The parts of an object that its pickle would hold, each with the step that leads there."""
    if isinstance(obj, functools.partial):
        yield from ((".func", obj.func), (".args", obj.args), (".keywords", obj.keywords))
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
    elif isinstance(obj, Initializer):
        yield from (("", obj.call), (" arguments", obj.args))
    elif isinstance(obj, types.FunctionType):
        yield from _captured(obj)
    elif isinstance(obj, dict):
        yield from ((f"[{_short(key)}]", value) for key, value in obj.items())
    elif isinstance(obj, (list, tuple)):
        yield from ((f"[{index}]", value) for index, value in enumerate(obj))
    elif isinstance(obj, (set, frozenset)):
        yield from (("{…}", value) for value in obj)
    yield from ((f".{name}", value) for name, value in _attributes(obj))


def _captured(fn: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell
            yield f".<{name}>", cell.cell_contents
    for name in fn.__code__.co_names:
        if name in fn.__globals__:
            yield f".<{name}>", fn.__globals__[name]
    for index, value in enumerate(fn.__defaults__ or ()):
        yield f".__defaults__[{index}]", value


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(obj, (type, types.ModuleType, types.FunctionType)):
        return
    yield from tuple(getattr(obj, "__dict__", {}).items())
    for kind in type(obj).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(obj, name):
                yield name, getattr(obj, name)


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else text[:39] + "…"
