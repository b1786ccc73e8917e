"""What those who watch are told."""

from __future__ import annotations

import pytest
from tests.unit.engine.talk import Talk

from fanwise.engine._chunks import ChunkAim
from fanwise.engine._telemetry import Telemetry
from fanwise.records import run_events as told
from fanwise.records.chunks import HERE, ChunkStats
from fanwise.records.costs import bin_of
from fanwise.records.outcomes import Batch
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Drawn,
    Event,
    Finished,
    Interrupt,
    MemoryLow,
    MemorySeen,
    StartFailed,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)
from fanwise.typing import Retry


class Watched(Talk):
    """A conversation somebody listens to; the run began at 100 s."""

    def __init__(self, **config):
        self.telemetry = Telemetry(100.0)
        self.told: list[told.RunEvent] = []
        super().__init__(**config)
        self.now = 101.0

    def step(self, event: Event):
        commands = super().step(event)
        self.told += self.telemetry.hear(event, commands)
        return commands

    def of(self, kind):
        return [event for event in self.told if isinstance(event, kind)]


def watched(**config) -> Watched:
    return Watched(
        **{"workers": 1, "total": 4, "chunks": ChunkAim(size=2), "window": 1, "raise_on_error": False} | config
    )


def test_a_clean_run():
    run = watched()
    run.tell(WorkerReady, 1, 4711, "fork", 0.002)
    for _ in range(2):
        id, chunk = next((i, c) for i, (w, c) in run.chunks.items())
        del run.chunks[id]
        run.now += 0.5
        run.tell(Finished, 1, id, (Batch(chunk.first, "ab", 0.2),))
        run.tell(ChunkFinished, 1, id, ChunkStats(0.4, 0.3, 0.01, 10, 20, 30, 0.2))
    assert run.told == [
        told.WorkerStarted(1.0, 1, 4711, "fork", 0.002),
        told.ChunkSent(1.0, 1, 0, 2),
        told.ChunkDone(1.5, 1, 0, 2, 2, 0, 0.4, 0.3, 0.01, 0.0, ((bin_of(0.2), 2),), ((0, 0.2),), 10, 20, 30, 0, 0.2),
        told.ChunkSent(1.5, 1, 2, 2),
        told.ChunkDone(2.0, 1, 2, 2, 2, 0, 0.4, 0.3, 0.01, 0.0, ((bin_of(0.2), 2),), ((2, 0.2),), 10, 20, 30, 0, 0.2),
        told.RunEnded(2.0, "done"),
    ]


def test_failures_and_retries_are_told_one_by_one():
    run = watched(retry=Retry(1)).ready(1)
    run.finish(1, fails=(1,))
    run.now += 10
    run.wait(0)
    run.drop_chunks(0)
    while run.ending is None:
        run.finish(1, fails=(1,))
    assert run.of(told.ItemRetried) == [told.ItemRetried(1.0, 1, 2)]
    assert [(e.index, e.type, e.message) for e in run.of(told.ItemFailed)] == [(1, "ValueError", "bad 1")]
    assert sum(done.ok for done in run.of(told.ChunkDone)) == 3


def test_a_frame_that_comes_twice_counts_once():
    run = watched().ready(1)
    id = next(iter(run.chunks))
    run.tell(Finished, 1, id, (Batch(0, "a"),))
    run.tell(Finished, 1, id, (Batch(0, "a"),))
    run.tell(Finished, 1, id, (Batch(0, "ab"),))
    run.tell(ChunkFinished, 1, id)
    run.tell(ChunkFinished, 1, id)
    assert [(done.count, done.ok) for done in run.of(told.ChunkDone)] == [(2, 2)]


