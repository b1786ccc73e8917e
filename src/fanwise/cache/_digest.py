"""Which edits are a miss: the digest of a function covers its code and everything that it reaches by name.

The walk is breadth first and gives each function, class and wrapper of the project a number when it is first met, so
that recursion f ↔ g ends and the digest does not depend on addresses. Code of distributions and of Python counts by
name and version, data by its canonical key. What decides is here; how each kind of code is read is in `_walk`.
"""

from __future__ import annotations

import functools
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Mapping
from reprlib import Repr
from typing import Any

from fanwise.cache._captured import ABSENT, Captured, ClassWatch, FunctionWatch, Mutable, NameWatch
from fanwise.cache._hashing import digest_parts
from fanwise.cache._immutable import is_immutable
from fanwise.cache._keys import Encoder, Unkeyable, class_name, framed, module_name, name_of, text, u64
from fanwise.cache._plain_keys import is_code, is_wrapper
from fanwise.cache._provenance import PROJECT, file_name, module_origin, origin_of
from fanwise.errors import UsageTypeError

__all__ = ["Ledger", "Stale", "Step", "builtin", "function_name", "is_function_of_module"]

Step = Callable[[Any], None]

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class Stale(Exception):
    """Mutable data hold a function that was not there when the digest was made."""


def function_name(fn: Any) -> str:
    """``module:qualname``; functions of the main program are known by its file."""
    if isinstance(fn, functools.partial):
        return function_name(fn.func)
    fn = getattr(fn, "__func__", fn)
    if not hasattr(fn, "__qualname__"):
        return name_of(type(fn))
    module = module_of(fn)
    if module in {"__main__", "__mp_main__"} and hasattr(fn, "__code__"):
        module = file_name(fn.__code__)
    return f"{module_name(module)}:{fn.__qualname__}"


def module_of(thing: Any) -> str:
    """The module of a function; methods of built-in types have none of their own."""
    module = getattr(thing, "__module__", None)
    if isinstance(module, str):
        return module
    owner = getattr(thing, "__objclass__", None) or type(getattr(thing, "__self__", thing))
    return str(owner.__module__)


def is_function_of_module(method: Any) -> bool:
    """Whether a bound method is offered by its module as a function, as ``random.random`` is."""
    module = sys.modules.get(module_of(getattr(method, "__func__", method)))
    return vars(module).get(method.__name__) == method if module is not None else False


def plain_name(thing: Any) -> str:
    """Origin and name of code whose text does not count."""
    if isinstance(thing, types.ModuleType):
        return f"{module_origin(thing.__name__)} {thing.__name__}"
    module = module_of(thing)
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__qualname__)
    origin = origin_of(thing) if hasattr(thing, "__code__") else module_origin(module)
    return f"{origin} {module}:{name}"


def _code_name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__qualname__))


def mark_of(thing: Any) -> Any:
    """What makes a piece of code this one; a bound method is a new object at each access."""
    if isinstance(thing, types.MethodType):
        return id(thing.__func__), id(thing.__self__)
    return id(thing)


