"""A run with a cache: what it holds is not run again, what is computed goes into it, and workers say what they counted.

Hits are answered by the calling process, before anything is sent to a worker: the value has to come here anyway. Where
making keys takes long it is left to the workers. Values are stored where they are computed.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from fanwise._api._resuming import JournaledSource
from fanwise._api._source import Drawing, Overlay, Source
from fanwise._seeds import generator
from fanwise._task import current_task
from fanwise.engine._driver import Listener
from fanwise.errors import FanwiseWarning, UsageError
from fanwise.records.chunks import ChunkStats
from fanwise.records.outcomes import Batch, first_of
from fanwise.records.scheduling import ChunkFinished, Command, Event

if TYPE_CHECKING:
    from fanwise.cache import Cache, Memoized

__all__ = ["CachedFn", "CachedSource", "Counting", "HereFn", "Reuse", "reuse_of"]

_AT_ONCE = 100  # look-ups asked of other hosts in one call
_KEY_HERE_S = 250e-6  # hashing 2.5 MB; from there on keys are made by the workers, side by side


class CachedFn:
    """The function of a run, called with the item alone; a worker that unpickles it opens the same cache."""

    def __init__(self, memo: Memoized[..., Any], seed: int | None, home: int | None = None) -> None:
        self.memo = memo
        self._seed = seed
        self._home = home
        self._pid = os.getpid()
        self._told = memo.counters

    def __repr__(self) -> str:
        return f"<CachedFn of {self.memo!r}>"

    def __call__(self, item: Any) -> Any:
        if self._seed is None:
            return self.memo(item)
        task = current_task()
        return self.memo(item, **self._also(task.index if task is not None else 0))

    def begin(self, item: Any, index: int) -> tuple[bool, Any]:
        """Look an item up: (True, its value), or (False, what computes and keeps it)."""
        return self.memo.begin((item,), self._also(index))

    def prefetch(self, items: Sequence[Any], first: int) -> None:
        """Ask other hosts, if there are any, once for what these items will look up."""
        if self.memo.is_shared:
            self.memo.prefetch(((item,), self._also(index)) for index, item in enumerate(items, first))

    def _also(self, index: int) -> dict[str, Any]:
        return {} if self._seed is None else {"rng": generator(self._seed, index)}

    def __fanwise_account__(self) -> tuple[float, ...]:
        """What this process counted since the last call; nothing in the process whose own counters the run reads."""
        pid = os.getpid()
        if pid == self._home:
            return ()
        now = self.memo.counters
        news = now if pid != self._pid else now - self._told  # a forked child began at zero
        self._pid, self._told = pid, now
        counts = news.values()
        return (news.hits, news.seconds_spent, *counts) if any(counts) else ()

    def __reduce__(self) -> tuple[Any, ...]:
        return CachedFn, (self.memo, self._seed)


class Ready:
    """An item whose value is at hand."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Begun:
    """An item that was looked up in vain."""

    __slots__ = ("compute",)

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute = compute


class HereFn:
    """The function in the calling process: most items have been looked up by the source already."""

    __slots__ = ("_fn",)

    def __init__(self, fn: CachedFn) -> None:
        self._fn = fn

    def __call__(self, item: Any) -> Any:
        if type(item) is Ready:
            return item.value
        if type(item) is Begun:
            return item.compute()
        return self._fn(item)


class Recalling:
    """The function in the calling process where a journal is asked first: an item is looked up when it is called."""

    def __init__(self, fn: CachedFn, hits: list[tuple[int, int]]) -> None:
        self._fn = fn
        self._hits = hits

    def __call__(self, item: Any) -> Any:
        task = current_task()
        index = task.index if task is not None else 0
        found, result = self._fn.begin(item, index)
        if found:
            self._hits.append((index, 1))
            return result
        return result()


