"""Exceptions on the wire: the same class, arguments and attributes at the other end, whatever their ``__init__`` does.

An exception that survives ``loads(dumps(error))`` travels so. Any other is taken apart (class, arguments, attributes,
each pickled alone) and rebuilt without calling its ``__init__``; what cannot travel is replaced and named in a note.
Its ``__cause__`` and ``__context__`` go along, ten deep; the members of a group are taken one by one.
"""

from __future__ import annotations

import copyreg
import pickle
from contextlib import suppress
from dataclasses import dataclass
from types import MemberDescriptorType
from typing import Any

from fanwise._format import traceback_of
from fanwise.backends.process._guard import Raised, attempt
from fanwise.backends.process._pickling import Packed, dumps, loads
from fanwise.errors import NotPicklableError

__all__ = ["decode", "encode"]

_DEPTH = 10
_NO_INPUT = ("EOF when reading a line",)


@dataclass(slots=True)
class _Parts:
    """An exception taken apart. Each pickle stands alone, so that one that fails to load costs only itself."""

    name: str
    kind: bytes | None
    args: list[bytes]
    attributes: dict[str, bytes]
    slots: dict[str, bytes]
    notes: list[str]
    members: list[_Sent] | None = None


@dataclass(slots=True)
class _Sent:
    """An exception and those it came from."""

    whole: bytes | None
    parts: _Parts | None
    cause: _Sent | None
    context: _Sent | None
    suppress_context: bool


def encode(error: BaseException) -> Packed:
    """Pickle an exception together with its traceback as text."""
    if type(error) is EOFError and error.args == _NO_INPUT:
        error.add_note("workers have no standard input; use workers=1 to debug")
    text = traceback_of(error, error.__traceback__)
    return Packed(pickle.dumps((_take_apart(error, _DEPTH), text), 5))


def _take_apart(error: BaseException | None, depth: int) -> _Sent | None:
    if error is None or depth == 0:
        return None
    whole = None if isinstance(error, BaseExceptionGroup) else _whole(error)
    return _Sent(
        whole,
        None if whole else _parts(error, depth),
        _take_apart(error.__cause__, depth - 1),
        None if error.__context__ is error.__cause__ else _take_apart(error.__context__, depth - 1),
        error.__suppress_context__,
    )


def _whole(error: BaseException) -> bytes | None:
    """Return the exception's own pickle, if it comes back as the same class with the same arguments."""
    with suppress(Exception):  # a class that cannot do this is taken apart instead
        data = _flat(_Plain(error) if _is_overridden(type(error)) else error)
        back = loads(data)
        if type(back) is type(error) and pickle.dumps(back.args) == pickle.dumps(error.args):
            return data
    return None


class _Plain:
    """An exception that is pickled by its own method."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.error.__reduce_ex__(5)


def _is_overridden(kind: type[BaseException]) -> bool:
    """Whether tblib, which distributed loads, pickles this class for everybody.

    What it makes of builtin exceptions comes back without their values, and it sends the whole chain of each.
    """
    return getattr(copyreg.dispatch_table.get(kind), "__module__", "").partition(".")[0] == "tblib"


def _flat(obj: Any) -> bytes:
    packed = dumps(obj, main_by_value=False)
    return packed.data if not packed.buffers else pickle.dumps(obj, 5)


def _parts(error: BaseException, depth: int) -> _Parts:
    kind = type(error)
    notes: list[str] = []
    args = error.args
    members = None
    if isinstance(error, BaseExceptionGroup):
        args = (error.message,)
        sent = (_take_apart(member, depth - 1) for member in error.exceptions)
        members = [member for member in sent if member is not None] or None
    attributes, slots = _pickled(vars(error), notes), _pickled(_slots(error), notes)
    return _Parts(_name(kind), _part(kind), [_argument(arg, notes) for arg in args], attributes, slots, notes, members)


def _slots(error: BaseException) -> dict[str, Any]:
    """What is kept outside the dictionary: a class's own slots, and those of builtin ones, as the name of a file."""
    if isinstance(error, BaseExceptionGroup):
        return {}
    names = {
        name
        for base in type(error).__mro__
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType) and not name.startswith("__")
    }
    return {name: value for name in sorted(names) if (value := getattr(error, name, None)) is not None}


