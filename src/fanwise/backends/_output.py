"""What items print, log and warn about: kept with the item, so that it can be said in item order.

In a worker descriptors 1 and 2 are pipes to the coordinator; text outside any item, and what exceeds 1 MiB an item, goes
there. In the calling process, which runs items while workers run others, it goes where it would have gone.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, Self, TextIO

from fanwise.errors import UsageError

__all__ = ["Aside", "Capture", "Piece"]

Piece = tuple[int, str, Any]
"""Index of the item, stream, payload: the fields of `fanwise.records.outcomes.Said`."""

_LIMIT = 1 << 20
_PLAIN = (str, int, float, bool, type(None))


class Capture:
    """Collects the output of one worker.

    Attributes
    ----------
    active : bool
        Whether what items say is to be kept.
    index : callable
        The item now running, or None.
    pieces : list
        What was collected since the last `take`.
    """

    def __init__(self) -> None:
        self.active = False
        self.index: Callable[[], int | None] = lambda: None
        self.pieces: list[tuple[int, str, list[Any]]] = []
        self._of = -1
        self._kept = 0
        replaced = (sys.__stdout__, sys.__stderr__)
        self._flushes = [stream.flush for stream in replaced if stream is not None]

    def install(self) -> None:
        """Take the place of stdin, stdout, stderr, log handlers and the display of warnings."""
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        sys.stdout = _Stream(self, "stdout", 1)
        sys.stderr = _Stream(self, "stderr", 2)
        sys.breakpointhook = _no_breakpoint
        warnings.showwarning = self._warn
        self._divert_logging()

    def _divert_logging(self) -> None:
        for logger in list(logging.root.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger):
                logger.handlers.clear()
                logger.propagate = True
        logging.root.handlers[:] = [_Handler(self)]

    def _room(self, size: int) -> int | None:
        """The index that a piece of this size belongs to; None if it is to be passed on as it comes."""
        index = self.index() if self.active else None
        if index is None:
            return None
        if index != self._of:
            self._of, self._kept = index, 0
        self._kept += size
        return index if self._kept <= _LIMIT else None

    def text(self, stream: str, fd: int, text: str) -> None:
        """Keep text, or pass it on."""
        index = self._room(len(text))
        if index is None:
            self._pass_on(fd, text)
        elif self.pieces and self.pieces[-1][:2] == (index, stream):
            self.pieces[-1][2].append(text)
        else:
            self.pieces.append((index, stream, [text]))

    def record(self, record: logging.LogRecord, line: str) -> None:
        """Keep a log record as a dict; outside an item, write it as a line."""
        index = self._room(len(line))
        if index is None:
            self._pass_on(2, line + "\n")
        else:
            self.pieces.append((index, "log", [_as_dict(record, index)]))

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        shown = warnings.formatwarning(message, category, filename, lineno, line)
        if file is not None:
            file.write(shown)
            return
        index = self._room(len(shown))
        if index is None:
            self._pass_on(2, shown)
            return
        facts = {"message": str(message), "category": category, "filename": filename, "lineno": lineno}
        self.pieces.append((index, "warning", [facts | {"module": _module_at(filename, lineno)}]))

    def _pass_on(self, fd: int, text: str) -> None:
        """Text that belongs to no item."""
        _write(fd, text)

    def take(self) -> list[Piece]:
        """What was collected since the last time."""
        pieces, self.pieces = self.pieces, []
        return [
            (index, stream, "".join(parts) if stream in {"stdout", "stderr"} else parts[0])
            for index, stream, parts in pieces
        ]

    def flush(self) -> None:
        """Pass on what was written to the streams that this one replaced."""
        try:
            for flush in self._flushes:
                flush()
        except (OSError, ValueError):  # closed by an item
            self._flushes = []


class Aside(Capture):
    """The same in the calling process, as a context: while it runs items, and only for the thread that does."""

    def __init__(self) -> None:
        super().__init__()
        self.active = True
        self._stdout, self._stderr = _Stream(self, "stdout", 1), _Stream(self, "stderr", 2)
        self._handler = _Handler(self)
        self._thread = 0

        def divert(logger: logging.Logger, record: logging.LogRecord) -> None:
            """Be a method of all loggers for a while: handlers would write to the streams that they were made with."""
            if get_ident() == self._thread:
                self._handler.emit(record)
            else:
                self._call_handlers(logger, record)

        self._divert = divert

    def __enter__(self) -> Self:
        self._thread = get_ident()
        self._inputs = sys.stdin, sys.breakpointhook
        self._outputs = {1: sys.stdout, 2: sys.stderr}
        self._showwarning, self._call_handlers = warnings.showwarning, logging.Logger.callHandlers
        sys.stdin, sys.breakpointhook = io.StringIO(), _no_breakpoint
        sys.stdout, sys.stderr = self._stdout, self._stderr
        warnings.showwarning = self._warn
        logging.Logger.callHandlers = self._divert  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdin, sys.breakpointhook = self._inputs
        sys.stdout, sys.stderr = self._outputs[1], self._outputs[2]
        warnings.showwarning = self._showwarning
        logging.Logger.callHandlers = self._call_handlers  # type: ignore[method-assign]

    def _room(self, size: int) -> int | None:
        return super()._room(size) if get_ident() == self._thread else None

    def _pass_on(self, fd: int, text: str) -> None:
        stream = self._outputs[fd]
        if stream is not None:
            stream.write(text)


class _Stream(io.TextIOBase):
    """Stands for stdout or stderr."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, capture: Capture, name: str, fd: int) -> None:
        self._capture = capture
        self._stream = name
        self._fd = fd
        self.buffer = _Bytes(self)

    @property
    def name(self) -> str:
        return f"<{self._stream}>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            self._capture.text(self._stream, self._fd, str(text))
        return len(text)


class _Bytes(io.RawIOBase):
    """The binary side of a stream."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._stream.write(content.decode(self._stream.encoding, "backslashreplace"))
        return len(content)


class _Handler(logging.Handler):
    """Takes the place of all handlers of the worker: the caller's own will see the record."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - what logging itself does with arguments that do not suit the message
            self.handleError(record)
        else:
            self._capture.record(record, line)


def _as_dict(record: logging.LogRecord, index: int) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if isinstance(value, _PLAIN)}
    fields |= {"msg": record.getMessage(), "args": None, "exc_info": None}
    return fields | {"fanwise_item": index, "fanwise_worker": os.getpid()}


def _module_at(filename: str, lineno: int) -> str | None:
    """The name of the module that a warning is attributed to: filters match on it."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - inspect.currentframe without importing inspect
    while frame is not None:
        if frame.f_lineno == lineno and frame.f_code.co_filename == filename:
            name: str | None = frame.f_globals.get("__name__")
            return name
        frame = frame.f_back
    return None


def _write(fd: int, text: str) -> None:
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    with suppress(OSError):  # the item closed the descriptor: its text has nowhere to go
        while data:
            data = data[os.write(fd, data) :]


def _no_breakpoint(*_: Any, **__: Any) -> NoReturn:
    raise UsageError("breakpoint() was called in a worker, which has no terminal; use workers=1")
