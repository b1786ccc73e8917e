"""The options of a run, read and checked once."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from numbers import Real
from typing import TYPE_CHECKING, Any

from fanwise._task import current_task
from fanwise.errors import UsageError, UsageTypeError, UsageValueError
from fanwise.records._record import record
from fanwise.typing import Retry

if TYPE_CHECKING:
    from fanwise._api.executor import Executor
    from fanwise.cache import Cache
    from fanwise.typing import Backend, Progress

__all__ = [
    "LABEL_ITEMS",
    "LOCAL_BACKENDS",
    "Options",
    "check_call",
    "check_seed",
    "checked_backend",
    "read_options",
    "whole_number",
]

LABEL_ITEMS: ContextVar[bool] = ContextVar("fanwise_label_items", default=False)
"""Whether lines that items print in workers begin with their item: what ``-v`` asks of the calls of a command."""

LOCAL_BACKENDS = ("auto", "serial", "thread", "process")
_ON_ERROR = ("raise", "return")
_USUAL: Mapping[str, Any] = {
    "workers": None, "backend": "auto", "chunk_size": None, "on_error": "raise", "retries": 0, "timeout": None,
    "deadline": None, "seed": None, "cache": None, "progress": "auto", "resume": None,
}  # fmt: skip
"""What the verbs are given when nothing is asked for, but for an executor."""
_PROGRESS = ("auto", "rich", "plain", "none", "json")


@record
class Options:
    """Checked options. ``backend`` is one of the names, or a `Backend` object."""

    workers: int | None
    backend: str | Backend
    executor: Executor | None
    chunk_size: int | None
    raises: bool
    retry: Retry | None
    timeout: float | None
    deadline: float | None
    seed: int | None
    progress: str | Progress
    resume: Any
    cache: Cache | None = None
    label_items: bool = False

    @property
    def in_workers_only(self) -> bool:
        """Whether the caller asked for a process, so that no item may run here."""
        return (
            self.timeout is not None
            or self.backend == "process"
            or self.is_remote
            or (self.executor is not None and self.executor.in_workers_only)
        )

    @property
    def is_remote(self) -> bool:
        """Whether the caller named a cluster."""
        return not (isinstance(self.backend, str) and self.backend in LOCAL_BACKENDS) and not hasattr(
            self.backend, "hire"
        )

    def described(self) -> dict[str, Any]:
        """What the report says of the options: settings only, nothing of the user's data."""
        return {
            "workers": self.workers,
            "backend": self.backend if isinstance(self.backend, str) else type(self.backend).__name__,
            "on_error": "raise" if self.raises else "return",
            "retries": self.retry.times if self.retry else 0,
            "timeout": self.timeout,
            "deadline": self.deadline,
            "seed": self.seed,
        }


def check_call(fn: object, items: object) -> None:
    """Say so if the two positional arguments cannot be a function and its inputs."""
    if not callable(fn):
        hint = "; did you swap fn and items?" if callable(items) else ""
        raise UsageTypeError(f"fn must be callable, got {type(fn).__name__}{hint}")
    if not hasattr(type(items), "__iter__") and not hasattr(type(items), "__getitem__"):
        raise UsageTypeError(f"items must be iterable, got {type(items).__name__}")


def read_options(**given: Any) -> Options:
    """Check what a verb was given.

    Raises
    ------
    UsageError
        Starts with the name of the parameter, says what it must be and what it is.
    """
    executor = given["executor"]
    label_items = LABEL_ITEMS.get() and current_task() is None  # a call within an item: its lines are that item's
    asked = [name for name, usual in _USUAL.items() if given[name] is not usual]
    if not asked:  # nothing to check, which is a tenth of what a small call costs
        if executor is not None:
            _agree(executor, None, "auto")
        return Options(
            workers=None if executor is None else executor.wanted,
            backend="auto",
            executor=executor,
            chunk_size=None,
            raises=True,
            retry=None,
            timeout=None,
            deadline=None,
            seed=None,
            progress="auto",
            resume=None,
            label_items=label_items,
        )
    workers = whole_number("workers", given["workers"], none=True)
    backend = checked_backend(given["backend"])
    timeout = _seconds("timeout", given["timeout"])
    if executor is not None:
        _agree(executor, workers, backend)
        workers = workers or executor.wanted  # of `Executor(8)` as many as of `workers=8`
    place = backend if executor is None else executor.backend
    if timeout is not None and place in ("thread", "serial"):
        raise UsageValueError(f'timeout needs backend="process": a thread cannot be killed (backend is {place!r})')
    return Options(
        workers=workers,
        backend=backend,
        executor=executor,
        chunk_size=whole_number("chunk_size", given["chunk_size"], none=True),
        raises=_one_of("on_error", given["on_error"], _ON_ERROR) == "raise",
        retry=_retry(given["retries"]),
        timeout=timeout,
        deadline=_seconds("deadline", given["deadline"]),
        seed=_seed(given["seed"]),
        progress=_progress(given["progress"]),
        resume=_path("resume", given["resume"]),
        cache=_cache(given["cache"]),
        label_items=label_items,
    )


