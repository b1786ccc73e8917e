"""Time left, by cost and not by count: cached items are free, and only what was seen lately says what comes.

With ``n`` items left, over a sliding window: ``n · (1 - h) · c / P + s``, where ``h`` is the share of hits, ``c`` the
mean seconds of a computed item, ``P`` the busy seconds delivered per second, and ``s`` the rest of starting workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fanwise._format import clock, plural

__all__ = ["Figures", "Remaining", "Running", "Window", "remaining"]

_WINDOW_S = 5.0
_WINDOW_SHARE = 0.2
_BUCKET_S = 0.05
_BUCKET_SHARE = 0.001  # a bucket grows with the run, so that a window never holds more than a few hundred
_LEAST_PARALLEL = 0.1
_SHOWN_AFTER_ITEMS = 3
_SHOWN_AFTER_S = 1.0


@dataclass(slots=True)
class _Bucket:
    """Chunks that ended at about the same time."""

    at: float
    chunks: int
    computed: int
    hits: int
    busy: float

    def within(self, since: float) -> float:
        """Busy seconds that lie after ``since``, as if all its chunks were equally long."""
        length = self.busy / self.chunks
        return self.busy * min(1.0, (self.at - since) / length) if length > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """A chunk on its way to a result: its items, and since when the worker is at it (None: it waits its turn)."""

    worker: int
    items: int
    since: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a window shows: items, the mean cost of a computed one, and busy seconds per second."""

    hits: int
    computed: int
    mean_s: float
    parallel: float
    length_s: float

    @property
    def hit_share(self) -> float:
        finished = self.hits + self.computed
        return self.hits / finished if finished else 0.0

    @property
    def rate(self) -> float:
        """Finished items per second."""
        return (self.hits + self.computed) / self.length_s if self.length_s > 0 else 0.0


class Window:
    """Chunks that ended lately."""

    __slots__ = ("_buckets", "_busy", "computed")

    def __init__(self) -> None:
        self.computed = 0
        self._busy = 0.0
        self._buckets: deque[_Bucket] = deque()

    def add(self, at: float, computed: int, hits: int, busy: float) -> None:
        """Count a chunk that ended at ``at`` (seconds since the run began)."""
        self.computed += computed
        self._busy += busy
        last = self._buckets[-1] if self._buckets else None
        if last is not None and at - last.at < max(_BUCKET_S, _BUCKET_SHARE * at):
            last.chunks += 1
            last.computed += computed
            last.hits += hits
            last.busy += busy
        else:
            self._buckets.append(_Bucket(at, 1, computed, hits, busy))

    def figures(self, at: float, running: Sequence[Running] = ()) -> Figures:
        """The last ``max(5 s, 20 %)`` before ``at``, chunks that are still running included."""
        since = max(0.0, at - max(_WINDOW_S, _WINDOW_SHARE * at))
        while self._buckets and self._buckets[0].at <= since:
            self._buckets.popleft()
        computed = sum(bucket.computed for bucket in self._buckets)
        busy = sum(bucket.busy for bucket in self._buckets)
        if not computed:  # items longer than the window
            computed_busy, of = self._busy, self.computed
        else:
            computed_busy, of = busy, computed
        delivered = sum(bucket.within(since) for bucket in self._buckets)
        delivered += sum(at - max(since, chunk.since) for chunk in running if chunk.since is not None)
        length = at - since
        return Figures(
            hits=sum(bucket.hits for bucket in self._buckets),
            computed=computed,
            mean_s=computed_busy / of if of else 0.0,
            parallel=delivered / length if length > 0 else 0.0,
            length_s=length,
        )


@dataclass(frozen=True, slots=True)
class Remaining:
    """How long a run will take from now on, and as it is shown.

    ``finishing``: everything left is running and has taken longer than expected; the text says so instead of a time.
    """

    seconds: float
    text: str
    finishing: bool = False


def remaining(
    left: int, window: Window, running: Sequence[Running], workers: int, at: float, start_s: float = 0.0
) -> Remaining | None:
    """The time left, or None while too little is known.

    Parameters
    ----------
    left : int
        Items without an outcome, running ones included.
    window : Window
        What ended so far.
    running : sequence of Running
        Chunks on their way, those of one worker in order.
    workers : int
        Places where items run, at least 1.
    at : float
        Now, in seconds since the run began.
    start_s : float
        Expected rest of the start of workers.
    """
    if window.computed < _SHOWN_AFTER_ITEMS or at < _SHOWN_AFTER_S:
        return None
    figures = window.figures(at, running)
    if left <= sum(chunk.items for chunk in running):
        return _finishing(running, figures.mean_s, at)
    parallel = min(max(figures.parallel, _LEAST_PARALLEL), workers)
    seconds = left * (1 - figures.hit_share) * figures.mean_s / parallel + start_s
    return Remaining(seconds, clock(seconds))


def _finishing(running: Sequence[Running], mean_s: float, at: float) -> Remaining:
    """Everything left is running: the worker that needs longest decides."""
    rest: dict[int, float] = {}
    for chunk in running:
        age = 0.0 if chunk.since is None else at - chunk.since
        rest[chunk.worker] = rest.get(chunk.worker, 0.0) + max(0.0, mean_s * chunk.items - age)
    seconds = max(rest.values(), default=0.0)
    if seconds > 0 or not running:
        return Remaining(seconds, clock(seconds))
    items = sum(chunk.items for chunk in running)
    oldest = int(max(at - chunk.since for chunk in running if chunk.since is not None))
    age_text = f"{oldest} s" if oldest < 100 else clock(oldest)
    return Remaining(0.0, f"finishing: {plural(items, 'item')} running, oldest {age_text}", finishing=True)
