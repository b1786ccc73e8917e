"""Runs of the real scheduler in virtual time: one to ten thousand workers, faults and stragglers, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from random import Random

from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._scheduler import Scheduler
from fanwise.engine._telemetry import Telemetry
from fanwise.errors import UsageValueError
from fanwise.records.outcomes import Failed, Lost, Settled, count_of
from fanwise.records.run_events import RunEvent, RunStarted
from fanwise.records.scheduling import (
    CancelChunk,
    Emit,
    Event,
    Finish,
    Kill,
    Retire,
    Retrying,
    Running,
    Send,
    StartWorkers,
    Tick,
    WakeAt,
    WorkerReady,
)
from fanwise.report import ReportBuilder, RunFacts, RunReport
from fanwise.testing._fleet import Cost, Fault, Fleet, Price, World
from fanwise.typing import Retry

__all__ = ["Simulation", "simulate", "simulate_cluster"]

CHUNK_S = 20e-6  # of the coordinator, sending and receiving: measured with the process backend
RESTART_S = 1.0
OWN_WIRE_S = 1e-4


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulated run came to.

    Attributes
    ----------
    workers, items : int
        Size of the run.
    makespan_s : float
        Virtual seconds from the first order to the last result.
    ideal_s : float
        Work divided by workers.
    efficiency : float
        ``ideal_s / makespan_s``.
    coordinator_load : float
        Busy share of the one coordinator.
    chunks : int
        Chunks sent.
    lost_work_s : float
        Seconds of work whose result never came.
    ok, failed, lost, retried : int
        Items by outcome; further attempts.
    ended : str
        How the run ended, as in `RunEnded`.
    events : tuple of run events
        What a report is folded from; empty unless asked for.
    """

    workers: int
    items: int
    makespan_s: float
    ideal_s: float
    efficiency: float
    coordinator_load: float
    chunks: int
    lost_work_s: float
    ok: int
    failed: int
    lost: int
    retried: int
    ended: str
    events: tuple[RunEvent, ...] = ()

    @property
    def report(self) -> RunReport:
        """What a real run with these events would have reported, in virtual seconds; empty if nobody watched."""
        builder = ReportBuilder()
        for event in self.events:
            builder.on(event)
        return builder.finish(self.makespan_s, RunFacts(function="simulated", workers=self.workers, backend="process"))


def simulate(
    items: int | Sequence[object],
    cost: Cost,
    *,
    workers: int,
    faults: Iterable[Fault] = (),
    stragglers: Iterable[tuple[int, float]] = (),
    latency: float = 50e-6,
    coordinator_s: float = CHUNK_S,
    chunk_size: int | None = None,
    ordered: bool = True,
    on_error: str = "return",
    retries: int | Retry = 0,
    timeout: float | None = None,
    seed: int = 0,
    watch: bool = True,
) -> Simulation:
    """Run the real scheduler on simulated workers, in virtual time.

    Parameters
    ----------
    items : int or sequence
        How many items; of a sequence only the length counts.
    cost : float, sequence of float or callable
        Seconds per item: one number, one each, or a function of the index.
    workers : int
        Number of workers, 1 to 10,000 and more.
    faults : iterable of (index, deed)
        ``"raise"``, ``"kill"`` or ``"hang"``; the n-th fault of an item happens at its n-th attempt.
    stragglers : iterable of (worker, factor)
        Workers, counted from 1, that are so many times slower.
    latency : float
        Seconds a message takes one way.
    coordinator_s : float
        Seconds of the coordinator per chunk, sending and receiving.
    chunk_size, ordered, on_error, retries, timeout
        As in `fanwise.map`.
    seed : int
        Of what is left to chance.
    watch : bool
        Collect run events.

    Returns
    -------
    Simulation
        Equal arguments give equal results, events included.

    Examples
    --------
    >>> from fanwise.testing import simulate
    >>> done = simulate(1000, 0.01, workers=10)
    >>> done.ok, done.efficiency > 0.95
    (1000, True)
    """
    count = items if isinstance(items, int) else len(items)
    if workers < 1:
        raise UsageValueError(f"workers must be an integer of at least 1, got {workers!r}")
    if on_error not in {"raise", "return"}:
        raise UsageValueError(f'on_error must be "raise" or "return", got {on_error!r}')
    world = World(Price(cost), latency, faults=tuple(faults), stragglers=tuple(stragglers), seed=seed)
    config = SchedulerConfig(
        workers,
        count,
        ordered=ordered,
        raise_on_error=on_error == "raise",
        retry=retries if isinstance(retries, Retry) else Retry(retries),
        timeout=timeout,
        chunks=ChunkAim(chunk_size, overhead_s=coordinator_s),
    )
    return _Run(config, world, coordinator_s, watch=watch).go()


