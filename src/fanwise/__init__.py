"""fanwise: run one function over many inputs, faster where that pays, and never slower, wrong or lost.

Everything public is listed in ``__all__``; each name is imported when it is first used, so that ``import fanwise``
costs a few milliseconds and loads neither NumPy nor multiprocessing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; importing typing for it would cost 5 ms

if TYPE_CHECKING:
    from typing import Any

    from fanwise import errors, progress, testing, typing
    from fanwise._api.executor import Executor
    from fanwise._api.run import Run
    from fanwise._api.verbs import map, run, stream
    from fanwise._task import current_task
    from fanwise.bundle import Bundle, freeze
    from fanwise.cache import Cache
    from fanwise.errors import FanwiseError, FanwiseWarning, RunInterrupted
    from fanwise.records.outcomes import Failed, Lost, Ok, Outcome
    from fanwise.report import RunReport

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Cache",
    "Executor",
    "Failed",
    "FanwiseError",
    "FanwiseWarning",
    "Lost",
    "Ok",
    "Outcome",
    "Run",
    "RunInterrupted",
    "RunReport",
    "__version__",
    "current_task",
    "errors",
    "freeze",
    "map",
    "progress",
    "run",
    "stream",
    "testing",
    "typing",
]

_HOME = {
    "Bundle": "fanwise._api._bundles",
    "Cache": "fanwise.cache",
    "Executor": "fanwise._api.executor",
    "Failed": "fanwise.records.outcomes",
    "FanwiseError": "fanwise.errors",
    "FanwiseWarning": "fanwise.errors",
    "Lost": "fanwise.records.outcomes",
    "Ok": "fanwise.records.outcomes",
    "Outcome": "fanwise.records.outcomes",
    "Run": "fanwise._api.run",
    "RunInterrupted": "fanwise.errors",
    "RunReport": "fanwise.report",
    "current_task": "fanwise._task",
    "freeze": "fanwise._api._bundles",
    "map": "fanwise._api.verbs",
    "run": "fanwise._api.verbs",
    "stream": "fanwise._api.verbs",
}
_SUBMODULES = {"errors", "progress", "testing", "typing"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _SUBMODULES:
        value: Any = import_module(f"fanwise.{name}")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'fanwise' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
