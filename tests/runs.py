"""Run events as a driver would tell them, by hand and at random, with the counts they stand for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from tests.costs_of import histogram, slowest

from fanwise.records import run_events as told
from fanwise.records.run_events import RunEvent
from fanwise.report import ReportBuilder, RunFacts, RunReport

FAN_OUT = (
    "Ran 2 items here in 0.2 s, then started 2 workers at item 2: about 1 s of work was left, 0.5 s could be gained."
)


def report_of(events: list[RunEvent], at: float | None = None, **facts: Any) -> RunReport:
    """The report of these events."""
    builder = ReportBuilder()
    for event in events:
        builder.on(event)
    end = max((event.at for event in events), default=0.0) if at is None else at
    return builder.finish(end, RunFacts(**{"function": "mymodule.score", "started_at": 1767323045.678} | facts))


def serial_run(items: int = 4, each: float = 0.1, label: str = "score") -> list[RunEvent]:
    """All items in the calling process, one after the other."""
    return [
        told.RunStarted(0.0, items, label),
        told.Planned(0.0, "serial.asked", "Ran in this process because workers=1.", {"workers": 1}),
        *(
            told.ChunkDone(each * (index + 1), 0, index, 1, ok=1, busy=each, cpu=each, least=each)
            for index in range(items)
        ),
        told.RunEnded(items * each, "done"),
    ]


def fanned_out(label: str = "score") -> list[RunEvent]:
    """Two items here, then ten on two workers of which the first is done earlier."""
    return [
        told.RunStarted(0.0, 12, label),
        told.ChunkDone(0.2, 0, 0, 2, ok=2, busy=0.2, cpu=0.2),
        told.Planned(0.2, "fan-out", FAN_OUT, {"here": 2, "workers": 2}, 2),
        told.WorkerStarted(0.21, 1, 4001, "fork", 0.01),
        told.WorkerStarted(0.21, 2, 4002, "fork", 0.01),
        told.ChunkSent(0.21, 1, 2, 5),
        told.ChunkSent(0.21, 2, 7, 5),
        told.ChunkDone(0.71, 1, 2, 5, ok=5, busy=0.49, cpu=0.49, codec=0.01, bytes_in=500, bytes_out=50, rss=10_000),
        told.ChunkDone(1.21, 2, 7, 5, ok=5, busy=0.99, cpu=0.99, codec=0.01, bytes_in=500, bytes_out=50, rss=20_000),
        told.WorkerEnded(1.21, 1, "done"),
        told.WorkerEnded(1.21, 2, "done"),
        told.RunEnded(1.21, "done"),
    ]


@dataclass
class Story:
    """A run as events, and what became of its items."""

    total: int
    events: list[RunEvent] = field(default_factory=list)
    ok: int = 0
    failed: int = 0
    lost: int = 0
    cached: int = 0
    retried: int = 0

    @property
    def settled(self) -> int:
        return self.ok + self.failed + self.lost

    def report(self, **facts: Any) -> RunReport:
        return report_of(self.events, **facts)


class _Teller:
    """Plays a run with workers that are slow, fail, retry and die as drawn."""

    def __init__(self, draw: Any, story: Story, workers: int) -> None:
        self.draw = draw
        self.story = story
        self.clock = {0: 0.0} if workers == 0 else {}
        self.strikes: dict[int, int] = {}
        self.again: set[int] = set()
        self.number = 0
        for _ in range(workers):
            self.hire(draw(st.floats(0.0, 0.05)))

    def tell(self, event: RunEvent) -> None:
        self.story.events.append(event)

    def hire(self, at: float) -> None:
        self.number += 1
        seconds = self.draw(st.floats(0.0, 0.02))
        self.clock[self.number] = at + seconds
        self.tell(told.WorkerStarted(at + seconds, self.number, 4000 + self.number, "fork", seconds))

    def run(self, first: int, count: int) -> list[tuple[int, int]]:
        """One chunk on the worker that is free first; returns what must be run again."""
        worker = min(self.clock, key=self.clock.__getitem__)
        sent = self.clock[worker]
        self.tell(told.ChunkSent(sent, worker, first, count))
        costs = self.draw(st.lists(st.floats(1e-6, 0.2), min_size=count, max_size=count))
        fate = self.draw(st.sampled_from(["ok"] * 6 + ["fail", "retry", "cached", "die"]))
        if fate == "die" and worker:
            return self.die(worker, sent, first, count, costs)
        return self.end(worker, sent, first, count, costs, fate)

    def end(
        self, worker: int, sent: float, first: int, count: int, costs: list[float], fate: str
    ) -> list[tuple[int, int]]:
        cached = count if fate == "cached" else 0
        busy = 0.0 if cached else sum(costs)
        at = self.clock[worker] = sent + busy + self.draw(st.floats(0.0, 0.01))
        again: list[tuple[int, int]] = []
        bad = first + count - 1
        if fate == "retry" and bad not in self.again:
            self.again.add(bad)
            self.tell(told.ItemRetried(at, bad, 2))
            self.story.retried += 1
            again.append((bad, 1))
        elif fate == "fail":
            self.tell(told.ItemFailed(at, bad, "ValueError", f"bad {bad}", "Traceback …\n", worker))
            self.story.failed += 1
        ok = count - (1 if again or fate == "fail" else 0)
        self.story.ok += ok
        self.story.cached += cached
        self.tell(
            told.ChunkDone(
                at,
                worker,
                first,
                count,
                ok=ok,
                cached=cached,
                busy=busy,
                cpu=busy * 0.9,
                cache=1e-4 if cached else 0.0,
                costs=() if cached else histogram(costs),
                slowest=() if cached else slowest(first, costs),
                least=None if cached else min(costs),
                rss=1_000_000 + worker,
            )
        )
        return again

    def die(self, worker: int, sent: float, first: int, count: int, costs: list[float]) -> list[tuple[int, int]]:
        """The worker dies at the last item of its chunk; the others were received."""
        culprit = first + count - 1
        at = sent + sum(costs)
        if count > 1:
            self.story.ok += count - 1
            self.tell(told.ChunkDone(at, worker, first, count - 1, ok=count - 1, busy=sum(costs[:-1])))
        del self.clock[worker]
        self.tell(told.WorkerEnded(at, worker, "died", "killed by SIGKILL", culprit))
        self.strikes[culprit] = self.strikes.get(culprit, 0) + 1
        self.hire(at)
        if self.strikes[culprit] < 2:
            return [(culprit, 1)]
        self.story.lost += 1
        self.tell(told.ItemLost(at, culprit, "killed by SIGKILL", worker, attempts=2, last_output="free(): invalid\n"))
        return []


@st.composite
def stories(draw: st.DrawFn, most: int = 40) -> Story:
    """A run that could have been: any number of workers, any fate of items, perhaps interrupted."""
    story = Story(total=draw(st.integers(0, most)))
    known = draw(st.booleans())
    story.events.append(told.RunStarted(0.0, story.total if known else None, draw(st.text(max_size=12))))
    workers = draw(st.integers(0, 4))
    if draw(st.booleans()):
        story.events.append(
            told.Planned(0.0, "process.asked", f"Sent all items to {workers} processes.", {"n": workers})
        )
    teller = _Teller(draw, story, workers)
    queue = deque()
    first = 0
    while first < story.total:
        count = min(draw(st.integers(1, 7)), story.total - first)
        queue.append((first, count))
        first += count
    interrupted = draw(st.booleans()) and draw(st.integers(0, len(queue)))
    while queue and not (interrupted is not False and story.settled >= interrupted > 0):
        queue.extend(teller.run(*queue.popleft()))
    how = "done" if not queue else "interrupted"
    story.events.sort(key=lambda event: event.at)
    story.events.append(told.RunEnded(max(event.at for event in story.events), how))
    if not known:
        story.total = story.settled
    return story


def _ats() -> st.SearchStrategy[float]:
    return st.floats(0.0, 50.0)


_WORKERS = st.integers(0, 3)
_INDEXES = st.integers(0, 30)
_SECONDS = st.floats(0.0, 5.0)


@st.composite
def _chunks(draw: st.DrawFn) -> told.ChunkDone:
    count = draw(st.integers(1, 9))
    ok = draw(st.integers(0, count))
    cached = draw(st.integers(0, ok))
    return told.ChunkDone(
        draw(_ats()),
        draw(_WORKERS),
        draw(_INDEXES),
        count,
        ok=ok,
        cached=cached,
        busy=draw(_SECONDS),
        cpu=draw(_SECONDS),
        codec=draw(_SECONDS),
        cache=draw(_SECONDS),
    )


def noise() -> st.SearchStrategy[list[RunEvent]]:
    """Any events in any order: nothing a driver would tell, but a report must bear it."""
    return st.lists(
        st.one_of(
            st.builds(told.RunStarted, _ats(), st.none() | st.integers(0, 60), st.text(max_size=5)),
            st.builds(told.WorkerStarted, _ats(), _WORKERS, st.none() | st.integers(1, 9), st.just("fork"), _SECONDS),
            st.builds(
                told.WorkerEnded,
                _ats(),
                _WORKERS,
                st.sampled_from(["done", "retired", "killed", "died"]),
                st.text(max_size=5),
                st.none() | _INDEXES,
            ),
            st.builds(told.ChunkSent, _ats(), _WORKERS, _INDEXES, st.integers(1, 9)),
            _chunks(),
            st.builds(told.ItemFailed, _ats(), _INDEXES, st.just("ValueError"), st.text(max_size=9)),
            st.builds(told.ItemLost, _ats(), _INDEXES, st.text(max_size=9), _WORKERS),
            st.builds(told.ItemRetried, _ats(), _INDEXES, st.integers(2, 4)),
            st.builds(told.MemorySample, _ats(), st.integers(0, 10**9), st.integers(0, 10**9), st.just(((1, 5),))),
            st.builds(told.MemoryLow, _ats(), st.integers(0, 2)),
            st.builds(told.Interrupted, _ats(), st.sampled_from([2, 15])),
            st.builds(told.RunEnded, _ats(), st.sampled_from(["done", "error", "interrupted", "deadline"])),
        ),
        max_size=25,
    )
