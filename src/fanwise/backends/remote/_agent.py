"""What runs on a worker of a cluster: takes orders, has worker processes of its host run them, says what became of them."""

from __future__ import annotations

import os
import pickle
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Any

from fanwise.backends.process import _state
from fanwise.backends.process._start import Starter
from fanwise.backends.remote import _blobs
from fanwise.backends.remote._child import Child
from fanwise.backends.remote._letters import Answer, Need, Note, Order, Script
from fanwise.backends.remote._versions import versions_here
from fanwise.typing import Attachment, Work

__all__ = ["Agent"]


class _Run:
    """A run, as far as this worker knows it."""

    def __init__(self) -> None:
        self.script: Script | None = None
        self.running: dict[int, Child] = {}
        self.withdrawn: set[int] = set()
        self.begun: set[int] = set()
        self.is_stopping = False
        self.lease_until = time.monotonic() + 60.0

    def renew(self) -> None:
        if self.script is not None:
            self.lease_until = time.monotonic() + self.script.lease_s

    def is_over(self) -> bool:
        """Whether the caller has not been heard of for longer than its lease: it is gone."""
        return time.monotonic() > self.lease_until


class Agent:
    """The keeper of the worker processes beside one worker of a cluster.

    Parameters
    ----------
    threads : int
        How many chunks run at a time here; as many processes are kept warm.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = Lock()
        self._idle: list[Child] = []
        self._runs: dict[bytes, _Run] = {}

    def describe(self) -> dict[str, Any]:
        """What a caller must know before it sends anything here."""
        return {**versions_here(), "host": f"{socket.gethostname()}:{_blobs.folder()}", "threads": self._threads}

    def has_blob(self, digest: bytes, size: int) -> bool:
        """Whether a bundle is on this host."""
        return _blobs.has_blob(digest, size)

    def perform(self, order: Order, payload: bytes, written: bytes) -> Answer:
        """Run a chunk; ``written`` is the script of its run, pickled, where this agent may not have it yet."""
        run = self._run(order.run)
        if written:
            run.script = Script(*pickle.loads(written))
        script = run.script
        if script is None:
            return Answer(None, [(Note.LACKS, b"")])
        run.renew()
        with ExitStack() as stack:
            files = _files((*script.needs, *order.needs), stack)
            if isinstance(files, bytes):
                return Answer(None, [(Note.LACKS, files)])
            child = self._begin(run, order)
            if child is None:
                return Answer(None, [(Note.RETURNED, order.first)])
            try:
                return child.run(order, payload, script, files, run.is_over)
            finally:
                self._end(run, order, child)

    def _begin(self, run: _Run, order: Order) -> Child | None:
        """A process for the chunk; None if it is not wanted any more."""
        with self._lock:
            if order.chunk in run.withdrawn or run.is_stopping:
                return None
            run.begun.add(order.chunk)
            child = self._idle.pop() if self._idle else Child(_starter(self._threads))
            run.running[order.chunk] = child
            return child

    def _end(self, run: _Run, order: Order, child: Child) -> None:
        with self._lock:
            del run.running[order.chunk]
            keep = child.usable and not child.ended and len(self._idle) < self._threads
            if keep:
                self._idle.append(child)
        if not keep:
            child.close()

    def _run(self, id: bytes) -> _Run:
        with self._lock:
            if id not in self._runs:
                for old in [key for key, run in self._runs.items() if run.is_over() and not run.running]:
                    del self._runs[old]
                self._runs[id] = _Run()
            return self._runs[id]

    def renew(self, id: bytes) -> None:
        """The caller lives."""
        self._run(id).renew()

    def withdraw(self, id: bytes, chunk: int) -> bool:
        """Take a chunk back. True if it had not begun and never will; a running one stops before its next item."""
        return self._stop(id, chunk, lambda child: child.give_back(chunk))

    def kill(self, id: bytes, chunk: int, reason: str) -> bool:
        """Stop the process that runs a chunk; as `withdraw` if it had not begun."""
        return self._stop(id, chunk, lambda child: child.kill(reason))

    def _stop(self, id: bytes, chunk: int, act: Callable[[Child], None]) -> bool:
        run = self._run(id)
        with self._lock:
            if chunk in run.running:
                act(run.running[chunk])
            elif chunk not in run.begun:
                run.withdrawn.add(chunk)
            return chunk in run.withdrawn

    def running(self, id: bytes) -> list[tuple[int, int, float]]:
        """What runs: chunk, item, and seconds since it began."""
        run = self._run(id)
        with self._lock:
            at = [(chunk, child.running()) for chunk, child in run.running.items()]
        now = time.monotonic()
        return [(chunk, place[1], now - place[0]) for chunk, place in at if place is not None]

    def interrupt(self, id: bytes) -> None:
        """Begin nothing more of a run; tell running items to come to an end."""
        run = self._run(id)
        with self._lock:
            run.is_stopping = True
            for child in run.running.values():
                child.interrupt()

    def end(self, id: bytes) -> None:
        """Forget a run; what still runs of it is killed."""
        self.interrupt(id)
        with self._lock:
            run = self._runs[id]
            for child in run.running.values():
                child.kill("its run has ended")
            run.script = None
            run.lease_until = 0.0

    def close(self) -> None:
        """Stop idle processes; busy ones end with this process."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._threads = 0
        for child in idle:
            child.close()


def _files(needs: Sequence[Need], stack: ExitStack) -> list[Attachment] | bytes:
    """The bundles, open until the stack unwinds; or the digest of one that is not here."""
    files = []
    for need in needs:
        fd = _blobs.open_blob(need.digest, need.size)
        if fd is None:
            return need.digest
        stack.callback(os.close, fd)
        files.append(Attachment(need.id, fd, need.size))
    return files


def _starter(threads: int) -> Starter:
    return Starter(
        lambda: "forkserver",
        Work(int, lambda first, count: ()),
        threads,
        initializer=None,
        max_tasks=None,
        modules=tuple,
        snapshot=_state.snapshot,
    )
