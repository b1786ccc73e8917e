"""Bundles of other processes: by a descriptor that came beside a message, or reopened where their owner holds them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fanwise import _memfd
from fanwise._owners import know_owner
from fanwise.bundle._bundle import SEALED_BIT, TRUST_BIT, VERIFY_BIT, Bundle
from fanwise.bundle._reader import Reader
from fanwise.bundle._segments import Segment
from fanwise.bundle._table import TABLE
from fanwise.bundle._transports import PRIVATE, SEALED, label_of, usual
from fanwise.bundle._words import called
from fanwise.errors import BundleError
from fanwise.typing import Attachment

__all__ = [
    "Handle",
    "accept",
    "borrow",
    "forget",
    "handle_of",
    "mentioned",
    "over",
    "owner_of",
    "reopen",
    "resolve",
    "travelling",
]


class Handle(NamedTuple):
    """Where a bundle can be found on this host. ``started`` tells its process from a later one of the same number."""

    pid: int
    started: int | None
    fd: int
    id: bytes
    size: int
    name: str | None


def handle_of(bundle: Bundle) -> Handle:
    """The handle of an open bundle of this process; good while the bundle is open."""
    segment = bundle.reader.segment
    pid = os.getpid()
    return Handle(pid, _started(pid), segment.descriptor(), bundle.id, segment.size, bundle.name)


def travelling(bundle: Bundle) -> tuple[list[Attachment], tuple[Callable[..., Bundle], tuple[bytes, ...]]]:
    """What a message needs to carry a bundle: the attachments beside it, and how to pickle the mention of it.

    Bundles inside it travel too: the process that holds them may have let go of them by the time they are read.
    """
    attachments = [part.attachment() for part in _family(bundle)]
    return attachments, (mentioned, tuple(attachment.id for attachment in attachments))


def _family(bundle: Bundle) -> Iterator[Bundle]:
    yield bundle
    for inside in bundle.companions:
        if not inside.closed:
            yield from _family(inside)


def accept(attachment: Attachment, *, keep: bool = True) -> None:
    """Take in what came beside a message that is yet to be read.

    Parameters
    ----------
    attachment : Attachment
        Its descriptor is taken over in any case; -1 if none came, because this process has the bundle. If it is not
        what the id says, the message that mentions it learns so, not the caller.
    keep : bool
        Whether to keep the bundle for messages to come, as workers do, or leave it to whoever holds what the message
        becomes.
    """
    with TABLE.lock:
        try:
            TABLE.arrived[attachment.id] = _found_or_attached(attachment), keep
        except BundleError as error:
            TABLE.arrived[attachment.id] = error


def mentioned(id: bytes, *inside: bytes) -> Bundle:
    """The bundle that a message mentions, which holds those ``inside`` it as long as it lives.

    Raises
    ------
    BundleError
        If the bundle is not here and no descriptor came, or what came is not that bundle, whole and unchangeable.
    """
    companions = [mentioned(part) for part in inside]
    bundle = _mentioned(id)
    bundle.companions = bundle.companions or companions
    return bundle


def _mentioned(id: bytes) -> Bundle:
    with TABLE.lock:
        arrived = TABLE.arrived.get(id)
        if isinstance(arrived, BundleError):
            raise BundleError(*arrived.args)
        TABLE.arrived.pop(id, None)
        bundle, keep = arrived or _known(id)
        if keep:
            TABLE.keep(bundle)
        return bundle


def resolve(id: bytes, fd: int = -1, size: int = 0, *, keep: bool = True) -> Bundle:
    """`accept` and `mentioned` in one: the bundle of this id, whose descriptor may have come along."""
    if fd >= 0:
        accept(Attachment(id, fd, size), keep=keep)
    return mentioned(id)


def forget(id: bytes) -> None:
    """Keep a bundle no longer: its owner has closed it. Items that still use it are not disturbed."""
    TABLE.drop(id)


def _found_or_attached(attachment: Attachment) -> Bundle:
    id, fd = attachment.id, attachment.fd
    bundle = TABLE.find(id)
    if bundle is None:
        return _attach(id, fd, attachment.size, label_of(fd) if fd >= 0 else None)
    if fd >= 0:
        os.close(fd)
    return bundle


def _known(id: bytes) -> tuple[Bundle, bool]:
    """A bundle that came with an earlier message, and whether it is to be kept from now on."""
    bundle, parked = TABLE.find(id), TABLE.unpark(id)
    if bundle is None:
        fd, size, name = parked or (-1, 0, None)
        return _attach(id, fd, size, name), True
    if parked is not None:
        os.close(parked.fd)
    TABLE.refresh(id)
    return bundle, parked is not None


def owner_of(memory: object) -> Bundle | None:
    """The open bundle that a piece of memory belongs to: what the views of its arrays have at the end of their bases.

    Such memory never changes, so the digest of the bundle and a place in it stand for the bytes of an array.
    """
    return TABLE.over(memory)


def reopen(pid: int, started: int | None, fd: int, id: bytes, size: int, name: str | None) -> Bundle:
    """The bundle that another process of this host and user holds; what a `Bundle` unpickles by.

    It is kept for the tasks to come, as by `resolve`.
    """
    bundle = borrow(Handle(pid, started, fd, id, size, name))
    if pid != os.getpid():
        TABLE.keep(bundle)
    return bundle


def borrow(handle: Handle) -> Bundle:
    """The bundle of a handle, for as long as the caller has it."""
    with TABLE.lock:
        found = TABLE.find(handle.id)
        if found is not None:  # a bundle without entries is false
            return found
        return _attach(handle.id, _reach(handle), handle.size, handle.name)


def _reach(handle: Handle) -> int:
    """A descriptor of one's own for what another process has open."""
    lives = f"{called(handle.name)} lives in process {handle.pid}"
    instead = "save() it and Bundle.open() it instead"
    if handle.started is None:
        raise BundleError(f"{lives}, and this system gives no access to it; {instead}")
    if _started(handle.pid) != handle.started:
        raise BundleError(f"{lives}, which has ended; {instead}")
    try:
        return os.open(f"/proc/{handle.pid}/fd/{handle.fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise BundleError(f"{lives}, which has closed it; {instead}") from None
    except OSError as error:
        raise BundleError(f"{lives}, out of reach ({error.strerror}); {instead}") from error


def _started(pid: int) -> int | None:
    """When a process was started, in ticks since boot; None if it is gone, or there is no ``/proc``."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat_file:
            return int(stat_file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None


def _attach(id: bytes, fd: int, size: int, name: str | None) -> Bundle:
    """Map what came, after a look at whether it is that segment and nobody can change it under us."""
    where = called(name)
    if fd < 0:
        raise BundleError(f"{where} is not in this process, and no descriptor came with it")
    transport = SEALED if id[-1] & SEALED_BIT else PRIVATE
    try:
        _check(fd, size, where, sealed=transport.is_sealed)
    except BaseException:
        os.close(fd)
        raise
    try:
        segment = Segment.map(fd, size, keep=False)
    except (OSError, ValueError) as error:
        raise BundleError(f"{where} can't be mapped: {error}") from error
    try:
        reader = Reader(segment, where, trust=bool(id[-1] & TRUST_BIT), verify=bool(id[-1] & VERIFY_BIT))
        if reader.header.id[:-1] != id[:-1]:
            raise BundleError(f"{where} has been closed by its owner; save() it and Bundle.open() it instead")
    except BaseException:
        segment.close()
        raise
    return Bundle(reader, transport, name=name)


def _check(fd: int, size: int, where: str, *, sealed: bool) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != size or not size:
        raise BundleError(f"{where} has been closed by its owner: what came in its place has {status.st_size:,} bytes")
    if sealed and not _memfd.is_sealed(fd):
        raise BundleError(f"{where} came in memory that is not sealed, so it could change while it is read")


def over(image: memoryview, name: str | None, *, trust: bool) -> Bundle:
    """A bundle whose segment is part of another's. Its checksum is that of the entry, which has been compared."""
    return Bundle(Reader(Segment(image), called(name), trust=trust, verify=False), usual(), name=name)


know_owner(owner_of)
