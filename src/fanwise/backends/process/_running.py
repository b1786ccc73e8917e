"""How a worker runs a chunk: results are pickled and sent at its end, and at least every 50 ms between items."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pickle import dumps
from time import monotonic
from typing import Any, NamedTuple, TypeGuard

from fanwise._task import Place, enter, leave
from fanwise.backends._execution import FLUSH_S, Failure, Function, Streak, Tally, execute, run_block
from fanwise.backends._output import Capture
from fanwise.backends.process._attached import send_attachments
from fanwise.backends.process._cell import Cell
from fanwise.backends.process._messages import (
    BARE_BELOW,
    LAST,
    SECTIONS,
    Results,
    encode_bare_results,
    encode_results,
)
from fanwise.backends.process._pickling import is_plain
from fanwise.backends.process._wire import Channel, Kind
from fanwise.errors import NotPicklableError
from fanwise.records.chunks import ChunkStats

__all__ = ["RETURNED", "Job", "Part", "Runner"]

_WORTH_MEASURING_S = 1e-3
RETURNED = struct.Struct("<Q")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Part(NamedTuple):
    """Consecutive items of a chunk; ``error`` is why the only one could not be loaded."""

    first: int
    items: Sequence[Any] = ()
    error: BaseException | None = None

    @property
    def end(self) -> int:
        """The index after the last item."""
        return self.first + (len(self.items) if self.error is None else 1)


@dataclass(slots=True)
class Job:
    """A chunk, loaded. ``last``: its end is the end of the chunk."""

    chunk: int
    attempt: int
    function: Function
    parts: Sequence[Part]
    codec: float = 0.0  # seconds that loading took
    bytes_in: int = 0
    last: bool = True
    rest: int | None = None  # the first item that this worker may not run any more

    def is_all(self, settled: Streak | Failure) -> TypeGuard[Streak]:
        """Whether this is all that the chunk is to bring: then it need not be put together with anything."""
        if len(self.parts) > 1 or not self.last or self.rest is not None or isinstance(settled, Failure):
            return False
        return len(settled.values) == len(self.parts[0].items)

    def within(self, tasks: int) -> Job:
        """The first ``tasks`` items of the job."""
        parts: list[Part] = []
        for part in self.parts:
            if part.end - part.first > tasks:
                cut = [part._replace(items=part.items[:tasks])] if tasks else []
                return replace(self, parts=parts + cut, rest=part.first + tasks)
            tasks -= part.end - part.first
            parts.append(part)
        return self

    def singly(self) -> Iterator[Job]:
        """One job an item."""
        alone = [
            part._replace(first=index, items=part.items[index - part.first :][:1])
            for part in self.parts
            for index in range(part.first, part.end)
        ]
        for part in alone:
            yield replace(self, parts=[part], last=part is alone[-1])


class Runner:
    """Follows the execution of chunks: notes the place in the cell, sends what is settled."""

    caught = BaseException

    def __init__(self, channel: Channel, cell: Cell, capture: Capture) -> None:
        self._channel = channel
        self._cell = cell
        self._capture = capture
        self._pid = os.getpid()
        self._place: Place | None = None
        self._chunk = 0
        self._attempt = 1
        self._flushed = self._looked = 0.0
        self._rss = 0
        self._cpu = time.process_time()
        self._is_stopping = cell.is_stopping
        self.mark = cell.mark

    def here(self) -> int | None:
        """The index of the item now running."""
        place = self._place
        return None if place is None else place.first + len(place.done)

    def begin(self, streak: Streak) -> Place:
        """Results go to this streak from now on."""
        self._place = place = Place(streak.first, streak.values, self._attempt, self._pid, self._is_stopping)
        return place

    def halted(self) -> bool:
        """Whether the run is to end, or the chunk is wanted back."""
        return self._cell.is_halted(self._chunk)

    def run(self, job: Job) -> int:
        """Run the items of a job, send their results, and return the index after the last one that ran."""
        self._chunk, self._attempt = job.chunk, job.attempt
        self._flushed = monotonic()
        tally, codec, sent = Tally(), job.codec, 0
        reached = job.parts[0].first
        results = Results(reached, job.attempt)
        is_done = False
        for part in job.parts:
            if part.first != reached:
                sent += self._send(results)
                reached, results = part.first, Results(part.first, job.attempt)
            for settled in self._settle(job.function, part):
                if job.is_all(settled) and self._sends_bare(settled, job.function, (job.codec, job.bytes_in)):
                    reached, is_done = part.end, True
                    continue
                began = monotonic()
                self._cell.settle()
                tally.add(settled)
                results.add(settled)
                reached += 1 if isinstance(settled, Failure) else len(settled.values)
                ended = monotonic()
                codec += ended - began
                if ended - self._flushed > FLUSH_S and reached < part.end:
                    sent += self._send(results)
                    results = Results(reached, job.attempt)
            if reached < part.end or (job.function.stops and tally.failed):
                break
        self._place = None
        if not is_done:
            back = reached if reached < job.parts[-1].end else job.rest
            if back is None and job.last:
                self._finish(results, tally, codec, (job.bytes_in, sent), job.function.counts())
            else:
                self._send(results)
                if back is not None:
                    self.give_back(job.chunk, back)
        self._cell.rest()
        return reached

    def run_one(
        self, chunk: int, attempt: int, function: Function, first: int, items: Sequence[Any], cost: tuple[float, int]
    ) -> None:
        """Run a chunk of one item: what `run` does, for the most frequent case at a third of its cost.

        ``cost`` is what loading took: seconds, and bytes received.
        """
        if self._cell.is_halted(chunk):
            self.give_back(chunk, first)
            return
        self._chunk, self._attempt = chunk, attempt
        streak = Streak(first)
        before = enter(self.begin(streak))
        began = monotonic()
        self.mark(first, 1, began)
        error = run_block(function.call, iter(items), 1, streak.values, BaseException)
        seconds = monotonic() - began
        leave(before)
        self._place = None
        function.learn(seconds)
        streak.note(seconds, 1, block=False)
        if error is not None or not self._sends_bare(streak, function, cost):
            self._cell.settle()
            settled = streak if error is None else Failure(first, error, seconds)
            tally, results = Tally(), Results(first, attempt)
            tally.add(settled)
            results.add(settled)
            self._finish(results, tally, cost[0], (cost[1], 0), function.counts())
        self._cell.rest()

    def _sends_bare(self, streak: Streak, function: Function, cost: tuple[float, int]) -> bool:
        """Send the results of a whole chunk as they are, if they are plain and few; ``cost`` as for `run_one`."""
        values = streak.values
        if self._capture.pieces or not is_plain(values):
            return False
        began = monotonic()
        pickled = dumps(values, 5)
        size = len(pickled)
        if size + 8 * len(values) >= BARE_BELOW:
            return False
        loading, received = cost
        busy, codec = streak.busy, loading + monotonic() - began
        counts = function.counts()
        stats = ChunkStats(busy, self._measure(busy), codec, received, size, self._rss, streak.greatest, counts)
        payload = encode_bare_results((streak.first, self._attempt, len(values)), streak.spread, stats, pickled)
        self._channel.post(Kind.RESULTS, payload, self._chunk, LAST)
        return True

    def _finish(
        self, results: Results, tally: Tally, codec: float, moved: tuple[int, int], counts: tuple[float, ...]
    ) -> None:
        """Send what is left of a chunk, and its statistics; ``moved``: bytes received and sent so far."""
        received, sent = moved
        sizes = received, sent + results.size, self._rss
        stats = tally.stats(cpu=self._measure(tally.busy), codec=codec, sizes=sizes, counts=counts)
        bare = None if sent or self._capture.pieces else results.bare()
        if bare is not None and len(bare) + 8 * results.items < BARE_BELOW:
            origin = results.first, results.attempt, results.items
            payload = encode_bare_results(origin, results.spread, stats, bare)
            self._channel.post(Kind.RESULTS, payload, self._chunk, LAST)
        else:
            self._send(results, stats)

    def _measure(self, busy: float) -> float:
        """Processor time since the last measurement; like the resident size, looked up when there is reason to."""
        now = monotonic()
        is_due = now - self._looked >= FLUSH_S
        if is_due:
            self.note_size()
        if not is_due and busy < _WORTH_MEASURING_S:
            return 0.0
        before, self._cpu = self._cpu, time.process_time()
        return self._cpu - before

    def give_back(self, chunk: int, index: int) -> None:
        """Return the rest of a chunk, from item ``index`` on."""
        self._channel.send(Kind.RETURNED, [RETURNED.pack(index)], chunk=chunk)

    def _settle(self, function: Function, part: Part) -> Iterator[Streak | Failure]:
        if part.error is None:
            return execute(function, part.items, part.first, self)
        failure = NotPicklableError(f"item {part.first} cannot be loaded in a worker: {part.error}")
        failure.__cause__ = part.error
        return iter([Failure(part.first, failure, 0.0)])

    def _send(self, results: Results, stats: ChunkStats | None = None) -> int:
        """Send results; return their size."""
        pieces = self._capture.take()
        if pieces:
            results.say(pieces)
        if not results.packs and stats is None:
            return 0
        send_attachments(self._channel, results.attachments)
        flags = SECTIONS if stats is None else SECTIONS | LAST
        self._channel.send(Kind.RESULTS, encode_results(results, stats), chunk=self._chunk, flags=flags)
        self._flushed = monotonic()
        return results.size

    def note_size(self) -> None:
        """Write the resident size to the cell."""
        self._looked = monotonic()
        with suppress(OSError), open("/proc/self/statm", "rb") as file:  # no /proc on macOS, or no descriptor left
            self._cell.rss = self._rss = int(file.read().split()[1]) * _PAGE
