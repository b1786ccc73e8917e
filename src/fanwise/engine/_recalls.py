"""Chunks asked back from workers that will not begin them as soon as somebody who has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from math import inf

from fanwise.engine._chunks import Chunks
from fanwise.engine._flights import Flight, Worker
from fanwise.engine._roster import Roster
from fanwise.records.scheduling import CancelChunk, Command

__all__ = ["Recalls"]

WORTH_MOVING_S = 0.0005  # what begins sooner than this has begun when the request to return it arrives
WORTH_MOVING = 0.25  # of its own length: if it begins sooner than that, moving it gains little
LOOK_AT_WORKERS = 16  # at once, for something to move: those that wait longest come first


class Recalls:
    """What is asked back in one run, and when to look again.

    Parameters
    ----------
    roster, chunks
        Who has what, and what an item costs.
    say : callable
        Takes the commands.

    Attributes
    ----------
    look_at : float
        When a chunk may have become worth asking back; infinity if none may.
    """

    __slots__ = ("_asked", "_chunks", "_roster", "_say", "look_at")

    def __init__(self, roster: Roster, chunks: Chunks, say: Callable[[Command], None]) -> None:
        self.look_at = inf
        self._roster = roster
        self._chunks = chunks
        self._say = say
        self._asked = 0

    def call_back(self, idle: int, now: float) -> None:
        """For so many that have nothing to do: what others will not begin soon, behind a chunk or at the end of one."""
        roster = self._roster
        for worker in list(islice(chain(roster.full.values(), roster.hungry.values()), LOOK_AT_WORKERS)):
            if self._asked >= idle:
                return
            flight = worker.flights[-1]
            if flight is not worker.flights[0]:
                gains = self._gains(worker, flight.chunk.count, now)
            else:
                rest = flight.stop - flight.next - 1
                gains = self._chunks.may_split(flight.chunk.count) and self._gains(worker, rest, now, WORTH_MOVING_S)
            if gains:
                self.recall(flight)

    def recall(self, flight: Flight) -> None:
        """Ask one chunk back, once."""
        worker = self._roster.alive.get(flight.worker)
        if worker is not None and worker.doom is None and not flight.recalled:
            flight.recalled = True
            self._asked += 1
            self._roster.place(worker)
            self._say(CancelChunk(worker.id, flight.chunk.id))

    def close(self, flight: Flight) -> None:
        """The chunk is through."""
        if flight.recalled:
            self._asked -= 1

    def _gains(self, worker: Worker, items: int, now: float, after: float = 0.0) -> bool:
        """True if these items would begin sooner elsewhere, by more than moving them takes.

        The rest of a chunk is asked for some time ``after`` its begin: one just sent would come back whole, and go to
        and fro.
        """
        cost = self._chunks.cost
        if items <= 0 or cost is None:
            return items > 0 and not after
        least = max(WORTH_MOVING_S, WORTH_MOVING * items * cost)
        if worker.remains(cost, now) >= least and now - worker.began >= after:
            return True
        self.look_at = min(self.look_at, now + least)
        return False
