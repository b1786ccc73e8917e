"""The state of a run as progress knows it: a fold of run events, without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fanwise.progress._eta import Remaining, Running, Window, remaining
from fanwise.records.run_events import (
    ChunkDone,
    ChunkSent,
    ItemFailed,
    ItemLost,
    Planned,
    RunEvent,
    WorkerEnded,
    WorkerStarted,
)

__all__ = ["Part", "Snapshot", "Tally"]


@dataclass(frozen=True, slots=True)
class Part:
    """Which of several runs that are shown as one; ``before_s`` is how long those before it took."""

    whole: str
    label: str
    number: int
    parts: int
    before_s: float

    @property
    def title(self) -> str:
        """``study 2/4 · sweep``."""
        inner = f" · {self.label}" if self.label else ""
        return f"{self.whole} {self.number}/{self.parts}{inner}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is shown at one moment. ``workers`` is 0 while items run in the calling process only."""

    label: str
    total: int | None
    done: int
    failed: int
    lost: int
    cached: int
    workers: int
    rate: float
    elapsed: float
    eta: Remaining | None
    part: Part | None = None


class Tally:
    """Counts the items of one run.

    The time left is worked out at most once a second, so that what is shown does not flicker.
    """

    def __init__(self, total: int | None, label: str, part: Part | None = None) -> None:
        self.total = total
        self.label = label
        self.part = part
        self.ok = self.failed = self.lost = self.cached = 0
        self.at = 0.0
        self._on_the_way: dict[int, deque[tuple[int, int]]] = {}  # worker: (first, items) of each chunk
        self._busy: dict[int, float] = {}  # worker: since when it is at its first chunk
        self._window = Window()
        self._starting: tuple[float, int] = (0.0, 0)
        self._eta: Remaining | None = None
        self._eta_due = 0.0
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            Planned: self._planned,
            WorkerStarted: self._worker_started,
            WorkerEnded: self._worker_ended,
            ChunkSent: self._chunk_sent,
            ChunkDone: self._chunk_done,
            ItemFailed: self._item_failed,
            ItemLost: self._item_lost,
        }

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.ok + self.failed + self.lost

    @property
    def workers(self) -> int:
        """Workers that are alive."""
        return sum(1 for worker in self._on_the_way if worker)

    def on(self, event: RunEvent) -> None:
        """Hear one run event."""
        self.at = max(self.at, event.at)
        handle = self._handlers.get(type(event))
        if handle is not None:
            handle(event)

    def snapshot(self, at: float) -> Snapshot:
        """What to show at ``at``, seconds since the run began."""
        at = self.at = max(self.at, at)
        running = self.running()
        if at >= self._eta_due:
            self._eta = self._remaining(at, running)
            self._eta_due = at + 1.0
        return Snapshot(
            label=self.label,
            total=self.total,
            done=self.done,
            failed=self.failed,
            lost=self.lost,
            cached=self.cached,
            workers=self.workers,
            rate=self._window.figures(at).rate,
            elapsed=at,
            eta=self._eta,
            part=self.part,
        )

    def running(self) -> list[Running]:
        """Chunks on their way, those of one worker in order."""
        return [
            Running(worker, items, self._busy.get(worker) if position == 0 else None)
            for worker, chunks in self._on_the_way.items()
            for position, (_, items) in enumerate(chunks)
        ]

    def _remaining(self, at: float, running: list[Running]) -> Remaining | None:
        if self.total is None:
            return None
        until, wanted = self._starting
        rest_s = max(0.0, until - at) if self.workers < wanted else 0.0
        return remaining(self.total - self.done, self._window, running, max(1, self.workers), at, rest_s)

    def _planned(self, event: Planned) -> None:
        start_s, workers = event.facts.get("start_s"), event.facts.get("workers")
        if isinstance(start_s, (int, float)) and isinstance(workers, int):
            self._starting = event.at + start_s, workers

    def _worker_started(self, event: WorkerStarted) -> None:
        self._on_the_way.setdefault(event.worker, deque())

    def _worker_ended(self, event: WorkerEnded) -> None:
        self._on_the_way.pop(event.worker, None)
        self._busy.pop(event.worker, None)

    def _chunk_sent(self, event: ChunkSent) -> None:
        chunks = self._on_the_way.setdefault(event.worker, deque())
        if not chunks:
            self._busy[event.worker] = event.at
        chunks.append((event.first, event.count))

    def _chunk_done(self, event: ChunkDone) -> None:
        self.ok += event.ok
        hits = event.cached + event.resumed
        self.cached += event.cached
        self._window.add(event.at, max(0, event.count - hits), hits, event.busy)
        chunks = self._on_the_way.get(event.worker, ())
        self._busy[event.worker] = event.at
        while chunks:
            first, items = chunks.popleft()
            if first <= event.first < first + items:
                break

    def _item_failed(self, _: ItemFailed) -> None:
        self.failed += 1

    def _item_lost(self, _: ItemLost) -> None:
        self.lost += 1
