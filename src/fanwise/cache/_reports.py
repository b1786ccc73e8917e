"""What the cache says about its entries, damage it found, and what it removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Damage", "EntryInfo", "PruneReport", "VerifyReport"]


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One entry, as `Cache.list` gives it; the value itself is not read.

    Attributes
    ----------
    key : str
        32 hexadecimal digits.
    name : str
        ``module:qualname`` of the function, or ``"user"``.
    bytes : int
        Size of the stored value.
    created, expires : float
        Seconds since 1970; ``expires`` is infinite if it never does.
    codec : str
        How the value is stored: ``bytes``, ``str``, ``value`` or ``pickle``.
    where : str
        ``log``, ``blob``, ``file`` or ``memory``.
    """

    key: str
    name: str
    bytes: int
    created: float
    expires: float
    codec: str
    where: str


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that does not hold what it should: file, offset in it, key (empty if it cannot be told), and why."""

    file: str
    offset: int
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `Cache.verify` found.

    Attributes
    ----------
    entries : int
        Entries that are whole.
    damage : sequence of Damage
        What was found, in the order of files and offsets.
    repaired : bool
        Whether it was removed.
    """

    entries: int
    damage: Sequence[Damage] = ()
    repaired: bool = False

    @property
    def ok(self) -> bool:
        """True if nothing was found."""
        return not self.damage


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `Cache.prune` removed and kept: entries and bytes; orphans are files that no entry named."""

    removed: int = 0
    removed_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0
    orphans: int = 0
