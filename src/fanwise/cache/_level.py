"""What every level on disk offers to the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from fanwise.cache._codecs import Encoded
from fanwise.cache._hashing import Buffer
from fanwise.cache._leases import LeaseSource
from fanwise.cache._reports import EntryInfo, PruneReport, VerifyReport

__all__ = ["SKEW_S", "Aged", "Hit", "Level", "Pruning", "Usage", "Write", "choose", "is_fresh", "summary"]

SKEW_S = 60.0  # an entry from further in the future than this is not trusted

Hit = tuple[int, Buffer, bytes, int, float, float]  # codec, payload, meta, flags, created, expires


def is_fresh(created: float, expires: float, now: float) -> bool:
    """Whether an entry may be used: not expired, and not from the future."""
    return created - SKEW_S <= now < expires


class Write(NamedTuple):
    """An entry on its way to the disk."""

    key: bytes
    name: str
    encoded: Encoded
    created: float
    expires: float
    flags: int


class Usage(NamedTuple):
    """How many entries there are, and how many bytes they take."""

    entries: int
    size: int


class Pruning(NamedTuple):
    """What is to go: what has expired, what was created before ``before``, then the oldest above ``max_bytes``."""

    now: float
    before: float | None
    max_bytes: int | None
    dry_run: bool


class Aged(NamedTuple):
    """An entry as pruning sees it; ``place`` is what its level calls it."""

    place: Any
    created: float
    expires: float
    size: int


def choose(entries: Sequence[Aged], plan: Pruning) -> list[Aged]:
    """Which entries go: expired ones, those older than the limit, then the oldest until the rest fits."""
    doomed = [each for each in entries if not is_fresh(each.created, each.expires, plan.now)]
    rest = sorted(
        (each for each in entries if is_fresh(each.created, each.expires, plan.now)), key=lambda each: each.created
    )
    size = sum(each.size for each in rest)
    for each in rest:
        old = plan.before is not None and each.created < plan.before
        if not old and (plan.max_bytes is None or size <= plan.max_bytes):
            break
        doomed.append(each)
        size -= each.size
    return doomed


def summary(entries: Sequence[Aged], doomed: Sequence[Aged], orphans: int = 0) -> PruneReport:
    """What goes and what stays."""
    gone, total = sum(each.size for each in doomed), sum(each.size for each in entries)
    return PruneReport(len(doomed), gone, len(entries) - len(doomed), total - gone, orphans)


class Level(Protocol):
    """A level of the cache that other processes share.

    ``epoch[0]`` is a number that changes when entries that somebody may hold in memory were replaced or removed; it is
    odd while that is going on. A level without such a number leaves it None.
    """

    backend: str

    @property
    def epoch(self) -> Any:
        """See above."""

    @property
    def usable(self) -> bool:
        """Whether there is a directory, or one can be made."""

    @property
    def writable(self) -> bool:
        """Whether entries can be stored."""

    def refresh(self) -> None:
        """Notice that files were deleted or replaced."""

    def read(self, key: bytes, now: float) -> Hit | None:
        """The entry of a key."""

    def contains(self, key: bytes, now: float) -> bool:
        """Whether `read` would find one."""

    def stamp(self, key: bytes, /) -> object:
        """What changes when the entry does; for levels without an epoch."""

    def write(self, entry: Write) -> bool:
        """Store an entry; False if it is too large. Raises `OSError` if it cannot be written."""

    def delete(self, key: bytes) -> bool:
        """Remove an entry; True if there was one."""

    def entries(self, prefix: str) -> Iterator[EntryInfo]:
        """All entries whose names begin so."""

    def clear(self, prefix: str) -> int:
        """Remove them; how many there were."""

    def prune(self, plan: Pruning) -> PruneReport:
        """Remove what is old."""

    def verify(self, *, repair: bool) -> VerifyReport:
        """Read and check everything."""

    def usage(self) -> Usage:
        """How full it is."""

    def leases(self) -> LeaseSource | None:
        """Where leases between processes come from; None where nothing can be written."""

    def after_fork(self) -> None:
        """In a child process: give up what belongs to the parent."""

    def close(self) -> None:
        """Give back descriptors and maps."""
