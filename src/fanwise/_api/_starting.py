"""How long the workers of a run take to be there: what the next plan counts on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanwise.engine._driver import Listener
from fanwise.records.scheduling import Command, Event, StartWorkers, WorkerBegan, WorkerReady

__all__ = ["StartWatch"]


class StartWatch:
    """Passes on what it hears, and tells once how many workers started and how long the slowest of them took.

    That is when all of the first burst have begun; if one of them never does, nothing is told. ``learn`` gets their
    number, the seconds until the last could be sent items, and the most that one took then until it began.
    """

    def __init__(self, listener: Listener, learn: Callable[[int, float, float], None]) -> None:
        self._listener = listener
        self._learn = learn
        self._asked = self._begun = 0
        self._ready: dict[int, float] = {}
        self._settling = 0.0
        self.tick = listener.tick

    def __repr__(self) -> str:
        return f"<StartWatch {self._begun} of {self._asked}>"

    def hear(self, event: Event, commands: Sequence[Command]) -> None:
        """One step of the scheduler."""
        self._listener.hear(event, commands)
        if not self._begun:
            self._asked += sum(command.count for command in commands if isinstance(command, StartWorkers))
        if isinstance(event, WorkerReady):
            self._ready[event.worker] = event.seconds
            if event.begun:
                self._count()
        elif isinstance(event, WorkerBegan):
            self._settling = max(self._settling, event.seconds - self._ready.get(event.worker, event.seconds))
            self._count()

    def _count(self) -> None:
        self._begun += 1
        if self._begun == self._asked:
            self._learn(self._asked, max(self._ready.values()), self._settling)
