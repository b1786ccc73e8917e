"""A crew that misbehaves on command, and the laws of the scheduler checked on everything it says.

Time, workers and frames are plain values. Each worker sends its frames in order, workers overtake each other at will;
frames are delayed, dropped and repeated, workers die of items or for no reason.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._scheduler import Scheduler
from fanwise.errors import ItemTimeoutError, NotPicklableError, WorkerLostError
from fanwise.records.chunks import HERE, Chunk, ChunkStats
from fanwise.records.outcomes import Batch, Failed, Lost, Ok, Outcome, count_of, first_of
from fanwise.records.scheduling import (
    Cancel,
    CancelChunk,
    ChunkFinished,
    ChunkReturned,
    Deadline,
    Decide,
    Demand,
    Draw,
    Drawn,
    Emit,
    Finish,
    Finished,
    Interrupt,
    Kill,
    MemoryLow,
    Retire,
    Retrying,
    RunHere,
    Running,
    Send,
    SourceEnded,
    StartFailed,
    StartWorkers,
    Tick,
    Unsendable,
    WakeAt,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)

ITEM_S = 0.001
ERROR_OF = {"fail": ValueError, "kill": WorkerLostError, "hang": ItemTimeoutError}


@dataclass
class Scripts:
    """What items do: ``faults[i][a-1]`` is ``ok``, ``fail``, ``kill`` or ``hang`` at attempt a; past the end ``ok``."""

    faults: dict[int, tuple[str, ...]] = field(default_factory=dict)
    unsendable: frozenset[int] = frozenset()

    def at(self, index: int, attempt: int) -> str:
        script = self.faults.get(index, ())
        return script[attempt - 1] if attempt <= len(script) else "ok"

    def fate(self, index: int, config: SchedulerConfig) -> tuple[type[Outcome], int]:
        """Outcome and attempts of one item by the rules of the book, whoever runs it."""
        if index in self.unsendable and not config.here_allowed:
            return Failed, 1
        left, struck, attempt = config.retry.times if config.retry else 0, False, 0
        while True:
            attempt += 1
            deed = self.at(index, attempt)
            if deed == "ok":
                return Ok, attempt
            if deed == "kill" and not struck:
                struck = True
            elif left and issubclass(ERROR_OF[deed], config.retry.on):
                left -= 1
            else:
                return (Lost if deed == "kill" else Failed), attempt


@dataclass
class FakeWorker:
    """Chunks it has, the item it is at, results not yet flushed, and frames on their way."""

    id: int
    chunks: deque[Chunk] = field(default_factory=deque)
    without: set[int] = field(default_factory=set)
    at: int = 0
    since: float = 0.0
    hangs: bool = False
    asked_back: int = 0
    alive: bool = True
    buffer: list[Batch | Failed] = field(default_factory=list)
    frames: deque[object] = field(default_factory=deque)

    def begin(self, now: float) -> None:
        if self.chunks:
            self.at, self.since = self.chunks[0].first, now

    @property
    def unfinished(self) -> set[int]:
        if not self.alive:
            return set()
        later = {i for chunk in list(self.chunks)[1:] for i in range(chunk.first, chunk.first + chunk.count)}
        head = self.chunks[0] if self.chunks else None
        return (later | set(range(self.at, head.first + head.count) if head else ())) - self.without


class World:
    """One run: performs commands, reports events, and checks every law as it goes."""

    def __init__(self, config: SchedulerConfig, scripts: Scripts, *, source: int = 0, tells_index: bool = True) -> None:
        self.config = config
        self.scripts = scripts
        self.scheduler = Scheduler(config)
        self.tells_index = tells_index
        self.source = config.total if config.total is not None else source
        self.source_error: Exception | None = None
        self.source_told = config.total is not None
        self.history: list[tuple[object, str]] = []
        self.now = 0.0
        self.wake_at: float | None = None
        self.workers: dict[int, FakeWorker] = {}
        self.names = 0
        self.to_start = 0
        self.to_draw = 0
        self.drawn = config.first
        self.taken = 0
        self.here: Chunk | None = None
        self.emitted: list[Batch | Outcome] = []
        self.sent: set[int] = set()
        self.delivered: list[Finished] = []
        self.attempts: Counter[int] = Counter()
        self.disturbed: set[int] = set()  # items hit from outside
        self.quiet_deaths = 0
        self.killers: set[int] = set()
        self.cancelled: set[int] = set()
        self.known: set[int] = set()  # items whose results were at hand when they were drawn
        self.stopping = False
        self.calm = True  # no interrupt, no cancel, no source error: the outcome is a function of the items
        self.finish: Finish | None = None
        self.retried: list[Retrying] = []
        self.tell(Tick(0.0))

    # -- events -------------------------------------------------------------------------------------------------

    def tell(self, event: object) -> None:
        commands = self.scheduler.step(event)
        self.history.append((event, repr(commands)))
        if self.finish is not None:
            assert commands == [], "8: no command after Finish"
        for command in commands:
            getattr(self, "_" + type(command).__name__.lower())(command)
        if self.finish is None:
            self._check_progress(commands)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for worker in self.busy():
            self.tell(Running(self.now, worker.id, worker.at, worker.since))
        self.tell(Tick(self.now))

    def start_one(self, *, dies: bool = False) -> None:
        self.to_start -= 1
        self.names += 1
        if dies:
            self.quiet_deaths += 1
            self.tell(WorkerDied(self.now, self.names, "exit code 1"))
        else:
            self.workers[self.names] = FakeWorker(self.names)
            self.tell(WorkerReady(self.now, self.names, pid=1000 + self.names))

    def fail_to_start(self, count: int) -> None:
        self.to_start -= count
        self.tell(StartFailed(self.now, "EAGAIN", count))

    def draw(self, count: int, known: frozenset[int] = frozenset()) -> None:
        """Some of the next items come; those in ``known`` (counted from the first of them) have results already."""
        count = min(count, self.to_draw, self.config.first + self.source - self.drawn)
        if count <= 0:
            self.end_source()
            return
        found = {self.drawn + offset for offset in known if offset < count}
        self.known |= found
        self.to_draw -= count
        self.drawn += count
        self.tell(Drawn(self.now, count, tuple(Batch(index, (index,)) for index in sorted(found, reverse=True))))

    def end_source(self, error: Exception | None = None) -> None:
        self.source_told = True
        self.to_draw = 0
        self.source_error = error
        self.calm &= error is None
        self.tell(SourceEnded(self.now, error))

    def demand(self, count: int) -> None:
        self.taken += count
        self.tell(Demand(self.now, count))

    def cancel(self, index: int) -> None:
        self.calm = False
        self.cancelled.add(index)
        self.tell(Cancel(self.now, (index,)))

    def interrupt(self, count: int = 1) -> None:
        self.stopping, self.calm = True, False
        self.tell(Interrupt(self.now, count))

    def deadline(self) -> None:
        self.stopping, self.calm = True, False
        self.tell(Deadline(self.now))

    def memory(self, level: int, largest: int | None) -> None:
        self.tell(MemoryLow(self.now, level, largest))

    # -- what workers do ----------------------------------------------------------------------------------------

    def busy(self) -> list[FakeWorker]:
        return [w for w in self.workers.values() if w.alive and w.chunks]

    def work(self, worker: FakeWorker, items: int) -> None:
        """Run up to so many items of the chunk at hand; at its end, or told so, results are on their way."""
        for _ in range(items):
            if worker.hangs or not worker.alive or not worker.chunks:
                return
            self._run_next(worker)

    def _run_next(self, worker: FakeWorker) -> None:
        chunk = worker.chunks[0]
        stop = chunk.first + chunk.count
        if worker.asked_back == chunk.id and chunk.first < worker.at < stop:
            self.flush(worker)
            worker.frames.append(ChunkReturned(0.0, worker.id, chunk.id, worker.at))
            worker.chunks.popleft()
            worker.begin(self.now)
            return
        while worker.at in worker.without and worker.at < stop:
            worker.at += 1
        if worker.at < stop:
            deed = self.scripts.at(worker.at, chunk.attempt)
            if deed == "kill":
                self.killers.add(worker.at)
                self.die(worker)
                return
            if deed == "hang":
                worker.hangs = True
                return
            worker.buffer.append(_result(worker.at, deed, chunk.attempt, worker.id))
            self.now += ITEM_S
            worker.at, worker.since = worker.at + 1, self.now
        if worker.at >= stop:
            if chunk.id % 2:
                self.flush(worker)
            together, worker.buffer = tuple(worker.buffer), []
            stats = ChunkStats(busy=ITEM_S * chunk.count)
            worker.frames.append(ChunkFinished(0.0, worker.id, chunk.id, stats, together))
            worker.chunks.popleft()
            worker.begin(self.now)

    def flush(self, worker: FakeWorker) -> None:
        if worker.buffer:
            worker.frames.append(Finished(0.0, worker.id, worker.chunks[0].id, tuple(worker.buffer)))
            worker.buffer = []

    def die(self, worker: FakeWorker, reason: str = "SIGKILL") -> None:
        """Results that were not flushed are gone; frames on their way still come."""
        at = worker.at if worker.chunks else None
        worker.alive = False
        worker.buffer = []
        worker.frames.append(
            WorkerDied(0.0, worker.id, reason, at if self.tells_index else None, self.tells_index and at is None)
        )

    def crash(self, worker: FakeWorker) -> None:
        """Killed from outside: each item suffers this once at most, and idle workers not three times in a row."""
        hit = {worker.at} & worker.unfinished if self.tells_index else worker.unfinished
        if hit & self.disturbed or (not hit and self.quiet_deaths > 1):
            return
        self.quiet_deaths += not hit
        self.disturbed |= hit
        self.die(worker)

    def retire(self, worker: FakeWorker) -> None:
        """It ends by itself, between two chunks."""
        if worker.alive and not worker.buffer and (not worker.chunks or worker.at == worker.chunks[0].first):
            worker.alive = False
            worker.frames.append(WorkerRetired(0.0, worker.id))

    def deliver(self, worker: FakeWorker) -> None:
        frame = worker.frames.popleft()
        event = _at(frame, self.now)
        if isinstance(event, Finished):
            self.delivered.append(event)
        self.tell(event)
        if not worker.alive and not worker.frames:
            del self.workers[worker.id]

    def repeat(self, which: int) -> None:
        """A frame comes a second time, with other values in it."""
        if self.delivered:
            old = self.delivered[which % len(self.delivered)]
            forged = tuple(_result(first_of(r), "fail", 1, old.worker) for r in old.settled)
            self.tell(Finished(self.now, old.worker, old.chunk, forged))

    def drop(self, worker: FakeWorker) -> None:
        """Results are lost on the way."""
        if worker.frames and isinstance(worker.frames[0], Finished):
            frame = worker.frames.popleft()
            if not self.tells_index:
                self.disturbed.update(first_of(r) for r in frame.settled)  # a later death may be laid to their charge

    def run_here(self) -> None:
        chunk, self.here = self.here, None
        results = []
        for index in range(chunk.first, chunk.first + chunk.count):
            deed = self.scripts.at(index, chunk.attempt)
            assert deed in {"ok", "fail"} or index not in self.killers
            results.append(_result(index, "fail" if deed == "fail" else "ok", chunk.attempt, None))
        self.now += ITEM_S * chunk.count
        self.tell(Finished(self.now, HERE, chunk.id, tuple(results)))
        self.tell(ChunkFinished(self.now, HERE, chunk.id, ChunkStats(busy=ITEM_S * chunk.count)))

    # -- commands -----------------------------------------------------------------------------------------------

    def _startworkers(self, command: StartWorkers) -> None:
        assert command.count > 0
        assert not self.stopping, "12: nothing starts after an interrupt"
        self.to_start += command.count
        alive = sum(w.alive for w in self.workers.values())
        assert alive + self.to_start <= self.config.workers, "at most W alive"

    def _send(self, command: Send) -> None:
        assert not self.stopping, "12: no Send after an interrupt"
        worker = self.workers.get(command.worker)
        assert worker is not None, "9: no Send to a worker that is not ready"
        chunk = command.chunk
        self._claim(chunk)
        if self.config.chunks.size is not None:
            assert chunk.count <= self.config.chunks.size
        finished_on_the_way = sum(isinstance(f, (ChunkFinished, ChunkReturned)) for f in worker.frames)
        assert len(worker.chunks) + finished_on_the_way < self.config.window, "5: chunks in flight"
        if not worker.alive:  # it died and nobody knows yet
            if not self.tells_index:
                self.disturbed.update(range(chunk.first, chunk.first + chunk.count))
            return
        worker.chunks.append(chunk)
        if len(worker.chunks) == 1:
            worker.begin(self.now)
        hopeless = sorted(self.scripts.unsendable.intersection(range(chunk.first, chunk.first + chunk.count)))
        for index in hopeless:
            worker.without.add(index)
        for index in hopeless:
            error = NotPicklableError(f"item {index} is a lock")
            self.soon(Unsendable(self.now, worker.id, chunk.id, index, error))
        if len(hopeless) == chunk.count:
            worker.chunks.remove(chunk)
            worker.begin(self.now)

    def _claim(self, chunk: Chunk) -> None:
        items = set(range(chunk.first, chunk.first + chunk.count))
        assert items
        for other in self.workers.values():
            assert not items & other.unfinished, "2: two live attempts of one item"
        assert not items & self._settled(), "1: settled items run no more"
        assert not items & self.cancelled - self.sent
        allowed = 2 + (self.config.retry.times if self.config.retry else 0)
        assert chunk.attempt <= allowed, "6: attempts"
        if chunk.attempt > 1:
            assert chunk.count == 1, "a further attempt is a chunk of its own"
        if self.config.raise_on_error and (failed := self._failed()):
            assert max(items) < min(failed), "13: nothing above the first failure is started"
        self.sent |= items
        lookahead = self.config.lookahead
        if lookahead is not None:
            held = len(self.sent) - (self.taken if self.config.paced else sum(map(count_of, self.emitted)))
            assert held <= lookahead, "4: look-ahead"

    def soon(self, event: object) -> None:
        self._soon = [*getattr(self, "_soon", []), event]

    def settle_soon(self) -> None:
        while getattr(self, "_soon", None):
            event = self._soon.pop(0)
            self.tell(event)

    def _cancelchunk(self, command: CancelChunk) -> None:
        """A chunk that was not begun comes back at once, one that was before its next item."""
        worker = self.workers[command.worker]
        wanted = next((chunk for chunk in worker.chunks if chunk.id == command.chunk), None)
        if wanted is None or not worker.alive:
            return
        head = wanted is worker.chunks[0]
        if head and (worker.at != wanted.first or worker.buffer or worker.hangs):
            worker.asked_back = wanted.id
            return
        worker.chunks.remove(wanted)
        worker.frames.append(ChunkReturned(0.0, worker.id, wanted.id, wanted.first))
        if head:
            worker.begin(self.now)

    def _kill(self, command: Kill) -> None:
        worker = self.workers.get(command.worker)
        assert "memory" in command.reason or self.config.timeout is not None
        if worker is not None and not worker.hangs:
            self.disturbed.add(worker.at)  # time passed and it was not given a turn, or its death is not yet known
        if worker is not None and worker.alive:
            self.die(worker, command.reason)

    def _retire(self, command: Retire) -> None:
        worker = self.workers[command.worker]
        assert not worker.chunks
        worker.alive = False
        worker.frames.append(WorkerRetired(0.0, worker.id))

    def _runhere(self, command: RunHere) -> None:
        assert self.config.here_allowed
        assert not self.stopping
        assert self.here is None
        self._claim(command.chunk)
        for index in range(command.chunk.first, command.chunk.first + command.chunk.count):
            assert index not in self.killers, "an item that killed a worker never runs in the calling process"
        self.here = command.chunk

    def _draw(self, command: Draw) -> None:
        assert self.config.total is None
        assert not self.source_told
        assert not self.stopping
        self.to_draw += command.count
        if self.config.lookahead is not None:
            held = self.drawn + self.to_draw - self.config.first - len(self.cancelled)
            held -= self.taken if self.config.paced else sum(map(count_of, self.emitted))
            assert held <= self.config.lookahead, "4: look-ahead"

    def _emit(self, command: Emit) -> None:
        new = set(range(first_of(command.settled), first_of(command.settled) + count_of(command.settled)))
        assert new
        assert not new & self._settled(), "1: one outcome for each item"
        if self.config.ordered and self.emitted:
            last = self.emitted[-1]
            assert first_of(last) + count_of(last) <= min(new), "3: item order"
        self.emitted.append(command.settled)

    def _retrying(self, command: Retrying) -> None:
        self.retried.append(command)

    def _decide(self, command: Decide) -> None:
        assert command.code

    def _wakeat(self, command: WakeAt) -> None:
        self.wake_at = command.at

    def _finish(self, command: Finish) -> None:
        self.finish = command

    # -- laws ---------------------------------------------------------------------------------------------------

    def _settled(self) -> set[int]:
        return {i for r in self.emitted for i in range(first_of(r), first_of(r) + count_of(r))}

    def _failed(self) -> list[int]:
        return [r.index for r in self.emitted if isinstance(r, (Failed, Lost))]

    def _check_progress(self, commands: list[object]) -> None:
        """11: an idle worker and a waiting item do not stay so."""
        scheduler = self.scheduler
        if self.stopping or not scheduler.waiting or scheduler.in_flight or self.to_start or self.here:
            return
        assert scheduler.idle == 0 or any(isinstance(c, (Send, StartWorkers, RunHere)) for c in commands), (
            "11: progress"
        )

    def run_to_end(self, limit: int = 1_500) -> None:
        """Everybody does his work from here on."""
        for _ in range(limit):
            if self.finish is not None:
                return
            if not self._one_more():
                self.advance(max(0.001, (self.wake_at or 0.0) - self.now))
        raise AssertionError(f"no end in sight: {self.scheduler!r}")

    def _one_more(self) -> bool:
        self.settle_soon()
        if self.here is not None:
            self.run_here()
        elif self.to_start:
            self.start_one()
        elif self.to_draw and not self.source_told:
            self.draw(self.to_draw)
        elif any(w.frames for w in self.workers.values()):
            self.deliver(next(w for w in self.workers.values() if w.frames))
        elif any(not w.hangs for w in self.busy()):
            self.work(next(w for w in self.busy() if not w.hangs), 1)
        elif self.config.paced and sum(map(count_of, self.emitted)) > self.taken:
            self.demand(sum(map(count_of, self.emitted)) - self.taken)
        elif (
            self.config.total is None
            and not self.source_told
            and not self.stopping
            and self.to_draw == 0
            and not self.busy()
        ):
            self.end_source()
        else:
            return False
        return True

    def check_end(self) -> None:
        """What must be true of a finished run."""
        assert self.finish is not None
        first, stop = self.config.first, self.drawn if self.config.total is None else self.config.total
        everything = set(range(first, stop)) - self.cancelled - {i for a, b in self.config.skip for i in range(a, b)}
        if self.finish.how in {"done", "source"}:
            missing = everything - self._settled()
            assert not missing, "1: every drawn item has an outcome"
        if self.config.raise_on_error and self.calm and self.finish.how == "error":
            self._check_error(first)
        if self.calm:
            self._check_fates()
        replay = Scheduler(self.config)
        for event, said in self.history:
            assert repr(replay.step(event)) == said, "15: same events, same commands"

    def _check_error(self, first: int) -> None:
        lowest = min(self._failed())
        assert set(range(first, lowest)) - {i for a, b in self.config.skip for i in range(a, b)} <= self._settled()
        skipped = {i for a, b in self.config.skip for i in range(a, b)}
        wrong = [i for i in range(first, lowest) if self.scripts.fate(i, self.config)[0] is not Ok]
        assert not set(wrong) - self.disturbed - self.known - skipped, "13: the error is that of the loop"

    def _check_fates(self) -> None:
        """14: what becomes of an item depends on the item alone. 7: who never kills a worker is never lost."""
        for record in self.emitted:
            for outcome in record.outcomes() if isinstance(record, Batch) else [record]:
                if outcome.index in self.disturbed | self.known:
                    continue
                assert (type(outcome), outcome.attempts) == self.scripts.fate(outcome.index, self.config)
                if isinstance(outcome, Ok):
                    assert outcome.value == outcome.index


def _result(index: int, deed: str, attempt: int, worker: int | None) -> Batch | Failed:
    if deed == "fail":
        return Failed(index=index, attempts=attempt, worker=worker, error=ValueError(f"bad {index}"))
    return Batch(index, (index,), ITEM_S, worker, attempt)


def _at(frame: object, now: float) -> object:
    return type(frame)(now, *(getattr(frame, name) for name in type(frame).__slots__[1:]))
