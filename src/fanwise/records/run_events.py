"""What happened in a run, for progress, report, trace and log: at most one event a chunk, and one per failed, lost or retried item.

``at`` is seconds since the run began, on the monotonic clock of the calling process. Workers send durations only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanwise.records._record import record

__all__ = [
    "ChunkDone",
    "ChunkSent",
    "Interrupted",
    "ItemFailed",
    "ItemLost",
    "ItemRetried",
    "MemoryLow",
    "MemorySample",
    "Planned",
    "RunEnded",
    "RunEvent",
    "RunStarted",
    "WorkerBegan",
    "WorkerEnded",
    "WorkerStarted",
]


@record
class RunStarted:
    """``total`` is ``None`` for an input whose length is not known."""

    at: float
    total: int | None
    label: str


@record
class Planned:
    """A decision of the plan: a code of the published list, a whole sentence, and the numbers in it."""

    at: float
    code: str
    text: str
    facts: Mapping[str, Any]
    item: int | None = None


@record
class WorkerStarted:
    """A worker can take work; starting it took ``seconds``."""

    at: float
    worker: int
    pid: int | None
    method: str
    seconds: float


@record
class WorkerBegan:
    """A worker that was sent work before it could begin: starting it took ``seconds`` in all."""

    at: float
    worker: int
    seconds: float


@record
class WorkerEnded:
    """``how``: ``done``, ``retired``, ``killed`` or ``died``; ``index`` is the item it was at when it died."""

    at: float
    worker: int
    how: str
    reason: str = ""
    index: int | None = None


@record
class ChunkSent:
    """Items ``first … first+count-1`` went to a worker."""

    at: float
    worker: int
    first: int
    count: int


@record
class ChunkDone:
    """A worker (0: the calling process) is through with a chunk. Seconds and bytes are sums over its items.

    ``busy`` is wall time inside the function, ``codec`` pickling on both sides, ``cache`` look-ups and stores;
    ``costs`` is a histogram of seconds per item as pairs (bin, items); ``slowest`` pairs (index, seconds); ``least`` the
    smallest cost of an item, None if it was not measured.
    """

    at: float
    worker: int
    first: int
    count: int
    ok: int
    cached: int = 0
    busy: float = 0.0
    cpu: float = 0.0
    codec: float = 0.0
    cache: float = 0.0
    costs: tuple[tuple[int, int], ...] = ()
    slowest: tuple[tuple[int, float], ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    rss: int = 0
    resumed: int = 0
    least: float | None = None


@record
class ItemFailed:
    """An item ended as `Failed`."""

    at: float
    index: int
    type: str
    message: str = ""
    traceback: str = ""
    worker: int = 0
    attempts: int = 1


@record
class ItemLost:
    """An item ended as `Lost`; ``last_output`` is the end of what its worker wrote to descriptors 1 and 2."""

    at: float
    index: int
    reason: str
    worker: int = 0
    attempts: int = 1
    traceback: str = ""
    last_output: str = ""


@record
class ItemRetried:
    """An item is tried again; ``attempt`` is the number of the attempt to come."""

    at: float
    index: int
    attempt: int


@record
class MemorySample:
    """Bytes: free memory of the machine or control group, resident size of the caller and of each worker."""

    at: float
    free: int
    caller: int
    workers: tuple[tuple[int, int], ...] = ()


@record
class MemoryLow:
    """Memory ran low (1, 2) or recovered (0)."""

    at: float
    level: int


@record
class Interrupted:
    """A signal of the user reached the run."""

    at: float
    signal: int


@record
class RunEnded:
    """``how``: ``done``, ``error``, ``interrupted`` or ``deadline``."""

    at: float
    how: str


RunEvent = (
    RunStarted
    | Planned
    | WorkerStarted
    | WorkerBegan
    | WorkerEnded
    | ChunkSent
    | ChunkDone
    | ItemFailed
    | ItemLost
    | ItemRetried
    | MemorySample
    | MemoryLow
    | Interrupted
    | RunEnded
)
