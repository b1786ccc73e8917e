"""What the kernel offers: each is tried in earnest, and everything tried is undone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

from fanwise import _memfd
from fanwise._format import size
from fanwise.backends.process import start_method
from fanwise.cli._doctor.finding import Finding
from fanwise.errors import UsageError

__all__ = ["look"]

_SHM = 64 << 20
_DESCRIPTORS_EACH = 8  # socket, page, liveness, two pipes and what is being started
_DESCRIPTORS_OWN = 64
_PATIENCE_S = 0.5


def look(workers: int) -> Iterator[Finding]:
    """Everything that workers need of the kernel."""
    yield start_methods()
    yield tried("memfd_create", _seal, "sealed memory files", "Bundles use unlinked files in the temporary directory.")
    yield tried(
        "descriptors by socket",
        _pass_descriptor,
        "SCM_RIGHTS over SOCK_SEQPACKET",
        'Worker processes need this: use backend="thread".',
        needed=True,
    )
    yield tried("pidfd_open", _pidfd, "yes", "The death of a worker is noticed by its pipe alone.")
    yield tried("SIGIO", _sigio, "comes when a pipe is hung up", "Workers notice the caller's death a little later.")
    yield shared_memory("/dev/shm")  # noqa: S108  # its size is looked at
    yield descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0], workers)
    yield processes(resource.getrlimit(resource.RLIMIT_NPROC)[0], workers)


def start_methods() -> Finding:
    """How workers can be started, and how they would be now."""
    known = multiprocessing.get_all_start_methods()
    try:
        chosen = start_method(None)
    except UsageError as error:
        return Finding("start methods", str(error), "problem", "Unset FANWISE_START_METHOD.", {"known": known})
    return Finding("start methods", f"{', '.join(known)}; now {chosen}", facts={"known": known, "chosen": chosen})


def tried(check: str, attempt: Callable[[], bool], works: str, otherwise: str, *, needed: bool = False) -> Finding:
    """Whether something works."""
    try:
        worked, why = attempt(), "no"
    except (OSError, AttributeError) as error:
        worked, why = False, f"no ({error})"
    if worked:
        return Finding(check, works, facts={"works": True})
    return Finding(check, why, "problem" if needed else "note", otherwise, {"works": False})


def _seal() -> bool:
    return hasattr(os, "memfd_create") and _memfd.can_seal()


def _pass_descriptor() -> bool:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        socket.send_fds(left, [b"x"], [left.fileno()])
        data, arrived, _, _ = socket.recv_fds(right, 1, 1)
        for fd in arrived:
            os.close(fd)
    return data == b"x" and len(arrived) == 1


def _pidfd() -> bool:
    os.close(os.pidfd_open(os.getpid()))
    return True


def _sigio() -> bool:
    """Ask for the signal at a pipe and hang it up. A handler is set: the signal unheard would end the process."""
    import fcntl

    heard: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, _: heard.append(number))
    reader, writer = os.pipe()
    try:
        with closing(os.fdopen(reader, "rb", buffering=0)) as pipe:
            fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
            os.close(writer)
            select.select([pipe], [], [], _PATIENCE_S)
            return bool(heard)
    finally:
        signal.signal(signal.SIGIO, before)


def shared_memory(path: str) -> Finding:
    """Size of the file system behind POSIX shared memory, which other libraries use and fanwise does not."""
    try:
        found = os.statvfs(path)
    except OSError:
        return Finding(path, "not there", "note", "fanwise does not need it; other libraries may.", {"size": None})
    total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    facts = {"size": total, "free": free}
    said = f"{size(free)} free of {size(total)}"
    if total < _SHM:
        advice = "fanwise does not need it; other libraries may (docker run --shm-size)."
        return Finding(path, said, "note", advice, facts)
    return Finding(path, said, facts=facts)


def descriptors(limit: int, workers: int) -> Finding:
    """RLIMIT_NOFILE against what so many workers need."""
    needed = _DESCRIPTORS_OWN + _DESCRIPTORS_EACH * workers
    facts = {"limit": None if limit == resource.RLIM_INFINITY else limit, "needed": needed}
    if limit != resource.RLIM_INFINITY and limit < needed:
        said = f"{limit:,}, {workers} workers need {needed:,}"
        return Finding("open files", said, "problem", f"Raise it: ulimit -n {needed}", facts)
    return Finding("open files", _limit(limit), facts=facts)


def processes(limit: int, workers: int) -> Finding:
    """RLIMIT_NPROC against the workers wanted; it counts all processes and threads of the user."""
    facts = {"limit": None if limit == resource.RLIM_INFINITY else limit, "needed": workers}
    if limit != resource.RLIM_INFINITY and limit <= workers:
        said = f"{limit:,}, {workers} workers are wanted"
        return Finding("processes", said, "problem", f"Raise it: ulimit -u {workers + 64}", facts)
    return Finding("processes", _limit(limit), facts=facts)


def _limit(limit: int) -> str:
    return "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit:,}"
