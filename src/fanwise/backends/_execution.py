"""Running the items of one chunk: one at a time while they are long, in blocks while they are short.

Reading the clock and noting the place costs about 1 µs, so items below 20 µs run in blocks of about 250 µs as
``values.extend(map(call, block))``: as fast as a comprehension, and the finished prefix stays when a call raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from fanwise._task import Place, enter, leave
from fanwise.records._record import record
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch

__all__ = [
    "FLUSH_S",
    "Failure",
    "Function",
    "Streak",
    "Tally",
    "Watch",
    "execute",
    "run_block",
]

FLUSH_S = 0.05
_SHORT_S = 20e-6
_BLOCK_S = 250e-6  # what is not counted singly; to note a block takes 3 µs


@dataclass(slots=True)
class Function:
    """What is called for each item, and what has been learnt about its cost (seconds an item, None: nothing yet).

    ``stops``: a failure ends a chunk, and its other items are given back unstarted.
    """

    call: Callable[[Any], Any]
    single: bool = False
    capture: bool = False
    isolate: bool = False
    stops: bool = False
    cost: float | None = None

    def block(self, left: int) -> int:
        """How many of the ``left`` items to run before the clock is read again."""
        if self.single or self.cost is None or self.cost >= _SHORT_S:
            return 1
        return min(left, int(_BLOCK_S / max(self.cost, 1e-7)))

    def learn(self, seconds: float) -> None:
        """Take in what an item cost just now."""
        self.cost = seconds if self.cost is None else 0.5 * (self.cost + seconds)

    def counts(self) -> tuple[float, ...]:
        """What the function itself has counted since the last time it was asked, if it counts."""
        account = getattr(self.call, "__fanwise_account__", None)
        return () if account is None else account()


class Streak:
    """Results of consecutive items that all went well, from item ``first`` on."""

    __slots__ = ("alone", "busy", "first", "greatest", "seconds", "values")

    def __init__(self, first: int) -> None:
        self.first = first
        self.values: list[Any] = []
        self.seconds: list[float] = []
        self.busy = 0.0  # seconds of all
        self.greatest = 0.0  # seconds of the slowest, a block counting as its mean
        self.alone = 0  # items that did not run in a block

    @property
    def spread(self) -> float | tuple[float, ...]:
        """The mean if every item ran in a block, or there is but one; else one number an item."""
        if self.alone and len(self.values) > 1:
            return tuple(self.seconds)
        return self.busy / len(self.values)

    def note(self, mean: float, count: int, *, block: bool) -> None:
        """Add what the last ``count`` items cost."""
        self.seconds += [mean] * count
        self.busy += mean * count
        self.greatest = max(self.greatest, mean)
        if not block:
            self.alone += count

    def batch(self, worker: int | None, attempts: int) -> Batch:
        """The streak as a record."""
        return Batch(self.first, self.values, self.spread, worker, attempts)


@record
class Failure:
    """Item ``index`` raised ``error``."""

    index: int
    error: BaseException
    seconds: float


class Watch(Protocol):
    """Who follows the execution of a chunk."""

    @property
    def caught(self) -> type[BaseException] | tuple[type[BaseException], ...]:
        """What an item may raise without ending the execution."""

    def begin(self, streak: Streak) -> Place:
        """Hear that results go to ``streak`` from now on; say where that is."""

    def mark(self, index: int, count: int, now: float) -> None:
        """Hear that ``count`` items from ``index`` on begin."""

    def halted(self) -> bool:
        """Whether to stop before the next item."""


def execute(function: Function, items: Sequence[Any], first: int, watch: Watch) -> Iterator[Streak | Failure]:
    """Run ``items``, the first of which has index ``first``; yield what is settled.

    That is at each failure, every 50 ms between items, and at the end.
    """
    source = iter(items)
    index, end = first, first + len(items)
    streak = Streak(first)
    before = enter(watch.begin(streak))
    ended = opened = monotonic()
    try:
        while index < end and not watch.halted():
            size, began = function.block(end - index), ended
            watch.mark(index, size, began)
            error = run_block(function.call, source, size, streak.values, watch.caught)
            ended = monotonic()
            done = len(streak.values) - len(streak.seconds)
            mean = (ended - began) / (done if error is None else done + 1)
            function.learn(mean)
            index += done
            if done:
                streak.note(mean, done, block=size > 1)
            if error is not None or (ended - opened > FLUSH_S and index < end):
                if streak.values:
                    yield streak
                if error is not None:
                    yield Failure(index, error, mean)
                    index += 1
                    if function.stops:
                        return
                streak = Streak(index)
                enter(watch.begin(streak))
                ended = opened = monotonic()
        if streak.values:
            yield streak
    finally:
        leave(before)


def run_block(
    call: Callable[[Any], Any],
    source: Iterator[Any],
    size: int,
    values: list[Any],
    caught: type[BaseException] | tuple[type[BaseException], ...],
) -> BaseException | None:
    """Append the results of the next ``size`` items to ``values`` until one fails; return what that one raised."""
    expected = len(values) + size
    try:
        if size == 1:
            values.append(call(next(source)))
        else:
            values.extend(map(call, islice(source, size)))
    except caught as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    # `map` takes a StopIteration of the function for its own end
    return None if len(values) == expected else StopIteration()


class Tally:
    """Adds up what the items of one chunk cost."""

    __slots__ = ("busy", "failed", "greatest")

    def __init__(self) -> None:
        self.busy = self.greatest = 0.0
        self.failed = False

    def add(self, settled: Streak | Failure) -> None:
        """Count a streak or a failure."""
        if isinstance(settled, Failure):
            self.failed = True
            busy = greatest = settled.seconds
        else:
            busy, greatest = settled.busy, settled.greatest
        self.busy += busy
        self.greatest = max(self.greatest, greatest)

    def stats(
        self,
        *,
        cpu: float,
        codec: float = 0.0,
        sizes: tuple[int, int, int] = (0, 0, 0),
        counts: tuple[float, ...] = (),
    ) -> ChunkStats:
        """What was counted, together with what was measured; ``sizes``: bytes in, bytes out, resident."""
        return ChunkStats(self.busy, cpu, codec, *sizes, self.greatest, counts)
