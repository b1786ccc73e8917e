"""A cache that touches no disk."""

from __future__ import annotations

from fanwise.cache import Cache
from fanwise.typing import Clock

__all__ = ["MemoryCache"]


class MemoryCache(Cache):
    """A `fanwise.Cache` in the memory of this process, for tests of code that takes one; its copy in a worker is empty.

    Parameters
    ----------
    memory : int or str
        Bytes that values may take.
    clock : Clock, optional
        Where ``time()`` comes from; a `FakeClock` makes entries expire when told to.

    Examples
    --------
    >>> cache = MemoryCache()
    >>> cache.get_or_compute("answer", lambda: 42), cache.get("answer")
    (42, 42)
    """

    def __init__(self, memory: int | str = "64MiB", *, clock: Clock | None = None) -> None:
        super().__init__(memory=memory, disk=0, clock=clock)
