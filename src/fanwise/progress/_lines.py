"""Progress for those who do not watch: a sentence every ten seconds, to a stream, a log, or as JSON."""

from __future__ import annotations

import logging
from typing import TextIO

from fanwise.progress._tally import Snapshot
from fanwise.progress._terminal import Painter, encodable, unpainted
from fanwise.progress._words import Closing, closing_line, plain_line

__all__ = ["JsonView", "LogView", "PlainView", "write_line"]

_EVERY_S = 10.0


def _next_ten(at: float) -> float:
    """The next full ten seconds: runs of the same length say the same number of lines."""
    return (at // _EVERY_S + 1) * _EVERY_S


def write_line(stream: TextIO, text: str) -> None:
    """Write a line in one piece, in what the stream can encode, and flush it."""
    stream.write(encodable(text, getattr(stream, "encoding", None)) + "\n")
    stream.flush()


class PlainView:
    """Whole sentences on a stream: no carriage return, and no escape code unless ``paint`` adds colour."""

    __slots__ = ("_from", "_stream")

    def __init__(self, stream: TextIO, paint: Painter = unpainted) -> None:
        self._stream = stream
        self._from = paint("fanwise:", "bold")

    def next_due(self, at: float) -> float:
        return _next_ten(at)

    def show(self, shown: Snapshot) -> None:
        write_line(self._stream, f"{self._from} {plain_line(shown)}")

    def close(self, end: Closing | None) -> None:
        if end is not None:
            write_line(self._stream, f"{self._from} {closing_line(end)}")

    def drop(self) -> None:
        """Nothing was changed."""


class LogView:
    """The same sentences as INFO records of the logger ``fanwise.progress``: nothing on stderr unless asked for."""

    __slots__ = ("_log",)

    def __init__(self) -> None:
        self._log = logging.getLogger("fanwise.progress")

    def next_due(self, at: float) -> float:
        return _next_ten(at)

    def show(self, shown: Snapshot) -> None:
        self._log.info("%s", plain_line(shown))

    def close(self, end: Closing | None) -> None:
        if end is not None:
            self._log.info("%s", closing_line(end))

    def drop(self) -> None:
        """Nothing was changed."""


class JsonView:
    """One JSON object a second and one at the end, for programs that watch.

    Keys: ``event`` (``progress`` or ``end``), ``label``, ``total``, ``done``, ``failed``, ``lost``, ``cached``,
    ``workers``, ``elapsed_s``; while running ``rate`` and ``eta_s``, at the end ``ended``.
    """

    __slots__ = ("_stream",)

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def next_due(self, at: float) -> float:
        return at // 1.0 + 1.0

    def show(self, shown: Snapshot) -> None:
        eta_s = None if shown.eta is None else round(shown.eta.seconds, 3)
        self._write("progress", shown, shown.elapsed, rate=round(shown.rate, 3), eta_s=eta_s)

    def close(self, end: Closing | None) -> None:
        if end is not None:
            self._write("end", end, end.wall, ended=end.ended)

    def drop(self) -> None:
        """Nothing was changed."""

    def _write(self, event: str, counts: Snapshot | Closing, elapsed: float, **more: object) -> None:
        done = counts.done if isinstance(counts, Snapshot) else counts.settled
        said = {"event": event, "label": counts.label, "total": counts.total, "done": done, "failed": counts.failed}
        said |= {"lost": counts.lost, "cached": counts.cached, "workers": counts.workers}
        from json import dumps

        write_line(self._stream, dumps(said | {"elapsed_s": round(elapsed, 3)} | more))