def test_what_a_dead_worker_had_done_is_counted():
    run = watched(chunks=ChunkAim(size=4)).ready(1)
    run.tell(Finished, 1, 1, (Batch(0, "a", 0.25), Batch(1, "b", (0.5,))))
    run.tell(WorkerDied, 1, "SIGKILL", 2)
    done, ended = run.told[-3:-1]
    assert (done.first, done.count, done.ok, done.busy) == (0, 2, 2, 0.75)
    assert done.slowest == ((1, 0.5), (0, 0.25))
    assert ended == told.WorkerEnded(1.0, 1, "died", "SIGKILL", 2)
    assert run.told[-1] == told.ItemRetried(1.0, 2, 2)


def test_a_chunk_that_comes_back_untouched_is_not_told():
    run = watched().ready(1)
    run.tell(ChunkReturned, 1, 1, 0)
    run.tell(ChunkReturned, 1, 99, 0)
    assert not run.of(told.ChunkDone)


def test_lost_items():
    run = watched().ready(1)
    run.tell(WorkerDied, 1, "SIGKILL", 0)
    run.ready(2).tell(WorkerDied, 2, "SIGKILL", 0)
    assert [(e.at, e.index, e.reason) for e in run.of(told.ItemLost)] == [(1.0, 0, "SIGKILL")]


def test_killed_is_not_died():
    run = watched(timeout=0.5).ready(1)
    run.wait(1.0)
    run.tell(WorkerDied, 1, "SIGKILL", 0)
    assert run.of(told.WorkerEnded)[0].how == "killed"
    assert run.of(told.ItemFailed)[0].worker == 1
    assert run.of(told.ItemFailed)[0].type == "ItemTimeoutError"


def test_retired():
    run = watched().ready(1)
    run.tell(WorkerRetired, 1)
    assert run.of(told.WorkerEnded) == [told.WorkerEnded(1.0, 1, "retired")]


def test_a_fallback_is_a_decision_with_a_sentence():
    run = watched(here_allowed=True)
    run.tell(StartFailed, "EAGAIN: too many processes", 3)
    assert run.of(told.Planned) == [
        told.Planned(
            1.0,
            "fallback.start-failed",
            "Ran everything in this process: workers could not be started (EAGAIN: too many processes).",
            {"why": "EAGAIN: too many processes"},
        )
    ]
    run.finish(HERE)
    assert run.of(told.ChunkDone)[0].worker == HERE


def test_no_gain_is_told_with_its_numbers():
    from fanwise.records.scheduling import Decide

    facts = {"item": 60, "workers": 2, "rate": 0.02, "alone": 0.01}
    (planned,) = Telemetry(0.0).hear(MemoryLow(1.0, 0), [Decide("fallback.no-gain", facts)])[1:]
    assert planned.item == 60
    assert planned.text == (
        "Ran the rest in this process from item 60 on: 2 workers did 20 ms an item, this process alone 10 ms an item."
    )


def test_results_known_beforehand_are_resumed():
    run = watched(total=None)
    run.tell(Drawn, 4, (Batch(1, "bc"),))
    assert [(e.worker, e.first, e.count, e.ok, e.resumed) for e in run.of(told.ChunkDone)] == [(0, 1, 2, 2, 2)]


@pytest.mark.parametrize(("count", "how"), [(1, [told.Interrupted(1.0, 15)]), (2, [])])
def test_an_interrupt_is_told_once(count, how):
    run = watched().ready(1)
    run.tell(Interrupt, count, 15)
    assert run.of(told.Interrupted) == how


def test_memory():
    run = watched().ready(1)
    run.tell(MemoryLow, 1)
    assert run.of(told.MemoryLow) == [told.MemoryLow(1.0, 1)]


def test_memory_that_was_seen_is_a_sample():
    heard = Telemetry(100.0).hear(MemorySeen(101.0, 50, 7, ((1, 10), (2, 30))), ())
    assert heard == [told.MemorySample(1.0, 50, 7, ((1, 10), (2, 30)))]


def test_a_run_that_breaks_ends_with_an_error():
    run = watched()
    run.tell(StartFailed, "no", 3)
    assert run.of(told.RunEnded) == [told.RunEnded(1.0, "error")]
