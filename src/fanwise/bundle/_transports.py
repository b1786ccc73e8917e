"""How the memory of a bundle comes to be, and how other processes get hold of it: three ways behind one Protocol.

=============  ==========================================  =================================================
transport      memory                                      another process
=============  ==========================================  =================================================
`SEALED`       memory file, sealed against every change    gets a descriptor beside a message, checks seals
`PRIVATE`      file without a name in a private folder     gets a read-only descriptor beside a message
`INHERITED`    as `SEALED`                                 has it, being forked from this one later
=============  ==========================================  =================================================
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fanwise import _memfd
from fanwise.bundle import _room
from fanwise.bundle._segments import Segment

__all__ = ["INHERITED", "PRIVATE", "SEALED", "Draft", "Transport", "label_of", "usual"]

_PREFIX = "fanwise-"
_LABEL_BYTES = 200  # of 249 that a memory file's name may have


class Draft(NamedTuple):
    """A segment being filled: the descriptor to write to and the one to keep."""

    writer: int
    reader: int

    def discard(self) -> None:
        """Close both."""
        for fd in set(self):
            os.close(fd)


class Transport(Protocol):
    """A way to share a segment."""

    @property
    def name(self) -> str:
        """As `repr` of a bundle shows it."""

    @property
    def is_sealed(self) -> bool:
        """Whether a receiver must find the segment sealed."""

    def create(self, label: str) -> Draft:
        """Make an empty segment."""

    def room(self, draft: Draft) -> int | None:
        """How many bytes it may still take, if that is known."""

    def settle(self, draft: Draft) -> int:
        """Make a filled segment unchangeable; returns the descriptor that is left."""

    def offer(self, segment: Segment) -> int:
        """The descriptor to send beside a message, or -1 if none need be."""


@dataclass(frozen=True, slots=True)
class _Memory:
    name: str
    is_offered: bool
    is_sealed: bool = True

    def create(self, label: str) -> Draft:
        fd = _memfd.create(_file_name(label))
        return Draft(fd, fd)

    def room(self, draft: Draft) -> int | None:  # the Protocol has it
        return _room.available()

    def settle(self, draft: Draft) -> int:
        _memfd.seal(draft.writer, frozen=True)
        return draft.reader

    def offer(self, segment: Segment) -> int:
        return segment.descriptor() if self.is_offered else -1


@dataclass(frozen=True, slots=True)
class _File:
    name: str = "file"
    is_sealed: bool = False

    def create(self, label: str) -> Draft:
        return Draft(*_memfd.create_file(_file_name(label)))

    def room(self, draft: Draft) -> int | None:
        disk = os.fstatvfs(draft.writer)
        return disk.f_bavail * disk.f_frsize

    def settle(self, draft: Draft) -> int:
        os.fchmod(draft.writer, stat.S_IRUSR)
        os.close(draft.writer)
        return draft.reader

    def offer(self, segment: Segment) -> int:
        return segment.descriptor()


SEALED: Transport = _Memory("memfd", is_offered=True)
INHERITED: Transport = _Memory("inherit", is_offered=False)
PRIVATE: Transport = _File()


def usual() -> Transport:
    """The best this system has."""
    return SEALED if _memfd.can_seal() else PRIVATE


def label_of(fd: int) -> str | None:
    """What a segment received by descriptor was called by its maker."""
    try:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:  # no /proc here
        return None
    name = name.removeprefix("memfd:").removesuffix(" (deleted)")
    return name.removeprefix(_PREFIX) or None if name.startswith(_PREFIX) else None


def _file_name(label: str) -> str:
    """A name for the kernel to show (``/proc/PID/maps``), from which a receiver learns what the bundle is called."""
    return _PREFIX + label.replace("\0", "").encode("utf-8", "replace")[:_LABEL_BYTES].decode("utf-8", "ignore")
