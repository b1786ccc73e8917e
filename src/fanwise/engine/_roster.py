"""Who works: live workers by what they can take, how many are on their way, and when to stop starting more."""

from __future__ import annotations

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._flights import Worker

__all__ = ["Roster"]

DEATHS_IN_A_ROW = 3


class Roster:
    """Workers of one run, each in one of three places: ``idle``, ``hungry`` (one chunk) or ``full`` (two).

    The places are dictionaries for their order: who waited longest comes first, whatever the number of workers.
    A worker that was told to end, or from which something was asked back, is in none of them.

    Attributes
    ----------
    starting : int
        Workers asked for and not yet heard of.
    level : int
        How low memory is; above 0 only one worker gets anything.
    stopped : str or None
        Why no more workers are started.
    """

    __slots__ = (
        "_deaths",
        "_left",
        "_limit",
        "_patience",
        "_refused",
        "_window",
        "alive",
        "full",
        "hungry",
        "idle",
        "level",
        "starting",
        "stopped",
    )

    def __init__(self, config: SchedulerConfig) -> None:
        self._limit = config.workers
        self._left = config.max_starts
        self._window = config.window
        self._deaths = 0
        self._patience = max(DEATHS_IN_A_ROW, config.workers + 1)  # one fault may end all that start: their fork server
        self._refused = 0  # starts that failed since the last one that did not
        self.starting = 0
        self.level = 0
        self.stopped: str | None = None
        self.alive: dict[int, Worker] = {}
        self.idle: dict[int, Worker] = {}
        self.hungry: dict[int, Worker] = {}
        self.full: dict[int, Worker] = {}

    def __repr__(self) -> str:
        return f"{len(self.alive)} workers, {len(self.idle)} idle, {self.starting} starting"

    @property
    def expected(self) -> int:
        """Workers that share what is left."""
        return len(self.alive) + self.starting or 1

    @property
    def lacks_one(self) -> bool:
        """Whether there is room for a worker more, and memory, where two or more were asked for."""
        return 1 < self._limit > len(self.alive) + self.starting and not self.level

    @property
    def is_busy(self) -> bool:
        """All that are to come have come, and have something to do."""
        return bool(self.alive) and not self.idle and not self.starting

    @property
    def gathering(self) -> bool:
        """Many workers are still to come: those that are here get one chunk only, so that the others begin sooner."""
        return 4 * self.starting > len(self.alive)

    @property
    def hopeless(self) -> bool:
        """No worker is left and none will come."""
        return self.stopped is not None and not self.alive and not self.starting

    def start(self, wanted: int, besides: int = 0) -> int:
        """How many workers to start so that ``wanted`` items find one each; ``besides`` so many that work elsewhere."""
        if self.stopped is not None or self.level:
            return 0
        room = self._limit - besides - len(self.alive) - self.starting
        if self._left is not None:
            room = min(room, self._left)
        count = max(0, min(room, wanted - len(self.idle) - self.starting))
        self.starting += count
        if self._left is not None:
            self._left -= count
            if not self._left:
                self.stopped = "as many workers were started as allowed"
        return count

    def join(self, worker: Worker) -> None:
        """A worker is ready."""
        self.starting = max(0, self.starting - 1)
        self._refused = 0
        self.alive[worker.id] = worker
        self.place(worker)

    def leave(self, id: int) -> Worker | None:
        """A worker is gone; None if it never was ready."""
        worker = self.alive.pop(id, None)
        if worker is None:
            self.starting = max(0, self.starting - 1)
        elif worker.place is not None:
            del worker.place[id]
        return worker

    def place(self, worker: Worker) -> None:
        """Put a worker where the number of its chunks says."""
        if worker.place is not None:
            del worker.place[worker.id]
            worker.place = None
        held = len(worker.flights)
        if worker.doom is None and not (held and worker.flights[-1].recalled):
            worker.place = self.hungry if 0 < held < self._window else self.full if held else self.idle
            worker.place[worker.id] = worker

    def taker(self, place: dict[int, Worker]) -> Worker | None:
        """The next worker of a place that may be given something; with little memory, one worker only."""
        if self.level:
            return place.get(min((w.id for w in self.alive.values() if w.doom is None), default=-1))
        return next(iter(place.values())) if place else None

    def doomed(self, worker: Worker, why: str) -> None:
        """A worker is told to end: it gets nothing any more."""
        worker.doom = why
        self.place(worker)

    @property
    def fit(self) -> int:
        """Workers that were not told to end."""
        return sum(worker.doom is None for worker in self.alive.values())

    def died(self, reason: str) -> None:
        """A worker died before it did anything, of no item. Three in a row, and more than can die at once, are enough."""
        self._deaths += 1
        if self._deaths >= self._patience:
            self.stopped = f"workers keep dying while starting: {reason}"

    def worked(self) -> None:
        """An item was finished: workers can live."""
        self._deaths = 0

    def failed_to_start(self, count: int, reason: str) -> None:
        """After three in a row: go on with those that exist; if there are none, no more are tried."""
        self.starting = max(0, self.starting - count)
        self._refused += count
        if self._refused >= DEATHS_IN_A_ROW:
            self._limit = min(self._limit, len(self.alive) + self.starting)
            if self._limit == 0:
                self.stopped = reason
