"""When caching does not pay: an account of what computing, keys, hits and stores cost, and when to step aside.

With C the cost of computing, K of the key, H of a hit, M of a store and p the share of hits, a call through the cache
costs K + p·H + (1 - p)·M more than what it saves, p·C. All are means that forget with weight 1/16, in seconds.

A cost below C/20 is never a reason to step aside: a first run over new arguments hits nothing, and what it keeps for
the next one is worth a twentieth of its time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

__all__ = ["ALPHA", "EVERY", "TRIAL", "Policy"]

ALPHA = 1 / 16
TRIAL = 64  # calls before the first decision
EVERY = 256  # in bypass, every so many calls one goes through the cache and is measured
_RETURN = 1.2  # to come back, caching must pay by so much
_MOST = 4.0  # times the mean
_ALLOWANCE = 0.05  # of the cost of computing


@dataclass(slots=True)
class Mean:
    """An exponentially weighted mean; the first value counts in full."""

    value: float = 0.0
    known: bool = False

    def add(self, seconds: float, most: float = inf) -> None:
        """Take in a measurement, cut to ``most`` times the mean: one call in the way of another program is no trend."""
        if self.known and self.value > 0.0:
            seconds = min(seconds, most * self.value)
        self.value = self.value + ALPHA * (seconds - self.value) if self.known else seconds
        self.known = True


@dataclass(slots=True)
class Policy:
    """The account of one function in one process."""

    calls: int = 0
    hits: int = 0
    bypassing: bool = False
    compute: Mean = field(default_factory=Mean)
    key: Mean = field(default_factory=Mean)
    hit: Mean = field(default_factory=Mean)
    store: Mean = field(default_factory=Mean)

    @property
    def hit_share(self) -> float:
        """p, with one hit and one miss assumed before the first call."""
        return (self.hits + 1) / (self.calls + 2)

    def on_hit(self, key_s: float, hit_s: float, count: int = 1) -> None:
        """A hit was measured; it stands for ``count`` of them."""
        self.calls += count
        self.hits += count
        self.key.add(key_s, _MOST)
        self.hit.add(hit_s, _MOST)
        self._decide()

    def on_miss(self, key_s: float, compute_s: float, store_s: float) -> None:
        """A miss was measured, the failed look-up included in ``store_s``."""
        self.calls += 1
        self.key.add(key_s, _MOST)
        self.compute.add(compute_s)
        self.store.add(store_s, _MOST)
        self._decide()

    def _decide(self) -> None:
        if self.calls < TRIAL or not self.compute.known:
            return
        share = self.hit_share
        saved = (share + _ALLOWANCE) * self.compute.value
        spent = self.key.value + share * self.hit.value + (1 - share) * self.store.value
        self.bypassing = saved <= _RETURN * spent if self.bypassing else saved < spent
