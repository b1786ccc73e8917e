"""What the scheduler hears (events, each with the time ``now``) and what it says (commands).

A worker is named by a small number that is never used twice in a run. ``HERE`` is the calling process itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanwise.records._record import record
from fanwise.records.chunks import UNMEASURED, Chunk, ChunkStats
from fanwise.records.outcomes import Settled

__all__ = [
    "Cancel",
    "CancelChunk",
    "ChunkFinished",
    "ChunkReturned",
    "Command",
    "Deadline",
    "Decide",
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
    "Printed",
    "Retire",
    "Retrying",
    "RunHere",
    "Running",
    "Send",
    "SourceEnded",
    "StartFailed",
    "StartWorkers",
    "Tick",
    "Unsendable",
    "WakeAt",
    "WorkerBegan",
    "WorkerDied",
    "WorkerReady",
    "WorkerRetired",
]


# Events: what happened. `now` is the driver's monotonic clock.


@record
class Drawn:
    """``count`` further items of the source are at hand; those that a journal or a cache has need not be run."""

    now: float
    count: int
    known: tuple[Settled, ...] = ()
    cached: tuple[Settled, ...] = ()


@record
class SourceEnded:
    """The source has no more items; ``error`` is what it raised, if it did."""

    now: float
    error: BaseException | None = None


@record
class WorkerReady:
    """A worker can be sent chunks; it took ``seconds`` to start.

    One that has not ``begun`` will look at them later, and `WorkerBegan` says when.
    """

    now: float
    worker: int
    pid: int | None = None
    method: str = ""
    seconds: float = 0.0
    begun: bool = True


@record
class WorkerBegan:
    """A worker that could be sent chunks before has begun to look at them at ``since``, after ``seconds`` in all."""

    now: float
    worker: int
    since: float
    seconds: float


@record
class Running:
    """What a worker is at, read from its progress cell: item ``index`` since ``since``."""

    now: float
    worker: int
    index: int
    since: float


@record
class Finished:
    """The next items of a chunk are settled, in order; a chunk may need several of these."""

    now: float
    worker: int
    chunk: int
    settled: tuple[Settled, ...]


@record
class ChunkFinished:
    """The worker is through with a chunk; its last results may come with that, in place of a `Finished`."""

    now: float
    worker: int
    chunk: int
    stats: ChunkStats = UNMEASURED
    settled: tuple[Settled, ...] = ()


@record
class ChunkReturned:
    """The worker gave the rest of a chunk back unstarted, from item ``first`` on (answer to `CancelChunk`)."""

    now: float
    worker: int
    chunk: int
    first: int


@record
class Unsendable:
    """Item ``index`` of a chunk just sent cannot be pickled; the rest of the chunk went on its way without it."""

    now: float
    worker: int
    chunk: int
    index: int
    error: BaseException


@record
class WorkerDied:
    """A worker is gone without having been told to; ``index`` is the item it was at, if known.

    ``idle``: it is known to have been at no item, though a chunk may have been on its way to it. ``traceback`` is what the
    interpreter could still write about a fatal signal; ``output`` the last 4 KiB that went to descriptors 1 and 2.
    """

    now: float
    worker: int
    reason: str
    index: int | None = None
    traceback: str = ""
    output: str = ""
    idle: bool = False


@record
class WorkerRetired:
    """A worker that was told to retire is gone, or one that retired by itself (``max_tasks_per_child``)."""

    now: float
    worker: int


@record
class StartFailed:
    """``count`` workers could not be started; ``fatal`` when no later try can succeed (a failing initializer).

    ``error`` is what the run ends with if it cannot go on; None: a `BackendError` with the reason.
    """

    now: float
    reason: str
    count: int = 1
    fatal: bool = False
    error: BaseException | None = None


@record
class Printed:
    """Whole lines that a worker wrote to descriptor ``fd`` (1 or 2) past Python: C code, child programs, last words."""

    now: float
    worker: int
    fd: int
    text: str


@record
class Tick:
    """Time has passed."""

    now: float


@record
class MemoryLow:
    """Memory ran low (``level`` 1: below 10 %; 2: below 2 %; 0: above 15 % again); ``largest`` is the biggest worker."""

    now: float
    level: int
    largest: int | None = None


@record
class MemorySeen:
    """Bytes at hand (machine or control group), resident in the calling process, and in each worker. For listeners only."""

    now: float
    available: int
    caller: int
    workers: tuple[tuple[int, int], ...] = ()


@record
class Interrupt:
    """The ``count``-th signal of the user arrived (or the grace after the first one is over)."""

    now: float
    count: int
    signal: int = 2


@record
class Deadline:
    """The time for the whole run is over."""

    now: float


@record
class Demand:
    """The consumer of a stream took ``count`` further outcomes."""

    now: float
    count: int


@record
class Cancel:
    """These items are no longer wanted, if they have not been sent yet."""

    now: float
    indexes: tuple[int, ...]


Event = (
    Drawn
    | SourceEnded
    | WorkerReady
    | WorkerBegan
    | Running
    | Finished
    | ChunkFinished
    | ChunkReturned
    | Unsendable
    | WorkerDied
    | WorkerRetired
    | StartFailed
    | Printed
    | Tick
    | MemoryLow
    | MemorySeen
    | Interrupt
    | Deadline
    | Demand
    | Cancel
)


# Commands: what is to be done. The driver performs them in order and decides nothing.


@record
class Draw:
    """Take ``count`` further items from the source.

    A standing order: it may be answered by several `Drawn`, or by `SourceEnded`; later ones add to it.
    """

    count: int


@record
class StartWorkers:
    """Start ``count`` further workers."""

    count: int


@record
class Send:
    """Give a chunk to a worker."""

    worker: int
    chunk: Chunk


@record
class CancelChunk:
    """Ask a worker to give a chunk back that it has not begun."""

    worker: int
    chunk: int


@record
class Kill:
    """Stop a worker at once (SIGKILL)."""

    worker: int
    reason: str


@record
class Retire:
    """Let a worker end when it is through with what it has."""

    worker: int


@record
class RunHere:
    """Run these items in the calling process and report them as `Finished` and `ChunkFinished` of worker ``HERE``.

    Where errors are raised, stop at the first: what is left of the chunk is the scheduler's again. ``begun``: the calling
    process is at them already, and whoever knows of it reports.
    """

    chunk: Chunk
    begun: bool = False


@record
class Retrying:
    """Item ``index`` is tried again; ``attempt`` is the number of the attempt to come. Nothing to do but to say so."""

    index: int
    attempt: int


@record
class Decide:
    """The plan changed while running: a code of the published list and its numbers. Nothing to do but to say so."""

    code: str
    facts: Mapping[str, Any]


@record
class Emit:
    """These results are final; ordered runs emit them in item order."""

    settled: Settled


@record
class WakeAt:
    """Send `Running` for each busy worker and then `Tick`, at this time at the latest.

    A later command replaces it; after a `Tick` it is said again if it is still needed.
    """

    at: float


@record
class Finish:
    """The run is over: ``done``, ``error``, ``source``, ``interrupted``, ``deadline``, ``cancelled`` or ``broken``."""

    how: str
    error: BaseException | None = None


Command = (
    Draw | StartWorkers | Send | CancelChunk | Kill | Retire | RunHere | Retrying | Decide | Emit | WakeAt | Finish
)
