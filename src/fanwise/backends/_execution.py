"""Running the items of one chunk: one at a time while they are long, in blocks while they are short.

Reading the clock and noting the place costs about 1 µs, so items below 20 µs run in blocks of about 100 µs as
``values.extend(map(call, block))``: as fast as a comprehension, and the finished prefix stays when a call raises.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from fanwise._task import Place, enter, leave
from fanwise.records._record import record
from fanwise.records.chunks import ChunkStats
from fanwise.records.costs import BINS, bin_bounds
from fanwise.records.outcomes import Batch

__all__ = [
    "FLUSH_S",
    "Failure",
    "Function",
    "Streak",
    "Tally",
    "Watch",
    "bin_of",
    "execute",
    "run_block",
]

FLUSH_S = 0.05
_SHORT_S = 20e-6
_BLOCK_S = 100e-6
_SLOWEST = 3
bin_of = partial(bisect_right, [bin_bounds(index)[0] for index in range(1, BINS)])


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

    __slots__ = ("blocks", "first", "seconds", "values")

    def __init__(self, first: int) -> None:
        self.first = first
        self.values: list[Any] = []
        self.seconds: list[float] = []
        self.blocks: list[tuple[int, int]] = []  # (offset, items) of each block: their seconds are its mean

    @property
    def spread(self) -> float | tuple[float, ...]:
        """The mean if every item ran in a block, else one number an item."""
        if self.blocks and sum([count for _, count in self.blocks]) == len(self.values):
            return sum(self.seconds) / len(self.values)
        return tuple(self.seconds)

    def note(self, mean: float, count: int, *, block: bool) -> None:
        """Add what the last ``count`` items cost."""
        if block:
            self.blocks.append((len(self.seconds), count))
        self.seconds += [mean] * count

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

    __slots__ = ("_spans", "failed")

    def __init__(self) -> None:
        self.failed = False
        self._spans: list[tuple[int, list[float], list[tuple[int, int]]]] = []  # first, seconds, blocks

    def add(self, settled: Streak | Failure) -> None:
        """Count a streak or a failure."""
        if isinstance(settled, Failure):
            self.failed = True
            self._spans.append((settled.index, [settled.seconds], []))
        else:
            self._spans.append((settled.first, settled.seconds, settled.blocks))

    @property
    def busy(self) -> float:
        """Seconds inside the function."""
        return sum([sum(seconds) for _, seconds, _ in self._spans])

    @property
    def is_even(self) -> bool:
        """Whether there is but one figure: one item, or one block."""
        if len(self._spans) != 1:
            return False
        _, seconds, blocks = self._spans[0]
        return len(seconds) == 1 or (len(blocks) == 1 and blocks[0] == (0, len(seconds)))

    def stats(
        self,
        *,
        cpu: float,
        codec: float = 0.0,
        sizes: tuple[int, int, int] = (0, 0, 0),
        counts: tuple[float, ...] = (),
    ) -> ChunkStats:
        """What was counted, together with what was measured; ``sizes``: bytes in, bytes out, resident."""
        bins: Counter[int] = Counter()
        slowest: list[tuple[float, int]] = []
        for first, seconds, blocks in self._spans:
            alone = _outside(blocks, len(seconds))
            bins.update([bin_of(seconds[offset]) for offset in alone])
            for offset, count in blocks:
                bins[bin_of(seconds[offset])] += count
            costs = [(seconds[offset], first + offset) for offset in (*alone, *(begin for begin, _ in blocks))]
            slowest = sorted([*slowest, *costs], reverse=True)[:_SLOWEST]
        top = tuple([(index, cost) for cost, index in slowest])
        least = min([min(seconds) for _, seconds, _ in self._spans if seconds], default=None)
        return ChunkStats(self.busy, cpu, codec, *sizes, top, tuple(sorted(bins.items())), least, counts)


def _outside(blocks: Sequence[tuple[int, int]], end: int) -> list[int]:
    """Offsets of the items that ran alone."""
    offsets: list[int] = []
    at = 0
    for begin, count in blocks:
        offsets += range(at, begin)
        at = begin + count
    return [*offsets, *range(at, end)]
