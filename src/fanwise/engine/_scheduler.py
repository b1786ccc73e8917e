"""Which item runs where and when: a value that turns events into commands.

No clock, no process, no randomness: every event carries the time, equal events give equal commands. The driver performs
the commands in order and decides nothing.

An item is *waiting* (`Queue`), *in flight* (`Flight`) or settled, and nowhere twice: that is why late and duplicate
frames do no harm, and why memory grows with workers and look-ahead, not with the number of items.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from fanwise.engine._chunks import Chunks
from fanwise.engine._config import SchedulerConfig
from fanwise.engine._flights import Flight, Worker
from fanwise.engine._losses import Losses
from fanwise.engine._queue import Queue, Waiting
from fanwise.engine._recalls import Recalls
from fanwise.engine._regain import Regain
from fanwise.engine._results import Results
from fanwise.engine._roster import Roster
from fanwise.engine._share import Share
from fanwise.engine._source import Source
from fanwise.errors import BackendError, BundleError
from fanwise.records.chunks import HERE, Chunk, ChunkStats
from fanwise.records.outcomes import Batch, Failed, Settled, count_of, first_of
from fanwise.records.scheduling import (
    Cancel,
    ChunkFinished,
    ChunkReturned,
    Command,
    Deadline,
    Decide,
    Demand,
    Draw,
    Drawn,
    Event,
    Finish,
    Finished,
    Interrupt,
    Kill,
    MemoryLow,
    Retire,
    RunHere,
    Running,
    Send,
    SourceEnded,
    StartFailed,
    StartWorkers,
    Tick,
    Unsendable,
    WakeAt,
    WorkerBegan,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)

__all__ = ["Scheduler", "SchedulerConfig"]

LINGER_S = 0.05  # all items are settled, a chunk's figures are not here yet: wait so long for them
SHORTEST_BLOCK_S = 0.001


class Scheduler:
    """The state of one run. Begin with ``step(Tick(now))``; after `Finish` nothing more is said.

    Parameters
    ----------
    config : SchedulerConfig
        What the run asks for.
    """

    def __init__(self, config: SchedulerConfig) -> None:
        self.config = config
        self._said: list[Command] = []
        self._now = 0.0
        self._queue = Queue()
        self._source = Source(config)
        self._results = Results(config, self._said.append)
        self._losses = Losses(config, self._queue, self._results, self._said.append)
        self._roster = Roster(config)
        self._chunks = Chunks(config.chunks, config.item_cost)
        self._recalls = Recalls(self._roster, self._chunks, self._said.append)
        self._share = Share(config)
        judged = config.here_allowed and config.total is not None and config.lookahead is None
        self._regain = Regain(config.item_cost if judged else None)
        self._flights: dict[int, Flight] = {}
        self._sent = 0  # chunks, for their ids
        self._here: Flight | None = None  # what the calling process runs
        self._only_here: list[Waiting] = []  # items that cannot be sent
        self._heeded: int | None = None  # the failure after which nothing above it is started
        self._unattached = False  # said that a bundle is out of reach
        self._stopping: str | None = None
        self._over = False
        self._quiet = False  # the event changed nothing but results
        self._late_at = inf  # when the first running item may be over its time
        self._linger_until = inf
        self._waits_since = inf  # when workers were asked for while there were none
        self._wake_at = inf  # what the driver was told last
        self._handlers: dict[type, Callable[[Any], None]] = {
            Drawn: self._on_drawn,
            SourceEnded: self._on_source_ended,
            WorkerReady: self._on_ready,
            WorkerBegan: self._on_began,
            Running: self._on_running,
            Finished: self._on_finished,
            ChunkFinished: self._on_chunk_finished,
            ChunkReturned: self._on_chunk_returned,
            Unsendable: self._on_unsendable,
            WorkerDied: self._on_died,
            WorkerRetired: self._on_retired,
            StartFailed: self._on_start_failed,
            Tick: self._on_tick,
            MemoryLow: self._on_memory,
            Interrupt: self._on_interrupt,
            Deadline: self._on_deadline,
            Demand: self._on_demand,
            Cancel: self._on_cancel,
        }

    def step(self, event: Event) -> list[Command]:
        """Hear one event; say what is to be done, in this order."""
        if self._over:
            return []
        self._now = event.now
        self._quiet = False
        self._handlers[type(event)](event)
        if not self._quiet and not self._over:
            self._advance()
        said = self._said[:]
        self._said.clear()
        return said

    @property
    def waiting(self) -> int:
        """Items that could be sent now."""
        return self._queue.size

    @property
    def in_flight(self) -> int:
        """Chunks that workers, or the calling process, have now."""
        return len(self._flights)

    @property
    def item_cost(self) -> float | None:
        """Seconds that items took, in the mean; None as long as no chunk has ended."""
        return self._chunks.mean

    @property
    def idle(self) -> int:
        """Workers that have nothing to do."""
        return len(self._roster.idle)

    def __repr__(self) -> str:
        state = "over" if self._over else self._stopping or "running"
        return f"<Scheduler {state}: {self.waiting} waiting, {self.in_flight} chunks in flight, {self._roster!r}>"

    # What happened.

    def _on_drawn(self, event: Drawn) -> None:
        first, stop = self._source.came(event.count)
        self._results.expect(event.count)
        for record in sorted((*event.known, *event.cached), key=first_of):
            self._queue.add(first, first_of(record))
            first = first_of(record) + count_of(record)
            self._results.settle(record)
        self._queue.add(first, stop)

    def _on_source_ended(self, event: SourceEnded) -> None:
        self._source.end(event.error)

    def _on_ready(self, event: WorkerReady) -> None:
        if event.worker not in self._roster.alive:
            self._roster.join(Worker(event.worker, event.pid))

    def _on_began(self, event: WorkerBegan) -> None:
        self._quiet = True
        worker = self._roster.alive.get(event.worker)
        if worker is not None:
            worker.begin(event.since)

    def _on_running(self, event: Running) -> None:
        worker = self._roster.alive.get(event.worker)
        if worker is not None:
            worker.at, worker.since = event.index, event.since

    def _on_finished(self, event: Finished) -> None:
        flight = self._known(event.chunk, event.worker)
        if flight is not None and self._settle(event.settled, flight):
            # A chunk's figures follow its results and bring the next chunk: looking for one now would be in vain.
            results = self._results
            self._quiet = results.open > 0 and results.fail_at is None and self._source.ended and self._stopping is None

    def _settle(self, settled: tuple[Settled, ...], flight: Flight) -> bool:
        """Settle what is new of a chunk; True if all of it is good, and the chunk the one that was to come."""
        worker = self._roster.alive.get(flight.worker)
        good = worker is None or worker.flights[0] is flight
        if worker is not None and not good:
            self._close(worker.flights[0])  # a worker does one chunk after the other: it is through with this one
        for record in settled:
            news = flight.accept(record)
            if news is not None:
                good = good and isinstance(news, Batch)
                self._losses.settle(news, flight, self._now)
        self._roster.worked()
        if worker is not None:
            worker.proven = True
            worker.turn_to_next(self._now)
        return good

    def _on_chunk_finished(self, event: ChunkFinished) -> None:
        flight = self._known(event.chunk, event.worker)
        if flight is None:
            return
        if event.settled:
            self._settle(event.settled, flight)
        count, workers = flight.chunk.count, self._at_once
        self._chunks.heard(count, event.stats, workers)
        self._close(flight)
        if event.worker == HERE and self._regain.tried(count, event.stats.busy):
            self._stay_here(flight.stop)
        elif event.worker != HERE or self._roster.alive:
            self._regain.heard(count, self._now, workers)

    def _on_chunk_returned(self, event: ChunkReturned) -> None:
        flight = self._known(event.chunk, event.worker)
        if flight is None:
            return
        worker = self._roster.alive.get(event.worker)
        if worker is not None and flight is worker.flights[0]:
            stats = ChunkStats(busy=self._now - worker.began)
            self._chunks.heard(flight.next - flight.chunk.first, stats, self._at_once)
        self._close(flight)

    def _on_unsendable(self, event: Unsendable) -> None:
        flight = self._known(event.chunk, event.worker)
        if flight is None or not flight.move_out(event.index):
            return
        attempt = flight.chunk.attempt
        if self.config.here_allowed:
            self._only_here.append(Waiting(event.index, event.index + 1, attempt))
            self._tell_unattached(event.error)
        else:
            self._results.settle(Failed(index=event.index, attempts=attempt, error=event.error))
        if not flight.open():
            self._close(flight)

    def _tell_unattached(self, error: BaseException) -> None:
        """Say once that items run here because a worker cannot reach a bundle."""
        if isinstance(error, BundleError) and not self._unattached:
            self._unattached = True
            what = f"it needs a bundle that a worker could not attach ({error})"
            self._said.append(Decide("fallback.unpicklable", {"what": what}))

    def _on_died(self, event: WorkerDied) -> None:
        worker = self._roster.leave(event.worker)
        blamed = worker is not None and self._losses.blame(worker, event)
        if worker is None or not (blamed or worker.proven):
            self._roster.died(event.reason)
        self._close_all(worker)

    def _on_retired(self, event: WorkerRetired) -> None:
        self._close_all(self._roster.leave(event.worker))

    def _on_start_failed(self, event: StartFailed) -> None:
        self._roster.failed_to_start(event.count, event.reason)
        if event.fatal or (self._roster.hopeless and not self.config.here_allowed):
            self._finish("broken", event.error or BackendError(f"workers could not be started: {event.reason}"))
        elif self._roster.hopeless:
            self._said.append(Decide("fallback.start-failed", {"why": event.reason}))

    def _on_tick(self, event: Tick) -> None:
        self._wake_at = inf
        if self._recalls.look_at <= event.now:
            self._recalls.look_at = inf
        if self.config.timeout is not None and self._late_at <= event.now:
            self._stop_late(self.config.timeout)

    def _on_memory(self, event: MemoryLow) -> None:
        self._roster.level = event.level
        worker = self._roster.alive.get(event.largest) if event.level == 2 and event.largest is not None else None
        if worker is not None and worker.doom is None and self._roster.fit > 1:
            self._kill(worker, "memory ran low")

    def _on_interrupt(self, event: Interrupt) -> None:
        if event.count == 1 and self._stopping is None:
            self._stop("interrupted")
        else:
            self._finish("interrupted" if event.count == 1 else self._stopping or "interrupted")

    def _on_deadline(self, _: Deadline) -> None:
        if self._stopping is None:
            self._stop("deadline")
        else:
            self._finish(self._stopping)

    def _on_demand(self, event: Demand) -> None:
        self._results.held -= event.count

    def _on_cancel(self, event: Cancel) -> None:
        for index in self._queue.remove(event.indexes):
            self._losses.forget(index)
            self._results.cancel(index)

    def _known(self, chunk: int, worker: int) -> Flight | None:
        """The chunk that a frame speaks of; None for frames that come late or twice."""
        flight = self._flights.get(chunk)
        return flight if flight is not None and flight.worker == worker else None

    def _stop(self, how: str) -> None:
        """Nothing new is begun; what runs may finish."""
        self._stopping = how
        for flight in self._flights.values():
            self._recalls.recall(flight)

    def _stop_late(self, timeout: float) -> None:
        """Stop workers whose item is over its time; find out when to look again."""
        self._late_at = inf
        for worker in list(self._roster.alive.values()):
            if worker.at is None or worker.doom is not None or not worker.holds(worker.at):
                continue
            if worker.since + timeout <= self._now:
                worker.late = worker.at
                self._kill(worker, f"item {worker.at} took longer than {timeout:g} s")
            else:
                self._late_at = min(self._late_at, worker.since + timeout)

    def _kill(self, worker: Worker, reason: str) -> None:
        self._roster.doomed(worker, reason)
        self._said.append(Kill(worker.id, reason))

    # What follows.

    def _advance(self) -> None:
        """Everything that can be done now is said now. What runs here comes last: the driver is away while it does."""
        if self._results.fail_at != self._heeded:
            self._heed_failure()
        if self._stopping is None:
            self._queue.wake(self._now)
            self._draw()
            room = self._source.ended and self._roster.lacks_one
            self._share.look(self._queue.size, self._chunks.cost, room=room)
            if self.config.at_first and not self._sent and self._queue.size:
                self._run_here(self._queue.take(1), begun=True)
            self._start()
            self._assign()
            if self._roster.hopeless:
                self._give_up()
        if self._end():
            return
        self._tell_when()
        if self._stopping is None and self._here is None:
            self._work_here()

    def _heed_failure(self) -> None:
        """The lowest failing item decides, as in the loop; nothing above it is started any more."""
        self._heeded = failed = self._results.fail_at or 0
        self._queue.drop_from(failed)
        self._only_here = [waiting for waiting in self._only_here if waiting.first < failed]
        for flight in self._flights.values():
            if failed < flight.next < flight.stop:
                self._recalls.recall(flight)

    def _draw(self) -> None:
        """Hand out items, or ask the source for more, as far as the look-ahead goes."""
        source, results = self._source, self._results
        if source.ended or results.fail_at is not None:
            return
        if source.counted:
            for first, stop in source.hand_out(results.held):
                self._queue.add(first, stop)
                results.expect(stop - first)
        elif not self._roster.hopeless or self.config.here_allowed:
            full = self._chunks.full(self._at_once)
            count = source.ask(results.held, self._queue.size, 4 * self.config.workers * full)
            if count:
                self._said.append(Draw(count))

    def _start(self) -> None:
        """As many workers as items wait for one, at most the limit."""
        wanted = self._queue.suspects if self._regain.alone or self._share.ends else self._queue.size
        deserted = not self._roster.alive and not self._roster.starting
        working = self._share.works or (self.config.at_first and self._here is not None)
        count = self._roster.start(wanted, besides=int(working)) if wanted else 0
        if count:
            self._said.append(StartWorkers(count))
            if deserted:
                self._deserted()

    def _deserted(self) -> None:
        """All workers are yet to come: a long item runs here once they have kept the run waiting as long as it takes."""
        self._waits_since, block = self._now, self._least_here_s()
        if self.config.here_allowed and self.config.warming_s < block < inf:
            self._recalls.look_at = min(self._recalls.look_at, self._now + block)

    def _assign(self) -> None:
        """Chunks for idle workers first; then one in advance each, while enough is left to keep all of them busy."""
        queue, roster, regain = self._queue, self._roster, self._regain
        if regain.pausing:
            if self._flights or queue.innocents:
                return
            regain.call_off()
        if regain.alone or self._share.ends:
            self._assign_suspects()
            self._part()
            return
        while queue.size and (worker := roster.taker(roster.idle)) is not None:
            self._send(worker, queue.take(self._size()))
        while queue.size and not roster.gathering and (worker := roster.taker(roster.hungry)) is not None:
            size = self._size()
            if queue.size - size < roster.expected:
                break
            self._send(worker, queue.take(size))
        if not queue.size:
            idle = len(roster.idle) + (self._share.works and roster.is_busy and self._here is None)
            if idle:
                self._recalls.call_back(idle, self._now)

    def _part(self) -> None:
        """Let idle workers end, where the rest is done here."""
        for worker in list(self._roster.idle.values()) if self._share.ends and self._queue.innocents else ():
            self._retire(worker, "little is left")

    @property
    def _at_once(self) -> int:
        """How many share what is left."""
        return self._roster.expected + self._share.works

    def _assign_suspects(self) -> None:
        """All else runs here by now, but what may have killed a worker never does."""
        while (worker := self._roster.taker(self._roster.idle)) and (suspect := self._queue.take_suspect()):
            self._send(worker, suspect)

    def _size(self) -> int:
        return self._chunks.size(self._queue.size, self._at_once)

    def _send(self, worker: Worker, waiting: Waiting) -> None:
        flight = self._launch(waiting, worker.id)
        worker.take(flight, self._now)
        if self.config.timeout is not None:
            self._late_at = min(self._late_at, self._now + self.config.timeout)
        self._roster.place(worker)
        self._said.append(Send(worker.id, flight.chunk))

    def _launch(self, waiting: Waiting, worker: int) -> Flight:
        self._sent += 1
        first, stop, attempt, suspect = waiting
        flight = Flight(Chunk(self._sent, first, stop - first, attempt), worker, suspect=suspect)
        self._flights[self._sent] = flight
        return flight

    def _close(self, flight: Flight) -> None:
        """A chunk is through; what it did not settle waits again."""
        del self._flights[flight.chunk.id]
        for first, stop in flight.open():
            self._queue.put_back(Waiting(first, stop, flight.chunk.attempt, flight.suspect))
        self._recalls.close(flight)
        if flight is self._here:
            self._here = None
        worker = self._roster.alive.get(flight.worker)
        if worker is not None:
            worker.drop(flight, self._now)
            self._roster.place(worker)

    def _close_all(self, worker: Worker | None) -> None:
        for flight in worker.flights if worker is not None else ():
            self._close(flight)

    def _work_here(self) -> None:
        """A block in the calling process, where that is allowed and workers cannot do it."""
        waiting = None
        if self._only_here:
            waiting = self._only_here.pop(0)
        elif self._queue.size and self._here_helps():
            waiting = self._queue.take_innocent(self._block())
        if waiting is not None:
            self._run_here(waiting)

    def _run_here(self, waiting: Waiting, *, begun: bool = False) -> None:
        self._here = self._launch(waiting, HERE)
        self._said.append(RunHere(self._here.chunk, begun))

    def _block(self) -> int:
        """Items of a block here: in the place of a worker, no more than such a one would get."""
        block = self._chunks.block(self._here_s())
        return min(block, self._size()) if self._share.works else block

    def _here_s(self) -> float:
        """Length of a block: workers that get ready meanwhile wait for its end."""
        config = self.config
        return config.here_s if self._roster.alive else min(config.here_s, max(SHORTEST_BLOCK_S, config.warming_s / 4))

    def _least_here_s(self) -> float:
        """What a block takes at least: longer than the wait for workers that run already. Infinite if nobody knows."""
        cost = self._chunks.cost
        return inf if cost is None else max(cost, SHORTEST_BLOCK_S)

    def _here_helps(self) -> bool:
        """True if workers are not there, not yet there, or of no use."""
        if not self.config.here_allowed:
            return False
        roster = self._roster
        if self._regain.pausing:
            if self._flights:
                return False
            self._regain.begin_trial()
            return True
        bearable = max(self.config.warming_s, self._now - self._waits_since)
        warming = not roster.alive and roster.starting > 0 and self._least_here_s() <= bearable
        working = self._share.ends or (self._share.works and roster.is_busy)
        return self._regain.alone or roster.hopeless or warming or working

    def _stay_here(self, item: int) -> None:
        """Workers brought no gain: let them go, or rest."""
        roster, regain = self._roster, self._regain
        facts = {"item": item, "workers": len(roster.alive), "rate": regain.pace_s, "alone": regain.alone_s}
        self._said.append(Decide("fallback.no-gain", facts))
        for worker in () if self.config.lent else roster.alive.values():
            self._retire(worker, "no gain")

    def _retire(self, worker: Worker, why: str) -> None:
        self._roster.doomed(worker, why)
        self._said.append(Retire(worker.id))

    def _give_up(self) -> None:
        """No worker will come: what may not run here is lost."""
        reason = self._roster.stopped or ""
        for waiting in self._queue.take_suspects() if self.config.here_allowed else self._queue.take_all():
            self._losses.abandon(waiting, reason)
        if not self._source.ended and not self._source.counted and not self.config.here_allowed:
            self._finish("broken", BackendError(reason))

    # The end.

    def _end(self) -> bool:
        """Finish if there is nothing left to do."""
        if self._over:
            return True
        results, source = self._results, self._source
        if self._stopping is not None:
            return not self._flights and self._finish(self._stopping)
        if results.fail_at is not None:
            return not self._below(results.fail_at) and self._finish("error", results.failure)
        if results.open or not source.ended or self._lingers():
            return False
        return self._finish("done" if source.error is None else "source", source.error)

    def _below(self, index: int) -> bool:
        """True if an item below ``index`` is not settled."""
        lowest = self._queue.lowest
        if (lowest is not None and lowest < index) or any(waiting.first < index for waiting in self._only_here):
            return True
        return any(first < index for flight in self._flights.values() for first, _ in flight.open())

    def _lingers(self) -> bool:
        """All is settled; the figures of the last chunks may still be on their way."""
        if not self._flights:
            return False
        self._linger_until = min(self._linger_until, self._now + LINGER_S)
        return self._now < self._linger_until

    def _tell_when(self) -> None:
        at = min(self._late_at, self._linger_until, self._recalls.look_at, self._queue.next_due)
        if at < self._wake_at:
            self._wake_at = at
            self._said.append(WakeAt(at))

    def _finish(self, how: str, error: BaseException | None = None) -> bool:
        """Say the last word; what is finished beyond a gap is not lost."""
        self._results.drain()
        self._over = True
        self._said.append(Finish(how, error))
        return True
