"""A worker process beside a worker of a cluster, and how one chunk goes through it.

Items do not run in the cluster's worker itself: what crashes, hangs or eats all memory costs one item, the culprit is
known exactly, and the cluster's worker lives on with what others have on it.
"""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fanwise.backends.process import _death, _ending
from fanwise.backends.process._link import InFlight
from fanwise.backends.process._messages import decode_attachments
from fanwise.backends.process._pickling import Packed
from fanwise.backends.process._poller import Poller
from fanwise.backends.process._running import RETURNED
from fanwise.backends.process._sections import join, split
from fanwise.backends.process._start import Starter
from fanwise.backends.process._state import Place
from fanwise.backends.process._wire import Frame, Kind, Spare, WireError
from fanwise.backends.process._worker import CUT, FAULTY_FUNCTION, KEPT, READY, UNATTACHED
from fanwise.backends.remote._letters import Answer, Note, Order, Script
from fanwise.records.chunks import Chunk
from fanwise.typing import Attachment

__all__ = ["Child"]

_LOOK_S = 1.0


class Child:
    """One worker process. `run` is for one thread at a time; `tell` may be called from any."""

    def __init__(self, starter: Starter) -> None:
        self._spare = Spare()
        self._link = starter.start(time.monotonic())
        self._link.channel.spare = self._spare
        self._poller = Poller()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._oom_kills = _death.oom_kills()
        self._functions: dict[int, bytes] = {}
        self._told: deque[Callable[[], None]] = deque()
        self._notes: list[tuple[Any, ...]] = []
        self._order: tuple[Order, bytes] | None = None
        self._script: tuple[int, Sequence[bytes | memoryview]] | None = None
        self.ended = False
        self.usable = True
        self._watch()

    def _watch(self) -> None:
        link = self._link
        self._poller.watch(self._woken, self._on_wake)
        self._poller.watch(link.channel.fileno(), self._on_socket)
        self._poller.watch(link.process.fileno(), self._on_news)
        for number, output in link.outputs.items():
            self._poller.watch(output.fd, partial(self._on_output, number))

    def run(
        self, order: Order, payload: bytes, script: Script, files: Sequence[Attachment], is_over: Callable[[], bool]
    ) -> Answer:
        """Have a chunk run; return when nothing more will be heard of it.

        Parameters
        ----------
        files : sequence of Attachment
            Bundles that the function and the chunk mention; their descriptors stay the caller's.
        is_over : callable
            Asked once a second: whether nobody waits for the run any more.
        """
        link = self._link
        link.cell.stop(wanted=False)
        self._order = order, payload
        link.in_flight[order.chunk] = InFlight(Chunk(order.chunk, order.first, order.items))
        link.attach(files)
        self._introduce(script)
        self._send_chunk()
        while self._is_busy():
            self._poller.also_writing(link.channel.fileno(), wanted=link.channel.pending)
            self._poller.wait(_LOOK_S)
            if is_over():
                link.cell.stop(wanted=True)
        notes, self._notes = self._notes, []
        return Answer(link.pid, notes)

    def _is_busy(self) -> bool:
        return self._order is not None and not self.ended

    def tell(self, command: Callable[[], None]) -> None:
        """Have something done by the thread that is in `run`."""
        self._told.append(command)
        with suppress(BlockingIOError):  # it will wake up as it is
            os.write(self._waker, b"\0")

    def kill(self, reason: str) -> None:
        """SIGKILL; the chunk's answer tells the rest."""
        self.tell(partial(self._link.kill, reason))

    def give_back(self, chunk: int) -> None:
        """Have it stop before the chunk's next item."""
        self._link.cell.give_back(chunk)

    def interrupt(self) -> None:
        """Make ``current_task().interrupted`` true."""
        self._link.cell.stop(wanted=True)

    def running(self) -> tuple[float, int] | None:
        """Since when, on the monotonic clock of this host, which item runs."""
        return self._link.running()

    def close(self) -> None:
        """End the process, kindly first."""
        if not self.ended:
            _ending.end([self._link], kill=False)
            self._let_go()

    def _introduce(self, script: Script) -> None:
        if self._functions.get(script.number) == script.digest:
            return
        place = Place.here()._replace(cwd=script.cwd)
        options = replace(script.options, state=pickle.dumps((place, script.state), 5))
        function = Packed(script.data, [memoryview(buffer) for buffer in script.buffers])
        self._script = script.number, join([Packed(pickle.dumps(options, 5)), function])
        self._link.channel.send(Kind.FUNCTION, self._script[1], chunk=script.number)
        self._functions.pop(script.number, None)
        self._functions[script.number] = script.digest
        for old in list(self._functions)[:-KEPT]:
            del self._functions[old]

    def _send_chunk(self, *, inline: bool = False) -> None:
        if self._order is not None:
            order, payload = self._order
            channel = self._link.channel
            send = channel.send_inline if inline else channel.send
            send(Kind.CHUNK, [payload], chunk=order.chunk, flags=order.flags)

    def _on_wake(self) -> None:
        os.read(self._woken, 4096)
        while self._told:
            self._told.popleft()()

    def _on_socket(self) -> None:
        self._link.channel.flush()
        self._read()

    def _read(self) -> None:
        try:
            while (frame := self._link.channel.receive()) is not None:
                self._on_frame(frame)
        except (WireError, EOFError, OSError) as error:
            self._poller.forget(self._link.channel.fileno())
            if not isinstance(error, EOFError):
                self._link.kill(f"it sent what cannot be read: {error}")

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind == Kind.READY:
            self._link.pid = READY.unpack(frame.payload)[0]
        elif frame.kind == Kind.RESULTS:
            self._notes.append((Note.RESULTS, frame.flags, bytes(frame.payload)))
            self._settle(frame.chunk, ended=bool(frame.flags & 1))
        elif frame.kind == Kind.RETURNED:
            self._notes.append((Note.RETURNED, RETURNED.unpack(frame.payload)[0]))
            self._settle(frame.chunk, ended=True)
        elif frame.kind == Kind.ATTACH:
            self._on_attachments(frame)
        elif frame.kind == Kind.REFUSED:
            self._on_refused(frame)

    def _settle(self, chunk: int, *, ended: bool) -> None:
        if ended and self._order is not None and chunk == self._order[0].chunk:
            self._order = None
            self._link.in_flight.pop(chunk, None)

    def _on_attachments(self, frame: Frame) -> None:
        for attachment in decode_attachments(frame):
            content = os.pread(attachment.fd, attachment.size, 0)
            os.close(attachment.fd)
            self._notes.append((Note.ATTACHED, attachment.id, content))

    def _on_refused(self, frame: Frame) -> None:
        """What did not arrive for want of a descriptor goes once more without; anything else is the caller's to mend."""
        function = bool(frame.flags & FAULTY_FUNCTION)
        if frame.flags & CUT:
            if function and self._script is not None:
                self._link.channel.send_inline(Kind.FUNCTION, self._script[1], chunk=self._script[0])
            elif not function:
                self._send_chunk(inline=True)
            return
        if function:
            self._functions.pop(frame.chunk, None)
            self._notes.append((Note.FAULTY, _reason(frame)))
            self.usable = False  # a chunk waits in it for a function that will not come
        else:
            error = _reason(frame) if frame.flags & UNATTACHED else None
            self._notes.append((Note.REFUSED, error))
        if self._order is not None:
            self._settle(self._order[0].chunk, ended=True)

    def _on_output(self, number: int) -> None:
        output = self._link.outputs[number]
        text = output.read()
        if text:
            self._notes.append((Note.PRINTED, number, text))
        if output.ended:
            self._poller.forget(output.fd)

    def _on_news(self) -> None:
        link = self._link
        if not link.process.poll():
            return
        self._read()
        for number, output in link.outputs.items():
            if text := output.rest():
                self._notes.append((Note.PRINTED, number, text))
        if self._order is not None:
            self._notes.append(self._obituary())
        self._let_go()

    def _obituary(self) -> tuple[Any, ...]:
        link = self._link
        words = link.cell.last_words()
        memory = _death.oom_kills() > self._oom_kills
        reason = link.kill_reason or link.process.trouble
        reason = reason or _death.describe(link.process.code, words, link.last_rss(), out_of_memory=memory)
        if not link.is_ready:
            reason = f"a worker died while starting: {reason}"
        output = "".join(reader.tail for reader in link.outputs.values())
        return Note.DIED, reason, link.suspect(), words, output, not link.is_at_work()

    def _let_go(self) -> None:
        if not self.ended:
            self.ended = True
            self._poller.close()
            self._link.let_go()
            self._spare.release()
            os.close(self._woken)
            os.close(self._waker)


def _reason(frame: Frame) -> bytes:
    """Why a worker refused something: its exception, encoded."""
    return bytes(split(frame.payload, lasting=False)[0].data)
