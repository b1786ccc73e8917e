"""How long workers take to start is measured once a run, and the next plan counts on it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

import fanwise
from fanwise._api._planning import EXPERIENCE, Advice
from fanwise._api._starting import StartWatch
from fanwise.engine._costs import Machine
from fanwise.records.scheduling import Command, Event, StartWorkers, Tick, WorkerBegan, WorkerReady


class Listener:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hear(self, event: Event, commands: Sequence[Command]) -> None:
        self.heard.append(event)

    def tick(self, now: float) -> float | None:
        return now + 1


def ready(now: float, worker: int) -> WorkerReady:
    """A worker that was ready before anybody looked."""
    return WorkerReady(now + 1, worker, 100 + worker, "fork", now - 10.0)


def test_it_is_told_when_all_of_the_first_burst_are_ready() -> None:
    told: list[tuple[int, float, float]] = []
    listener = Listener()
    watch = StartWatch(listener, lambda *fact: told.append(fact))
    events = [Tick(10.0), ready(10.25, 1), ready(10.5, 2), ready(30.0, 3)]
    for event, commands in zip(events, [[StartWorkers(2)], [], [StartWorkers(1)], []], strict=True):
        watch.hear(event, commands)
    assert told == [(2, 0.5, 0.0)]
    assert listener.heard == events
    assert watch.tick(1.0) == 2.0


def test_of_workers_that_are_sent_items_at_once_it_counts_when_they_begin() -> None:
    told: list[tuple[int, float, float]] = []
    watch = StartWatch(Listener(), lambda *fact: told.append(fact))
    watch.hear(Tick(0.0), [StartWorkers(1)])
    watch.hear(WorkerReady(0.004, 1, 101, "fork", 0.004, begun=False), [])
    assert told == []
    watch.hear(WorkerBegan(0.02, 1, 0.009, 0.009), [])
    assert told == [(1, 0.004, pytest.approx(0.005))]


def test_a_burst_that_is_never_complete_tells_nothing() -> None:
    told: list[tuple[int, float, float]] = []
    watch = StartWatch(Listener(), lambda *fact: told.append(fact))
    watch.hear(Tick(0.0), [StartWorkers(2)])
    watch.hear(ready(1.0, 1), [])
    assert told == []


def test_the_next_plan_counts_on_what_was_measured(monkeypatch) -> None:
    machine = Machine(2, 2, rss_mb=0.0)
    monkeypatch.setattr(EXPERIENCE, "costs", EXPERIENCE.costs)
    before = EXPERIENCE.costs.start(machine, 2)
    advice = Advice.__new__(Advice)
    advice._facts = machine
    advice.learn_start(2, 5.0, 0.0)  # the first start loads modules too
    assert EXPERIENCE.costs.start(machine, 2) == before
    advice.learn_start(2, 1.0, 0.0)
    assert before < 0.1 < EXPERIENCE.costs.start(machine, 2) < 1.0


@pytest.mark.filterwarnings("ignore:workers are forked as requested")
def test_a_run_that_starts_workers_teaches_the_process(monkeypatch) -> None:
    monkeypatch.setenv("FANWISE_START_METHOD", "fork")  # a fork server may take longer to start than all items
    costs = EXPERIENCE.costs
    for _ in range(2):  # the first start is not learned from; what the second took may keep a third run here
        assert fanwise.run(linger, range(20), workers=2).report.decision == "process"
    assert costs != EXPERIENCE.costs


def linger(_: int) -> None:
    """Too long for a block of items in the calling process."""
    time.sleep(0.02)
