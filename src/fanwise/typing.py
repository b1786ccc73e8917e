"""Protocols and small records for those who pass their own clock, progress, backend or policy to fanwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from fanwise.records.chunks import Chunk
    from fanwise.records.run_events import RunEvent
    from fanwise.records.scheduling import Event
    from fanwise.report import RunReport

__all__ = [
    "Attachment",
    "Backend",
    "Clock",
    "Crew",
    "InterruptPolicy",
    "Progress",
    "Retry",
    "SharedLevel",
    "Task",
    "Work",
]


class Clock(Protocol):
    """Time as fanwise reads it."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


@runtime_checkable
class Progress(Protocol):
    """Something that is told what happens in a run."""

    def start(self, total: int | None, label: str) -> None:
        """Begin; ``total`` is None if the number of items is not known."""

    def on(self, event: RunEvent) -> None:
        """Hear one run event."""

    def finish(self, report: RunReport) -> None:
        """End, also when the run failed or was interrupted."""


@dataclass(frozen=True, slots=True)
class Task:
    """The item being run, as `fanwise.current_task` returns it. ``worker`` is a process id, or None in the calling process."""

    index: int
    attempt: int
    worker: int | None
    _interrupted: Callable[[], bool] = field(repr=False, compare=False)

    @property
    def interrupted(self) -> bool:
        """True once the run is to end: a long item may return early and is kept if it does so within the grace."""
        return self._interrupted()


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often an item is tried again.

    The wait before attempt ``a`` (2, 3, …) is ``min(max_delay, delay * factor**(a - 2))`` seconds times a jitter in
    [0.5, 1] that depends on the item's index and the attempt only.
    """

    times: int
    on: tuple[type[BaseException], ...] = (Exception,)
    delay: float = 0.05
    factor: float = 2.0
    max_delay: float = 30.0


@dataclass(frozen=True, slots=True)
class InterruptPolicy:
    """Which signals end a run, and how long running items may take to finish (seconds)."""

    grace: float = 0.2
    handle: frozenset[int] = frozenset({2, 15})


@dataclass(frozen=True, slots=True)
class Attachment:
    """An open descriptor that travels beside a message: 16-byte id, descriptor, size in bytes.

    ``owner`` is whatever keeps the descriptor open until it is sent: a result may be dropped once it is pickled.
    """

    id: bytes
    fd: int
    size: int
    owner: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Work:
    """What a crew is hired for.

    Attributes
    ----------
    fn : callable
        Called as ``fn(item)``, or ``fn(item, rng=Generator)`` if ``seed`` is not None.
    take : callable
        ``take(first, count)`` returns these items as a sequence. They are drawn already.
    inheritable : bool
        True if every item is at hand now, so that a forked worker can call ``take`` itself.
    single : bool
        True if items must be timed and reported one by one (``timeout``, journal, explicit ``chunk_size=1``).
    capture : bool
        True if stdout, stderr, logging and warnings of items are to be captured and sent back.
    stops : bool
        True if the first failure of a chunk ends it: its other items are given back unstarted.
    """

    fn: Callable[..., Any]
    take: Callable[[int, int], Sequence[Any]]
    inheritable: bool = False
    seed: int | None = None
    single: bool = False
    capture: bool = True
    isolate: bool = False
    stops: bool = False


class Crew(Protocol):
    """Workers lent to one run. Performs what the scheduler says and reports what happens; decides nothing."""

    @property
    def method(self) -> str:
        """How its workers start."""

    def start(self, count: int) -> None:
        """Begin to start workers; each answers with `WorkerReady` or `StartFailed`."""

    def send(self, worker: int, chunk: Chunk) -> None:
        """Give a chunk to a worker; never blocks."""

    def cancel(self, worker: int, chunk: int) -> None:
        """Ask a chunk back."""

    def kill(self, worker: int, reason: str) -> None:
        """Stop a worker at once; answered by `WorkerDied` with this reason."""

    def retire(self, worker: int) -> None:
        """Let a worker end; answered by `WorkerRetired`."""

    def running(self) -> Sequence[tuple[int, int, float]]:
        """What each busy worker is at: (worker, index, since on the monotonic clock)."""

    def sizes(self) -> Mapping[int, int]:
        """Resident bytes of each live worker."""

    def wait(self, timeout: float | None) -> list[Event]:
        """Return what happened, at the latest after ``timeout`` seconds (None: no limit; 0: only look)."""

    def wake(self) -> None:
        """Make a `wait` in another thread, or the next one, return at once. Safe in a signal handler."""

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true in every worker."""

    def close(self, *, kill: bool) -> None:
        """End the loan: own workers are stopped (killed if told so) and reaped, borrowed ones handed back."""


class Backend(Protocol):
    """A place where items run."""

    name: str

    def hire(self, work: Work, workers: int, clock: Clock) -> Crew:
        """A crew of at most ``workers`` for one run. Nothing is started yet."""

    def close(self) -> None:
        """Stop whatever is kept warm."""


class SharedLevel(Protocol):
    """A cache level shared by several hosts. Payloads are whole records, verified by the reader."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The record of each key, or None."""

    def put_many(self, records: Mapping[bytes, bytes], *, ttl: float | None) -> None:
        """Store records, for at most ``ttl`` seconds."""

    def delete(self, keys: Sequence[bytes]) -> int:
        """Remove records; return how many there were."""

    def stats(self) -> Mapping[str, int]:
        """Counters."""

    def lease(self, key: bytes, *, seconds: float) -> bool | None:
        """Take the right to compute a key; None if leases are not supported."""
