"""Memoised functions: keyed by their code and what it reaches, and by their bound arguments."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from reprlib import repr as short_repr
from struct import pack as pack_struct
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar

from fanwise.cache._binding import Binder, check_callable
from fanwise.cache._captured import Captured
from fanwise.cache._digest import Stale, function_name
from fanwise.cache._flights import MISSING
from fanwise.cache._keys import Encoder, Key, Unkeyable
from fanwise.cache._policy import EVERY, Policy
from fanwise.cache._stats import Counters
from fanwise.cache._walk import capture
from fanwise.cache._work import Work
from fanwise.errors import FanwiseWarning, UsageError, UsageTypeError

if TYPE_CHECKING:
    from fanwise.cache._cache import Cache
    from fanwise.cache._opening import Engine

__all__ = ["Memoized", "Options", "wrap"]

P = ParamSpec("P")
T = TypeVar("T")

_SAMPLE = 16  # one quick hit in so many is timed
_TOKENS = 8192  # calls remembered by their plain arguments
_LONGEST = 1024  # longer texts are not remembered
_QUICK_TYPES = frozenset({int, str, bytes, bool, type(None), float})


@dataclass(frozen=True)
class Options:
    """How a function is memoised; ``lenient``: what has no key is computed instead of refused."""

    version: Any = ""
    ignore: tuple[str, ...] = ()
    ignore_globals: tuple[str, ...] = ()
    ttl: float = float("inf")
    adaptive: bool = True
    lenient: bool = False


def wrap(cache: Cache, fn: Any, options: Options) -> Any:
    """A memoised function; static and class methods stay what they are."""
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(wrap(cache, fn.__func__, options))
    return Memoized(cache, cache.engine, fn, options)


class _Known:
    """A digest that was right when last looked at, and the keys of calls with plain arguments under it."""

    __slots__ = ("captured", "count", "quick", "tables")

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        self.quick = not captured.mutables
        self.count = 0
        self.tables: dict[tuple[type, ...], dict[Any, Key]] = {}

    def find(self, args: tuple[Any, ...]) -> Key | None:
        """The key of a call with plain arguments, if it was met before."""
        kinds = tuple(map(type, args))
        table = self.tables.get(kinds)
        return table.get(args if float not in kinds else _exact(args)) if table is not None else None

    def add(self, args: tuple[Any, ...], key: Key) -> None:
        """Remember the key of a call, if its arguments are plain."""
        kinds = tuple(map(type, args))
        if not self.quick or not _QUICK_TYPES.issuperset(kinds):
            return
        if any(len(arg) > _LONGEST for arg in args if type(arg) in {str, bytes}):
            return
        if self.count >= _TOKENS:
            self.tables, self.count = {}, 0
        self.tables.setdefault(kinds, {})[_exact(args)] = key
        self.count += 1


class _Call(NamedTuple):
    """A call by what counts of it: the code, the key, and what the mutable data that count held when it was made."""

    captured: Captured
    key: Key
    states: tuple[bytes, ...]


def _exact(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Floats by their bytes: 0.0 equals -0.0, and NaN not even itself."""
    return tuple([pack_struct("<d", arg) if type(arg) is float else arg for arg in args])


