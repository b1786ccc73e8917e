"""How many items go into the next chunk.

Aim for 40 ms of work, less towards the end so that all workers end together (guided self-scheduling, Polychronopoulos
& Kuck 1987), but never so little that the coordinator would be the bottleneck: with W workers and a cost of
``chunk_cost_s`` for each chunk, chunks of ``2 · W · chunk_cost_s`` keep it half idle.

Where the size was asked for, short chunks travel together, several in one message: alone, a chunk of one item of 1 µs
costs the caller 80 µs. Each of their items is still timed, taken back and lost by itself.
"""

from __future__ import annotations

from math import ceil

from fanwise.engine._plan import CHUNK_S, SHORTEST_S
from fanwise.engine._queue import UNBOUNDED
from fanwise.records._record import record
from fanwise.records.chunks import ChunkStats

__all__ = ["ChunkAim", "Chunks"]

HEAVY_TAIL = 5.0
SHARE = 2  # of what waits, a chunk is a worker's part over this: costs vary, and workers are to end together
SHARE_FAR = 4  # where chunks are dear and cannot be moved
LEAST_S = 0.002  # of work: caller and worker spend 0.5 ms on a chunk, for their caches hold other things by then
RAMP = 16  # without a probe, chunks grow by this factor at most: the first item of a function is often its slowest
TOGETHER_S = 0.001  # short chunks of a fixed size go together up to so much work
TOGETHER_SHARE = 16  # and at most this part of what is left, per worker


@record
class ChunkAim:
    """What a good chunk is.

    Attributes
    ----------
    size : int or None
        Exactly so many items (None: adapt).
    work_s : float
        Seconds of work aimed at.
    longest_s : float or None
        Begin with chunks of up to this many seconds and come down to ``work_s``, not below (for remote workers, where a
        chunk costs milliseconds). None: chunks of ``work_s``, less at the end.
    overhead_s : float
        What one chunk costs the coordinator, sending and receiving.
    together : bool
        Several chunks of that size may go in one message, while they are short: nobody waits for one result alone.
    """

    size: int | None = None
    work_s: float = CHUNK_S
    longest_s: float | None = None
    overhead_s: float = 125e-6
    together: bool = False


class Chunks:
    """Chunk sizes from what items cost so far.

    Parameters
    ----------
    aim : ChunkAim
        What a good chunk is.
    item_cost : float or None
        Seconds per item if something is known before the first chunk.
    """

    __slots__ = ("_aim", "_busy", "_heard", "_items", "_most", "_peak", "_tail", "cost")

    def __init__(self, aim: ChunkAim, item_cost: float | None) -> None:
        self._aim = aim
        self.cost = None if item_cost is None else max(item_cost, SHORTEST_S)
        self._heard = 0
        self._items, self._busy = 0, 0.0
        self._most = 1 if item_cost is None else UNBOUNDED
        self._peak = 0
        self._tail = 0

    def may_split(self, count: int) -> bool:
        """True if a chunk may be divided once it is sent: not below the size asked for, nor if messages are dear."""
        return self._aim.longest_s is None and (self._aim.size is None or count > self._aim.size)

    def heard(self, count: int, stats: ChunkStats, workers: int) -> None:
        """Learn from a finished chunk: a running mean that forgets after about eight chunks."""
        if count <= 0 or stats.busy <= 0.0:
            return
        each = max(stats.busy / count, SHORTEST_S)
        self._heard += 1
        self._items += count
        self._busy += stats.busy
        self._most = max(self._most, RAMP * count)
        self.cost = each if self.cost is None else self.cost + (each - self.cost) * max(0.125, 1.0 / (self._heard + 1))
        if stats.greatest > HEAVY_TAIL * self.cost:
            self._tail = 2 * workers
        elif self._tail:
            self._tail -= 1

    @property
    def mean(self) -> float | None:
        """Seconds per item over all chunks that were heard of."""
        return self._busy / self._items if self._items else None

    def size(self, waiting: int, workers: int) -> int:
        """Items for the next chunk.

        Parameters
        ----------
        waiting : int
            Items not yet sent.
        workers : int
            Workers that share them.
        """
        aim = self._aim
        if aim.size is not None:
            return aim.size * self._together(waiting, workers, aim.size)
        if self.cost is None:
            return 1
        self._peak = max(self._peak, waiting)
        shares = workers * (SHARE if aim.longest_s is None else SHARE_FAR)
        floor, wish = self._bounds(workers)
        size = max(int(floor / self.cost), min(int(wish / self.cost), int(waiting / shares)))
        return max(1, min(size, self._most, ceil(self._peak / shares)))

    def _together(self, waiting: int, workers: int, size: int) -> int:
        """Chunks of the size asked for that go in one message: one until their cost is known, or while it varies."""
        if not self._aim.together or self.cost is None or not self._heard or self._tail:
            return 1
        worth = max(TOGETHER_S, 2.0 * workers * self._aim.overhead_s) / self.cost
        return max(1, min(int(worth), waiting // (TOGETHER_SHARE * workers), self._most) // size)

    def full(self, workers: int) -> int:
        """Items of a chunk if there were no end."""
        if self._aim.size is not None or self.cost is None:
            return self._aim.size or 1
        return max(1, min(self._most, int(self._bounds(workers)[1] / self.cost)))

    def block(self, seconds: float) -> int:
        """Items that take about so long in the calling process."""
        return 1 if self.cost is None else max(1, int(seconds / self.cost))

    def _bounds(self, workers: int) -> tuple[float, float]:
        """Least and greatest seconds of work of the next chunk."""
        aim = self._aim
        half_idle = max(LEAST_S, 2.0 * workers * aim.overhead_s)
        wish = max(aim.work_s, half_idle)
        if aim.longest_s is not None:
            return wish, max(wish, aim.longest_s)
        if self._tail:
            wish *= 0.5
        return half_idle, max(half_idle, wish)
