"""The real clock."""

from __future__ import annotations

from time import monotonic
from time import sleep as sleep_seconds
from time import time as wall_time

__all__ = ["SystemClock"]


class SystemClock:
    """Time of this machine (`fanwise.typing.Clock`)."""

    __slots__ = ()

    now = staticmethod(monotonic)
    time = staticmethod(wall_time)
    sleep = staticmethod(sleep_seconds)
