"""The parts of a process's state that change what a function computes or prints, carried from caller to worker."""

from __future__ import annotations

import os
import pickle
import sys
from importlib import import_module
from typing import Any, NamedTuple

from fanwise.backends.process._pickling import dumps, dumps_by_value, loads
from fanwise.records._record import record

__all__ = ["Place", "Snapshot", "State", "reseed", "restore", "snapshot"]


class Place(NamedTuple):
    """Where the caller is: applied before anything is unpickled that needs an import."""

    cwd: str
    path: tuple[str, ...]
    environ: dict[bytes, bytes]

    @classmethod
    def here(cls) -> Place:
        """That of this process."""
        try:
            cwd = os.getcwd()
        except FileNotFoundError:  # removed under our feet
            cwd = ""
        return cls(cwd, tuple(sys.path), _environ())

    def apply(self) -> None:
        """Make it that of this process."""
        if self.cwd and os.path.isdir(self.cwd):
            os.chdir(self.cwd)
        sys.path[:] = self.path
        for name in os.environb.keys() - self.environ.keys():
            del os.environb[name]
        os.environb.update(self.environ)


@record
class State:
    """Limits, contexts and filters of the interpreter. Two of them compare equal if nothing has changed between."""

    recursion_limit: int
    locale: str
    decimal: tuple[Any, ...] | None
    numpy_errors: dict[str, Any] | None
    warning_filters: tuple[Any, ...]
    log_levels: tuple[tuple[str, int], ...]
    log_disable: int
    family_key: bytes = b""  # lets proxies of a `multiprocessing.Manager` connect

    @classmethod
    def here(cls) -> State:
        """That of this thread and process. Nothing is imported for it."""
        logging = sys.modules.get("logging")
        return cls(
            sys.getrecursionlimit(),
            _locale(),
            _decimal(),
            _numpy_errors(),
            tuple(sys.modules["warnings"].filters) if "warnings" in sys.modules else (),
            _log_levels(logging),
            logging.root.manager.disable if logging is not None else 0,
            _family_key(),
        )

    @property
    def is_of_main(self) -> bool:
        """Whether a warning filter is about a class of ``__main__``, which is another module in a worker."""
        return "__main__" in [category.__module__ for _, _, category, _, _ in self.warning_filters]

    def apply(self) -> None:
        """Make it that of this process."""
        sys.setrecursionlimit(self.recursion_limit)
        if self.locale:
            import locale

            locale.setlocale(locale.LC_ALL, self.locale)
        if self.decimal is not None:
            import decimal

            decimal.setcontext(decimal.Context(*self.decimal))
        if self.numpy_errors is not None:
            import numpy as np

            np.seterr(**self.numpy_errors)
        if self.family_key:
            from multiprocessing.process import current_process

            current_process().authkey = self.family_key
        self._apply_filters()
        self._apply_log_levels()

    def _apply_filters(self) -> None:
        warnings: Any = import_module("warnings")
        warnings.filters[:] = self.warning_filters
        warnings._filters_mutated()  # noqa: SLF001 - else old registries hide new warnings

    def _apply_log_levels(self) -> None:
        if self.log_levels or self.log_disable:
            import logging

            logging.disable(self.log_disable)
            for name, level in self.log_levels:
                logging.getLogger(name or None).setLevel(level)


def _environ() -> dict[bytes, bytes]:
    """The variables as `os.environ` keeps them: it decodes each of them in Python, for 0.1 ms that a run would wait."""
    kept = getattr(os.environ, "_data", None)
    if kept is None:  # somebody has put another mapping in its place
        return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    return dict(kept)


def _family_key() -> bytes:
    process = sys.modules.get("multiprocessing.process")
    return bytes(process.current_process().authkey) if process is not None else b""


def _locale() -> str:
    locale = sys.modules.get("locale")
    text: str = locale.setlocale(locale.LC_ALL) if locale is not None else ""
    return text


def _decimal() -> tuple[Any, ...] | None:
    """What a context is made of: two contexts never compare equal."""
    decimal = sys.modules.get("decimal")
    if decimal is None:
        return None
    made_of: tuple[Any, ...] = decimal.getcontext().__reduce__()[1]
    return made_of


def _numpy_errors() -> dict[str, Any] | None:
    numpy = sys.modules.get("numpy")
    return dict(numpy.geterr()) if numpy is not None and hasattr(numpy, "geterr") else None


def _log_levels(logging: Any) -> tuple[tuple[str, int], ...]:
    if logging is None:
        return ()
    named = logging.root.manager.loggerDict
    levels = [(name, logger.level) for name, logger in sorted(named.items()) if getattr(logger, "level", 0)]
    return (("", logging.root.level), *levels)


class Snapshot:
    """The place and state of this process, taken at the first call."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: bytes | None = None

    def __call__(self) -> bytes:
        if self._taken is None:
            self._taken = snapshot()
        return self._taken


class _Last(NamedTuple):
    """The last snapshot: of what, and its bytes."""

    place: Place
    state: State
    taken: bytes


_last: _Last | None = None


def snapshot() -> bytes:
    """The place and state of this process; equal bytes if nothing has changed between."""
    global _last  # of this process, as what it is taken of
    place, state, last = Place.here(), State.here(), _last
    if last is None or (place, state) != last[:2]:
        packed = dumps_by_value(state) if state.is_of_main else dumps(state, main_by_value=False)
        _last = last = _Last(place, state, pickle.dumps((place, packed.data), 5))
    return last.taken


def restore(taken: bytes) -> None:
    """Make place and state those of the snapshot: the place first, since the state may need imports."""
    place, packed = pickle.loads(taken)
    place.apply()
    state: State = loads(packed)
    state.apply()


def reseed() -> None:
    """Draw new seeds from the operating system: forked twins would draw the same numbers. (`random` does so itself.)"""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
