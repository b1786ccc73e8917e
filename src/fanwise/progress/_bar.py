"""The bar: one line of a terminal that is redrawn in place. No thread: it moves when the run says something."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from fanwise.progress._above import BottomLine
from fanwise.progress._line import bar_line, bar_lines
from fanwise.progress._lines import write_line
from fanwise.progress._tally import Snapshot
from fanwise.progress._terminal import in_foreground, painter, size, speaks_utf8
from fanwise.progress._words import Closing, closing_line
from fanwise.typing import Clock

__all__ = ["BarView"]

_FIRST_S = 1.0
_EVERY_S = 0.1
_ROWS_FOR_TWO = 10


class BarView:
    """Shows a bar from the first second on, at most ten times a second, and a closing line that stays."""

    def __init__(self, terminal: TextIO, environ: Mapping[str, str], clock: Clock) -> None:
        self._terminal = terminal
        self._environ = environ
        self._clock = clock
        self._paint = painter(environ, terminal=True)
        self._utf8 = speaks_utf8(terminal)
        self._bottom: BottomLine | None = None

    def next_due(self, at: float) -> float:
        return at + _EVERY_S if self._bottom is not None else max(_FIRST_S, at + _EVERY_S)

    def show(self, shown: Snapshot) -> None:
        if not in_foreground(self._terminal):
            return
        if self._bottom is None:
            self._bottom = BottomLine(self._terminal, self._clock)
            self._bottom.attach()
            atexit.register(self._leave_at_exit)
        columns, rows = size(self._terminal, self._environ)
        if shown.part is not None and rows >= _ROWS_FOR_TWO:
            self._bottom.draw(bar_lines(shown, columns, self._paint, utf8=self._utf8))
        else:
            self._bottom.draw([bar_line(shown, columns, self._paint, utf8=self._utf8)])

    def close(self, end: Closing | None) -> None:
        self._leave()
        if end is not None:
            write_line(self._terminal, closing_line(end))

    def drop(self) -> None:
        """Give the streams back; the terminal itself is out of reach."""
        bottom, self._bottom = self._bottom, None
        if bottom is not None:
            bottom.detach()
            atexit.unregister(self._leave_at_exit)

    def _leave_at_exit(self) -> None:
        """Take the bar away if the process ends in the middle of a run."""
        with suppress(OSError, ValueError):  # the terminal may be gone by then
            self._leave()

    def _leave(self) -> None:
        bottom = self._bottom
        self.drop()
        if bottom is not None:
            bottom.erase()
