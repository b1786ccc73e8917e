"""The keys of functions and classes that are arguments, remembered and looked at again at each use."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

from fanwise.cache._captured import Captured
from fanwise.cache._digest import Stale
from fanwise.cache._hashing import digest_parts
from fanwise.cache._plain_keys import is_code, is_wrapper
from fanwise.cache._walk import capture

__all__ = ["CodeKeys", "code_digest"]

_KEPT = 256


def code_digest(fn: Any, otherwise: Callable[[Any], bytes], ignore_globals: Collection[str] = ()) -> bytes:
    """16 bytes for a function, or an object that is called, as it is now.

    Parameters
    ----------
    fn : callable
        The function.
    otherwise : callable
        What stands for data without a stable key.
    ignore_globals : collection of str
        Names of globals and closure variables that do not count.
    """
    is_object = not (is_code(type(fn)) or is_wrapper(fn) or isinstance(fn, functools.partial))
    captured = capture(type(fn) if is_object else fn, ignore_globals=ignore_globals, otherwise=otherwise)
    return digest_parts([captured.digest, *captured.states(), otherwise(fn) if is_object else b""])


class CodeKeys:
    """Digests of the latest 256 pieces of code met, each valid as long as nothing it reaches was changed."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Any, Captured]] = OrderedDict()

    def token(self, thing: Any) -> bytes:
        """What stands for a function, class, module, method or partial in a key."""
        known = self._known.get(id(thing))
        captured = known[1] if known is not None and known[1].is_current() else self._capture(thing)
        try:
            return captured.digest + b"".join(captured.states())
        except Stale:
            captured = self._capture(thing)
            return captured.digest + b"".join(captured.states())

    def _capture(self, thing: Any) -> Captured:
        captured = capture(thing)
        self._known[id(thing)] = (thing, captured)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return captured
