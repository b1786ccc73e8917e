"""Where items come from: how many may be handed out now, and what is to be asked of a source of unknown length."""

from __future__ import annotations

from collections import deque

from fanwise.engine._config import SchedulerConfig

__all__ = ["Source"]

LEAST_AHEAD = 64  # items asked of a source of unknown length beyond what runs


class Source:
    """The items of one run, drawn in order.

    Attributes
    ----------
    drawn : int
        Index of the next item to draw.
    ended : bool
        Nothing more can be drawn.
    error : BaseException or None
        What the source raised.
    """

    __slots__ = ("_asked", "_lookahead", "_skips", "_total", "drawn", "ended", "error")

    def __init__(self, config: SchedulerConfig) -> None:
        self._total = config.total
        self._lookahead = config.lookahead
        self._skips = deque(config.skip)
        self._asked = 0
        self.drawn = config.first
        self.ended = False
        self.error: BaseException | None = None

    @property
    def counted(self) -> bool:
        """True if the number of items is known, so that none need be asked for."""
        return self._total is not None

    def hand_out(self, held: int) -> list[tuple[int, int]]:
        """Ranges of items of known number that may go now; those to skip are passed over for free."""
        ranges: list[tuple[int, int]] = []
        total, skips = self._total or 0, self._skips
        room = total if self._lookahead is None else self._lookahead - held
        while self.drawn < total:
            if skips and skips[0][0] <= self.drawn:
                self.drawn = max(self.drawn, skips.popleft()[1])
                continue
            if room <= 0:
                return ranges
            stop = min(total, self.drawn + room, skips[0][0] if skips else total)
            ranges.append((self.drawn, stop))
            room -= stop - self.drawn
            self.drawn = stop
        self.ended = True
        return ranges

    def ask(self, held: int, waiting: int, chunks: int) -> int:
        """How many items to ask for: enough for ``chunks`` items in advance, and not for every single one anew."""
        ahead = max(LEAST_AHEAD, chunks)
        count = ahead - waiting - self._asked
        if self._lookahead is not None:
            ahead = min(ahead, self._lookahead)
            count = min(count, self._lookahead - held - self._asked)
        if count <= 0 or (4 * count < ahead and waiting):
            return 0
        self._asked += count
        return count

    def came(self, count: int) -> tuple[int, int]:
        """Items arrived, asked for or not; returns their range."""
        self._asked = max(0, self._asked - count)
        self.drawn += count
        return self.drawn - count, self.drawn

    def end(self, error: BaseException | None) -> None:
        """The source said that this was all."""
        self.ended = True
        self._asked = 0
        self.error = error
