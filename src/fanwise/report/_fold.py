"""Run events added up: everything a report says about a run, in memory that does not grow with it."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

from fanwise.records.run_events import (
    ChunkDone,
    ChunkSent,
    Interrupted,
    ItemFailed,
    ItemLost,
    ItemRetried,
    MemoryLow,
    MemorySample,
    Planned,
    RunEnded,
    RunEvent,
    RunStarted,
    WorkerBegan,
    WorkerEnded,
    WorkerStarted,
)
from fanwise.report._costs import CostFold, label_of
from fanwise.report._lanes import LaneFold
from fanwise.report._privacy import plain_value, redact
from fanwise.report._record import Decision, Failure, MemoryPoint, Note, Traffic

__all__ = ["Fold"]

_FAILURES = 1_000
_TEXT_CHARS = 4_096  # of a traceback, the last: where it was raised
_TEXTS_CHARS = 400_000  # of all tracebacks together
_NOTE_CHARS = 200
_MESSAGE_CHARS = 300
_NOTES = 500
_DECISIONS = 200
_LANES = 400
_MEMORY_POINTS = 250


class Fold:
    """The sums of a run so far."""

    def __init__(self) -> None:
        self.label = ""
        self.total: int | None = None
        self.how: str | None = None
        self.last_at = 0.0
        self.ok = self.cached = self.resumed = self.failed = self.lost = 0
        self.retried: set[int] = set()
        self.decisions: list[Decision] = []
        self.lanes: list[LaneFold] = [LaneFold(0, 0.0)]
        self.costs = CostFold()
        self.failures: list[Failure] = []
        self.notes: list[Note] = []
        self.notes_left_out = 0
        self._text_left = _TEXTS_CHARS
        self.method = "none"
        self.fan_out_item: int | None = None
        self.lowest_free: int | None = None
        self.memory: list[MemoryPoint] = []
        self._chunk_sizes: Counter[int] = Counter()
        self._bytes_in = self._bytes_out = 0
        self._lane_of: dict[int, LaneFold] = {0: self.lanes[0]}
        self._vacant: list[LaneFold] = []
        self._again: set[int] = set()  # items whose attempt that failed has not been seen in a chunk
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            RunStarted: self._run_started,
            Planned: self._planned,
            WorkerStarted: self._worker_started,
            WorkerBegan: self._worker_began,
            WorkerEnded: self._worker_ended,
            ChunkSent: self._chunk_sent,
            ChunkDone: self._chunk_done,
            ItemFailed: self._item_failed,
            ItemLost: self._item_lost,
            ItemRetried: self._item_retried,
            MemorySample: self._memory_sample,
            MemoryLow: self._memory_low,
            Interrupted: self._interrupted,
            RunEnded: self._run_ended,
        }

    def extend(self, events: Sequence[RunEvent]) -> None:
        """Add events, oldest first."""
        handlers = self._handlers
        for event in events:
            handlers[type(event)](event)
        self.last_at = max(self.last_at, max(map(attrgetter("at"), events), default=0.0))

    def traffic(self, asked: int | None = None) -> Traffic:
        """Bytes and chunk sizes; of short chunks of the size ``asked`` for, several went in one message."""
        found = self._chunk_sizes if asked is None else _apart(self._chunk_sizes, asked)
        sizes, chunks = sorted(found), found.total()
        upto = accumulate(found[size] for size in sizes)
        return Traffic(
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
            chunks=chunks,
            chunk_min=min(sizes, default=0),
            chunk_median=next((size for size, below in zip(sizes, upto, strict=True) if 2 * below >= chunks), 0),
            chunk_max=max(sizes, default=0),
        )

    def _lane(self, worker: int, at: float) -> LaneFold:
        lane = self._lane_of.get(worker)
        if lane is None:
            lane = self._lane_of[worker] = self._new_lane(worker, at)
        return lane

    def _new_lane(self, worker: int, at: float) -> LaneFold:
        """A lane of its own; where there are very many, the lane of the worker that ended last."""
        if len(self.lanes) >= _LANES and self._vacant:
            lane = self._vacant.pop()
            lane.restarts += 1
        else:
            lane = LaneFold(worker, max(0.0, at))
            self.lanes.append(lane)
        return lane

    def _note(self, at: float, kind: str, text: str, lane: int | None = None, item: int | None = None) -> None:
        if len(self.notes) < _NOTES:
            self.notes.append(Note(max(0.0, at), kind, lane, item, redact(text)[:_NOTE_CHARS]))
        else:
            self.notes_left_out += 1

    def _run_started(self, event: RunStarted) -> None:
        self.total, self.label = event.total, event.label

    def _planned(self, event: Planned) -> None:
        if len(self.decisions) < _DECISIONS:
            facts: Any = plain_value(event.facts)
            self.decisions.append(Decision(max(0.0, event.at), event.item, event.code, redact(event.text), facts))

    def _worker_started(self, event: WorkerStarted) -> None:
        self._lane(event.worker, event.at - max(0.0, event.seconds)).begin(event)
        self.method = event.method or self.method

    def _worker_began(self, event: WorkerBegan) -> None:
        self._lane(event.worker, event.at).extend_start(event)

    def _worker_ended(self, event: WorkerEnded) -> None:
        lane = self._lane(event.worker, event.at)
        lane.end(event)
        self._vacant.append(lane)
        del self._lane_of[event.worker]
        if event.how == "died":
            self._note(event.at, "worker", f"worker {event.worker} died: {event.reason}", lane.lane, event.index)

    def _chunk_sent(self, event: ChunkSent) -> None:
        self._lane(event.worker, event.at).send(event)
        if event.worker and self.fan_out_item is None:
            self.fan_out_item = event.first

    def _chunk_done(self, event: ChunkDone) -> None:
        self.ok += event.ok
        self.cached += event.cached
        self.resumed += event.resumed
        self._bytes_in += event.bytes_in
        self._bytes_out += event.bytes_out
        self._chunk_sizes[event.count] += 1
        self.costs.add(event)
        retried = self._attempts_to_come(event) if self._again else 0
        lane = self._lane_of.get(event.worker) or self._lane(event.worker, event.at)
        lane.finish(event, _state(event, retried), retried)

    def _attempts_to_come(self, event: ChunkDone) -> int:
        """How many items of a chunk are to be tried again."""
        items = range(event.first, event.first + event.count)
        found = {item for item in self._again if item in items}
        self._again -= found
        return min(len(found), event.count - event.ok)

    def _item_failed(self, event: ItemFailed) -> None:
        self.failed += 1
        kind = "timeout" if event.type == "ItemTimeoutError" else "failed"
        self._add_failure(event, kind, event.type, event.message, "")

    def _item_lost(self, event: ItemLost) -> None:
        self.lost += 1
        self._note(event.at, "lost", f"{label_of(event.index)} was lost: {event.reason}", event.worker, event.index)
        self._add_failure(event, "lost", "WorkerLostError", event.reason, event.last_output)

    def _add_failure(self, event: ItemFailed | ItemLost, kind: str, type_: str, message: str, last_output: str) -> None:
        if len(self.failures) >= _FAILURES:
            return
        self.failures.append(
            Failure(
                item=event.index,
                label=label_of(event.index),
                kind=kind,
                type=type_,
                message=redact(message)[:_MESSAGE_CHARS],
                traceback=self._long_text(event.traceback),
                attempts=max(1, event.attempts),
                worker=f"worker {event.worker}" if event.worker else None,
                last_output=self._long_text(last_output),
            )
        )

    def _long_text(self, text: str) -> str | None:
        """The end of a long text, as long as there is room for such texts."""
        kept = redact(text)[-_TEXT_CHARS:]
        if not kept or len(kept) > self._text_left:
            return None
        self._text_left -= len(kept)
        return kept

    def _item_retried(self, event: ItemRetried) -> None:
        self.retried.add(event.index)
        self._again.add(event.index)
        self._note(
            event.at, "retry", f"{label_of(event.index)} is tried again: attempt {event.attempt}", item=event.index
        )

    def _memory_sample(self, event: MemorySample) -> None:
        self.lowest_free = event.free if self.lowest_free is None else min(self.lowest_free, event.free)
        for worker, resident in ((0, event.caller), *event.workers):
            lane = self._lane_of.get(worker)
            if lane is not None:
                lane.peak = max(lane.peak, resident)
        workers = sum(resident for _, resident in event.workers)
        self.memory.append(MemoryPoint(max(0.0, event.at), event.free, event.caller, workers))
        if len(self.memory) > 2 * _MEMORY_POINTS:
            del self.memory[1::2]

    def _memory_low(self, event: MemoryLow) -> None:
        text = {0: "Memory is free again.", 1: "Memory ran low: less than 10 % was free."}
        self._note(event.at, "memory", text.get(event.level, "Memory ran out: less than 2 % was free."))

    def _interrupted(self, event: Interrupted) -> None:
        names = {int(number): number.name for number in signal.Signals}
        self._note(event.at, "interrupt", f"The run was interrupted by {names.get(event.signal, event.signal)}.")

    def _run_ended(self, event: RunEnded) -> None:
        self.how = event.how


def _apart(messages: Counter[int], asked: int) -> Counter[int]:
    """Sizes of chunks, from the numbers of items in messages of several."""
    sizes: Counter[int] = Counter()
    for items, times in messages.items():
        whole, rest = divmod(items, asked)
        sizes.update({asked: whole * times, rest: times if rest else 0})
    return +sizes


def _state(event: ChunkDone, retried: int) -> str:
    bad = event.count - event.ok
    if bad > 0:
        return "retried" if bad <= retried else "failed"
    return "cached" if 0 < event.count <= event.cached + event.resumed else "ok"