def whole_number(name: str, value: Any, *, none: bool = False, least: int = 1) -> Any:
    """``value`` if it is an integer of at least ``least`` (or None, where that is allowed)."""
    if value is None and none:
        return None
    if isinstance(value, bool) or not hasattr(type(value), "__index__") or value.__index__() < least:
        also = " or None" if none else ""
        raise UsageValueError(f"{name} must be an integer of at least {least}{also}, got {value!r}")
    return value.__index__()


def _cache(value: Any) -> Cache | None:
    if value is None:
        return None
    from fanwise.cache import Cache

    if not isinstance(value, Cache):
        raise UsageTypeError(f"cache must be a fanwise.Cache or None, got {type(value).__name__}")
    if value.closed:
        raise UsageValueError("cache: this cache is closed")
    return value


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not _is_real(value) or not value > 0 or math.isinf(value):
        raise UsageValueError(f"{name} must be a positive number of seconds, got {value!r}")
    return float(value)


def _is_real(value: Any) -> bool:
    """Whether this is a real number, NumPy's included."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _path(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str | bytes | os.PathLike):
        raise UsageTypeError(f"{name} must be a path, got {type(value).__name__}")
    return value


def _retry(value: Any) -> Retry | None:
    if type(value) is int and value == 0:
        return None
    retry = value if isinstance(value, Retry) else Retry(whole_number("retries", value, least=0))
    whole_number("retries.times", retry.times, least=0)
    for name in ("delay", "factor", "max_delay"):
        number = getattr(retry, name)
        if not _is_real(number) or not number >= 0:
            raise UsageValueError(f"retries.{name} must be a number of at least 0, got {number!r}")
    if not _are_exceptions(retry.on):
        raise UsageTypeError(f"retries.on must be a tuple of exception classes, got {retry.on!r}")
    return retry if retry.times else None


def _are_exceptions(on: Any) -> bool:
    kinds = on if isinstance(on, tuple) else (on,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


def _seed(value: Any) -> int | None:
    return None if value is None else int(whole_number("seed", value, least=0))


def checked_backend(value: Any) -> str | Backend:
    """The name of a local backend or of a cluster, a client of one, or a backend.

    Raises
    ------
    UsageError
        If it is none of these, or does not say where the cluster is.
    """
    if not isinstance(value, str):
        from fanwise.backends._clusters import is_client

        if hasattr(value, "hire") or is_client(value):
            return value  # type: ignore[no-any-return]  # a Backend, by what it offers, or a client to make one of
        raise UsageTypeError(f"backend must be one of {_listed(LOCAL_BACKENDS)}, a cluster or a Backend, got {value!r}")
    return _checked_cluster(value) or _one_of("backend", value, LOCAL_BACKENDS)


def _checked_cluster(name: str) -> str | None:
    if name in LOCAL_BACKENDS:
        return None
    from fanwise.backends._clusters import checked, is_cluster

    return checked(name) if is_cluster(name) else None


def _progress(value: Any) -> str | Progress:
    if not isinstance(value, str):
        if all(hasattr(value, name) for name in ("start", "on", "finish")):
            return value  # type: ignore[no-any-return]  # a Progress, by what it offers
        raise UsageTypeError(
            f"progress must be one of {_listed(_PROGRESS)} or an object with start, on and finish, got {value!r}"
        )
    return _one_of("progress", value, _PROGRESS)


def _one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    if value in allowed:
        return str(value)
    import difflib

    near = difflib.get_close_matches(str(value), list(allowed), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageValueError(f"{name} must be one of {_listed(allowed)}, got {value!r}{hint}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _agree(executor: Executor, workers: int | None, backend: str | Backend) -> None:
    module = sys.modules.get("fanwise._api.executor")  # whoever has one has loaded it
    if module is None or not isinstance(executor, module.Executor):
        raise UsageTypeError(f"executor must be a fanwise.Executor, got {type(executor).__name__}")
    if executor.closed:
        from fanwise.errors import UsageRuntimeError

        raise UsageRuntimeError("executor is shut down")
    if workers is not None and workers != executor.workers:
        raise UsageValueError(
            f"workers={workers} does not agree with the executor, which has {executor.workers}; leave it out"
        )
    if backend not in ("auto", executor.backend):
        raise UsageValueError(
            f"backend={backend!r} does not agree with the executor's {executor.backend!r}; leave it out"
        )


def check_seed(fn: Callable[..., Any]) -> None:
    """Say so if ``fn`` cannot take the generator that ``seed`` asks for, or NumPy is missing."""
    import inspect
    from importlib import import_module

    try:
        import_module("numpy")
    except ImportError as error:
        raise UsageError("seed needs NumPy: pip install numpy") from error
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a C function without a signature: its call will say
        return
    if not any(p.name == "rng" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise UsageTypeError("fn must accept the keyword rng when seed is given: def fn(item, rng)")
