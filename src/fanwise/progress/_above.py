"""A line that stays at the bottom of a terminal while other text is written above it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO, cast

from fanwise.progress._terminal import is_terminal
from fanwise.typing import Clock

__all__ = ["BottomLine", "shown_now"]

_REST, _UP = "\x1b[K", "\x1b[A"  # erase to the end of the line; one line up
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor, within one write
_REDRAW_S = 0.1


class BottomLine:
    """Draws one line in place, or two, and lets what goes through `sys.stdout` and `sys.stderr` pass above it, whole.

    While it is up, both streams (as far as they are terminals) and the log handlers that write to them are replaced by
    wrappers that take the line away, write, and put it back. A wrapper that someone still holds afterwards only passes
    on what it is given.
    """

    def __init__(self, terminal: TextIO, clock: Clock) -> None:
        self._terminal = terminal
        self._clock = clock
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._lines: Sequence[str] = ()
        self._height = 0  # lines that are drawn now
        self._mid_line = False
        self._drawn_at = 0.0
        self._wrappers: dict[str, Above] = {}
        self._handlers: list[logging.StreamHandler[TextIO]] = []

    def draw(self, lines: Sequence[str]) -> None:
        """Put lines up, or new ones in their place. Not while a line of other text is unfinished."""
        with self._lock:
            self._lines = lines
            if not self._mid_line:
                top = "\r" + _UP * (self._height - 1) if self._height in {0, len(lines)} else self._cleared()
                body = "\r\n".join(f"{line}{_REST}" for line in lines)
                self._write(f"{_HIDE}{top}{body}{_SHOW}")
                self._height = len(lines)
                self._drawn_at = self._clock.now()

    def attach(self) -> None:
        """Replace the standard streams by wrappers."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if is_terminal(stream):
                self._wrappers[name] = Above(stream, self)
                setattr(sys, name, self._wrappers[name])
        for handler in _stream_handlers():
            for wrapper in self._wrappers.values():
                if handler.stream is wrapper.stream:
                    handler.setStream(cast(TextIO, wrapper))
                    self._handlers.append(handler)

    def detach(self) -> None:
        """Give the standard streams back, unless someone has replaced them meanwhile. Nothing is written."""
        self._owner = 0  # wrappers that are still held pass on
        for handler in self._handlers:
            if isinstance(handler.stream, Above):
                handler.setStream(handler.stream.stream)
        for name, wrapper in self._wrappers.items():
            if getattr(sys, name) is wrapper:
                setattr(sys, name, wrapper.stream)
        self._wrappers.clear()
        self._handlers.clear()

    def erase(self) -> None:
        """Take the line away; text that did not end a line gets its end."""
        with self._lock:
            if self._mid_line:
                self._write("\n")
            elif self._height:
                self._write(self._cleared())
            self._height = 0
            self._mid_line = False

    def pass_above(self, stream: TextIO, text: str) -> int:
        """Write text of others."""
        if not text or os.getpid() != self._owner:  # a forked child has no line
            return stream.write(text)
        with self._lock:
            if self._height:
                self._write(self._cleared())
                self._height = 0
            written = stream.write(text)
            stream.flush()
            self._mid_line = not text.endswith("\n")
            if self._clock.now() - self._drawn_at >= _REDRAW_S:
                self.draw(self._lines)
            return written

    def _cleared(self) -> str:
        """What takes the lines away and leaves the cursor where the first one began."""
        return f"\r{_REST}" + f"{_UP}{_REST}" * (self._height - 1)

    def _write(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


class Above:
    """Stands in for a stream of text while a line is drawn below what is written to it."""

    def __init__(self, stream: TextIO, bottom: BottomLine) -> None:
        self.stream = stream
        self._bottom = bottom

    def write(self, text: str) -> int:
        return self._bottom.pass_above(self.stream, text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)


def shown_now() -> bool:
    """True while a line is drawn: another run is being shown."""
    return isinstance(sys.stdout, Above) or isinstance(sys.stderr, Above)


def _stream_handlers() -> Iterator[logging.StreamHandler[TextIO]]:
    """The handlers of all loggers that write to a stream."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
