"""Where items come from: a sequence that is at hand, or an iterator that is drawn once, in order.

Only built-in sequences and arrays count as such: workers look their items up by themselves, several at a time and in
any order. A mapping or a data frame has a length and square brackets too, but looping over it means something else; and
a sequence of the user's own may read a file at each look-up. Such inputs are drawn like any other iterable.
"""

from __future__ import annotations

import array
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Protocol, cast

from fanwise.records._record import record
from fanwise.records.outcomes import Settled

__all__ = ["Drawing", "Handed", "IteratorSource", "Overlay", "SequenceSource", "Source", "source_of"]

_BUILT_IN = (list, tuple, range, str, bytes, bytearray, array.array)
_LOOPS = {(kind.__iter__, kind.__getitem__) for kind in _BUILT_IN}


@record
class Drawing:
    """What one draw brought: how many items, whether that was the end, what the input raised, what is known already.

    ``known`` is what a journal has, ``cached`` what a cache has.
    """

    count: int
    ended: bool
    error: BaseException | None = None
    known: tuple[Settled, ...] = ()
    cached: tuple[Settled, ...] = ()


class Handed(Protocol):
    """What a block held, looked at after the block was run."""

    @property
    def count(self) -> int:
        """How many items."""

    @property
    def ended(self) -> bool:
        """Whether that was the end."""

    @property
    def error(self) -> BaseException | None:
        """What the input raised."""


class Source(Protocol):
    """Items by position. ``total`` is None while the length is not known."""

    @property
    def total(self) -> int | None:
        """Number of items, if known."""

    @property
    def inheritable(self) -> bool:
        """Whether a forked worker can look every item up by itself."""

    @property
    def at_hand(self) -> bool:
        """Whether every item is drawn already."""

    def draw(self, count: int) -> Drawing:
        """Bring up to ``count`` further items to hand."""

    def take(self, first: int, count: int) -> Sequence[Any]:
        """Items that were drawn and not yet released."""

    def release(self, first: int) -> None:
        """Forget the items before ``first``."""

    def block(self, first: int, size: int) -> tuple[Iterable[Any], Handed]:
        """The next items for the loop in the calling process, which takes them in order and once."""

    def item(self, index: int) -> Any:
        """An item of the last block."""

    def reclaim(self, first: int, unused: Sequence[Any] = ()) -> None:
        """The loop is over before item ``first``: from there on items are drawn, those that it gives back first."""


class SequenceSource:
    """A sequence or array; nothing is copied, and a forked worker may look items up by itself."""

    inheritable = True
    at_hand = True

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self._iterator = iter(items)
        self.total: int = len(items)
        self._sliceable = isinstance(items, list | tuple | range)

    def __repr__(self) -> str:
        return f"<SequenceSource of {self.total} items>"

    def draw(self, count: int) -> Drawing:
        return Drawing(count, ended=True)

    def take(self, first: int, count: int) -> Sequence[Any]:
        if self._sliceable:
            return self._items[first : first + count]
        look_up = self._items.__getitem__
        return [look_up(index) for index in range(first, first + count)]

    def release(self, first: int) -> None:
        """Nothing to forget: the items are the caller's."""

    def item(self, index: int) -> Any:
        return self._items[index]

    def reclaim(self, first: int, unused: Sequence[Any] = ()) -> None:
        """Nothing to put back."""

    def block(self, first: int, size: int) -> tuple[Iterable[Any], Drawing]:
        left = self.total - first
        return islice(self._iterator, size), Drawing(min(size, left), ended=size >= left)


