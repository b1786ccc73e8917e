"""What the scheduler hears (events, each with the time ``now``) and what it says (commands).

A worker is named by a small number that is never used twice in a run. ``HERE`` is the calling process itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanwise.records.outcomes import Settled

__all__ = [
    "HERE",
    "Cancel",
    "CancelChunk",
    "Chunk",
    "ChunkFinished",
    "ChunkReturned",
    "ChunkStats",
    "Command",
    "Deadline",
    "Demand",
    "Draw",
    "Drawn",
    "Emit",
    "Event",
    "Finish",
    "Finished",
    "Interrupt",
    "Kill",
    "MemoryLow",
    "Retire",
    "RunHere",
    "Running",
    "Send",
    "SourceEnded",
    "StartFailed",
    "StartWorkers",
    "Tick",
    "Unsendable",
    "WakeAt",
    "WorkerDied",
    "WorkerReady",
    "WorkerRetired",
]

HERE = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive items ``first … first+count-1`` sent to one worker. ``attempt`` counts from 1."""

    id: int
    first: int
    count: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class ChunkStats:
    """What a worker measured over one chunk. Times in seconds, sizes in bytes."""

    busy: float = 0.0  # wall time inside the function
    cpu: float = 0.0
    codec: float = 0.0  # pickling in the worker, both ways
    bytes_in: int = 0
    bytes_out: int = 0
    rss: int = 0  # resident size of the worker at the end of the chunk
    slowest: tuple[tuple[int, float], ...] = ()  # (index, seconds) of at most three items
    costs: tuple[tuple[int, int], ...] = ()  # histogram: (bin, items), bins as in report


# Events: what happened. `now` is the driver's monotonic clock.


@dataclass(frozen=True, slots=True)
class Drawn:
    """``count`` further items of the source are at hand."""

    now: float
    count: int


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The source has no more items; ``error`` is what it raised, if it did."""

    now: float
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker can take chunks; it took ``seconds`` to start."""

    now: float
    worker: int
    pid: int | None = None
    method: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """What a worker is at, read from its progress cell: item ``index`` since ``since``."""

    now: float
    worker: int
    index: int
    since: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The next items of a chunk are settled, in order; a chunk may need several of these."""

    now: float
    worker: int
    chunk: int
    settled: tuple[Settled, ...]


@dataclass(frozen=True, slots=True)
class ChunkFinished:
    """The worker is through with a chunk."""

    now: float
    worker: int
    chunk: int
    stats: ChunkStats = ChunkStats()


@dataclass(frozen=True, slots=True)
class ChunkReturned:
    """The worker gave the rest of a chunk back unstarted, from item ``first`` on (answer to `CancelChunk`)."""

    now: float
    worker: int
    chunk: int
    first: int


@dataclass(frozen=True, slots=True)
class Unsendable:
    """Item ``index`` of a chunk just sent cannot be pickled; the rest of the chunk went on its way without it."""

    now: float
    worker: int
    chunk: int
    index: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker is gone without having been told to; ``index`` is the item it was at, if known."""

    now: float
    worker: int
    reason: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerRetired:
    """A worker that was told to retire is gone, or one that retired by itself (``max_tasks_per_child``)."""

    now: float
    worker: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """``count`` workers could not be started; ``fatal`` when no later try can succeed (a failing initializer)."""

    now: float
    reason: str
    count: int = 1
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""

    now: float


@dataclass(frozen=True, slots=True)
class MemoryLow:
    """Memory ran low (``level`` 1: below 10 %; 2: below 2 %; 0: above 15 % again); ``largest`` is the biggest worker."""

    now: float
    level: int
    largest: int | None = None


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The ``count``-th signal of the user arrived."""

    now: float
    count: int


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time for the whole run is over."""

    now: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The consumer of a stream took ``count`` further outcomes."""

    now: float
    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """These items are no longer wanted, if they have not been sent yet."""

    now: float
    indexes: tuple[int, ...]


Event = (
    Drawn
    | SourceEnded
    | WorkerReady
    | Running
    | Finished
    | ChunkFinished
    | ChunkReturned
    | Unsendable
    | WorkerDied
    | WorkerRetired
    | StartFailed
    | Tick
    | MemoryLow
    | Interrupt
    | Deadline
    | Demand
    | Cancel
)


# Commands: what is to be done. The driver performs them in order and decides nothing.


@dataclass(frozen=True, slots=True)
class Draw:
    """Take up to ``count`` further items from the source."""

    count: int


@dataclass(frozen=True, slots=True)
class StartWorkers:
    """Start ``count`` further workers."""

    count: int


@dataclass(frozen=True, slots=True)
class Send:
    """Give a chunk to a worker."""

    worker: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class CancelChunk:
    """Ask a worker to give a chunk back that it has not begun."""

    worker: int
    chunk: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop a worker at once (SIGKILL)."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Let a worker end when it is through with what it has."""

    worker: int


@dataclass(frozen=True, slots=True)
class RunHere:
    """Run these items in the calling process and report them as `Finished` of worker ``HERE``."""

    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Emit:
    """These results are final; ordered runs emit them in item order."""

    settled: Settled


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Running` for each busy worker and then `Tick`, at this time at the latest."""

    at: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over: ``done``, ``error``, ``source``, ``interrupted``, ``deadline``, ``cancelled`` or ``broken``."""

    how: str
    error: BaseException | None = None


Command = Draw | StartWorkers | Send | CancelChunk | Kill | Retire | RunHere | Emit | WakeAt | Finish
