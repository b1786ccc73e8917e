"""The process backend: one socket, one page and one liveness pipe per worker, and nothing that two workers share.

From the outside in: `_pool` (the backend), `_crew` (the loan of workers to one run), `_link` (one worker as the
coordinator sees it), `_wire` (frames), `_worker` (the other end). Each is loaded when it is first needed: a call that
finds out that workers do not pay asks `_method` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanwise.backends.process._attached import forget_attachment
    from fanwise.backends.process._method import choose as start_method
    from fanwise.backends.process._method import server_running
    from fanwise.backends.process._pickling import is_below, register_attachment, register_resolver
    from fanwise.backends.process._pool import ProcessBackend, start_server

__all__ = [
    "ProcessBackend",
    "forget_attachment",
    "is_below",
    "register_attachment",
    "register_resolver",
    "server_running",
    "start_method",
    "start_server",
]

_HOME = {
    "ProcessBackend": ("_pool", "ProcessBackend"),
    "forget_attachment": ("_attached", "forget_attachment"),
    "is_below": ("_pickling", "is_below"),
    "register_attachment": ("_pickling", "register_attachment"),
    "register_resolver": ("_pickling", "register_resolver"),
    "server_running": ("_method", "server_running"),
    "start_method": ("_method", "choose"),
    "start_server": ("_pool", "start_server"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value
