"""Anonymous memory that travels between processes: make, map, send, receive.

A segment is a memory file without a name: when the last process that holds it ends, by whatever signal, the kernel
frees it. Where memory files or seals are missing (macOS, a strict seccomp filter) an unlinked file takes its place.

Up to 1 MiB reading is faster than mapping and touching, and each `mmap` object of Python keeps a duplicate of its
descriptor until 3.13 (1,018 live maps end a process with the usual limit of 1,024): so `load` maps only from 1 MiB on
and while fewer than a quarter of the allowed descriptors are maps.
"""

from __future__ import annotations

import array
import errno
import functools
import mmap
import os
import socket
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress

__all__ = [
    "CLOEXEC",
    "MAP_FROM",
    "ROOM",
    "can_seal",
    "create",
    "create_file",
    "descriptors",
    "is_sealed",
    "load",
    "make",
    "map_copy",
    "map_read",
    "receive",
    "seal",
    "send",
    "write_at",
]

Readable = bytes | bytearray | memoryview | mmap.mmap

MAP_FROM = 1 << 20
_WRITE_AT_ONCE = 1 << 30  # Linux writes at most 2 GiB a call
_MAX_FDS = 64
_FD_BYTES = array.array("i").itemsize
ROOM = socket.CMSG_SPACE(_MAX_FDS * _FD_BYTES) if hasattr(socket, "CMSG_SPACE") else 0
CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_live_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def make(parts: Iterable[Readable], *, name: str = "fanwise", frozen: bool = False) -> int:
    """Return the descriptor of a new segment that holds ``parts`` one after the other.

    The segment is sealed against shrinking, so a reader's map cannot be cut under it; ``frozen`` seals it against
    every change, its owner's included. The descriptor is close-on-exec and the caller's to close.
    """
    fd = create(name)
    try:
        at = 0
        for part in parts:
            at += write_at(fd, part, at)
        seal(fd, frozen=frozen)
    except BaseException:
        os.close(fd)
        raise
    return fd


def create(name: str) -> int:
    """The descriptor of an empty segment; `seal` it when it is filled."""
    if can_seal():
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    writer, reader = create_file(name)
    os.close(reader)
    return writer


@functools.cache
def can_seal() -> bool:
    """Whether this system has memory files that can be sealed."""
    if not hasattr(os, "memfd_create"):
        return False
    try:
        fd = os.memfd_create("fanwise", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno in {errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL}:  # old kernel, seccomp filter
            return False
        raise
    try:
        seal(fd, frozen=True)
        return is_sealed(fd)
    finally:
        os.close(fd)


def create_file(name: str) -> tuple[int, int]:
    """Two descriptors, to write and to read, of a new file that has no name any more.

    It lies in a new folder that only this user may enter, below ``$XDG_RUNTIME_DIR`` or the temporary folder.
    """
    import tempfile  # with its compressors 6 ms, and hardly ever needed

    folder = tempfile.mkdtemp(prefix=f"fanwise-{os.getpid()}-", dir=os.environ.get("XDG_RUNTIME_DIR") or None)
    path = os.path.join(folder, name.replace(os.sep, "-")[:200] or "segment")
    try:
        writer = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            return writer, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.unlink(path)
    finally:
        os.rmdir(folder)


def write_at(fd: int, data: Readable, offset: int) -> int:
    """Write all of ``data`` at ``offset``; returns its size."""
    view = memoryview(data)
    size = view.nbytes
    view = view.cast("B") if size else view  # an empty view cannot be cast
    done = 0
    while done < size:
        done += os.pwrite(fd, view[done : done + _WRITE_AT_ONCE], offset + done)
    return size


def seal(fd: int, *, frozen: bool) -> None:
    """Forbid shrinking for ever; ``frozen`` forbids every change. Does nothing to what is not a memory file."""
    import fcntl  # absent on Windows

    now = _seals(fd)
    if now is None or now & fcntl.F_SEAL_SEAL:
        return
    seals = fcntl.F_SEAL_SHRINK
    if frozen:
        seals |= fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def _seals(fd: int) -> int | None:
    """The seals in force; None for what cannot be sealed."""
    import fcntl

    if not hasattr(fcntl, "F_GET_SEALS"):
        return None
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def is_sealed(fd: int) -> bool:
    """Whether nobody can change or shorten the segment any more."""
    import fcntl

    now = _seals(fd)
    if now is None:
        return False
    wanted = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE
    return now & wanted == wanted


def map_copy(fd: int, size: int) -> mmap.mmap:
    """Map a segment so that writing changes this process's pages only (``MAP_PRIVATE``)."""
    return _counted(mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))


def map_read(fd: int, size: int) -> mmap.mmap:
    """Map a segment for reading: a write raises in Python and faults in C."""
    return _counted(mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))


def _counted(mapped: mmap.mmap) -> mmap.mmap:
    _live_maps.add(mapped)
    return mapped


def load(fd: int, size: int) -> memoryview:
    """The writable content of a segment: mapped if it is large and maps are to be had, else read. ``fd`` stays open."""
    if size >= MAP_FROM and len(_live_maps) < _maps_allowed():
        with suppress(OSError):  # no descriptor is free for the duplicate that the map would keep
            return memoryview(map_copy(fd, size))
    content = bytearray(size)
    view = memoryview(content)
    at = 0
    while at < size:
        got = os.preadv(fd, [view[at : at + _WRITE_AT_ONCE]], at)
        if not got:
            raise EOFError(f"a segment of {size:,} bytes ends at byte {at:,}")
        at += got
    return view


def _maps_allowed() -> int:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft // 4 if soft != resource.RLIM_INFINITY else 1 << 16


def send(sock: socket.socket, data: Sequence[Readable], fds: Sequence[int] = ()) -> int:
    """Send one message with descriptors beside it; ``data`` must hold at least one byte."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    return sock.sendmsg(data, ancillary)


def receive(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Receive one message of at most ``size`` bytes and its descriptors, close-on-exec.

    `socket.recv_fds` ignores its flags in 3.11 and would leave the descriptors inheritable.

    Raises
    ------
    OSError
        If descriptors were cut off because this process may not open more; those that came are closed.
    """
    data, ancillary, flags, _ = sock.recvmsg(size, ROOM, CLOEXEC)
    fds = descriptors(ancillary)
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise OSError(24, "descriptors were cut off: this process may not open more (RLIMIT_NOFILE)")
    return data, fds


def descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in the ancillary data of a message."""
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % _FD_BYTES])
    return list(fds)
