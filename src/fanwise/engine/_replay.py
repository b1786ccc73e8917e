"""What items said in workers, said again here: in item order, through this process's own streams, loggers and filters."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterable
from typing import Any, TextIO

from fanwise.errors import FanwiseWarning
from fanwise.records.outcomes import Said

__all__ = ["Replay"]

_WARNINGS = 100
_WARNING_CHARS = 300


class Replay:
    """Writes through the caller's current ``sys.stdout``, ``sys.stderr``, loggers and warning filters.

    A stream that cannot be written to any more (a closed pipe) is dropped for the rest of the run with one warning.

    Parameters
    ----------
    label_items : bool
        Begin each line of text with its item, ``[item 17] ``: the one that began it, where several wrote to one line.
        What was written past Python has no item. What others write to the streams meanwhile is not seen.
    """

    def __init__(self, *, label_items: bool = False) -> None:
        self._label_items = label_items
        self._mid_line: dict[str, bool] = {}
        self._dropped: set[str] = set()
        self._registry: dict[Any, Any] = {}
        self._warned: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Replay, dropped {sorted(self._dropped)}>"

    def say(self, said: Iterable[Said]) -> None:
        """Say everything that items said, in the order in which they said it."""
        for thing in said:
            if thing.stream == "log":
                self._log(thing)
            elif thing.stream == "warning":
                self._warn(thing.payload)
            else:
                self.write(thing.stream, self._labelled(thing) if self._label_items else thing.payload)

    def write(self, stream: str, text: str) -> None:
        """Write text to the current ``sys.stdout`` or ``sys.stderr``."""
        target: TextIO | None = getattr(sys, stream)
        if target is None or stream in self._dropped or not text:
            return
        try:
            target.write(text)
            target.flush()
            self._mid_line[stream] = not text.endswith("\n")
        except (OSError, ValueError) as error:  # a broken pipe, a full disk, a closed file
            self._dropped.add(stream)
            warnings.warn(
                f"{stream} cannot be written to ({error}); further output of items is dropped",
                FanwiseWarning,
                stacklevel=2,
            )

    def _labelled(self, thing: Said) -> str:
        text, label = str(thing.payload), f"[item {thing.index}] "
        begun = "" if not text or self._mid_line.get(thing.stream) else label
        return begun + text[:-1].replace("\n", f"\n{label}") + text[-1:]  # what ends the text begins no line

    def _log(self, thing: Said) -> None:
        record = logging.makeLogRecord(thing.payload)
        record.fanwise_item = thing.index
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)

    def warned(self) -> list[str]:
        """What items warned of, each text once; at most a hundred."""
        return list(self._warned)

    def _warn(self, payload: dict[str, Any]) -> None:
        text = f"{payload['category'].__name__}: {payload['message']}"[:_WARNING_CHARS]
        if len(self._warned) < _WARNINGS:
            self._warned[text] = None
        warnings.warn_explicit(
            payload["message"], payload["category"], payload["filename"], payload["lineno"], registry=self._registry
        )