class Look:
    """What a block of looked-up items turned out to hold; final once the block was run."""

    __slots__ = ("_first", "_source", "count")

    def __init__(self, source: CachedSource, first: int) -> None:
        self._source = source
        self._first = first
        self.count = 0

    @property
    def ended(self) -> bool:
        """Whether the input ends with this block."""
        return self._source.ends_at(self._first + self.count)

    @property
    def error(self) -> BaseException | None:
        """What the input raised behind it."""
        return self._source.error if self.ended else None


class CachedSource(Overlay):
    """A source that looks items up: in blocks for the loop here, and as they are drawn for workers.

    A block holds hits only, or one item that must be computed: the clock is read between the two, so that the plan
    never takes the one for the other.
    """

    def __init__(self, source: Source, fn: CachedFn, hits: list[tuple[int, int]], *, threads: bool = False) -> None:
        super().__init__(source)
        self.error: BaseException | None = None
        self._fn = fn
        self._hits = hits
        self._journaled = isinstance(source, JournaledSource)
        self._most_s = math.inf if threads else _KEY_HERE_S  # threads would make keys in turns
        self._hand: Iterator[Any] = iter(())
        self._hand_end = 0
        self._ended = False
        self._waiting: list[tuple[Any, Any]] = []  # an item behind hits, and how to compute it

    def ends_at(self, index: int) -> bool:
        """Whether there is no item ``index``, as far as the input was read."""
        return self._ended and index >= self._hand_end

    def block(self, first: int, size: int) -> tuple[Iterable[Any], Any]:
        if self._journaled:
            return self._source.block(first, size)
        if first >= self._hand_end and not self._ended:
            items, drawing = self._fill(first, size)
            self._hand, self._hand_end = iter(items), first + drawing.count
            self._ended, self.error = drawing.ended, drawing.error
        size = min(size, self._hand_end - first)
        if not self._fn.memo.bypassing:
            look = Look(self, first)
            return self._look_up(first, size, look), look
        waiting = [item for item, _ in self._waiting]
        self._waiting.clear()
        ended = self.ends_at(first + size)
        items = chain(waiting, islice(self._hand, size - len(waiting)))
        return items, Drawing(size, ended, self.error if ended else None)

    def _fill(self, first: int, size: int) -> tuple[Iterable[Any], Any]:
        """A block of the source; if other hosts are asked, they are for all of it at once."""
        if self._fn.memo.bypassing or not self._fn.memo.is_shared:
            return self._source.block(first, size)
        items, drawing = self._source.block(first, min(size, _AT_ONCE))
        at_hand = list(items)
        self._fn.prefetch(at_hand, first)
        return at_hand, drawing

    def _look_up(self, first: int, size: int, look: Look) -> Iterator[Any]:
        """Hits up to the first miss, or that miss."""
        hits = 0
        try:
            for index in range(first, first + size):
                item, (found, result) = self._waiting.pop() if self._waiting else self._next(index)
                if not found and hits:
                    self._waiting.append((item, (found, result)))
                    return
                look.count += 1
                hits += found
                yield Ready(result) if found else Begun(result)
                if not found:
                    return
        finally:
            if hits:
                self._hits.append((first, hits))

    def _next(self, index: int) -> tuple[Any, tuple[bool, Any]]:
        item = next(self._hand)
        try:
            return item, self._fn.begin(item, index)
        except UsageError:  # no key: calling the function says so
            return item, (False, partial(self._fn, item))

    def draw(self, count: int) -> Drawing:
        first, drawing = self._draw(count)
        if self._fn.memo.bypassing or self._fn.memo.key_s > self._most_s:
            return drawing
        done = {first_of(piece) for piece in drawing.known}
        return replace(drawing, cached=tuple(self._recall(first, self._source.take(first, drawing.count), done)))

    def _recall(self, first: int, items: Sequence[Any], done: Collection[int]) -> Iterator[Batch]:
        """Hits, neighbours as one batch."""
        values: list[Any] = []
        for index, item in enumerate(items, first):
            if (index - first) % _AT_ONCE == 0:
                self._fn.prefetch(items[index - first : index - first + _AT_ONCE], index)
            found, value = (False, None) if index in done else self._glance(item, index)
            if found:
                values.append(value)
            elif values:
                yield Batch(index - len(values), values)
                values = []
        if values:
            yield Batch(first + len(items) - len(values), values)

    def _glance(self, item: Any, index: int) -> tuple[bool, Any]:
        try:
            return self._fn.begin(item, index)
        except Exception:  # noqa: BLE001  # whatever an object says when asked for its key: its own call will raise it
            return False, None

    def reclaim(self, first: int, unused: Sequence[Any] = ()) -> None:
        super().reclaim(first, [*unused, *(item for item, _ in self._waiting), *self._hand])
        self._waiting.clear()


