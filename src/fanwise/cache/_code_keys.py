"""The keys of functions and classes that are arguments, remembered and looked at again at each use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from fanwise.cache._captured import Captured
from fanwise.cache._digest import Stale
from fanwise.cache._walk import capture

__all__ = ["CodeKeys"]

_KEPT = 256


class CodeKeys:
    """Digests of the latest 256 pieces of code met, each valid as long as nothing it reaches was changed."""

    def __init__(self, ignore_globals: Collection[str] = ()) -> None:
        self._ignore = frozenset(ignore_globals)
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
        captured = capture(thing, ignore_globals=self._ignore)
        self._known[id(thing)] = (thing, captured)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return captured
