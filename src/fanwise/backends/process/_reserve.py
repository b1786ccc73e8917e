"""The idle workers of a backend that keeps them warm, and those that are starting for it.

They use no processor time: each waits for its socket.
"""

from __future__ import annotations

from threading import Lock

from fanwise.backends.process._attached import announce
from fanwise.backends.process._ending import end
from fanwise.backends.process._link import Link

__all__ = ["Reserve"]


class Reserve:
    """Idle workers, lent to crews and taken back. Safe to use from several threads.

    Parameters
    ----------
    keeps : bool
        Whether workers are kept at all.
    limit : int or None
        Most workers to keep, those on loan included.
    """

    def __init__(self, limit: int | None, *, keeps: bool) -> None:
        self.keeps = keeps
        self._limit = limit
        self._lock = Lock()
        self._idle: list[Link] = []
        self._lent = 0
        announce(self)

    def __len__(self) -> int:
        return len(self._idle)

    @property
    def ready(self) -> int:
        """How many of them can take a function now."""
        with self._lock:
            return sum(link.has_answered for link in self._idle)

    @property
    def room(self) -> int:
        """How many more workers could be kept."""
        return 0 if self._limit is None else max(0, self._limit - len(self._idle) - self._lent)

    def borrow(self, count: int) -> list[Link]:
        """Take up to ``count`` live workers, the one that came last first: its caches are warm. Some may be starting."""
        borrowed: list[Link] = []
        with self._lock:
            while self._idle and len(borrowed) < count:
                link = self._idle.pop()
                if link.process.poll():
                    link.let_go()
                else:
                    link.tell()
                    borrowed.append(link)
            self._lent += len(borrowed)
        return borrowed

    def give_back(self, link: Link) -> bool:
        """Take an idle worker back; False if it is not wanted here."""
        with self._lock:
            if not self.keeps or (self._limit is not None and len(self._idle) + self._lent > self._limit):
                return False
            self._lent -= 1
            link.cell.stop(wanted=False)
            link.is_twin = link.inherits = False
            link.introduced = None
            link.tell()
            self._idle.insert(len(self._idle) if link.is_ready else 0, link)
            return True

    def tell(self) -> None:
        """Have idle workers let go of what owners have closed; if the lock is taken, when they are lent next."""
        if self._lock.acquire(blocking=False):
            try:
                for link in self._idle:
                    link.tell()
            finally:
                self._lock.release()

    def note_start(self) -> None:
        """A crew has started a worker of its own."""
        with self._lock:
            self._lent += 1

    def note_end(self) -> None:
        """A worker of a crew is gone."""
        with self._lock:
            self._lent -= 1

    def close(self) -> None:
        """Stop all idle workers, and keep none from here on."""
        with self._lock:
            self.keeps = False
            idle, self._idle = self._idle, []
        end(idle, kill=False)
        for link in idle:
            link.let_go()
