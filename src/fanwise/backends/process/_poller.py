"""Waiting for many descriptors at once.

`selectors` wraps what is known of a descriptor in a tuple on every wake-up; calling `select.epoll` itself halves the
cost of a wait.
"""

from __future__ import annotations

import select
from collections.abc import Callable

__all__ = ["Poller"]

_IN, _OUT = 1, 4  # EPOLLIN, EPOLLOUT: absent from `select` on Windows


class Poller:
    """Calls a function for each descriptor that has something."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[], None]] = {}
        self._writing: set[int] = set()
        self._epoll = select.epoll()

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call ``handler`` whenever ``fd`` can be read."""
        self._handlers[fd] = handler
        self._epoll.register(fd, _IN)

    def also_writing(self, fd: int, *, wanted: bool) -> None:
        """Call the handler of ``fd`` also when it can be written."""
        if wanted is not (fd in self._writing) and fd in self._handlers:
            self._epoll.modify(fd, _IN | _OUT if wanted else _IN)
            self._writing ^= {fd}

    def forget(self, fd: int) -> None:
        """Do not watch ``fd`` any more."""
        if self._handlers.pop(fd, None) is not None:
            self._writing.discard(fd)
            self._epoll.unregister(fd)

    def wait(self, timeout: float | None) -> None:
        """Wait for something, at most ``timeout`` seconds, and call the handlers."""
        ready = self._epoll.poll(-1 if timeout is None else max(0.0, timeout))
        for fd, _ in ready:
            handler = self._handlers.get(fd)  # one that came before may have had it forgotten
            if handler is not None:
                handler()

    def close(self) -> None:
        """Close what this process has opened for it."""
        self._handlers.clear()
        self._epoll.close()
