"""How long the workers of a run take to be there: what the next plan counts on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fanwise.engine._driver import Listener
from fanwise.records.scheduling import Command, Event, StartWorkers, WorkerBegan, WorkerReady

__all__ = ["StartWatch"]


class StartWatch:
    """Passes on what it hears, and tells once how many workers started and how many seconds the slowest of them took.

    That is when all of the first burst are ready; if one of them never is, nothing is told.
    """

    def __init__(self, listener: Listener, learn: Callable[[int, float], None]) -> None:
        self._listener = listener
        self._learn = learn
        self._asked = self._ready = 0
        self._slowest = 0.0
        self.tick = listener.tick

    def __repr__(self) -> str:
        return f"<StartWatch {self._ready} of {self._asked}>"

    def hear(self, event: Event, commands: Sequence[Command]) -> None:
        """One step of the scheduler."""
        self._listener.hear(event, commands)
        if not self._ready:
            self._asked += sum(command.count for command in commands if isinstance(command, StartWorkers))
        if isinstance(event, WorkerBegan) or (isinstance(event, WorkerReady) and event.begun):
            self._ready += 1
            self._slowest = max(self._slowest, event.seconds)
            if self._ready == self._asked:
                self._learn(self._ready, self._slowest)
