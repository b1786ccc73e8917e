"""Putting the levels of a cache together."""

from __future__ import annotations

import errno
import fcntl
import math
import time as wall
import warnings
from typing import Any, cast

from fanwise.cache._checks import Check
from fanwise.cache._cluster import ClusterLevel
from fanwise.cache._code_keys import CodeKeys
from fanwise.cache._codecs import Codecs
from fanwise.cache._disk import DiskLevel
from fanwise.cache._files import FilesLevel
from fanwise.cache._flights import SingleFlight
from fanwise.cache._home import Home, is_network, present_backend
from fanwise.cache._keys import Encoder
from fanwise.cache._leases import LeaseSource
from fanwise.cache._level import Level
from fanwise.cache._levels import LOOK_S, Levels
from fanwise.cache._memory import Memory
from fanwise.cache._settings import Settings
from fanwise.cache._signed import Signer, local_secret, shared_secret
from fanwise.cache._stats import Counters
from fanwise.errors import CacheError, FanwiseWarning, UsageError

__all__ = ["Engine", "open_levels"]


_NOT_HERE = {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV}


class Engine:
    """What a cache and its memoised functions work with."""

    __slots__ = ("check", "codes", "counters", "encoder", "flights", "levels")

    def __init__(self, settings: Settings) -> None:
        self.counters = Counters()
        self.levels: Levels = open_levels(settings, self.counters)
        self.flights = SingleFlight(settings.path if settings.disk else id(self), self._leases, self.counters)
        self.codes = CodeKeys()
        self.encoder = Encoder(code=self.codes.token)
        self.check = Check.from_environment(self.levels.codecs)

    def _leases(self) -> LeaseSource | None:
        disk = self.levels.disk
        return disk.leases() if disk is not None else None

    def after_fork(self) -> None:
        """A child begins with empty memory and counters."""
        self.counters.reset()
        self.flights.after_fork()
        self.levels.after_fork()

    def close(self) -> None:
        """Whatever is asked of the levels from now on is refused."""
        self.levels.close()
        self.levels = cast("Levels", _Closed())


class _Closed:
    """What a closed cache has instead of levels."""

    def after_fork(self) -> None:
        """There is nothing to give up."""

    def __getattr__(self, name: str) -> Any:
        raise CacheError("this cache is closed")


def open_levels(settings: Settings, counters: Counters) -> Levels:
    """Open everything that the settings name."""
    clock = settings.clock
    secret = local_secret(make=True) if settings.signed else None
    return Levels(
        memory=Memory(settings.memory),
        disk=_open_disk(settings, counters) if settings.disk else None,
        cluster=_open_cluster(settings, counters),
        codecs=Codecs(settings.codecs, Signer(secret) if secret is not None else None),
        counters=counters,
        time=wall.time if clock is None else clock.time,
        look_s=LOOK_S if clock is None else -math.inf,  # the time of a test may stand still
    )


def _open_disk(settings: Settings, counters: Counters) -> Level | None:
    """The directory; None, and a word about it, where there is none and none can be made."""
    level = _open_backend(settings, counters)
    if level.usable:
        return level
    warnings.warn(
        f"cache: {settings.label!r} is read-only; results are kept in memory only", FanwiseWarning, stacklevel=6
    )
    return None


def _open_backend(settings: Settings, counters: Counters) -> Level:
    """The backend that was asked for; left to us, the index wherever locks and maps can be relied on."""
    home = Home(settings.path, given=settings.given, label=settings.label)
    files = settings.backend == "files" or (settings.backend == "auto" and _prefers_files(settings.path))
    if not files:
        try:
            return DiskLevel(home, limit=settings.disk, durable=settings.durable, counters=counters)
        except OSError as error:
            if settings.backend == "index" or error.errno not in _NOT_HERE:
                raise
    return FilesLevel(home, limit=settings.disk, counters=counters)


def _prefers_files(path: str) -> bool:
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return True
    return present_backend(path) == "files" or is_network(path)


def _open_cluster(settings: Settings, counters: Counters) -> ClusterLevel | None:
    if settings.shared is None:
        return None
    secret = shared_secret()
    signer = Signer(secret) if secret is not None else None
    if signer is None and not getattr(settings.shared, "is_local", True):
        raise UsageError(
            "a cache shared over the network needs a secret: name a file of at least 32 random bytes (chmod 600, the "
            "same on all hosts) in FANWISE_CACHE_SECRET_FILE"
        )
    return ClusterLevel(settings.shared, signer=signer, counters=counters, now=wall.monotonic)
