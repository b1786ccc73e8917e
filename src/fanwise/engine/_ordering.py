"""Results in item order: what came early waits for what is late."""

from __future__ import annotations

from fanwise.records.outcomes import Settled, count_of, first_of

__all__ = ["Reorder"]


class Reorder:
    """Holds records that came before their turn; each is looked at twice, whatever the number of items.

    A dictionary by first index rather than a ring of ``lookahead`` places: a batch of ten thousand items takes one
    entry. How much can be held is bounded by who hands out items, not here.

    Parameters
    ----------
    first : int
        Index of the item whose turn it is now.
    """

    __slots__ = ("_early", "next")

    def __init__(self, first: int = 0) -> None:
        self.next = first
        self._early: dict[int, Settled | int] = {}

    def __len__(self) -> int:
        """Number of records held."""
        return sum(not isinstance(held, int) for held in self._early.values())

    def put(self, record: Settled) -> list[Settled]:
        """Take one record; return those whose turn has come, in item order.

        Records must not overlap: an item is settled once.
        """
        first = first_of(record)
        if first != self.next:
            self._early[first] = record
            return []
        self.next = first + count_of(record)
        return [record, *self._release()] if self._early else [record]

    def skip(self, first: int, count: int) -> list[Settled]:
        """Pass over items that will have no record; return what waited for them."""
        self._early[first] = count
        return self._release()

    def drain(self) -> list[Settled]:
        """Give up waiting: everything held, ascending, gaps and all."""
        held = [record for _, record in sorted(self._early.items()) if not isinstance(record, int)]
        self._early.clear()
        return held

    def _release(self) -> list[Settled]:
        ready: list[Settled] = []
        early = self._early
        while (held := early.pop(self.next, None)) is not None:
            if isinstance(held, int):
                self.next += held
            else:
                self.next += count_of(held)
                ready.append(held)
        return ready
