"""`RunReport`: what became of a run and where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fanwise.report._lazy import LazyRecord

if TYPE_CHECKING:
    from fanwise.report import _record as parts

__all__ = ["RunReport"]

_ENDED = {"done": "done", "failed": "error", "interrupted": "interrupted", "partial": "deadline"}


@dataclass(frozen=True, slots=True)
class RunReport(LazyRecord):
    """What became of a run and where its time went: ``fanwise.run(…).report``.

    The fields are the sections of the JSON form (``counts`` is its ``items``, ``lanes`` its ``workers``, ``version``
    its ``fanwise``); the properties are the figures most asked for. Seconds are floats, sizes bytes. Reports compare
    equal if everything in them is equal, can be pickled, and are filled in only when first read: a run pays nothing for
    a report that nobody looks at.

    Examples
    --------
    >>> import fanwise
    >>> report = fanwise.run(abs, [-1, -2, 3]).report
    >>> report.items, report.ok, report.failed, report.ended
    (3, 3, 0, 'done')
    >>> fanwise.RunReport.from_json(report.to_json()) == report
    True
    """

    version: str
    run: parts.RunInfo
    host: parts.Host
    options: Mapping[str, Any]
    plan: parts.Plan
    counts: parts.Counts
    time: parts.Times
    losses: tuple[parts.Loss, ...]
    lanes: tuple[parts.Lane, ...]
    costs: parts.Costs
    cache: tuple[parts.CacheUse, ...]
    bundles: tuple[parts.BundleUse, ...]
    memory: parts.Memory
    failures: tuple[parts.Failure, ...]
    failures_left_out: int
    warnings: tuple[str, ...]
    traffic: parts.Traffic | None = None
    events: tuple[parts.Note, ...] = ()
    events_left_out: int = 0

    def to_json(self) -> str:
        """The report as JSON text, schema ``fanwise.report/1``.

        Returns
        -------
        str
            One object, indented, ending in a newline. NaN and infinity never appear.
        """
        from fanwise.report._json import encode

        return encode(self)

    @classmethod
    def from_json(cls, text: str) -> RunReport:
        """Read a report back.

        Parameters
        ----------
        text : str
            What `to_json` of this or a later version 1 wrote. Fields added later are passed over.

        Returns
        -------
        RunReport

        Raises
        ------
        InputError
            If the text is not a report.
        """
        from fanwise.report._json import decode

        return decode(text)

    def to_html(self) -> str:
        """The report as one HTML page that needs no network and no script.

        Returns
        -------
        str
            A complete document, at most about 300 kB however many items there were.
        """
        from fanwise.report._page import render

        return render(self)

    def told_as(self, *, label: str = "", reason: str = "") -> RunReport:
        """The same report under another label, or with another reason for having run in the calling process.

        Parameters
        ----------
        label : str, optional
            What the run is called.
        reason : str, optional
            A whole sentence, for work that was known to be small before it began.

        Returns
        -------
        RunReport
            Made when it is first read.

        Examples
        --------
        >>> import fanwise
        >>> report = fanwise.run(abs, [-1, 2], workers=1).report
        >>> report.told_as(label="sizes", reason="Ran in this process: two items.").reason
        'Ran in this process: two items.'
        """

        def told() -> RunReport:
            first, *others = self.plan.decisions
            if reason:
                first = replace(first, code="serial.too-small", text=reason)
            plan = replace(self.plan, decisions=(first, *others))
            return replace(self, run=replace(self.run, label=label or self.run.label), plan=plan)

        return RunReport.when_read(told)

    def to_trace(self) -> str:
        """The run as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing.

        Returns
        -------
        str
            Chrome trace event format, object form, at most 200,000 events.
        """
        from fanwise.report._trace import encode_trace

        return encode_trace(self)

    @property
    def items(self) -> int:
        """Number of items; those of a generator as far as they were drawn."""
        return self.counts.total

    @property
    def ok(self) -> int:
        """Items with a result, those from a cache or journal included."""
        return self.counts.ok

    @property
    def failed(self) -> int:
        """Items whose last attempt raised, or took too long."""
        return self.counts.failed

    @property
    def lost(self) -> int:
        """Items whose worker died, twice."""
        return self.counts.lost

    @property
    def missing(self) -> int:
        """Items without an outcome."""
        return self.counts.not_run

    @property
    def cached(self) -> int:
        """Items answered by a cache."""
        return self.counts.cached

    @property
    def resumed(self) -> int:
        """Items answered by a journal."""
        return self.counts.resumed

    @property
    def retried(self) -> int:
        """Items that were tried more than once."""
        return self.counts.retried

    @property
    def workers(self) -> int:
        """How many workers the run used at a time; 1 if it stayed in the calling process."""
        return self.plan.workers

    @property
    def backend(self) -> str:
        """Where items ran: ``serial``, ``thread``, ``process``, ``dask``, ``ray`` or ``fallback``."""
        return self.plan.backend

    decision = backend

    @property
    def start_method(self) -> str:
        """How workers were started: ``none``, ``fork``, ``forkserver``, ``spawn`` or ``remote``."""
        return self.host.start_method

    @property
    def reason(self) -> str:
        """Why it ran so, in one sentence."""
        return self.plan.decisions[0].text

    @property
    def ended(self) -> str:
        """``done``, ``error``, ``interrupted`` or ``deadline``."""
        return _ENDED.get(self.run.status, self.run.status)

    @property
    def wall(self) -> float:
        """Seconds from the start of the run to its end."""
        return self.time.wall_s

    @property
    def serial_estimate(self) -> float:
        """Seconds a loop in one process would have taken: an upper estimate."""
        return self.time.serial_estimate_s

    @property
    def speedup(self) -> float | None:
        """``serial_estimate / wall``, None for a run without length."""
        return self.time.speedup_estimate

    @property
    def efficiency(self) -> float | None:
        """Speed-up per worker."""
        speedup = self.time.speedup_estimate
        return None if speedup is None else speedup / max(1, self.plan.workers)

    @property
    def user(self) -> float:
        """Lane-seconds inside the function."""
        return self.time.lanes_s.work

    user_time = user

    @property
    def start(self) -> float:
        """Lane-seconds of starting workers."""
        return self.time.lanes_s.start

    start_time = start

    @property
    def transfer(self) -> float:
        """Lane-seconds of pickling and of the cache."""
        return self.time.lanes_s.codec + self.time.lanes_s.cache

    transfer_time = transfer

    @property
    def dispatch(self) -> float:
        """Lane-seconds of fanwise itself."""
        return self.time.lanes_s.other

    dispatch_time = dispatch

    @property
    def idle(self) -> float:
        """Lane-seconds of waiting, that of the calling process for its workers included."""
        return self.time.lanes_s.wait

    @property
    def idle_time(self) -> float:
        """Seconds in which the place of a worker was empty or idle: what ``wall * workers`` holds beside the rest.

        ``wall * workers == user_time + start_time + dispatch_time + transfer_time + idle_time``, unless the calling
        process worked beside its workers. Unlike `idle` it counts the time before the workers were there, and does not
        count the calling process waiting for them.
        """
        spent = self.user + self.start + self.dispatch + self.transfer
        return max(0.0, self.wall * max(1, self.workers) - spent)

    @property
    def coordinator_time(self) -> float:
        """Seconds that the calling process spent on fanwise itself."""
        return self.lanes[0].seconds.other

    @property
    def per_worker(self) -> tuple[parts.Lane, ...]:
        """The lanes of the workers, without that of the calling process."""
        return self.lanes[1:]

    @property
    def bytes_in(self) -> int:
        """Bytes sent to workers."""
        return self.traffic.bytes_in if self.traffic else 0

    @property
    def bytes_out(self) -> int:
        """Bytes received from workers."""
        return self.traffic.bytes_out if self.traffic else 0

    @property
    def chunk_sizes(self) -> tuple[int, int, int]:
        """Items per chunk: smallest, median, largest."""
        traffic = self.traffic
        return (traffic.chunk_min, traffic.chunk_median, traffic.chunk_max) if traffic else (0, 0, 0)

    @property
    def slowest(self) -> tuple[tuple[int, float], ...]:
        """The ten slowest items as pairs (index, seconds)."""
        return tuple((slow.item, slow.seconds) for slow in self.costs.slowest)

    @property
    def first_errors(self) -> tuple[parts.Failure, ...]:
        """The first ten items without a result."""
        return self.failures[:10]

    @property
    def environment(self) -> Mapping[str, Any]:
        """``python``, ``cores``, ``quota``, ``load``, ``memory`` (bytes) and ``blas_threads`` (None: not looked at)."""
        host = self.host
        return {
            "python": host.python,
            "cores": host.cores_usable,
            "quota": host.quota_cores,
            "load": host.load_at_start,
            "memory": host.memory_bytes,
            "blas_threads": host.blas_threads,
        }