def _pickled(attributes: dict[str, Any], notes: list[str]) -> dict[str, bytes]:
    pickled = {}
    for name, value in attributes.items():
        if (data := _part(value)) is not None:
            pickled[name] = data
        else:
            notes.append(f"attribute {name!r} ({_name(type(value))}) cannot be sent to another process")
    return pickled


def _part(value: Any) -> bytes | None:
    with suppress(Exception):
        data = _flat(value)
        loads(data)
        return data
    return None


def _argument(value: Any, notes: list[str]) -> bytes:
    data = _part(value)
    if data is None:
        notes.append(f"an argument ({_name(type(value))}) cannot be sent to another process; its repr stands for it")
        data = pickle.dumps(f"<{_name(type(value))}>", 5)
    return data


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def decode(data: bytes | memoryview) -> tuple[BaseException, str]:
    """Rebuild what `encode` pickled: the exception and its traceback as text."""
    sent, text = loads(data)
    return _rebuild(sent, text), text


def _rebuild(sent: _Sent, text: str) -> BaseException:
    error = _rebuild_whole(sent.whole, text) if sent.whole is not None else _assemble(sent.parts, text)
    if sent.cause is not None:
        _set(error, "__cause__", _rebuild(sent.cause, text))
    _set(error, "__context__", error.__cause__ if sent.context is None else _rebuild(sent.context, text))
    _set(error, "__suppress_context__", sent.suppress_context)
    return error


def _rebuild_whole(whole: bytes, text: str) -> BaseException:
    error: BaseException | Raised = attempt(loads, whole)
    return _stand_in("an exception", text, error.error) if isinstance(error, Raised) else error


def _assemble(parts: _Parts | None, text: str) -> BaseException:
    if parts is None:
        return _stand_in("an exception", text, None)
    error = attempt(_put_together, parts, text)
    return _stand_in(parts.name, text, error.error) if isinstance(error, Raised) else error


def _put_together(parts: _Parts, text: str) -> BaseException:
    kind = loads(parts.kind) if parts.kind is not None else None
    args = [loads(arg) for arg in parts.args]
    if parts.members is not None:
        args.append([_rebuild(member, text) for member in parts.members])
    error = _without_init(kind, args)
    vars(error).update({name: loads(data) for name, data in parts.attributes.items()})
    for name, data in parts.slots.items():
        _set(error, name, loads(data))
    if parts.notes:
        vars(error)["__notes__"] = [*vars(error).get("__notes__", ()), *parts.notes]
    return error


def _without_init(kind: Any, args: list[Any]) -> BaseException:
    """Make an exception by its builtin parent's `__new__` and `__init__`, never by its own."""
    if kind is None:
        raise NotPicklableError("its class cannot be sent to another process")
    parent = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: BaseException = parent.__new__(kind, *args)
    with suppress(TypeError):  # arguments changed after the fact need not suit the parent
        parent.__init__(error, *args)
    if not isinstance(error, BaseExceptionGroup):
        _set(error, "args", tuple(args))
    return error


def _set(error: BaseException, name: str, value: Any) -> None:
    """Set an attribute, also of a class whose own `__setattr__` refuses."""
    BaseException.__setattr__(error, name, value)


def _stand_in(name: str, text: str, failure: BaseException | None) -> NotPicklableError:
    error = NotPicklableError(f"{name} was raised in a worker and cannot be rebuilt here: {failure}")
    error.original_type = name
    error.original_traceback = text
    error.__cause__ = failure
    return error
