"""What is settled, when it may be told, and which failure decides the run."""

from __future__ import annotations

from collections.abc import Callable

from fanwise.engine._config import SchedulerConfig
from fanwise.engine._ordering import Reorder
from fanwise.records.outcomes import Failed, Lost, Settled, count_of
from fanwise.records.scheduling import Command, Emit

__all__ = ["Results"]


class Results:
    """Outcomes of one run on their way out.

    Attributes
    ----------
    open : int
        Items drawn and not settled.
    held : int
        Items drawn and not yet emitted (if a consumer sets the pace: not yet taken).
    fail_at : int or None
        The lowest failing item, if that is to be raised.
    failure : BaseException or None
        Its error.
    """

    __slots__ = ("_order", "_paced", "_raises", "_say", "fail_at", "failure", "held", "open")

    def __init__(self, config: SchedulerConfig, say: Callable[[Command], None]) -> None:
        self._say = say
        self._order = Reorder(config.first) if config.ordered else None
        self._paced = config.paced
        self._raises = config.raise_on_error
        self.open = 0
        self.held = 0
        self.fail_at: int | None = None
        self.failure: BaseException | None = None
        for first, stop in config.skip:
            self.pass_over(first, stop - first)

    def expect(self, count: int) -> None:
        """So many items were drawn."""
        self.open += count
        self.held += count

    def wanted(self, index: int) -> bool:
        """False for items above a failure that is to be raised."""
        return self.fail_at is None or index < self.fail_at

    def settle(self, record: Settled) -> None:
        """A record is final."""
        self.open -= count_of(record)
        if self._raises and isinstance(record, (Failed, Lost)) and self.wanted(record.index):
            self.fail_at, self.failure = record.index, record.error
        if self._order is None:
            self._emit(record)
        else:
            for ready in self._order.put(record):
                self._emit(ready)

    def cancel(self, index: int) -> None:
        """An item is no longer wanted: it has no outcome and nothing waits for it."""
        self.open -= 1
        self.held -= 1
        self.pass_over(index, 1)

    def pass_over(self, first: int, count: int) -> None:
        """Nothing will come for these items."""
        for ready in self._order.skip(first, count) if self._order is not None else ():
            self._emit(ready)

    def drain(self) -> None:
        """Tell what is finished beyond a gap: the gap will not close."""
        for record in self._order.drain() if self._order is not None else ():
            self._emit(record)

    def _emit(self, record: Settled) -> None:
        if not self._paced:
            self.held -= count_of(record)
        self._say(Emit(record))