class Memoized(Generic[P, T]):
    """A function that keeps its results. Called like the function itself.

    Attributes
    ----------
    __wrapped__ : callable
        The function.
    """

    __wrapped__: Callable[..., T]

    def __init__(self, cache: Cache, engine: Engine, fn: Callable[P, T], options: Options) -> None:
        check_callable(fn)
        functools.update_wrapper(self, fn)
        self._cache = cache
        self._engine = engine
        self._counters = engine.counters
        self._options = options
        self._binder = Binder(fn, options.ignore)
        self._name = function_name(fn)
        self._may_be_method = "." in self._name.rpartition(":")[2].rpartition("<locals>.")[2]
        self._names = Encoder().encode(self._binder.names)
        self._known: _Known | None = None
        self._policy = Policy()
        self._quiet = self._skipped = 0
        self._warned: set[str] = set()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The stored result of this call, or a new one."""
        if self._policy.bypassing:
            self._skipped += 1
            if self._skipped < EVERY:
                self._counters.bypassed += 1
                return self.__wrapped__(*args, **kwargs)
            self._skipped = 0
        elif not kwargs and self._quiet < _SAMPLE:
            value: T = self._recall(args)
            if value is not MISSING:
                self._quiet += 1
                return value
        found, result = self.begin(args, kwargs)
        answer: T = result if found else result()
        return answer

    @property
    def cache(self) -> Cache:
        """Where results are kept."""
        return self._cache

    @property
    def counters(self) -> Counters:
        """A copy of what its cache counted in this process."""
        return self._counters.copy()

    @property
    def lenient(self) -> bool:
        """Whether what has no key is computed instead of refused."""
        return self._options.lenient

    def check(self) -> None:
        """Make the digest of the function now.

        Raises
        ------
        UsageError
            If it reaches something that has no stable key.
        """
        self._capture()

    @property
    def bypassing(self) -> bool:
        """Whether looking up costs more than computing, as far as this process has seen."""
        return self._policy.bypassing

    @property
    def key_s(self) -> float:
        """What making a key costs, in seconds; 0 as long as it is not known."""
        return self._policy.key.value

    @property
    def compute_s(self) -> float | None:
        """What computing costs, in seconds; None as long as it is not known."""
        return self._policy.compute.value if self._policy.compute.known else None

    def _remembered(self, args: tuple[Any, ...]) -> _Call | None:
        """A call with plain arguments that was met before, as long as the code is what it was."""
        known = self._known
        key = known.find(args) if known is not None else None
        if key is None or known is None or not known.captured.is_current():
            return None
        return _Call(known.captured, key, ())

    def _recall(self, args: tuple[Any, ...]) -> Any:
        """Its result, if that is in memory."""
        call = self._remembered(args)
        return MISSING if call is None else self._engine.levels.quick(call.key)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Look a call up in all levels: (True, its value), or (False, what computes and keeps it).

        Raises
        ------
        UsageError
            If an argument or something that the function reaches has no stable key.
        """
        engine = self._engine
        started = perf_counter()
        before = self._known
        call = None if kwargs else self._remembered(args)
        if call is None:
            bound = self._binder.bind(args, kwargs)
            if bound is None:  # the function says best what is wrong with the call
                return False, functools.partial(self.__wrapped__, *args, **kwargs)
            try:
                call = self._call_of(bound, args, kwargs)
            except UsageError as error:
                if not self._options.lenient:
                    raise
                return False, functools.partial(self._uncached, error, args, kwargs)
        keyed = perf_counter()
        key_s = keyed - started if self._known is before else self._policy.key.value  # reading code is done once
        value = engine.levels.find(call.key)
        if value is MISSING:
            return False, functools.partial(self._compute, call, args, kwargs, key_s)
        self._on_hit(key_s, perf_counter() - keyed)
        if engine.check.active:
            engine.check.on_hit(call.key, self._name, value, functools.partial(self.__wrapped__, *args, **kwargs))
        return True, value

    def _on_hit(self, key_s: float, hit_s: float) -> None:
        """A timed hit stands for the quick ones since the last."""
        count, self._quiet = self._quiet + 1, 0
        policy = self._policy
        policy.on_hit(key_s, hit_s, count)
        if not self._options.adaptive:
            policy.bypassing = False
        self._counters.seconds_spent += count * (key_s + hit_s)

    def _call_of(self, bound: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """A call by what counts of it; remembered if its arguments are plain."""
        known = self._known
        if known is None or not known.captured.is_current():
            known = self._capture()
        try:
            states = known.captured.states() if known.captured.mutables else ()
        except (Stale, Unkeyable):
            known = self._capture()
            states = known.captured.states()
        head = b"".join((b"\1call", known.captured.digest, *states, self._class_token(args), self._names))
        try:
            key = Key(self._engine.encoder.digest(head, bound))
        except Unkeyable as error:
            raise UsageTypeError(self._refusal(bound, error)) from None
        if not kwargs:
            known.add(args, key)
        return _Call(known.captured, key, states)

    def _capture(self) -> _Known:
        options = self._options
        captured = capture(
            self.__wrapped__, ignore_globals=options.ignore_globals, ignore=options.ignore, version=options.version
        )
        known = _Known(captured)
        if self._engine.check.active:
            known.quick = False
        self._known = known
        return known

    def _class_token(self, args: tuple[Any, ...]) -> bytes:
        """The digest of the class whose method this is."""
        if not args or not self._may_be_method:
            return b""
        owner = type(args[0])
        found = inspect.getattr_static(owner, getattr(self.__wrapped__, "__name__", ""), None)
        mine = found is self or found is self.__wrapped__ or getattr(found, "__wrapped__", None) is self.__wrapped__
        return self._engine.codes.token(owner) if mine else b""

    def _refusal(self, bound: list[Any], error: Unkeyable) -> str:
        for name, value in zip(self._binder.names, bound, strict=True):
            try:
                self._engine.encoder.encode(value)
            except Unkeyable as culprit:
                sentence = culprit.sentence(f"argument {name!r} of {self._name}", value)
                hint = "pass a value that identifies it, add it to ignore=, or define __fanwise_key__"
                return f"{sentence}; {hint}"
        return f"an argument of {self._name}: {error}"

    def _uncached(self, error: UsageError, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._engine.counters.uncacheable += 1
        self._warn_once("unkeyable", f"cache: {error}; such items are computed each time")
        return self.__wrapped__(*args, **kwargs)

    def _compute(self, call: _Call, args: tuple[Any, ...], kwargs: dict[str, Any], key_s: float) -> Any:
        engine = self._engine
        engine.counters.misses += 1
        captured, key, states = call
        work = Work(
            engine.levels,
            key,
            self._name,
            functools.partial(self.__wrapped__, *args, **kwargs),
            lambda: self._describe(args, kwargs),
            ttl=self._options.ttl,
            is_settled=lambda: self._is_settled(captured, states),
            expected_s=self._policy.compute.value,
        )
        started = perf_counter()
        value = engine.flights.run(key, work)
        store_s = perf_counter() - started - (work.compute_s or 0.0)
        if work.compute_s is not None:
            self._policy.on_miss(key_s, work.compute_s, store_s)
            if not self._options.adaptive:
                self._policy.bypassing = False
        engine.counters.seconds_spent += key_s + store_s
        work.share()
        return value

    def _is_settled(self, captured: Captured, states: tuple[bytes, ...]) -> bool:
        """Whether what the key was made from is still the same; a function that changes it could never hit."""
        name = captured.change_since(states)
        if name is None:
            return True
        self._engine.counters.uncacheable += 1
        self._warn_once(
            "changes",
            f"{self._name} changes the global {name!r}, which is part of its key, so it can never hit; "
            f'pass ignore_globals=("{name}",)',
        )
        return False

    def _warn_once(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(message, FanwiseWarning, stacklevel=5)

    def _describe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str]:
        shown = [*map(short_repr, args), *(f"{name}={short_repr(value)}" for name, value in kwargs.items())]
        place, _, name = self._name.rpartition(":")
        return f"{place}:", f"{name}({', '.join(shown)})"

    def key(self, /, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call.

        Returns
        -------
        Key
            16 bytes.

        Raises
        ------
        UsageError
            If an argument or something that the function reaches has no stable key.
        TypeError
            If the function cannot be called so.
        """
        return self._key_for(args, kwargs)

    def _key_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        bound = self._binder.bind(args, kwargs)
        if bound is None:
            inspect.signature(self.__wrapped__).bind(*args, **kwargs)
            raise UsageTypeError(f"{self._name} cannot be called so")
        return self._call_of(bound, args, kwargs).key

    def forget(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the result of a call; True if there was one."""
        return self._engine.levels.delete(self.key(*args, **kwargs))

    def lookup(self, /, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        """Whether there is a result for a call, and the result; nothing is computed."""
        try:
            value = self._engine.levels.find(self.key(*args, **kwargs))
        except UsageError:
            if not self._options.lenient:
                raise
            value = MISSING
        return (False, None) if value is MISSING else (True, value)

    @property
    def is_shared(self) -> bool:
        """Whether other hosts are asked for what is not here."""
        return self._engine.levels.cluster is not None

    def prefetch(self, calls: Iterable[tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
        """Ask other hosts once for what these calls will look up next; those without a key are left out."""
        keys = []
        for args, kwargs in calls:
            with contextlib.suppress(
                Exception
            ):  # whatever an argument says when asked for its key: its call will raise it
                keys.append(self._key_for(args, kwargs))
        self._engine.levels.prefetch(keys)

    def explain(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """What went into the key of a call, one line each."""
        key = self.key(*args, **kwargs)
        bound = self._binder.bind(args, kwargs) or []
        captured = self._known.captured if self._known is not None else None
        facts = captured.facts if captured is not None else ()
        lines = [f"{label}: {detail}" if detail else label for label, detail in facts]
        values = zip(self._binder.names, bound, strict=True)
        lines += [f"argument {name}: {short_repr(value)}" for name, value in values]
        return "\n".join([*lines, f"key: {key.hex()}"])

    @property
    def __fanwise_code__(self) -> tuple[Any, ...]:
        return self._options.version, self._options.ignore, self._options.ignore_globals

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name where that leads here again, else with the function; the main program has no name elsewhere."""
        module, name = self.__module__, str(vars(self).get("__qualname__"))
        if module != "__main__" and _resolve(module, name) is self:
            return name
        return wrap, (self._cache, self.__wrapped__, self._options)

    def __repr__(self) -> str:
        return f"<memoized {self._name}>"


class _Bound:
    """A memoised method of one object."""

    __slots__ = ("__func__", "__self__")

    def __init__(self, function: Memoized[..., Any], instance: Any) -> None:
        self.__func__ = function
        self.__self__ = instance

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__func__, name)
        return functools.partial(value, self.__self__) if name in _ABOUT_CALLS else value


_ABOUT_CALLS = {"key", "forget", "lookup", "explain"}


def _resolve(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
