"""How each kind of code is read into the ledger: functions, classes, methods, partials and wrappers."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Collection
from enum import Enum
from importlib import import_module
from importlib.util import resolve_name
from typing import Any

from fanwise.cache._bytecode import Import, encode_code, reach_of
from fanwise.cache._captured import ABSENT, Captured, cell_content, class_items
from fanwise.cache._digest import Ledger, Step, builtin, function_name, is_function_of_module
from fanwise.cache._keys import class_name, name_of, text
from fanwise.cache._plain_keys import is_wrapper
from fanwise.cache._provenance import PROJECT, module_origin, origin_of

__all__ = ["capture"]

_FUNCTION_OWN = frozenset(functools.WRAPPER_ASSIGNMENTS) | {"__wrapped__", "__annotations__", "__type_params__"}


def capture(
    fn: Callable[..., Any],
    *,
    ignore_globals: Collection[str] = (),
    ignore: Collection[str] = (),
    version: Any = "",
    otherwise: Callable[[Any], bytes] | None = None,
) -> Captured:
    """The digest of a function and of what it reaches, and the means to see whether it still holds.

    Parameters
    ----------
    fn : callable
        Function, method, class, partial or wrapper.
    ignore_globals : collection of str
        Names of globals, closure variables and class attributes that do not count.
    ignore : collection of str
        Parameters of ``fn`` whose defaults do not count.
    version : any value with a canonical key
        Counts as well.
    otherwise : callable, optional
        What stands for data without a stable key, which is else an error.

    Raises
    ------
    UsageError
        If ``fn`` reads a global, default or closure variable that has no stable key.
    """
    return _Walk(fn, frozenset(ignore_globals), frozenset(ignore), otherwise).run(version)


class _Walk:
    def __init__(
        self,
        root: Any,
        ignored: frozenset[str],
        parameters: frozenset[str],
        otherwise: Callable[[Any], bytes] | None,
    ) -> None:
        self.root = root
        self.parameters = parameters
        self.ledger = Ledger(function_name(root), ignored, self._step_for, otherwise)

    def run(self, version: Any) -> Captured:
        ledger = self.ledger
        ledger.put("python", text(f"{sys.version_info.major}.{sys.version_info.minor}"))
        ledger.refer(version, "version")
        ledger.put("root", ledger.token(self.root), ledger.subject)
        return ledger.finish()

    def _step_for(self, thing: Any) -> Step | None:
        """How code is read whose text counts; None for code that counts by its name."""
        if isinstance(thing, types.FunctionType):
            if thing is self.root or origin_of(thing) == PROJECT:
                return self._function
            return self._foreign if "__wrapped__" in vars(thing) else None
        if isinstance(thing, type):
            return self._class if thing is self.root or origin_of(thing) == PROJECT else None
        if isinstance(thing, functools.partial):
            return self._partial
        if isinstance(thing, types.MethodType | types.BuiltinFunctionType | types.MethodWrapperType):
            return self._step_for_bound(thing)
        return self._wrapper if is_wrapper(thing) or hasattr(type(thing), "__wrapped__") else None

    def _step_for_bound(self, thing: Any) -> Step | None:
        if isinstance(thing, types.MethodType):
            is_own = origin_of(thing.__func__) == PROJECT
            return self._method if is_own or not is_function_of_module(thing) else None
        if isinstance(thing.__self__, types.ModuleType | type | None) or is_function_of_module(thing):
            return None
        return self._bound_builtin

    def _function(self, fn: types.FunctionType) -> None:
        ledger = self.ledger
        code = fn.__code__
        ledger.functions.append((fn, code, fn.__defaults__, fn.__kwdefaults__))
        ledger.put("function", text(function_name(fn)), function_name(fn))
        ledger.put("code", encode_code(code))
        self._defaults(fn)
        reach = reach_of(code)
        for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
            if name not in ledger.ignored:
                self._cell(name, cell, [chain for at, chain in reach.cells if at == name], reach.names)
        for name, chain in reach.globals:
            if name not in ledger.ignored:
                value = ledger.watch(fn.__globals__, name)
                self._follow(builtin(name) if value is ABSENT else value, chain, name, reach.names)
        for each in reach.imports:
            self._import(each, fn.__globals__.get("__package__") or "", reach.names)
        if "__wrapped__" in vars(fn):
            ledger.refer(vars(fn)["__wrapped__"], "wrapped")

    def _defaults(self, fn: types.FunctionType) -> None:
        positional = fn.__code__.co_varnames[: fn.__code__.co_argcount]
        defaults = fn.__defaults__ or ()
        named = zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
        for name, value in (*named, *(fn.__kwdefaults__ or {}).items()):
            if fn is not self.root or name not in self.parameters:
                self.ledger.refer(value, f"default {name}")

    def _cell(self, name: str, cell: types.CellType, chains: list[tuple[str, ...]], names: frozenset[str]) -> None:
        content = cell_content(cell)
        self.ledger.cells.append((cell, content, name))
        for chain in chains or [()]:
            self._follow(content, chain, name, names, kind="variable")

    def _follow(
        self, value: Any, chain: tuple[str, ...], name: str, names: frozenset[str], *, kind: str = "global"
    ) -> None:
        """Go along ``module.attribute…`` as far as the project's modules reach, then refer to what is there."""
        ledger = self.ledger
        while isinstance(value, types.ModuleType) and chain and module_origin(value.__name__) == PROJECT:
            name, chain = chain[0], chain[1:]
            if name in ledger.ignored:
                return
            value = ledger.watch(vars(value), name)
        if isinstance(value, types.ModuleType) and not chain:
            self._whole_module(value, names)
        if isinstance(value, types.FunctionType) and chain and chain[0] in vars(value):
            ledger.refer(ledger.watch(vars(value), chain[0]), f"attribute {chain[0]}")
        ledger.refer(value, f"{kind} {name}")

    def _whole_module(self, module: types.ModuleType, names: frozenset[str], seen: tuple[str, ...] = ()) -> None:
        """A module under another name (``h = helpers``, ``import helpers`` inside): all attributes the code names."""
        if module_origin(module.__name__) != PROJECT or module.__name__ in seen:
            return
        ledger = self.ledger
        for name in sorted(names & vars(module).keys() - ledger.ignored):
            value = ledger.watch(vars(module), name)
            if isinstance(value, types.ModuleType):
                self._whole_module(value, names, (*seen, module.__name__))
            ledger.refer(value, f"global {name}")

    def _import(self, each: Import, package: str, names: frozenset[str]) -> None:
        ledger = self.ledger
        name = resolve_name("." * each.level + each.module, package) if each.level else each.module
        origin = module_origin(name)
        if origin != PROJECT:
            ledger.put("import", text(f"{origin} {name}"), name)
            return
        try:
            module = import_module(name)
        except ImportError:
            ledger.put("import", text(f"missing {name}"), name)
            return
        for imported in each.names:
            if imported not in ledger.ignored:
                self._follow(ledger.watch(vars(module), imported), (), imported, names)
        if not each.names:  # ``import a.b`` binds a, ``import a.b as c`` binds a.b
            self._whole_module(import_module(name.partition(".")[0]), names)
            self._whole_module(module, names)

    def _foreign(self, fn: types.FunctionType) -> None:
        """A decorator of a distribution: its version, what it wraps, and those of its settings that have a key."""
        ledger = self.ledger
        ledger.put("wrapper", text(f"{origin_of(fn)} {fn.__code__.co_name}"), origin_of(fn))
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            ledger.refer_loosely(cell_content(cell), f"setting {name}")
        if "registry" in vars(fn):  # functools.singledispatch
            ledger.refer(vars(fn)["registry"], "registry")
        ledger.refer(vars(fn)["__wrapped__"], "wrapped")

    def _wrapper(self, thing: Any) -> None:
        """A callable object around a function: a project's own with all its attributes, else what it says of itself."""
        ledger = self.ledger
        own = getattr(thing, "__dict__", {})
        ledger.put("wrapper", ledger.token(type(thing)), class_name(type(thing)))
        ledger.refer(own.get("py_func") or thing.__wrapped__, "wrapped")
        if origin_of(type(thing)) == PROJECT:
            for name in sorted(own.keys() - _FUNCTION_OWN - {"py_func"} - ledger.ignored):
                ledger.refer(ledger.watch(own, name), f"attribute {name}")
        for name in ("targetoptions", "__fanwise_code__"):
            if hasattr(thing, name):
                ledger.refer(getattr(thing, name), f"setting {name}")

    def _method(self, method: types.MethodType) -> None:
        ledger = self.ledger
        ledger.put("method", ledger.token(method.__func__), function_name(method))
        ledger.put("class", ledger.token(type(method.__self__)))
        ledger.refer(method.__self__, "self of the method")

    def _bound_builtin(self, method: types.BuiltinFunctionType) -> None:
        self.ledger.put("method", text(f"{name_of(type(method.__self__))}.{method.__name__}"))
        self.ledger.refer(method.__self__, f"self of {method.__name__}")

    def _partial(self, part: functools.partial[Any]) -> None:
        ledger = self.ledger
        ledger.refer(part.func, "function of the partial")
        for place, value in enumerate(part.args):
            ledger.refer(value, f"argument {place}")
        for name, value in sorted(part.keywords.items()):
            ledger.refer(value, f"argument {name}")

    def _class(self, cls: type) -> None:
        ledger = self.ledger
        space = vars(cls)
        items = class_items(space)
        ledger.classes.append((cls.__qualname__, space, items, len(space)))
        ledger.put("class", text(name_of(cls)), name_of(cls))
        for base in (type(cls), *cls.__bases__):
            ledger.put("base", ledger.token(base), class_name(base))
        if issubclass(cls, Enum):
            items = {name: value for name, value in items.items() if not _is_member(cls, name)}
            items |= {name: member._value_ for name, member in cls.__members__.items()}
        for name, value in items.items():
            if f"{cls.__name__}.{name}" not in ledger.ignored:
                self._attribute(value, f"attribute {cls.__name__}.{name}")
        for field in space.get("__attrs_attrs__", ()):
            for value in (field.default, field.converter, field.validator):
                ledger.refer_loosely(getattr(value, "factory", value), f"field {field.name}")

    def _attribute(self, value: Any, label: str) -> None:
        ledger = self.ledger
        if isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                ledger.refer(part, label)
        elif isinstance(value, staticmethod | classmethod):
            ledger.refer(value.__func__, label)
        elif isinstance(value, functools.cached_property | functools.partialmethod):
            ledger.refer(value.func, label)
            for extra in (getattr(value, "args", ()), getattr(value, "keywords", {})):
                ledger.refer(extra, label)
        elif hasattr(type(value), "__get__") and origin_of(type(value)) != PROJECT and not callable(value):
            ledger.put(label, text(name_of(type(value))))  # slots, fields of named tuples
        else:
            ledger.refer(value, label)


def _is_member(cls: type[Enum], name: str) -> bool:
    return name in cls.__members__
