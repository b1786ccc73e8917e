"""A worker: receives functions and chunks, runs items, sends results; and ends by `os._exit` alone."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from signal import SIGINT, SIGTERM
from time import monotonic
from typing import Any, NoReturn

from fanwise._seeds import bind
from fanwise._signals import DEFAULT, handler_of
from fanwise.backends._execution import Function
from fanwise.backends._output import Capture
from fanwise.backends.process import _exceptions, _pickling
from fanwise.backends.process._attached import FUNCTIONS_TOO, detach_all
from fanwise.backends.process._birth import Initializer, Setup, guard_signals, ignore, settle_in
from fanwise.backends.process._cell import Cell, Phase
from fanwise.backends.process._ends import KIND, WorkerEnds
from fanwise.backends.process._guard import Raised, attempt, exit_after
from fanwise.backends.process._isolation import run_apart
from fanwise.backends.process._messages import (
    BARE_CHUNK,
    SECTIONS,
    FunctionOptions,
    Range,
    decode_attachments,
    decode_chunk,
)
from fanwise.backends.process._running import Job, Part, Runner
from fanwise.backends.process._sections import join, split
from fanwise.backends.process._state import restore
from fanwise.backends.process._wire import Channel, Frame, Kind, Role
from fanwise.errors import BundleError

__all__ = ["CUT", "FAULTY_FUNCTION", "KEPT", "READY", "UNATTACHED", "Inherited", "run"]

FAULTY_FUNCTION = 1
"""Flag of a refusal: it was the function that did not load."""
CUT = 2
"""Flag of a refusal: no descriptor was free to receive it."""
UNATTACHED = 4
"""Flag of a refusal: what an item mentions is not here and did not come along."""
KEPT = 8
"""Functions a worker keeps."""
READY = struct.Struct("<Id")  # process id, and when: the caller may be at an item and look much later


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a forked worker has without being sent it."""

    setup: Setup
    initializer: Initializer | None = None
    functions: Mapping[int, Function] = field(default_factory=dict)
    take: Callable[[int, int], Sequence[Any]] | None = None


def run(ends: WorkerEnds, inherited: Inherited | None) -> NoReturn:
    """Be a worker until told to stop. Never returns."""
    exit_after(partial(_live, ends, inherited))


def _live(ends: WorkerEnds, inherited: Inherited | None) -> None:
    settle_in(ends)
    Worker(ends).live(inherited)


