"""The simplest driver there can be, and a clock that sleeps without taking time."""

from __future__ import annotations

from math import inf

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._scheduler import Scheduler
from fanwise.records.outcomes import Batch
from fanwise.records.scheduling import (
    CancelChunk,
    Emit,
    Finish,
    Kill,
    Running,
    Send,
    StartWorkers,
    Tick,
    WakeAt,
)
from fanwise.typing import Crew, Work


class Hours:
    """A clock that sleeps without taking time."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def time(self) -> float:
        return self.at

    def sleep(self, seconds: float, /) -> None:
        self.at += seconds


def work(fn, items, **more) -> Work:
    return Work(fn, lambda first, count: items[first : first + count], **more)


def perform(crew: Crew, command: object) -> None:
    match command:
        case StartWorkers(count):
            crew.start(count)
        case Send(worker, chunk):
            crew.send(worker, chunk)
        case CancelChunk(worker, chunk):
            crew.cancel(worker, chunk)
        case Kill(worker, reason):
            crew.kill(worker, reason)


def drive(crew: Crew, config: SchedulerConfig, clock: Hours) -> tuple[list[object], Finish]:
    """The simplest driver there can be."""
    scheduler, results, wake_at, todo = Scheduler(config), [], inf, [Tick(clock.now())]
    while True:
        for command in [command for event in todo for command in scheduler.step(event)]:
            match command:
                case Emit(settled):
                    results += settled.outcomes() if isinstance(settled, Batch) else [settled]
                case WakeAt(at):
                    wake_at = at
                case Finish():
                    return results, command
                case _:
                    perform(crew, command)
        todo = crew.wait(None if wake_at == inf else max(0.0, wake_at - clock.now()))
        if clock.now() >= wake_at:
            wake_at = inf
            todo += [Running(clock.now(), *place) for place in crew.running()] + [Tick(clock.now())]