class IteratorSource:
    """Any other iterable: a window of drawn items that are not settled yet."""

    inheritable = False
    at_hand = False

    def __init__(self, items: Iterable[Any]) -> None:
        self.total = _length(items)
        self._iterator: Iterator[Any] = iter(items)
        self._window: deque[Any] = deque()
        self._first = 0
        self._block: deque[Any] = deque()
        self._handed_out: Iterator[Any] = iter(())
        self._ended = False
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<IteratorSource, items {self._first} to {self._first + len(self._window)} at hand>"

    def draw(self, count: int) -> Drawing:
        before = len(self._window)
        if not self._ended:
            try:
                self._window.extend(islice(self._iterator, count))
            except Exception as error:  # noqa: BLE001  # the input's own failure: raised where the loop would raise it
                self._error = error
            self._ended = self._error is not None or len(self._window) - before < count
        return Drawing(len(self._window) - before, self._ended, self._error)

    def take(self, first: int, count: int) -> Sequence[Any]:
        start = first - self._first
        return list(islice(self._window, start, start + count))

    def release(self, first: int) -> None:
        gone = first - self._first
        if gone >= len(self._window):
            self._window.clear()
        else:
            for _ in range(gone):
                self._window.popleft()
        self._first = first

    def block(self, first: int, size: int) -> tuple[Iterable[Any], Drawing]:
        """Hand out the whole window, filled up to ``size``; what the loop leaves is still there at the next call."""
        self._window.extend(self._handed_out)
        drawing = self.draw(max(0, size - len(self._window)))
        self._block, self._window = self._window, deque()
        self._handed_out = iter(self._block)
        self._first = first + len(self._block)
        return self._handed_out, Drawing(len(self._block), drawing.ended, drawing.error)

    def item(self, index: int) -> Any:
        return self._block[index - self._first]

    def reclaim(self, first: int, unused: Sequence[Any] = ()) -> None:
        """Put back what the loop was handed and did not run: it will be drawn again."""
        left = [*unused, *self._handed_out, *self._window]
        self._handed_out = iter(())
        self._window.clear()
        self._first = first
        if left:
            rest = self._iterator if self._error is None else _Raising(self._error)
            self._iterator = chain(left, rest)
            self._ended, self._error = False, None


class _Raising:
    """An input that fails at once."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise self._error


def _length(items: Iterable[Any]) -> int | None:
    """How many items there will be, if a collection says so."""
    try:
        return len(items) if isinstance(items, Sequence | set | frozenset | dict) else None
    except OverflowError:  # range(10**30)
        return None


class Overlay:
    """A source over another one, for what knows some items before they run: a journal, a cache."""

    at_hand = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._drawn = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._source!r}>"

    @property
    def total(self) -> int | None:
        return self._source.total

    @property
    def inheritable(self) -> bool:
        return self._source.inheritable

    def block(self, first: int, size: int) -> tuple[Iterable[Any], Handed]:
        return self._source.block(first, size)

    def take(self, first: int, count: int) -> Sequence[Any]:
        return self._source.take(first, count)

    def release(self, first: int) -> None:
        self._source.release(first)

    def item(self, index: int) -> Any:
        return self._source.item(index)

    def keep(self, piece: Settled) -> None:
        """Hear what came of items."""
        if isinstance(self._source, Overlay):
            self._source.keep(piece)

    def reclaim(self, first: int, unused: Sequence[Any] = ()) -> None:
        self._drawn = first
        self._source.reclaim(first, unused)

    def _draw(self, count: int) -> tuple[int, Drawing]:
        """The index of the first item, and what the source below brought; a sequence is drawn like an iterator."""
        first = self._drawn
        drawing = self._source.draw(count)
        if self._source.at_hand and self.total is not None:
            got = min(count, self.total - first)
            drawing = replace(drawing, count=got, ended=first + got >= self.total)
        self._drawn += drawing.count
        return first, drawing


def source_of(items: Iterable[Any]) -> Source:
    """The source for an input that `iter` accepts."""
    if _is_built_in(items) or _is_array(items):
        return SequenceSource(cast("Sequence[Any]", items))
    return IteratorSource(items)


def _is_built_in(items: Any) -> bool:
    """Whether this is a built-in sequence, or an heir that loops and looks up as its parent does."""
    if not isinstance(items, _BUILT_IN) or (type(items).__iter__, type(items).__getitem__) not in _LOOPS:
        return False
    return not isinstance(items, range) or not items[sys.maxsize :]  # a longer range has no `len`


def _is_array(items: Any) -> bool:
    """Whether this is a NumPy array with rows: a sequence in all but name."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(items) is numpy.ndarray and items.ndim > 0
