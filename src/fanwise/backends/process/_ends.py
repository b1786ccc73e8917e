"""The descriptors that tie a worker to its coordinator, and what a fork of the coordinator does to them.

Every descriptor of the coordinator is entered in a register, so that a child which the caller forks, or a sibling
worker, closes it at once: a copy of the write end of a liveness pipe would keep a worker alive without its caller.
"""

from __future__ import annotations

import os
import socket
import threading
import weakref
from dataclasses import dataclass
from typing import Protocol

from fanwise.backends.process._cell import make_page

__all__ = ["CallerEnds", "Entered", "WorkerEnds", "enter", "fork_gate", "open_ends"]

KIND = getattr(socket, "SOCK_SEQPACKET", 0)  # missing on Windows, where this module must be importable


class Entered(Protocol):
    """Something of the coordinator that a forked child must let go."""

    def let_go(self) -> None:
        """Close the descriptors of this process's copy, and nothing else."""


_register: weakref.WeakSet[Entered] = weakref.WeakSet()
fork_gate = threading.RLock()
"""Held while descriptors are made and entered, and during every fork, so that no child gets one unentered."""


def enter(thing: Entered) -> None:
    """Have ``thing.let_go()`` called in every child forked from here on."""
    _register.add(thing)


def _let_go_all() -> None:
    things = list(_register)
    _register.clear()
    for thing in things:
        thing.let_go()
    fork_gate.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=fork_gate.acquire, after_in_parent=fork_gate.release, after_in_child=_let_go_all)


@dataclass(slots=True)
class WorkerEnds:
    """What belongs to the worker: its socket, liveness pipe, page, and descriptors 1 and 2."""

    sock: int
    life: int
    page: int
    out: int
    err: int

    def fds(self) -> list[int]:
        """In the order in which they are handed over."""
        return [self.sock, self.life, self.page, self.out, self.err]

    def close(self) -> None:
        """Close all, in the process that only made them."""
        for fd in self.fds():
            os.close(fd)


@dataclass(slots=True)
class CallerEnds:
    """What stays with the coordinator.

    ``peer`` is a copy of the worker's end of the socket: unread frames can be taken back from it.
    """

    sock: socket.socket
    peer: socket.socket
    life: int
    page: int
    out: int
    err: int

    def close(self) -> None:
        """Close all. The worker ends if it has not yet: its liveness pipe hangs up."""
        self.sock.close()
        self.peer.close()
        for fd in (self.life, self.page, self.out, self.err):
            os.close(fd)


def open_ends() -> tuple[WorkerEnds, CallerEnds]:
    """Make both sides; the caller holds `fork_gate` until both are where they belong."""
    opened: list[int] = []
    try:
        ours, theirs = (_keep(opened, sock.detach()) for sock in socket.socketpair(socket.AF_UNIX, KIND))
        life, out, err = (tuple(_keep(opened, fd) for fd in os.pipe()) for _ in range(3))
        page = _keep(opened, make_page())
        copy = _keep(opened, os.dup(theirs))
        own_page = _keep(opened, os.dup(page))
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    for fd in (out[0], err[0]):
        os.set_blocking(fd, False)
    sock, peer = (socket.socket(socket.AF_UNIX, KIND, fileno=fd) for fd in (ours, copy))
    sock.setblocking(False)
    caller = CallerEnds(sock, peer, life[1], own_page, out[0], err[0])
    return WorkerEnds(theirs, life[0], page, out[1], err[1]), caller


def _keep(opened: list[int], fd: int) -> int:
    """Remember a descriptor; one below 3 is moved first: the caller's stdin, stdout or stderr is closed there."""
    if fd < 3:
        import fcntl

        low, fd = fd, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(low)
    opened.append(fd)
    return fd
