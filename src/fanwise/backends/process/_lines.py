"""Descriptors 1 and 2 of a worker, in the coordinator: read whenever there is something, passed on as whole lines."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder

__all__ = ["LineReader"]

_AT_ONCE = 64 << 10
_LONGEST = 1 << 20
_KEPT = 4 << 10


class LineReader:
    """One pipe. ``read`` never blocks; a line is cut only if it is longer than 1 MiB."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ended = False
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._open = ""  # a line without its end
        self.tail = ""  # the last 4 KiB

    def read(self) -> str | None:
        """The whole lines that have come, or None if nothing has; ``ended`` is true once nobody can write any more."""
        try:
            data = os.read(self.fd, _AT_ONCE)
        except BlockingIOError:
            return None
        self.ended = not data
        return self._split(self._decoder.decode(data, final=self.ended))

    def rest(self) -> str:
        """All that is there, the last unfinished line included."""
        text = ""
        while not self.ended and (lines := self.read()) is not None:
            text += lines
        last, self._open = self._open + self._decoder.decode(b"", final=True), ""
        return text + last

    def _split(self, text: str) -> str:
        self.tail = (self.tail + text)[-_KEPT:]
        whole = self._open + text
        cut = len(whole) if len(whole) > _LONGEST or self.ended else whole.rfind("\n") + 1
        self._open = whole[cut:]
        return whole[:cut]