class Worker:
    """What the process knows: functions by number, how many tasks are left to it, where it was born."""

    def __init__(self, ends: WorkerEnds) -> None:
        self._cell = Cell(ends.page)
        self._channel = Channel(socket.socket(socket.AF_UNIX, KIND, fileno=ends.sock), Role.WORKER)
        self._capture = Capture()
        self._runner = Runner(self._channel, self._cell, self._capture)
        self._capture.index = self._runner.here
        self._functions: dict[int, Function] = {}
        self._parked: list[Frame] = []
        self._take: Callable[[int, int], Sequence[Any]] | None = None
        self._tasks_left: int | None = None
        self._setup = Setup(1, None)
        self._home = ""

    def live(self, inherited: Inherited | None) -> None:
        """Begin, then serve until told to stop."""
        setup, initializer = (inherited.setup, inherited.initializer) if inherited else (self._receive_setup(), None)
        if inherited is not None:
            self._functions.update(inherited.functions)
            self._take = inherited.take
        if self._begin(setup, initializer):
            self._cell.rest()
            self._cell.phase = Phase.READY
            self._runner.note_size()
            self._channel.send(Kind.READY, [READY.pack(os.getpid(), time.monotonic())])
            self._serve()
        self._capture.flush()

    def _receive_setup(self) -> Setup:
        while (frame := self._channel.await_frame()).kind == Kind.ATTACH:
            self._handle(frame)
        if frame.kind != Kind.SETUP:
            raise EOFError("the first frame is not a set-up")
        setup: Setup = _pickling.loads(frame.payload)
        return setup

    def _begin(self, setup: Setup, initializer: Initializer | None) -> bool:
        """Take over the caller's state and run the initializer; whether that went well."""
        begun = attempt(self._prepare, setup, initializer, caught=BaseException)
        if isinstance(begun, Raised):
            self._channel.send(Kind.BROKEN, join([_exceptions.encode(begun.error)]))
            return False
        self._setup = setup
        self._tasks_left = setup.max_tasks
        self._home = _cwd()
        return True

    def _prepare(self, setup: Setup, initializer: Initializer | None) -> None:
        setup.apply()
        self._capture.install()
        self._cell.phase = Phase.INITIALIZING
        if setup.initializer:
            initializer = _pickling.loads(*_pickling.loads(setup.initializer))
        if initializer is not None:
            initializer.call(*initializer.args)

    def _serve(self) -> None:
        while self._tasks_left is None or self._tasks_left > 0:
            try:
                frame = self._channel.await_frame()
            except EOFError:
                return
            if frame.kind == Kind.CHUNK and not frame.cut:
                self._on_chunk(frame)
                self._restore()
            elif frame.kind == Kind.STOP:
                return
            else:
                self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        if frame.cut:
            if frame.kind != Kind.ATTACH:  # a chunk that misses attachments is refused when it comes
                flags = CUT | (FAULTY_FUNCTION if frame.kind == Kind.FUNCTION else 0)
                self._channel.send(Kind.REFUSED, chunk=frame.chunk, flags=flags)
        elif frame.kind == Kind.FUNCTION:
            self._on_function(frame)
        elif frame.kind == Kind.ATTACH:
            for attachment in decode_attachments(frame):
                _pickling.attach(attachment, keep=True)
        elif frame.kind == Kind.FORGET:
            if frame.flags & FUNCTIONS_TOO:
                self._functions.clear()
            detach_all(frame)

    def _on_function(self, frame: Frame) -> None:
        loaded = attempt(self._load_function, frame)
        if isinstance(loaded, Raised):
            self._refuse(frame.chunk, FAULTY_FUNCTION, loaded.error)
            return
        self._functions.pop(frame.chunk, None)
        self._functions[frame.chunk] = loaded
        for old in list(self._functions)[:-KEPT]:
            del self._functions[old]
        parked, self._parked = self._parked, []
        for chunk in parked:
            self._on_chunk(chunk)

    def _load_function(self, frame: Frame) -> Function:
        options, packed = split(frame.payload, lasting=frame.lasting)
        how: FunctionOptions = _pickling.loads(*options)
        if how.state:
            restore(how.state)
            self._setup.share_cores()
            self._home = _cwd()
        return Function(bind(_pickling.loads(*packed), how.seed), how.single, how.capture, how.isolate, how.stops)

    def _refuse(self, chunk: int, flags: int, error: BaseException) -> None:
        self._channel.send(Kind.REFUSED, join([_exceptions.encode(error)]), chunk=chunk, flags=flags)

    def _on_chunk(self, frame: Frame) -> None:
        if not self._is_done_swiftly(frame):
            self._run(frame, monotonic())

    def _is_done_swiftly(self, frame: Frame) -> bool:
        """Run the chunk, if it is a bare one of one item and nothing special: the most frequent case."""
        payload = frame.payload
        if frame.flags & SECTIONS or self._tasks_left is not None:
            return False
        began = monotonic()
        number, turn, first, count = BARE_CHUNK.unpack_from(payload)
        function = self._functions.get(number)
        if count != 1 or function is None or function.isolate:
            return False
        pickled = payload[BARE_CHUNK.size :]
        items = attempt(_pickling.loads, pickled) if pickled else attempt(self._take_items, first, 1)
        if isinstance(items, Raised):
            return False
        self._capture.active = function.capture
        self._runner.run_one(frame.chunk, turn, function, first, items, (monotonic() - began, len(payload)))
        return True

    def _run(self, frame: Frame, began: float) -> None:
        head = decode_chunk(frame)
        function = self._functions.get(head.function)
        if function is None:  # its function was taken back and is on its way again
            self._parked.append(frame._replace(payload=memoryview(bytes(frame.payload)), lasting=False))
            return
        parts = [self._load(part) for part in head.ranges]
        refused = _refused(parts, head.ranges)
        if refused is not None:
            self._refuse(frame.chunk, UNATTACHED if isinstance(refused, BundleError) else 0, refused)
            return
        job = Job(frame.chunk, head.attempt, function, parts, monotonic() - began, len(frame.payload))
        self._capture.active = function.capture
        if self._tasks_left is not None:
            job = job.within(self._tasks_left)
        if function.isolate:
            self._run_isolated(job)
        elif job.parts:
            self._runner.run(job)
            self._count(sum(part.end - part.first for part in job.parts))

    def _load(self, part: Range) -> Part:
        if part.section is not None:
            items = attempt(_pickling.loads, *part.section)
        else:
            items = attempt(self._take_items, part.first, part.items)
        return Part(part.first, error=items.error) if isinstance(items, Raised) else Part(part.first, items)

    def _take_items(self, first: int, count: int) -> Sequence[Any]:
        """Items that this worker has inherited."""
        assert self._take is not None
        return self._take(first, count)

    def _run_isolated(self, job: Job) -> None:
        for alone in job.singly():
            if self._runner.halted():
                self._runner.give_back(job.chunk, alone.parts[0].first)
                return
            run_apart(partial(self._run_in_child, alone))
            self._channel.sent = self._cell.frames
            self._count(1)

    def _run_in_child(self, job: Job) -> None:
        self._runner.run(job)
        self._capture.flush()
        self._cell.frames = self._channel.sent

    def _count(self, tasks: int) -> None:
        if self._tasks_left is not None:
            self._tasks_left -= tasks

    def _restore(self) -> None:
        """Undo what items may have done to the directory and the signals, between chunks only."""
        self._capture.flush()
        if _cwd() != self._home and os.path.isdir(self._home):
            os.chdir(self._home)
        if handler_of(SIGINT) is not ignore or handler_of(SIGTERM) != DEFAULT:
            guard_signals()


def _refused(parts: Sequence[Part], ranges: Sequence[Range]) -> BaseException | None:
    """Why a chunk is to be sent in another way, or not to this worker: not for one item that cannot be loaded."""
    errors = ((part.error, of.items) for part, of in zip(parts, ranges, strict=True) if part.error is not None)
    return next((error for error, items in errors if items > 1 or isinstance(error, BundleError)), None)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed under our feet
        return ""
