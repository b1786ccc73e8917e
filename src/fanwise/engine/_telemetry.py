"""Run events from what the scheduler heard and said. Where nobody listens, nothing of this is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fanwise._format import duration, message_of
from fanwise.engine._sentences import decide
from fanwise.records import run_events as told
from fanwise.records.chunks import HERE, Chunk, ChunkStats
from fanwise.records.costs import of_blocks
from fanwise.records.outcomes import Batch, Failed, Lost, Ok, Settled, count_of, first_of
from fanwise.records.run_events import RunEvent
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Command,
    Decide,
    Drawn,
    Emit,
    Event,
    Finish,
    Finished,
    Interrupt,
    Kill,
    MemoryLow,
    MemorySeen,
    Retrying,
    RunHere,
    Send,
    WorkerBegan,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)

__all__ = ["Telemetry"]

_HOW = {"done": "done", "interrupted": "interrupted", "cancelled": "interrupted", "deadline": "deadline"}


class _Span:
    """A chunk on its way: how far it is, and what its records cost."""

    __slots__ = ("_heard", "chunk", "next", "ok", "worker")

    def __init__(self, chunk: Chunk, worker: int) -> None:
        self.chunk = chunk
        self.worker = worker
        self.next = chunk.first
        self.ok = 0
        self._heard: list[tuple[int, float]] = []  # items, seconds of each

    def add(self, record: Settled) -> None:
        first, count = first_of(record), count_of(record)
        fresh = min(count, first + count - self.next)
        if fresh <= 0:
            return
        self.next = first + count
        if isinstance(record, (Batch, Ok)):
            self.ok += fresh
        spread = record.seconds
        if isinstance(spread, (int, float)):
            self._heard.append((fresh, spread))
        else:
            self._heard += [(1, seconds) for seconds in spread[-fresh:]]

    def done(self, stats: ChunkStats | None, at: float) -> list[RunEvent]:
        """The end of the chunk: what the worker measured, or, if that never came, what its records say."""
        heard = sum([items for items, _ in self._heard])
        if stats is None:
            if not heard:
                return []
            stats = ChunkStats(sum([items * seconds for items, seconds in self._heard]))
            count = heard
        else:
            count = self.chunk.count
        costs, slow = of_blocks(self.next - heard, [(items, items * seconds) for items, seconds in self._heard])
        found, looking = stats.counts[:2] or (0, 0.0)
        looking = min(looking, stats.busy)
        return [
            told.ChunkDone(
                at,
                self.worker,
                self.chunk.first,
                count,
                self.ok,
                cached=min(int(found), count),
                busy=stats.busy - looking,
                cache=looking,
                cpu=stats.cpu,
                codec=stats.codec,
                costs=costs,
                slowest=slow,
                bytes_in=stats.bytes_in,
                bytes_out=stats.bytes_out,
                rss=stats.rss,
                least=min([seconds for _, seconds in self._heard], default=None),
            )
        ]


class Telemetry:
    """Folds (event, commands) of one run into run events.

    Parameters
    ----------
    began : float
        When the run began, on the clock of the events.
    """

    __slots__ = ("_began", "_hearing", "_killed", "_last_words", "_saying", "_spans", "_workers")

    def __init__(self, began: float) -> None:
        self._began = began
        self._spans: dict[int, _Span] = {}
        self._killed: set[int] = set()
        self._last_words: dict[int, tuple[int, str, str]] = {}  # by item: worker, traceback, output
        self._workers: dict[int | None, int] = {None: HERE}  # by process id
        self._hearing: Mapping[type, Callable[[Any, float], list[RunEvent]]] = {
            Drawn: self._drawn,
            WorkerReady: self._ready,
            WorkerBegan: lambda event, at: [told.WorkerBegan(at, event.worker, event.seconds)],
            Finished: self._finished,
            ChunkFinished: self._chunk_finished,
            ChunkReturned: self._chunk_returned,
            WorkerDied: self._died,
            WorkerRetired: lambda event, at: [told.WorkerEnded(at, event.worker, "retired")],
            MemoryLow: lambda event, at: [told.MemoryLow(at, event.level)],
            MemorySeen: lambda event, at: [told.MemorySample(at, event.available, event.caller, event.workers)],
            Interrupt: lambda event, at: [told.Interrupted(at, event.signal)] if event.count == 1 else [],
        }
        self._saying: Mapping[type, Callable[[Any, float], list[RunEvent]]] = {
            Send: lambda command, at: self._sent(command.chunk, command.worker, at),
            RunHere: lambda command, at: self._sent(command.chunk, HERE, at),
            Kill: self._kill,
            Retrying: lambda command, at: [told.ItemRetried(at, command.index, command.attempt)],
            Decide: self._decided,
            Emit: self._emitted,
            Finish: lambda command, at: [told.RunEnded(at, _HOW.get(command.how, "error"))],
        }

    def hear(self, event: Event, commands: Sequence[Command]) -> list[RunEvent]:
        """What one step of the scheduler means to those who watch."""
        at = event.now - self._began
        hear = self._hearing.get(type(event))
        events = hear(event, at) if hear is not None else []
        for command in commands:
            say = self._saying.get(type(command))
            if say is not None:
                events += say(command, at)
        return events

    def _sent(self, chunk: Chunk, worker: int, at: float) -> list[RunEvent]:
        self._spans[chunk.id] = _Span(chunk, worker)
        return [told.ChunkSent(at, worker, chunk.first, chunk.count)]

    def _kill(self, command: Kill, _: float) -> list[RunEvent]:
        self._killed.add(command.worker)
        return []

    def _drawn(self, event: Drawn, at: float) -> list[RunEvent]:
        known = [(first_of(record), count_of(record)) for record in event.known]
        cached = [(first_of(record), count_of(record)) for record in event.cached]
        return [
            *(told.ChunkDone(at, HERE, first, count, ok=count, resumed=count) for first, count in known),
            *(told.ChunkDone(at, HERE, first, count, ok=count, cached=count) for first, count in cached),
        ]

    def _ready(self, event: WorkerReady, at: float) -> list[RunEvent]:
        self._workers[event.pid] = event.worker
        return [told.WorkerStarted(at, event.worker, event.pid, event.method, event.seconds)]

    def _finished(self, event: Finished, _: float) -> list[RunEvent]:
        span = self._spans.get(event.chunk)
        if span is not None:
            for record in event.settled:
                span.add(record)
        return []

    def _chunk_finished(self, event: ChunkFinished, at: float) -> list[RunEvent]:
        span = self._spans.pop(event.chunk, None)
        if span is None:
            return []
        for record in event.settled:
            span.add(record)
        return span.done(event.stats, at)

    def _chunk_returned(self, event: ChunkReturned, at: float) -> list[RunEvent]:
        return self._cut_short(event.chunk, at)

    def _cut_short(self, chunk: int, at: float) -> list[RunEvent]:
        """A chunk ends without figures of its own."""
        span = self._spans.pop(chunk, None)
        return [] if span is None else span.done(None, at)

    def _died(self, event: WorkerDied, at: float) -> list[RunEvent]:
        if event.index is not None:
            self._last_words[event.index] = event.worker, event.traceback, event.output
        ended = [span.chunk.id for span in self._spans.values() if span.worker == event.worker]
        done = [happened for chunk in ended for happened in self._cut_short(chunk, at)]
        how = "killed" if event.worker in self._killed else "died"
        return [*done, told.WorkerEnded(at, event.worker, how, event.reason, event.index)]

    def _decided(self, command: Decide, at: float) -> list[RunEvent]:
        words = {name: _spoken(name, value) for name, value in command.facts.items()}
        decision = decide(command.code, command.facts, **words)
        return [told.Planned(at, decision.code, decision.text, decision.facts, command.facts.get("item"))]

    def _emitted(self, command: Emit, at: float) -> list[RunEvent]:
        record = command.settled
        if isinstance(record, Failed):
            worker = self._workers.get(record.worker, HERE)
            kind = type(record.error).__qualname__
            text = message_of(record.error)
            return [told.ItemFailed(at, record.index, kind, text, record.traceback, worker, record.attempts)]
        if isinstance(record, Lost):
            worker, traceback, output = self._last_words.pop(record.index, (HERE, "", ""))
            return [told.ItemLost(at, record.index, record.reason, worker, record.attempts, traceback, output)]
        return []


def _spoken(name: str, value: object) -> object:
    """A number as the sentence says it: seconds per item with their unit."""
    if name in {"rate", "alone"} and isinstance(value, float):
        return f"{duration(value)} an item"
    return value
