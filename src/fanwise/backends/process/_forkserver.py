"""A fork server of our own: a process with one thread that forks workers for a caller that has several.

It never imports ``__main__``, so that scripts need no ``if __name__ == "__main__"``; it imports what the function needs
once, before it forks. It ends with its caller. One serves the whole process and is kept.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module

from fanwise import _memfd
from fanwise.backends.process import _blas, _life
from fanwise.backends.process._birth import ignore
from fanwise.backends.process._ends import KIND, WorkerEnds, enter, fork_gate
from fanwise.backends.process._process import NEWS, Grandchild
from fanwise.backends.process._spawn import begin
from fanwise.backends.process._worker import run

__all__ = ["ForkServer", "main", "shared"]

_REQUEST = 32 << 10
_PATIENCE_S = 1.0


class ForkServer:
    """The caller's side. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._life = -1
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, ends: WorkerEnds, modules: Sequence[str]) -> Grandchild:
        """Have a worker forked; the server is started if need be.

        Raises
        ------
        OSError
            If the server cannot be started or reached.
        """
        told, tell = os.pipe()
        try:
            self._ask(modules, [*ends.fds(), tell])
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(tell)
        return Grandchild(told)

    def prepare(self, modules: Sequence[str]) -> None:
        """Have these modules loaded; the server is started if need be. Raises like `launch`."""
        self._ask(modules, [])

    def _ask(self, modules: Sequence[str], fds: Sequence[int]) -> None:
        request = pickle.dumps((tuple(sys.path), tuple(modules)))
        with self._lock:
            try:
                _memfd.send(self._connected(), [request], fds)
            except (BrokenPipeError, ConnectionResetError):  # somebody has killed it: one more try
                self._drop()
                _memfd.send(self._connected(), [request], fds)

    def _connected(self) -> socket.socket:
        if self._sock is None:
            with fork_gate:
                ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
                watched, self._life = os.pipe()
                self._sock = ours
                enter(self)
                try:
                    self._process = begin("fanwise.backends.process._forkserver", [theirs.fileno(), watched])
                finally:
                    theirs.close()
                    os.close(watched)
        return self._sock

    def pid(self) -> int | None:
        """Process id of the server, if it runs."""
        return self._process.pid if self._process is not None else None

    def is_up(self) -> bool:
        """Whether it runs and has taken up all that was asked of it: one that is only starting has not."""
        with self._lock:
            return self._sock is not None and not _unread(self._sock)

    def stop(self) -> None:
        """End the server and wait for it; the next `launch` starts another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        process = self._part()
        if process is not None:
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def let_go(self) -> None:
        """Close the descriptors of a forked child's copy; the server is not its to wait for."""
        self._lock = threading.Lock()
        process = self._part()
        if process is not None:
            process.returncode = 0

    def _part(self) -> subprocess.Popen[bytes] | None:
        if self._sock is not None:
            self._sock.close()
            os.close(self._life)
        process = self._process
        self._sock, self._life, self._process = None, -1, None
        return process


shared = ForkServer()
"""The one of this process."""


def _unread(sock: socket.socket) -> int:
    """Bytes in flight that the other end has not read."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


class _Server:
    """The server's side: one loop, no threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tells: dict[int, int] = {}  # process id: pipe of its caller
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, ignore)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Fork at requests, report ends; until the caller is gone."""
        while True:
            ready, _, _ = select.select([self._sock, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(4096)
                self._report()
            if self._sock in ready and not self._fork():
                return

    def _fork(self) -> bool:
        request, fds = _memfd.receive(self._sock, _REQUEST)
        if not request:
            return False
        if fds and _is_unheard(fds[-1]):
            _close_all(fds)
            return True
        _load(*pickle.loads(request))
        if not fds:  # all that was wanted
            return True
        *ends, tell = fds
        try:
            pid = os.fork()
        except OSError as error:
            _tell(tell, -(error.errno or 1))
            _close_all(fds)
            return True
        if pid == 0:
            self._become_worker(WorkerEnds(*ends), tell)
        _close_all(ends)
        self._tells[pid] = tell
        _tell(tell, pid)
        return True

    def _become_worker(self, ends: WorkerEnds, tell: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in (self._sock, self._woken, self._waker):
            sock.close()
        _close_all([tell, *self._tells.values()])
        run(ends, None)

    def _report(self) -> None:
        while self._tells:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            tell = self._tells.pop(pid)
            _tell(tell, status)
            os.close(tell)


def _load(path: Sequence[str], modules: Iterable[str]) -> None:
    """Import what workers will need."""
    sys.path[:] = path
    for name in modules:
        with suppress(Exception):  # the worker will meet and report the same error
            import_module(name)
    _blas.prepare()


def _tell(pipe: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the caller has lost interest
        os.write(pipe, NEWS.pack(number))


def _is_unheard(pipe: int) -> bool:
    """Whether nobody reads this pipe any more."""
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def main(request: int, watched: int) -> None:
    """Be the server."""
    signal.signal(signal.SIGINT, ignore)
    _life.arm(watched)
    for fd in (request, watched):
        os.set_inheritable(fd, False)
    server = _Server(socket.socket(socket.AF_UNIX, KIND, fileno=request))
    server.serve()
    # while the server is still there: else the end of a worker would find its waker closed, of which Python complains
    os._exit(0)
