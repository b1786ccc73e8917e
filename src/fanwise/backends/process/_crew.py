"""Workers lent to one run: performs what the scheduler says, reports what happens, decides nothing."""

from __future__ import annotations

import logging
import os
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pickle import UnpicklingError

from fanwise.backends.process import _death, _ending, _exceptions
from fanwise.backends.process._dispatch import Dispatcher
from fanwise.backends.process._ends import enter
from fanwise.backends.process._link import Link
from fanwise.backends.process._messages import (
    SECTIONS,
    decode_attachments,
    decode_bare_results,
    decode_results,
)
from fanwise.backends.process._parcel import Numbering, pack_function
from fanwise.backends.process._pickling import attach
from fanwise.backends.process._poller import Poller
from fanwise.backends.process._reserve import Reserve
from fanwise.backends.process._running import RETURNED
from fanwise.backends.process._sections import split
from fanwise.backends.process._start import Starter
from fanwise.backends.process._wire import Frame, Kind, Spare, WireError
from fanwise.backends.process._worker import CUT, FAULTY_FUNCTION, READY, UNATTACHED
from fanwise.errors import BackendError, BundleError, NotPicklableError
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch, Settled
from fanwise.records.scheduling import (
    ChunkFinished,
    ChunkReturned,
    Event,
    Finished,
    Printed,
    StartFailed,
    Unsendable,
    WorkerBegan,
    WorkerDied,
    WorkerReady,
    WorkerRetired,
)
from fanwise.typing import Attachment, Clock, Work

__all__ = ["ProcessCrew"]

_FRAMES_AT_ONCE = 16
_GARBLED = (
    *(WireError, EOFError, OSError, struct.error, UnpicklingError, ArithmeticError, AttributeError, ImportError),
    *(LookupError, MemoryError, TypeError, ValueError),
)
"""What reading a frame may raise that is not a frame, or holds what its kind does not."""