class Reuse:
    """What one call does with a cache.

    Attributes
    ----------
    fn : CachedFn
        The function for workers.
    """

    def __init__(self, memo: Memoized[..., Any], seed: int | None) -> None:
        self.fn = CachedFn(memo, seed, os.getpid())
        self._hits: list[tuple[int, int]] = []
        self._before = memo.counters
        self._theirs = self._before - self._before

    def __repr__(self) -> str:
        return f"<Reuse of {self.fn.memo!r}>"

    def over(self, source: Source, *, threads: bool = False) -> CachedSource:
        """The source of a call that looks items up."""
        return CachedSource(source, self.fn, self._hits, threads=threads)

    def here(self, *, journaled: bool) -> Callable[[Any], Any]:
        """The function for the calling process."""
        return Recalling(self.fn, self._hits) if journaled else HereFn(self.fn)

    def hits(self) -> list[tuple[int, int]]:
        """Items answered in the calling process since the last call, as pairs (first, count)."""
        hits = self._hits[:]
        self._hits.clear()
        return hits

    def counting(self, listener: Listener) -> Counting:
        """A listener before another one that takes in what workers counted."""
        return Counting(listener, self)

    def absorb(self, stats: ChunkStats) -> None:
        """Add what a worker counted."""
        if stats.counts:
            counters = self._theirs.of(stats.counts[2:])
            self._theirs += counters
            self.fn.memo.cache.absorb(counters)

    def facts(self) -> Sequence[Mapping[str, Any]]:
        """What each level did in this run, for the report."""
        memo = self.fn.memo
        return memo.cache.uses(memo.counters - self._before + self._theirs)


class Counting:
    """A listener before another one: takes what workers counted out of the figures of their chunks."""

    def __init__(self, listener: Listener, reuse: Reuse) -> None:
        self._listener = listener
        self._reuse = reuse

    def hear(self, event: Event, commands: Sequence[Command]) -> None:
        if isinstance(event, ChunkFinished):
            self._reuse.absorb(event.stats)
        self._listener.hear(event, commands)

    def tick(self, now: float) -> float | None:
        return self._listener.tick(now)


def reuse_of(fn: Callable[..., Any], cache: Cache | None, seed: int | None) -> Reuse | None:
    """What a call does with a cache; None if it has none, or cannot use it, which is then said.

    A memoised function is taken for its function with its cache.
    """
    memo = _memoised(fn)
    if memo is None and cache is None:
        return None
    try:
        if memo is None and cache is not None:
            memo = cache.for_run(fn)
        assert memo is not None
        memo.check()
    except UsageError as error:
        if memo is not None and not memo.lenient:
            raise
        warnings.warn(f"cache: {error}; results of this run are not kept", FanwiseWarning, stacklevel=5)
        return None
    return Reuse(memo, seed)


def _memoised(fn: Any) -> Memoized[..., Any] | None:
    """The function, if it keeps its results itself."""
    module = sys.modules.get("fanwise.cache")
    return fn if module is not None and type(fn) is module.Memoized else None
