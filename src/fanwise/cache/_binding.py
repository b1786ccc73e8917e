"""Arguments of a call in the order of the parameters, defaults applied, so that equal calls have one key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from fanwise.errors import UsageTypeError, UsageValueError

__all__ = ["DEFAULT", "Binder", "check_callable"]

_POSITIONAL = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


class _Default:
    """Stands for a default that is a bare `object()`, whose only property is to be the default."""

    def __fanwise_key__(self) -> str:
        return "default"


DEFAULT = _Default()


class Binder:
    """How the calls of one function are brought into one form.

    Parameters
    ----------
    fn : callable
        The function.
    ignore : collection of str
        Parameters that are left out.

    Attributes
    ----------
    names : tuple of str
        The parameters that count, in order. Callables without a signature have ``args`` and ``kwargs``.
    """

    def __init__(self, fn: Callable[..., Any], ignore: Collection[str]) -> None:
        self._signature = _signature(fn)
        parameters = list(self._signature.parameters.values())
        self._ignore = frozenset(ignore)
        self._check_ignored(fn, parameters)
        self._parameters = parameters
        self._is_simple = all(p.kind in _POSITIONAL for p in parameters)
        self._defaults = [p.default for p in parameters]
        self._kept = [place for place, p in enumerate(parameters) if p.name not in self._ignore]
        self.names = tuple(parameters[place].name for place in self._kept)
        defaults = [self._defaults[place] for place in self._kept]
        self._sentinels = [(place, default) for place, default in enumerate(defaults) if type(default) is object]

    def _check_ignored(self, fn: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
        names = [p.name for p in parameters]
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            return
        for name in self._ignore:
            if name not in names:
                known = ", ".join(names) or "none"
                title = getattr(fn, "__qualname__", type(fn).__qualname__)
                raise UsageValueError(f"ignore: {title} has no parameter {name!r}; it has {known}")

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
        """The values of ``names``; None if the function cannot be called so."""
        if self._is_simple and not kwargs and len(args) <= len(self._parameters):
            rest = self._defaults[len(args) :]
            if any(default is inspect.Parameter.empty for default in rest):
                return None
            values = [*args, *rest]
        else:
            try:
                bound = self._signature.bind(*args, **kwargs)
            except TypeError:
                return None
            bound.apply_defaults()
            values = [self._without_ignored(p, bound.arguments[p.name]) for p in self._parameters]
        kept = [values[place] for place in self._kept]
        for place, default in self._sentinels:
            if kept[place] is default:
                kept[place] = DEFAULT
        return kept

    def _without_ignored(self, parameter: inspect.Parameter, value: Any) -> Any:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            return value
        return {name: item for name, item in value.items() if name not in self._ignore}


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(fn)
    except ValueError:  # some built-in functions have none
        both = ((inspect.Parameter.VAR_POSITIONAL, "args"), (inspect.Parameter.VAR_KEYWORD, "kwargs"))
        return inspect.Signature([inspect.Parameter(name, kind) for kind, name in both])


def check_callable(fn: Any) -> None:
    """Refuse what cannot be memoised.

    Raises
    ------
    UsageError
        If calling it does not give the result itself.
    """
    if not callable(fn):
        raise UsageTypeError(f"memoize: expected a function, got {type(fn).__name__}")
    plain = inspect.unwrap(getattr(fn, "func", fn))
    for test, kind in (
        (inspect.iscoroutinefunction, "a coroutine function"),
        (inspect.isgeneratorfunction, "a generator function"),
        (inspect.isasyncgenfunction, "an asynchronous generator function"),
    ):
        if test(plain):
            name = getattr(plain, "__qualname__", repr(plain))
            raise UsageTypeError(f"memoize: {name} is {kind}; its result is not the value, so memoise what it computes")
