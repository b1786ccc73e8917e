"""One worker as its coordinator sees it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from fanwise.backends.process._attached import FUNCTIONS_TOO, Attached
from fanwise.backends.process._cell import Cell, Phase
from fanwise.backends.process._ends import CallerEnds, WorkerEnds, enter, fork_gate, open_ends
from fanwise.backends.process._lines import LineReader
from fanwise.backends.process._process import Process
from fanwise.backends.process._wire import Channel, Role
from fanwise.backends.process._worker import KEPT
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment

__all__ = ["InFlight", "Link"]

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class InFlight:
    """A chunk that a worker has, and the first of its items that is not settled."""

    __slots__ = ("chunk", "reached")

    def __init__(self, chunk: Chunk, reached: int | None = None) -> None:
        self.chunk = chunk
        self.reached = chunk.first if reached is None else reached


class Link:
    """Channel, page, output and process of one worker, and what it has been sent."""

    def __init__(self, ends: CallerEnds, method: str, born: float) -> None:
        self.method = method
        self.born = born
        self.number = 0  # in the crew that has it
        self.pid: int | None = None
        self._process: Process | None = None
        self.channel = Channel(ends.sock, Role.COORDINATOR)
        self.peer = Channel(ends.peer, Role.WORKER)
        self.cell = Cell(ends.page)
        self.outputs = {1: LineReader(ends.out), 2: LineReader(ends.err)}
        self.known: deque[int] = deque(maxlen=KEPT)  # functions
        self.introduced: object = None  # the dispatcher whose function it has
        self.attached = Attached()
        self.state = b""
        self.is_twin = False  # forked for this crew: knows the same ``__main__``
        self.inherits = False  # and can take the items itself
        self.in_flight: dict[int, InFlight] = {}
        self.kill_reason: str | None = None
        self.stopping = False
        self.garbled = False  # it has sent what cannot be read
        self.unfit: BaseException | None = None  # why it cannot run the function it was sent
        self.broken: BaseException | None = None
        self._rss = 0
        self._life = ends.life
        os.close(ends.page)
        enter(self)

    @classmethod
    def open(cls, launch: Callable[[WorkerEnds], Process], method: str, born: float) -> Link:
        """Start a worker by ``launch``."""
        with fork_gate:
            theirs, ours = open_ends()
            link = cls(ours, method, born)
            try:
                link._process = launch(theirs)
            except BaseException:
                link.let_go()
                raise
            finally:
                theirs.close()
        return link

    @property
    def process(self) -> Process:
        """The process; there is one as soon as `open` has returned."""
        assert self._process is not None
        return self._process

    @property
    def is_ready(self) -> bool:
        """Whether it has said so."""
        return self.pid is not None

    @property
    def has_answered(self) -> bool:
        """Whether it is ready, or has said something that nobody has read yet."""
        return self.is_ready or self.channel.readable

    @property
    def is_free(self) -> bool:
        """Whether it has nothing to do, or is still starting, and all is well with it."""
        is_sound = self.unfit is None and self.broken is None and not self.garbled
        return is_sound and not self.in_flight and not self.stopping and self.kill_reason is None

    def running(self) -> tuple[float, int] | None:
        """Start and index of the item, or first item of a block, that is being run."""
        since, index, count = self.cell.running()
        return (since, index) if count else None

    def suspect(self) -> int | None:
        """The item that a death is to be blamed on: the one being run, or being sent; None if it was one of a block."""
        _, index, count = self.cell.running()
        return index if count <= 1 and self._is_open(index) else None

    def is_at_work(self) -> bool:
        """Whether it has begun an item that is not settled."""
        return self._is_open(self.cell.running()[1])

    def _is_open(self, index: int) -> bool:
        return any(f.reached <= index < f.chunk.first + f.chunk.count for f in self.in_flight.values())

    def attach(self, attachments: Sequence[Attachment]) -> Collection[bytes]:
        """Hand over what the next message mentions and the worker does not have; the answer is the ids of that."""
        return self.attached.send(self.channel, attachments)

    def tell(self) -> None:
        """Have the worker let go of what owners have closed, and of functions that may hold it."""
        if self.attached.outdated:
            if not self.is_twin:
                self.known.clear()
                self.introduced = None
            self.attached.tell(self.channel, 0 if self.is_twin else FUNCTIONS_TOO)

    def rss(self) -> int:
        """Resident bytes now; the worker's own last figure where there is no /proc."""
        with suppress(OSError, ValueError), open(f"/proc/{self.pid}/statm", "rb") as file:
            self._rss = int(file.read().split()[1]) * _PAGE
        return self.last_rss()

    def last_rss(self) -> int:
        """The larger of what the worker said last and what was seen last."""
        return max(self._rss, self.cell.rss)

    def is_initializing(self) -> bool:
        """Whether it was running the initializer when last seen."""
        return self.cell.phase is Phase.INITIALIZING

    def kill(self, reason: str | None) -> None:
        """SIGKILL, now, or as soon as the process exists."""
        if reason is not None:
            self.kill_reason = reason
        if not self.process.kill():
            self._hang_up()

    def _hang_up(self) -> None:
        if self._life >= 0:
            os.close(self._life)
            self._life = -1

    def let_go(self) -> None:
        """Close all descriptors of this process's copy."""
        self.channel.close()
        self.peer.close()
        self.cell.close()
        self._hang_up()
        for output in self.outputs.values():
            os.close(output.fd)
        self.outputs.clear()
        if self._process is not None:
            self._process.close()
            self._process = None

    def __repr__(self) -> str:
        state = "ready" if self.is_ready else "starting"
        return f"<Link worker {self.number}, process {self.pid}, {state}, {len(self.in_flight)} chunks>"