def simulate_cluster(
    *,
    workers: int,
    items: int,
    mean_s: float,
    cv: float = 1.0,
    coordinator_s: float,
    rtt_s: float = 0.0005,
    hosts: int | None = None,
    kill_rate_hz: float = 0.0,
    seed: int = 1,
) -> Simulation:
    """Simulate a cluster: lognormal costs, a coordinator that takes its time, deaths, one or two levels.

    Parameters
    ----------
    workers : int
        Cores in all.
    items : int
        Number of items.
    mean_s, cv : float
        Mean in seconds and coefficient of variation of their cost.
    coordinator_s : float
        Seconds of the coordinator per chunk, sending and receiving.
    rtt_s : float
        Round trip of a message in seconds.
    hosts : int or None
        Two levels: the coordinator sees so many hosts, each of which splits its chunks over ``workers / hosts`` cores.
    kill_rate_hz : float
        Deaths per busy second; each costs the chunk and one second of the worker.
    seed : int
        Of costs and deaths.

    Examples
    --------
    >>> from fanwise.testing import simulate_cluster
    >>> one = simulate_cluster(workers=100, items=30_000, mean_s=0.01, coordinator_s=1.6e-3)
    >>> one.efficiency > 0.8
    True
    """
    units = hosts or workers
    each_s = mean_s * units / workers
    costs = _lognormal(items, each_s, cv, seed)
    own_wire = coordinator_s <= OWN_WIRE_S
    aim = ChunkAim(
        work_s=0.010 if own_wire else 0.100, longest_s=2.0 if workers <= 100 else 10.0, overhead_s=coordinator_s
    )
    world = World(
        Price(costs),
        rtt_s / 2,
        start_s=0.0,
        restart_s=RESTART_S,
        kill_rate_hz=kill_rate_hz,
        tells_index=False,
        seed=seed,
    )
    config = SchedulerConfig(
        units, items, ordered=False, raise_on_error=False, chunks=aim, item_cost=mean_s * units / workers
    )
    return _Run(config, world, coordinator_s, watch=False).go()


class _Run:
    """The driver of a simulated run: one coordinator, busy for a while with each message."""

    def __init__(self, config: SchedulerConfig, world: World, coordinator_s: float, *, watch: bool) -> None:
        self._config = config
        self._world = world
        self._each_s = coordinator_s / 2
        self._fleet = Fleet(world)
        self._scheduler = Scheduler(config)
        self._telemetry = Telemetry(0.0) if watch else None
        self._events: list[RunEvent] = [RunStarted(0.0, config.total, "simulated")] if watch else []
        self._wake_at = inf
        self._free_at = 0.0
        self._coordinator_s = 0.0
        self._chunks = 0
        self._counts = {"ok": 0, "failed": 0, "lost": 0, "retried": 0}
        self._finish: Finish | None = None
        self._does: dict[type, Callable[..., None]] = {
            StartWorkers: lambda command: self._fleet.start(command.count, self._free_at),
            Send: self._send,
            CancelChunk: lambda command: self._fleet.cancel(command.worker, command.chunk, self._free_at),
            Kill: lambda command: self._fleet.kill(command.worker, command.reason, self._free_at),
            Retire: lambda command: self._fleet.retire(command.worker, self._free_at),
            Emit: lambda command: self._count(command.settled),
            Retrying: self._retry,
            WakeAt: self._wake,
            Finish: self._end,
        }

    def go(self) -> Simulation:
        """From the first order to the last result."""
        self._tell(Tick(0.0))
        while self._finish is None:
            at = min(self._fleet.next_at, self._wake_at)
            if at == inf:
                raise RuntimeError(f"nothing will ever happen: {self._scheduler!r}")
            now = max(at, self._free_at)
            if self._wake_at <= self._fleet.next_at:
                self._tick(now)
            else:
                self._hear(self._fleet.receive(now))
        return self._simulation(self._finish)

    def _hear(self, events: Sequence[Event]) -> None:
        """Reading what became of a chunk takes the coordinator half of what a chunk costs."""
        if events and not isinstance(events[0], WorkerReady):
            self._work(events[0].now)
        for event in events:
            self._tell(event)

    def _tick(self, now: float) -> None:
        self._wake_at = inf
        self._free_at = max(self._free_at, now)
        for worker, index, since in self._fleet.running(now) if self._config.timeout is not None else ():
            self._tell(Running(now, worker, index, since))
        self._tell(Tick(now))

    def _work(self, now: float) -> None:
        self._free_at = max(self._free_at, now) + self._each_s
        self._coordinator_s += self._each_s

    def _tell(self, event: Event) -> None:
        commands = self._scheduler.step(event)
        if self._telemetry is not None:
            self._events += self._telemetry.hear(event, commands)
        for command in commands:
            self._does[type(command)](command)

    def _send(self, command: Send) -> None:
        self._chunks += 1
        self._work(self._free_at)
        self._fleet.send(command.worker, command.chunk, self._free_at)

    def _count(self, record: Settled) -> None:
        kind = "failed" if isinstance(record, Failed) else "lost" if isinstance(record, Lost) else "ok"
        self._counts[kind] += count_of(record)

    def _retry(self, _: Retrying) -> None:
        self._counts["retried"] += 1

    def _wake(self, command: WakeAt) -> None:
        self._wake_at = command.at

    def _end(self, command: Finish) -> None:
        self._finish = command

    def _simulation(self, finish: Finish) -> Simulation:
        workers, items = self._config.workers, self._config.total or 0
        makespan = self._free_at
        ideal = self._world.price.of(0, items) / workers
        ended = "done" if finish.how == "done" else "error"
        return Simulation(
            workers=workers,
            items=items,
            makespan_s=makespan,
            ideal_s=ideal,
            efficiency=ideal / makespan if makespan > 0.0 else 1.0,
            coordinator_load=self._coordinator_s / makespan if makespan > 0.0 else 0.0,
            chunks=self._chunks,
            lost_work_s=self._fleet.lost_s,
            ended=ended,
            events=tuple(self._events),
            **self._counts,
        )


def _lognormal(items: int, mean: float, cv: float, seed: int) -> list[float]:
    if cv == 0.0:
        return [mean] * items
    spread = sqrt(log(1.0 + cv * cv))
    draw = Random(seed).lognormvariate
    centre = log(mean) - spread * spread / 2.0
    return [draw(centre, spread) for _ in range(items)]
