"""One value that is missing: looked for again, computed, stored, and sent to other hosts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from fanwise.cache._codecs import Encoded
from fanwise.cache._flights import MISSING
from fanwise.cache._levels import Levels
from fanwise.cache._records import with_cost

__all__ = ["Work"]

LEASE_FROM_S = 0.05  # cheaper values are not worth a round trip for a lease between hosts
LEASE_S = 10.0
_WAIT_S = 30.0
_POLL_FROM_S, _POLL_TO_S, _POLL_FACTOR = 0.005, 0.2, 1.6


class Work:
    """A job of `SingleFlight`.

    Parameters
    ----------
    fn : callable
        Computes the value; no arguments.
    describe : callable
        Where it lives and how the call reads.
    is_settled : callable, optional
        Asked after computing: False if the value does not belong to the key after all.
    expected_s : float
        What computing is expected to cost.
    """

    __slots__ = (
        "_describe",
        "_encoded",
        "_expected_s",
        "_fn",
        "_is_settled",
        "_key",
        "_levels",
        "_name",
        "_there",
        "_ttl",
        "compute_s",
    )

    def __init__(
        self,
        levels: Levels,
        key: bytes,
        name: str,
        fn: Callable[[], Any],
        describe: Callable[[], tuple[str, str]],
        *,
        ttl: float,
        is_settled: Callable[[], bool] | None = None,
        expected_s: float = 0.0,
    ) -> None:
        self._levels = levels
        self._key = key
        self._name = name
        self._fn = fn
        self._describe = describe
        self._ttl = ttl
        self._is_settled = is_settled
        self._expected_s = expected_s
        self._encoded: Encoded | None = None
        self._there = False
        self.compute_s: float | None = None

    def look(self) -> Any:
        """The value, if somebody of this host has stored it meanwhile; other hosts were asked a moment ago."""
        return self._look(far=self._levels.disk is None)

    def _look(self, *, far: bool) -> Any:
        """The same at any distance: then the call was a hit after all."""
        value = self._levels.find(self._key, far=far)
        if value is not MISSING:
            self._levels.counters.misses -= 1
        return value

    def compute(self) -> Any:
        """The value, unless another host is computing it and is done soon."""
        if self._expected_s > LEASE_FROM_S:
            value = self._from_other_host()
            if value is not MISSING:
                self._there = True
                return value
        self._levels.counters.computes += 1
        started = time.perf_counter()
        value = self._fn()
        self.compute_s = time.perf_counter() - started
        return value

    def _from_other_host(self) -> Any:
        """Poll while another host has the lease; a lease saves work, and no result depends on it."""
        cluster = self._levels.cluster
        until = time.monotonic() + _WAIT_S
        pause = _POLL_FROM_S
        while cluster is not None and cluster.lease(self._key, seconds=LEASE_S) is False:
            if time.monotonic() > until:
                return MISSING
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * _POLL_FACTOR, _POLL_TO_S)
            value = self._look(far=True)
            if value is not MISSING:
                return value
        return MISSING

    def publish(self, value: Any) -> bool:
        """Store the value on this host."""
        if self._there:
            return True
        if self._is_settled is not None and not self._is_settled():
            return False
        self._encoded, stored = self._levels.keep(self._key, self._name, value, self._ttl, self._flags())
        return stored or self.share()  # where no level of this host has it, others of this host look there

    def describe(self) -> tuple[str, str]:
        """For messages."""
        return self._describe()

    def share(self) -> bool:
        """Send the value to other hosts, once; after the lease was given back."""
        encoded, self._encoded = self._encoded, None
        return encoded is not None and self._levels.share(self._key, self._name, encoded, self._ttl, self._flags())

    def _flags(self) -> int:
        return with_cost(0, self.compute_s or 0.0)