class ProcessCrew:
    """Worker processes lent to one run. See `fanwise.typing.Crew` for what each method promises."""

    def __init__(
        self, work: Work, clock: Clock, starter: Starter, dispatcher: Dispatcher, reserve: Reserve, numbering: Numbering
    ) -> None:
        self._work = work
        self._clock = clock
        self._starter = starter
        self._dispatcher = dispatcher
        self._reserve = reserve
        self._numbering = numbering
        self._spare = Spare()
        self._poller = Poller()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._poller.watch(self._woken, self._on_wake)
        self._numbers = count(1)
        self._links: dict[int, Link] = {}
        self._events: list[Event] = []
        self._to_start, self._asked_at = 0, 0.0  # workers asked for that do not exist yet, and since when
        self._oom_kills: int | None = None  # so far: looked up once the first chunks are on their way
        self._by_value = False
        self._is_closed = False
        self._owner = os.getpid()
        enter(self)

    @property
    def method(self) -> str:
        """How its workers start."""
        return self._starter.method

    def start(self, count: int) -> None:
        """Borrow idle warm workers, then start own ones; each answers with `WorkerReady` or `StartFailed`."""
        borrowed = self._reserve.borrow(count) if self._dispatcher.parcel is not None else []
        for link in borrowed:
            self._adopt(link)
            if link.pid is None:
                link.born = self._clock.now()  # it says itself when it is ready: this crew waits for it from now on
            else:
                self._events.append(WorkerReady(self._clock.now(), link.number, link.pid, link.method))
        self._to_start += count - len(borrowed)
        self._asked_at = self._clock.now()
        if not self._events:  # else after those that are ready have been sent something
            self._start_some()

    def _start_some(self) -> None:
        """Start workers up to one that takes items at once: it is sent some before the next one is started."""
        while self._to_start:
            self._to_start -= 1
            if self._start_one():
                return

    def _start_one(self) -> bool:
        """Start a worker; whether it takes items at once."""
        try:
            link = self._starter.start(self._asked_at)
        except OSError as error:
            reason = f"a worker cannot be started: {error.strerror or error}"
            self._events.append(StartFailed(self._clock.now(), reason, error=error))
            return False
        except NotPicklableError as error:
            self._events.append(StartFailed(self._clock.now(), str(error), fatal=True, error=error))
            return False
        self._reserve.note_start()
        self._adopt(link)
        pid = link.process.pid
        if pid is None or not self._starter.takes_at_once:
            return False
        self._on_ready(link, pid, self._clock.now(), begun=False)
        return True

    def _adopt(self, link: Link) -> None:
        link.number = next(self._numbers)
        link.channel.spare = self._spare
        self._links[link.number] = link
        self._poller.watch(link.channel.fileno(), partial(self._on_socket, link))
        self._poller.watch(link.process.fileno(), partial(self._on_news, link))
        for number, output in link.outputs.items():
            self._poller.watch(output.fd, partial(self._on_output, link, number))
        if link.channel.pending:
            self._poller.also_writing(link.channel.fileno(), wanted=True)

    def _release(self, link: Link) -> None:
        """Take a worker out of the crew."""
        link.channel.spare = None
        del self._links[link.number]
        for fd in (link.channel.fileno(), link.process.fileno(), *(output.fd for output in link.outputs.values())):
            self._poller.forget(fd)

    def send(self, worker: int, chunk: Chunk) -> None:
        """Give a chunk to a worker. Items that cannot be pickled are reported as `Unsendable`, the others go."""
        link = self._links.get(worker)
        if link is not None and link.kill_reason is None:
            unsendable = _all_of(chunk, link.unfit) if link.unfit else self._dispatcher.send(link, chunk)
            if unsendable:
                self._report(link, chunk, unsendable)
            if link.channel.pending:
                self._poller.also_writing(link.channel.fileno(), wanted=True)

    def _obedient(self, worker: int) -> Link | None:
        """The worker, unless it is gone or about to be."""
        link = self._links.get(worker)
        return None if link is None or link.kill_reason is not None else link

    def _report(self, link: Link, chunk: Chunk, unsendable: Sequence[tuple[int, BaseException]]) -> None:
        now = self._clock.now()
        self._events.extend(Unsendable(now, link.number, chunk.id, index, error) for index, error in unsendable)
        if len(unsendable) == chunk.count:
            link.in_flight.pop(chunk.id, None)
            self._events.append(ChunkFinished(now, link.number, chunk.id))

    def _watch_writing(self, link: Link) -> None:
        self._poller.also_writing(link.channel.fileno(), wanted=link.channel.pending)

    def cancel(self, worker: int, chunk: int) -> None:
        """Take a chunk back that the worker has not read yet; else ask for the items that it has not begun."""
        link = self._obedient(worker)
        if link is None or chunk not in link.in_flight:
            return
        others = []
        found = False
        while (frame := link.peer.take_back()) is not None:
            found |= frame.kind == Kind.CHUNK and frame.chunk == chunk
            if frame.kind != Kind.CHUNK or frame.chunk != chunk:
                others.append(frame)
        if found:
            self._on_returned(link, chunk, link.in_flight[chunk].reached)
        else:
            link.cell.give_back(chunk)
        for frame in others:
            self._send_again(link, frame)

    def _send_again(self, link: Link, frame: Frame) -> None:
        """Replace a frame that was taken back with another one."""
        for fd in frame.fds:
            os.close(fd)
        if frame.kind == Kind.CHUNK and frame.chunk in link.in_flight:
            self.send(link.number, link.in_flight[frame.chunk].chunk)
        elif frame.kind == Kind.FUNCTION:
            self._dispatcher.introduce_again(link)
        elif frame.kind == Kind.ATTACH:
            link.attached.forget_all()
        elif frame.kind in {Kind.STOP, Kind.FORGET}:
            link.channel.post(frame.kind, bytes(frame.payload), flags=frame.flags)
        self._watch_writing(link)

    def kill(self, worker: int, reason: str) -> None:
        """Stop a worker by SIGKILL; `WorkerDied` follows when it is gone."""
        if worker in self._links:
            self._links[worker].kill(reason)

    def retire(self, worker: int) -> None:
        """Let a worker end after what it has; `WorkerRetired` follows."""
        link = self._obedient(worker)
        if link is not None:
            link.stopping = True
            link.channel.send(Kind.STOP)
            self._watch_writing(link)

    def running(self) -> Sequence[tuple[int, int, float]]:
        """What each busy worker is at, read from its page: (worker, index, since)."""
        lag = self._clock.now() - time.monotonic()
        found = [(link.number, link.running()) for link in self._links.values() if link.in_flight]
        return [(number, at[1], at[0] + lag) for number, at in found if at is not None]

    def sizes(self) -> Mapping[int, int]:
        """Resident bytes of each live worker."""
        return {number: link.rss() for number, link in self._links.items() if link.is_ready}

    def carried(self) -> Sequence[tuple[Attachment, int, int]]:
        """What messages mentioned: the attachment, how often it was sent, how many workers had it."""
        return [(each.attachment, each.sent, len(each.workers)) for each in self._dispatcher.carried.values()]

    def wait(self, timeout: float | None) -> list[Event]:
        """Return what happened, at the latest after ``timeout`` seconds (None: no limit; 0: only look)."""
        if not self._is_closed:
            self._tell_what_was_closed()
            if self._to_start and not self._events:
                self._start_some()
            if self._oom_kills is None and not self._events:
                self._oom_kills = _death.oom_kills()
            self._poller.wait(0 if self._events else timeout)
        elif self._owner != os.getpid():
            raise BackendError("these workers belong to another process")
        events, self._events = self._events, []
        return events

    def _tell_what_was_closed(self) -> None:
        for link in self._links.values():
            if link.attached.outdated:
                link.tell()
                self._watch_writing(link)

    def wake(self) -> None:
        """Make a `wait` in another thread, or the next one, return at once."""
        if not self._is_closed:
            with suppress(BlockingIOError):  # it will return as it is
                os.write(self._waker, b"\0")

    def _on_wake(self) -> None:
        os.read(self._woken, 4096)

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true in every worker; they stop before their next item."""
        for link in self._links.values():
            link.cell.stop(wanted=True)

    def _on_socket(self, link: Link) -> None:
        if link.channel.pending:
            link.channel.flush()
            self._watch_writing(link)
        self._read(link, _FRAMES_AT_ONCE)

    def _read(self, link: Link, frames: int | None) -> None:
        """Read up to so many frames (None: all that are there)."""
        try:
            while frames is None or frames > 0:
                frame = link.channel.receive()
                if frame is None:
                    return
                if frame.kind == Kind.RESULTS:
                    self._on_results(link, frame)
                else:
                    self._on_frame(link, frame)
                if frames is not None:
                    frames = frames - 1 if link.in_flight else 0  # an idle worker has no more to say
        except _GARBLED as error:
            link.garbled = True
            link.kill(f"it sent what cannot be read: {error}")
            self._poller.forget(link.channel.fileno())

    def _on_frame(self, link: Link, frame: Frame) -> None:
        if frame.kind == Kind.RETURNED:
            self._on_returned(link, frame.chunk, RETURNED.unpack(frame.payload)[0])
        elif frame.kind == Kind.READY:
            if link.is_ready:
                self._on_begun(link, READY.unpack(frame.payload)[1])
            else:
                self._on_ready(link, *READY.unpack(frame.payload))
        elif frame.kind == Kind.REFUSED:
            self._on_refused(link, frame)
        elif frame.kind == Kind.ATTACH:
            for attachment in decode_attachments(frame):
                attach(attachment, keep=False)
        elif frame.kind == Kind.BROKEN:
            link.broken, text = _exceptions.decode(split(frame.payload, lasting=frame.lasting)[0].data)
            logging.getLogger("concurrent.futures").critical("Exception in initializer:\n%s", text)
        else:
            raise WireError(f"a frame of kind {frame.kind} is not for a coordinator")

    def _on_results(self, link: Link, frame: Frame) -> None:
        flight = link.in_flight.get(frame.chunk)
        if flight is None:
            return
        if frame.flags & SECTIONS:
            settled, stats = decode_results(frame, link.pid, flight.chunk.count)
        else:
            settled, stats = decode_bare_results(frame.payload, link.pid)
        now = self._clock.now()
        if stats is not None:
            del link.in_flight[frame.chunk]
            self._events.append(ChunkFinished(now, link.number, frame.chunk, stats, settled))
        elif settled:
            self._events.append(Finished(now, link.number, frame.chunk, settled))
            flight.reached = _reached(settled[-1])

    def _on_returned(self, link: Link, chunk: int, first: int) -> None:
        if link.in_flight.pop(chunk, None) is not None:
            self._events.append(ChunkReturned(self._clock.now(), link.number, chunk, first))

    def _on_ready(self, link: Link, pid: int, since: float, *, begun: bool = True) -> None:
        link.pid = pid
        now = self._clock.now()
        ready = since if link.born <= since <= now else now
        self._events.append(WorkerReady(now, link.number, pid, link.method, ready - link.born, begun))

    def _on_begun(self, link: Link, since: float) -> None:
        now = self._clock.now()
        if link.born <= since <= now:
            self._events.append(WorkerBegan(now, link.number, since, since - link.born))

    def _on_refused(self, link: Link, frame: Frame) -> None:
        inline = bool(frame.flags & CUT)
        link.attached.forget_all()
        if frame.flags & FAULTY_FUNCTION and not inline:
            self._on_faulty_function(link, _reason(frame))
        elif frame.flags & FAULTY_FUNCTION:
            self._dispatcher.introduce_again(link, inline=True)
        elif frame.chunk in link.in_flight:
            chunk = link.in_flight[frame.chunk].chunk
            cannot = frame.flags & UNATTACHED
            unsendable = _all_of(chunk, _reason(frame)) if cannot else None
            self._report(link, chunk, unsendable or self._dispatcher.send_singly(link, chunk, inline=inline))
        self._watch_writing(link)

    def _on_faulty_function(self, link: Link, error: BaseException) -> None:
        """A worker cannot import what the function needs: send its module along, once; then give up."""
        if isinstance(error, BundleError):
            link.unfit = error
            for flight in list(link.in_flight.values()):
                self._report(link, flight.chunk, _all_of(flight.chunk, error))
            return
        if self._by_value:
            failure = BackendError(f"fn cannot be loaded in a worker: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self._events.append(StartFailed(self._clock.now(), str(failure), 0, fatal=True, error=failure))
            return
        self._by_value = True
        parcel = pack_function(self._work, self._numbering, isolate=self._work.isolate, by_value=True)
        self._dispatcher.introduce_again(link, parcel)

    def _on_output(self, link: Link, number: int) -> None:
        output = link.outputs[number]
        self._print(link, number, output.read() or "")
        if output.ended:
            self._poller.forget(output.fd)

    def _print(self, link: Link, number: int, text: str) -> None:
        if text:
            self._events.append(Printed(self._clock.now(), link.number, number, text))

    def _on_news(self, link: Link) -> None:
        if link.process.poll():
            if not link.garbled:
                self._read(link, None)
            for number, output in link.outputs.items():
                self._print(link, number, output.rest())
            self._events.append(self._obituary(link))
            self._release(link)
            self._reserve.note_end()
            link.let_go()

    def _obituary(self, link: Link) -> Event:
        """What to say of a worker that is gone."""
        now, code = self._clock.now(), link.process.code
        words, index = link.cell.last_words(), link.suspect()
        memory = self._oom_kills is not None and _death.oom_kills() > self._oom_kills
        reason = link.kill_reason or link.process.trouble
        reason = reason or _death.describe(code, words, link.last_rss(), out_of_memory=memory)
        if not link.is_ready:
            return _stillborn(now, link, reason)
        retired = code == 0 and index is None and link.kill_reason is None
        if retired and (link.stopping or self._starter.max_tasks):
            for chunk, flight in list(link.in_flight.items()):
                self._on_returned(link, chunk, flight.reached)
            return WorkerRetired(now, link.number)
        output = "".join(reader.tail for reader in link.outputs.values())
        return WorkerDied(now, link.number, reason, index, words, output, idle=not link.is_at_work())

    def close(self, *, kill: bool) -> None:
        """End the loan: a warm backend is handed back its workers that are idle or starting; others are stopped and reaped.

        What they had still written to descriptors 1 and 2 is returned by one more ``wait(0)``.
        """
        if self._is_closed:
            return
        if self._reserve.keeps and not kill:
            self._calm()
        own = [link for link in list(self._links.values()) if not self._is_handed_back(link)]
        _ending.end(own, kill=kill)
        for link in own:
            self._part_with(link)
            link.let_go()
        self.let_go()

    def _is_handed_back(self, link: Link) -> bool:
        if link.is_free:
            self._part_with(link)  # first: once it is handed back, another thread's crew may have it
            if self._reserve.give_back(link):
                return True
        self._reserve.note_end()
        return False

    def _part_with(self, link: Link) -> None:
        """Pass on what a worker had still written, and take it out of the crew."""
        for number, output in link.outputs.items():
            self._print(link, number, output.rest())
        if link.number in self._links:
            self._release(link)

    def _calm(self) -> None:
        """Have busy workers stop before their next item, and wait for that a little while."""
        for link in self._links.values():
            link.cell.stop(wanted=True)
            for chunk in tuple(link.in_flight):
                self.cancel(link.number, chunk)
        until = time.monotonic() + _ending.PATIENCE_S
        while any(link.in_flight for link in self._links.values()) and time.monotonic() < until:
            self._poller.wait(until - time.monotonic())

    def let_go(self) -> None:
        """Close the descriptors of this process's copy."""
        if not self._is_closed:
            self._is_closed = True
            self._poller.close()
            self._spare.release()
            os.close(self._woken)
            os.close(self._waker)


def _stillborn(now: float, link: Link, reason: str) -> StartFailed | WorkerDied:
    """A worker that was never ready: what its initializer did, it will do again; anything else may be bad luck."""
    if link.broken is not None:
        return StartFailed(now, f"the initializer failed: {link.broken!r}", fatal=True, error=link.broken)
    if link.is_initializing():
        return StartFailed(now, f"the initializer ended its worker: {reason}", fatal=True)
    return WorkerDied(now, link.number, reason, idle=True)


def _reason(frame: Frame) -> BaseException:
    """Why a worker refused something."""
    return _exceptions.decode(split(frame.payload, lasting=False)[0].data)[0]


def _all_of(chunk: Chunk, error: BaseException) -> list[tuple[int, BaseException]]:
    """Every item of a chunk, for the same reason."""
    return [(index, error) for index in range(chunk.first, chunk.first + chunk.count)]


def _reached(last: Settled) -> int:
    """The index after the last of these results."""
    return last.first + len(last.values) if isinstance(last, Batch) else last.index + 1
