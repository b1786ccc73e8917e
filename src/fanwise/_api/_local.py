"""Items that run in the calling process: the probe, small work, ``workers=1``.

This is the path that must cost no more than the loop it replaces: blocks run as ``values.extend(map(fn, block))``,
which is as fast as a comprehension and keeps the finished prefix when ``fn`` raises; no object is made per item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Protocol

from fanwise import _task
from fanwise._api._again import SecondChances
from fanwise._api._source import Source
from fanwise._format import traceback_of
from fanwise.records.outcomes import Batch, Failed, Settled

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows does not count it: anything may have waited
    _waits = perf_counter
else:

    def _waits() -> float:
        """How often this process gave up a processor."""
        return getrusage(RUSAGE_SELF).ru_nvcsw


__all__ = ["Fn", "LocalLoop", "News", "Pace", "failed_here"]

_CPU_FROM_S = 3e-4  # the processor clock of all threads costs about 0.5 µs: read around blocks as long as this

Fn = Callable[..., Any]


class Pace(Protocol):
    """How many items to run before the clock is read again."""

    def block(self) -> int:
        """Items of the next block."""

    def record(self, count: int, wall_s: float, cpu_s: float | None = None) -> None:
        """What the block cost."""


class CoreClock:
    """Time that this process wanted a processor for since the clock was made.

    Without a core free, plain work takes longer than its processor time, as waiting does. The two differ in this: who
    waits gives up the processor himself.
    """

    __slots__ = ("_cpu", "_waits")

    def __init__(self) -> None:
        self._waits = _waits()
        self._cpu = process_time()

    def wanted(self, wall_s: float) -> float:
        """Seconds on processors; of work that never waited, no less than the clock on the wall says."""
        cpu = process_time() - self._cpu
        return cpu if _waits() > self._waits else max(cpu, wall_s)


def _never() -> bool:
    """An item that runs here is ended by Ctrl-C itself: it need not ask."""
    return False


@dataclass(slots=True)
class News:
    """Blocks as (good items, seconds), items that failed for good, and next attempts as (item, attempt)."""

    blocks: list[tuple[int, float]] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    retried: list[tuple[int, int]] = field(default_factory=list)


class LocalLoop:
    """Runs the items of a source one after the other, a block at each `advance`.

    Results gather in ``values``, of which the first belongs to item ``first``; a failure closes that list.
    ``failure`` is what ended a run that raises, ``source_error`` what the input raised. With ``in_turn`` an item is
    settled before the next one begins: whoever takes results in order would get no later one before it.
    """

    def __init__(
        self,
        fn: Fn,
        source: Source,
        chances: SecondChances,
        *,
        raises: bool,
        in_turn: bool = False,
    ) -> None:
        self.first = 0
        self.values: list[Any] = []
        self.ended = False
        self.failure: Failed | None = None
        self.source_error: BaseException | None = None
        self.chances = chances
        self._fn = fn
        self._source = source
        self._raises = raises
        self._in_turn = in_turn
        self.busy_s = 0.0
        self._last_s = 0.0
        self._spans: list[tuple[int, float]] = []
        self._settled: list[Settled] = []
        self._news = News()

    def __repr__(self) -> str:
        return f"<LocalLoop at item {self.at}{', ended' if self.ended else ''}>"

    @property
    def at(self) -> int:
        """Index of the next item."""
        return self.first + len(self.values)

    def advance(self, pace: Pace) -> bool:
        """Run one block; False once the input is used up or a failure ends the run."""
        values = self.values
        before = len(values)
        items, drawing = self._source.block(self.first + before, pace.block())
        place = _task.enter(_task.Place(self.first, values, 1, None, _never))
        error: BaseException | None = None
        clock = CoreClock() if self._last_s > _CPU_FROM_S else None
        start = perf_counter()
        try:
            values.extend(map(self._fn, items))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as raised:  # noqa: BLE001  # an item may raise anything; it is kept for the caller
            error = raised
        finally:
            self._last_s = wall = perf_counter() - start
            got = len(values) - before
            self._spans.append((got, wall * got / (got + 1) if got < drawing.count else wall))
            _task.leave(place)
        self.busy_s += wall
        self._news.blocks.append((got, wall))
        cpu = None if clock is None else clock.wanted(wall)
        if error is None and got == drawing.count:
            self.ended, self.source_error = drawing.ended, drawing.error
            if got:
                pace.record(got, wall, cpu)
        else:  # `map` takes a StopIteration of fn for its own end
            pace.record(got + 1, wall, cpu)
            self._fail(StopIteration() if error is None else error, wall / (got + 1))
        if self.chances:
            self._try_again(wait=self.ended or self._in_turn)
        return not self.ended

    def _fail(self, error: BaseException, seconds: float) -> None:
        """Close the list of results: the item behind its last one failed."""
        index = self.at
        self.flush()
        self.first += 1
        self._decide(failed_here(error, index, seconds), error, self._source.item(index))

    def _decide(self, failed: Failed, error: BaseException, item: Any) -> None:
        """Another attempt, or the end of an item."""
        if self.chances.grant(failed.index, failed.attempts, error, item):
            self._news.retried.append((failed.index, failed.attempts + 1))
        else:
            self._give_up(failed)

    def _give_up(self, failed: Failed) -> None:
        self._news.failed.append(failed)
        if not self._raises:
            self._settled.append(failed)
        elif self.failure is None or failed.index < self.failure.index:
            self.failure, self.ended = failed, True

    def _try_again(self, *, wait: bool) -> None:
        """Give items another attempt whose time has come; with ``wait`` all of them, one after the other."""
        while (again := self.chances.due(wait=wait)) is not None:
            if self.failure is not None and again.index > self.failure.index:
                continue
            done: list[Any] = []
            place = _task.enter(_task.Place(again.index, done, again.attempt, None, _never))
            start = perf_counter()
            try:
                done.append(self._fn(again.item))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001  # as above
                seconds = perf_counter() - start
                self._decide(failed_here(error, again.index, seconds, again.attempt), error, again.item)
            else:
                self._settled.append(Batch(again.index, done, perf_counter() - start, None, again.attempt))
                self._news.blocks.append((1, perf_counter() - start))
            finally:
                _task.leave(place)
            wait = wait or self.ended

    def flush(self) -> None:
        """Turn the results at hand into a batch."""
        if self.values:
            costs = [wall / items for items, wall in self._spans for _ in range(items)]
            self._settled.append(Batch(self.first, self.values, costs))
        self.first += len(self.values)
        self.values = []
        self._spans = []

    def news(self) -> News:
        """Blocks run and items given up since the last call."""
        news, self._news = self._news, News()
        return news

    @property
    def only_values(self) -> bool:
        """Whether ``values`` is all there is: every item was good, and nothing was taken."""
        return self.first == 0 and not self._settled

    def take(self) -> list[Settled]:
        """Everything settled since the last call."""
        self.flush()
        settled, self._settled = self._settled, []
        return settled


def failed_here(error: BaseException, index: int, seconds: float, attempts: int = 1) -> Failed:
    """The outcome of an item that raised in this process; the frame of the loop itself is left out."""
    trace = error.__traceback__
    text = traceback_of(error, trace and trace.tb_next)
    return Failed(index=index, error=error, traceback=text, seconds=seconds, attempts=attempts)
