"""Progress in a notebook: one line of text under the cell, refreshed twice a second; no widget."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from fanwise.progress._line import bar_line
from fanwise.progress._tally import Snapshot
from fanwise.progress._words import Closing, closing_line

__all__ = ["NotebookView", "in_notebook"]

_EVERY_S = 0.5
_FIRST_S = 1.0
_COLUMNS = 100


class Handle(Protocol):
    """What IPython's ``display(…, display_id=True)`` returns."""

    def update(self, obj: object, **options: Any) -> None:
        """Put something else in its place."""


class Display(Protocol):
    """IPython's ``display``."""

    def __call__(self, *objs: object, **options: Any) -> Handle: ...


def in_notebook() -> bool:
    """True if this is a notebook: a shell that talks to its front end over ZMQ. IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class NotebookView:
    """Shows the line of the bar through ``display``."""

    __slots__ = ("_display", "_handle")

    def __init__(self, display: Display | None = None) -> None:
        self._display = display or _ipython_display()
        self._handle: Handle | None = None

    def next_due(self, at: float) -> float:
        return at + _EVERY_S if self._handle is not None else max(_FIRST_S, at + _EVERY_S)

    def show(self, shown: Snapshot) -> None:
        self._put(bar_line(shown, _COLUMNS))

    def close(self, end: Closing | None) -> None:
        if end is not None:
            self._put(closing_line(end))
        self._handle = None

    def drop(self) -> None:
        """Nothing was changed."""

    def _put(self, line: str) -> None:
        text = {"text/plain": line}
        if self._handle is None:
            self._handle = self._display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)


def _ipython_display() -> Display:
    display: Display = sys.modules["IPython"].display.display
    return display
