"""The lanes of a run: where the time of the calling process and of each worker went.

Workers send durations only. A chunk ends when it is received and began its durations earlier, but not before the chunk
ahead of it ended, so that spans of one lane never overlap.
"""

from __future__ import annotations

from collections import deque

from fanwise.records.run_events import ChunkDone, ChunkSent, WorkerBegan, WorkerEnded, WorkerStarted
from fanwise.report._privacy import redact
from fanwise.report._record import Lane, Seconds, Span

__all__ = ["SPANS_PER_LANE", "STATES", "LaneFold"]

SPANS_PER_LANE = 2_000
STATES = ("ok", "cached", "retried", "failed", "lost")
"""States of a span, the gravest last: neighbours that are merged take the graver one."""

_GRAVITY = {state: rank for rank, state in enumerate(STATES)}
_ENDED_BY = {"done": "end", "retired": "retired", "killed": "killed", "died": "crashed"}


# A fold handles every chunk of a run: plain tuples and comparisons take half the time of records and max().
_Row = tuple[float, float, int, int, str, float, float]
"""The fields of a span."""
_Pending = tuple[float, int, int]
"""A chunk on its way, or what is left of it: since when, first item, number of items."""


class LaneFold:
    """Adds up what one lane did."""

    def __init__(self, lane: int, started: float) -> None:
        self.lane = lane
        self.started = started
        self.pid: int | None = None
        self.ended: float | None = None
        self.ended_by = ""
        self.exit: str | None = None
        self.items = self.peak = self.restarts = 0
        self.start = self.work = self.codec = self.cache = self.cpu = self.lost = self.retries = 0.0
        self._cursor = started
        self._pending: deque[_Pending] = deque()
        self._spans: list[_Row] = []

    def begin(self, event: WorkerStarted) -> None:
        """A worker is ready, or the successor of one whose lane this was."""
        seconds = max(0.0, min(event.seconds, event.at - self._cursor))
        self.start += seconds
        self.pid = event.pid
        self.ended = None
        self._cursor = max(self._cursor, event.at)

    def extend_start(self, event: WorkerBegan) -> None:
        """It took longer after all than was said when it was ready."""
        if not self._spans:
            began = max(self._cursor, min(event.at, self.started + event.seconds))
            self.start += began - self._cursor
            self._cursor = began

    def send(self, event: ChunkSent) -> None:
        self._pending.append((event.at, event.first, event.count))

    def finish(self, event: ChunkDone, state: str, retried: int) -> None:
        """Items of a chunk are settled; ``retried`` of them will be tried again."""
        busy = event.busy
        if retried:
            again = busy * retried / event.count
            busy -= again
            self.retries += again
        self.items += event.count - retried
        self.work += busy
        self.codec += event.codec
        self.cache += event.cache
        self.cpu += event.cpu if not retried else event.cpu * busy / (event.busy or 1.0)
        self.peak = max(self.peak, event.rss)
        start, self._cursor = self._place(event, event.busy + event.codec + event.cache)
        self._spans.append((start, self._cursor, event.first, event.count, state, event.codec, event.cache))
        if len(self._spans) >= 2 * SPANS_PER_LANE:
            self._spans = _merged(self._spans, SPANS_PER_LANE)

    def _place(self, event: ChunkDone, duration: float) -> tuple[float, float]:
        """When the settled part of a chunk began and ended."""
        earliest = self._cursor
        while self._pending:
            at, first, count = self._pending.popleft()
            if first <= event.first < first + count:
                rest = first + count - event.first - event.count
                if rest > 0:  # cut short: it stopped somewhere before the message came
                    start = max(earliest, at)
                    end = max(start, min(start + duration, event.at))
                    self._pending.appendleft((end, event.first + event.count, rest))
                    return start, end
                break
        end = max(earliest, event.at)
        return max(earliest, end - duration), end

    def end(self, event: WorkerEnded) -> None:
        """The worker is gone; what it was at is lost."""
        self.ended = max(self._cursor, event.at)
        self.ended_by = _ENDED_BY.get(event.how, "end")
        self.exit = event.reason or None
        if event.how in {"died", "killed"} and self._pending:
            self._lose(event, self._pending[0])
        self._pending.clear()
        self._cursor = self.ended

    def _lose(self, event: WorkerEnded, at_work: _Pending) -> None:
        since, first, count = at_work
        began = max(self._cursor, since)
        if event.at > began:
            first, count = (first, count) if event.index is None else (event.index, 1)
            self.lost += event.at - began
            self._spans.append((began, event.at, first, count, "lost", 0.0, 0.0))

    def spans(self, limit: int) -> tuple[Span, ...]:
        """At most ``limit`` spans; neighbours are merged when there are more."""
        return tuple(Span(*row) for row in _merged(self._spans, limit))

    def record(self, wall: float, host: str, fan_out: float, limit: int) -> Lane:
        """The lane as the report says it, cut to the run's length."""
        started = min(self.started, wall)
        ended = wall if self.ended is None else max(started, min(self.ended, wall))
        spans = self.spans(limit)
        return Lane(
            lane=self.lane,
            name=f"worker {self.lane}" if self.lane else "caller",
            pid=self.pid,
            host=host,
            started_s=started,
            ended_s=ended,
            ended_by=self.ended_by or "end",
            exit=None if self.exit is None else redact(self.exit),
            items=self.items,
            seconds=self._seconds(ended - started, _idle_until(spans, min(fan_out, wall)) if self.lane == 0 else 0.0),
            peak_bytes=self.peak or None,
            spans=spans,
            cpu_s=self.cpu,
            restarts=self.restarts,
        )

    def _seconds(self, length: float, before: float) -> Seconds:
        """The lane's length, split. Durations that do not fit into it (coarse clocks, threads) are scaled down.

        What is left over is waiting; the calling process alone has no one to wait for ``before`` it fans out.
        """
        parts = (self.start, self.work, self.codec, self.cache, self.lost + self.retries)
        known = sum(parts)
        scale = length / known if known > length else 1.0
        rest = max(0.0, length - known)
        start, work, codec, cache, lost = (part * scale for part in parts)
        other = min(rest, before)
        return Seconds(start, work, codec, cache, wait=rest - other, lost=lost, other=other)


def _idle_until(spans: tuple[Span, ...], until: float) -> float:
    """Seconds before ``until`` that no span covers."""
    return until - sum(min(span.end_s, until) - span.start_s for span in spans if span.start_s < until)


def _merged(rows: list[_Row], limit: int) -> list[_Row]:
    """At most ``limit`` spans: neighbours become one, in pairs, until they fit."""
    while len(rows) > limit:
        pairs = [_joined(a, b) for a, b in zip(rows[::2], rows[1::2], strict=False)]
        rows = pairs + rows[2 * len(pairs) :]
    return rows


def _joined(a: _Row, b: _Row) -> _Row:
    graver = max(a[4], b[4], key=_GRAVITY.__getitem__)
    return a[0], b[1], min(a[2], b[2]), a[3] + b[3], graver, a[5] + b[5], a[6] + b[6]
