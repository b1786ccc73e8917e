"""Resume: what the journal holds is not run again, here or in workers, and what is finished goes into it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fanwise._api._fingerprint import fingerprint
from fanwise._api._source import Drawing, Overlay, Source
from fanwise._api._story import label_of
from fanwise._task import current_task
from fanwise.engine._journal import Header, Journal
from fanwise.records.outcomes import Batch, Ok, Settled
from fanwise.typing import Clock

__all__ = ["JournaledFn", "JournaledSource", "open_journal"]


def open_journal(path: Any, fn: Callable[..., Any], seed: int | None, clock: Clock) -> Journal:
    """The journal of a call, made if it is not there.

    Raises
    ------
    UsageError
        If it belongs to another function or seed, to somebody else, or to a run that goes on.
    """
    from fanwise import __version__

    header = Header(fingerprint(fn), label_of(fn), seed, platform.python_version(), __version__)
    return Journal(path, header, clock.now)


class JournaledFn:
    """The function in the calling process: looks an item up before running it, and writes it down afterwards."""

    def __init__(self, fn: Callable[[Any], Any], journal: Journal) -> None:
        self._fn = fn
        self._journal = journal
        self._resumed: list[int] = []

    def __call__(self, item: Any) -> Any:
        task = current_task()
        if task is None:
            raise RuntimeError("a journaled function runs as an item only")
        key, found, value = self._journal.recall(item, task.index)
        if found:
            self._resumed.append(task.index)
            return value
        value = self._fn(item)
        self._journal.keep(task.index, key, value)
        return value

    def resumed(self) -> list[int]:
        """Indexes that were answered by the journal since the last call."""
        resumed, self._resumed = self._resumed, []
        return resumed


class JournaledSource(Overlay):
    """A source whose draws say which items are finished already; `keep` writes down what workers return."""

    def __init__(self, source: Source, journal: Journal) -> None:
        super().__init__(source)
        self._journal = journal
        self._keys: dict[int, bytes | None] = {}

    def draw(self, count: int) -> Drawing:
        first, drawing = self._draw(count)
        return replace(drawing, known=self._recall(first, self._source.take(first, drawing.count)))

    def _recall(self, first: int, items: Sequence[Any]) -> tuple[Settled, ...]:
        known = []
        for index, item in enumerate(items, first):
            key, found, value = self._journal.recall(item, index)
            if found:
                known.append(Batch(index, [value]))
            else:
                self._keys[index] = key
        return tuple(known)

    def keep(self, piece: Settled) -> None:
        """Write down what is good; what failed is tried again by the next call."""
        if isinstance(piece, Batch):
            for index, value in enumerate(piece.values, piece.first):
                self._journal.keep(index, self._keys.pop(index, None), value)
        elif isinstance(piece, Ok):
            self._journal.keep(piece.index, self._keys.pop(piece.index, None), piece.value)