class Ledger:
    """What has been met on the walk: numbers of code, facts for the digest, and what must be watched."""

    def __init__(
        self,
        subject: str,
        ignored: Collection[str],
        step_for: Callable[[Any], Step | None],
        otherwise: Callable[[Any], bytes] | None = None,
    ) -> None:
        self.subject = subject
        self.ignored = frozenset(ignored)
        self.encoder = Encoder(code=self.token, note=self.note)
        self.names: list[NameWatch] = []
        self.functions: list[FunctionWatch] = []
        self.cells: list[tuple[types.CellType, Any, str]] = []
        self.classes: list[ClassWatch] = []
        self._step_for = step_for
        self._otherwise = otherwise
        self._numbers: dict[Any, bytes] = {}
        self._alive: list[Any] = []
        self._todo: deque[tuple[Step, Any]] = deque()
        self._raw: list[bytes] = []
        self._facts: list[tuple[str, str]] = []
        self._mutables: list[Mutable] = []

    def finish(self) -> Captured:
        """Read all that is still to be read, and close the ledger."""
        while self._todo:
            step, thing = self._todo.popleft()
            step(thing)
        return Captured(
            digest=digest_parts(framed(b"", raw) for raw in self._raw),
            facts=tuple(self._facts),
            names=tuple(self.names),
            functions=tuple(self.functions),
            cells=tuple(self.cells),
            classes=tuple(self.classes),
            mutables=tuple(self._mutables),
            encoder=Encoder(code=self._known),
            alive=tuple(self._alive),
        )

    def put(self, label: str, raw: bytes, detail: str = "") -> None:
        """Add one fact: ``raw`` goes into the digest, label and detail into the explanation."""
        self._raw.append(text(label) + b"\0" + raw)
        self._facts.append((label, detail))

    def token(self, thing: Any) -> bytes:
        """What stands for a piece of code: its number if its text counts, else its name and version."""
        mark = mark_of(thing)
        number = self._numbers.get(mark)
        if number is not None:
            return number
        step = self._step_for(thing)
        if step is None:
            return text(plain_name(thing))
        number = self._numbers[mark] = b"#" + u64(len(self._numbers))
        self._alive.append(thing)
        self._todo.append((step, thing))
        return number

    def _known(self, thing: Any) -> bytes:
        number = self._numbers.get(mark_of(thing))
        if number is not None:
            return number
        if self._step_for(thing) is not None:
            raise Stale
        return text(plain_name(thing))

    def note(self, cls: type) -> None:
        """Data hold an instance of ``cls``: its methods may be called."""
        if origin_of(cls) == PROJECT:
            self.token(cls)

    def watch(self, space: Mapping[str, Any], name: str) -> Any:
        """Read a name and remember to look at it again."""
        value = space.get(name, ABSENT)
        self.names.append((space.get, name, value))
        return value

    def refer(self, value: Any, label: str) -> None:
        """Add what a name stands for."""
        if value is ABSENT:
            self.put(label, b"absent", "not defined")
        elif not hasattr(type(value), "__fanwise_key__") and (is_code(type(value)) or is_wrapper(value)):
            self.put(label, self.token(value), _code_name(value))
        elif _is_sentinel(value):
            self.put(label, b"sentinel", class_name(type(value)))
        else:
            self._data(value, label)

    def _data(self, value: Any, label: str) -> None:
        try:
            digest = self.encoder.digest(b"", (value,))
        except Unkeyable as error:
            if self._otherwise is None:
                raise UsageTypeError(self._refusal(error, value, label)) from None
            self.put(label, self._otherwise(value), class_name(type(value)))
            return
        if is_immutable(value):
            self.put(label, digest, _SHORT.repr(value))
        else:
            self.put(label, b"mutable", f"{class_name(type(value))}, encoded again at each call")
            self._mutables.append(Mutable(label.partition(" ")[2], value))

    def _refusal(self, error: Unkeyable, value: Any, label: str) -> str:
        kind, _, name = label.partition(" ")
        hint = f'pass ignore_globals=("{name}",) and say with version= what it stands for'
        return f"{error.sentence(f'the {kind} {name!r} of {self.subject}', value)}; {hint}"

    def refer_loosely(self, value: Any, label: str) -> None:
        """Add settings that code of others keeps about a function; what has no key counts by its type only."""
        try:
            if is_immutable(value):
                self.refer(value, label)
        except UsageTypeError:
            self.put(label, text(class_name(type(value))))


def _is_sentinel(value: Any) -> bool:
    """Objects whose only property is to be themselves, and fanwise's own services (a cache, an executor)."""
    cls = type(value)
    if cls is object or cls.__module__ == "dataclasses":
        return True
    own = cls.__module__.startswith("fanwise.") and not cls.__module__.startswith(
        ("fanwise.workloads", "fanwise.bundle")
    )
    return own and not hasattr(cls, "__fanwise_key__")


def builtin(name: str) -> Any:
    """What a name means that no module defines."""
    return vars(sys.modules["builtins"]).get(name, ABSENT)
