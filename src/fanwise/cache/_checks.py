"""``FANWISE_CACHE_CHECK``: computes a share of the hits once more and says where the results differ."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

from fanwise.cache._codecs import Codecs
from fanwise.cache._values import Unstorable
from fanwise.errors import FanwiseWarning, UsageValueError

__all__ = ["Check"]


class Check:
    """Every so-manieth hit is checked.

    Parameters
    ----------
    share : float
        Between 0 (never) and 1 (always).
    """

    def __init__(self, share: float, codecs: Codecs) -> None:
        self._every = round(1 / share) if share else 0
        self._codecs = codecs
        self._hits = 0
        self.active = self._every > 0

    @classmethod
    def from_environment(cls, codecs: Codecs) -> Check:
        """The share that the environment names.

        Raises
        ------
        UsageError
            If it names something else.
        """
        text = os.environ.get("FANWISE_CACHE_CHECK") or "0"
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise UsageValueError(f"FANWISE_CACHE_CHECK={text!r}: expected a share between 0 and 1, such as 0.01")
        return cls(share, codecs)

    def on_hit(self, key: bytes, name: str, value: Any, compute: Callable[[], Any]) -> None:
        """Compare a hit with a fresh result if it is this one's turn."""
        self._hits += 1
        if self._hits % self._every:
            return
        if not self._same(key, value, compute()):
            warnings.warn(
                f"cache: {name} (key {key.hex()}) gives another result now than the stored one; "
                "it may depend on something that is not part of its key: pass version=, or do not cache it",
                FanwiseWarning,
                stacklevel=4,
            )

    def _same(self, key: bytes, one: Any, two: Any) -> bool:
        try:
            return self._codecs.encode(key, one).joined() == self._codecs.encode(key, two).joined()
        except Unstorable:
            return False
