"""The parts of a report, named and ordered as in ``schema-1.json``. Seconds are floats, sizes bytes.

Fields with a default are additions to the first published form; they are written only when they differ from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BundleUse",
    "CacheUse",
    "Costs",
    "Counts",
    "Decision",
    "Failure",
    "Histogram",
    "Host",
    "Lane",
    "Loss",
    "Memory",
    "MemoryPoint",
    "Note",
    "Plan",
    "RunInfo",
    "Seconds",
    "SlowItem",
    "Span",
    "Times",
    "Traffic",
]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which run: 32 hex digits, what was called, when (ISO 8601, UTC), and how it ended.

    ``status``: ``done`` (every item has an outcome, failed ones too), ``partial``, ``interrupted`` or ``failed``.
    """

    id: str
    label: str
    function: str
    started_at: str
    status: str
    resumed_from: str | None


@dataclass(frozen=True, slots=True)
class Host:
    """Where the calling process ran."""

    name: str
    platform: str
    python: str
    free_threaded: bool
    cores_machine: int
    cores_usable: float
    quota_cores: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    load_at_start: float | None
    start_method: str
    blas_threads: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the plan did and why: a code of the published list, a whole sentence, and the numbers in it."""

    at_s: float
    item: int | None
    code: str
    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the run was laid out; ``fan_out_item`` is the first item that was sent to a worker."""

    workers: int
    backend: str
    chunk_size: int | None
    fan_out_item: int | None
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items became what; ``cached`` and ``resumed`` are among ``ok``, ``retried`` counts items."""

    total: int
    ok: int
    failed: int
    lost: int
    cached: int
    resumed: int
    retried: int
    not_run: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """What the time of a lane went into."""

    start: float
    work: float
    codec: float
    cache: float
    wait: float
    lost: float
    other: float


@dataclass(frozen=True, slots=True)
class Times:
    """Times of the whole run; what "estimated" means is said in the documentation of reports."""

    wall_s: float
    work_s: float
    cpu_s: float
    serial_estimate_s: float
    serial_measured_s: float | None
    speedup_estimate: float | None
    parallelism: float
    utilisation: float | None
    contention: float | None
    lanes_s: Seconds


@dataclass(frozen=True, slots=True)
class Loss:
    """Lane-seconds that were not work, and what to do about them.

    ``inside_work`` marks a part of the work itself (cores that were shared): it is no addend beside the work.
    """

    code: str
    seconds: float
    text: str
    advice: str | None
    inside_work: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive work of one lane: a chunk, or several neighbours. The last ``codec_s`` of it were pickling."""

    start_s: float
    end_s: float
    first_item: int
    items: int
    state: str
    codec_s: float = 0.0
    cache_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Lane:
    """The calling process (lane 0) or one worker, from its start to its end."""

    lane: int
    name: str
    pid: int | None
    host: str
    started_s: float
    ended_s: float
    ended_by: str
    exit: str | None
    items: int
    seconds: Seconds
    peak_bytes: int | None
    spans: tuple[Span, ...]
    cpu_s: float = 0.0
    restarts: int = 0

    @property
    def busy(self) -> float:
        """Seconds inside the function."""
        return self.seconds.work

    @property
    def idle(self) -> float:
        """Seconds without work."""
        return self.seconds.wait

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of the items."""
        return self.cpu_s

    @property
    def peak_rss(self) -> int | None:
        """Highest resident size seen, in bytes."""
        return self.peak_bytes


@dataclass(frozen=True, slots=True)
class Histogram:
    """Items per cost: 40 logarithmic bins from 1 µs to 10⁴ s; the ends hold what lies beyond."""

    edges_s: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SlowItem:
    item: int
    label: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds per computed item. Quantiles come from the histogram (relative error ≤ 12 %)."""

    count: int
    min_s: float | None
    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    max_s: float | None
    histogram: Histogram
    slowest: tuple[SlowItem, ...]


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What one level of the cache (``memory``, ``disk`` or ``shared``) did in this run."""

    level: str
    where: str
    lookups: int = field(kw_only=True)
    hits: int = field(kw_only=True)
    stored: int = field(kw_only=True)
    evicted: int = field(kw_only=True)
    refused: int = field(kw_only=True)
    errors: int = field(kw_only=True)
    bytes: int = field(kw_only=True)
    spent_s: float = field(kw_only=True)
    saved_s: float = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class BundleUse:
    """A frozen bundle that items read."""

    digest: str
    names: tuple[str, ...]
    bytes: int
    transfers: int
    attached: int


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """Memory at one moment: free on the machine or in the control group, calling process, all workers (bytes)."""

    at_s: float
    free: int
    caller: int
    workers: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Extremes of the run; the largest worker counts for ``workers_peak_bytes``."""

    caller_peak_bytes: int | None
    workers_peak_bytes: int | None
    lowest_free_bytes: int | None
    samples: tuple[MemoryPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result: ``failed``, ``lost`` or ``timeout``."""

    item: int
    label: str
    kind: str
    type: str
    message: str
    traceback: str | None
    attempts: int
    worker: str | None
    last_output: str | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What crossed between processes, and in chunks of which size."""

    bytes_in: int = 0
    bytes_out: int = 0
    chunks: int = 0
    chunk_min: int = 0
    chunk_median: int = 0
    chunk_max: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened on the way: ``lost``, ``retry``, ``memory``, ``interrupt`` or ``worker``."""

    at_s: float
    kind: str
    lane: int | None
    item: int | None
    text: str
