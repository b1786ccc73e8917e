"""Progress that finds out where it is when a run begins."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, TextIO
from warnings import warn

from fanwise._task import current_task
from fanwise.errors import FanwiseWarning, UsageError
from fanwise.progress._choose import Surroundings, choose
from fanwise.progress._lines import JsonView, LogView, PlainView
from fanwise.progress._live import Live, View
from fanwise.progress._terminal import in_foreground, is_terminal, painter
from fanwise.records.run_events import RunEvent
from fanwise.typing import Clock

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Shown"]


class _SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return monotonic()

    def time(self) -> float:
        return time()

    def sleep(self, seconds: float, /) -> None:
        sleep(seconds)


class Shown:
    """A `fanwise.typing.Progress` that opens its view when the first run starts, on the stderr of that moment."""

    def __init__(
        self,
        kind: str,
        label: str | None,
        parts: int,
        *,
        command: bool,
        stream: TextIO | None,
        clock: Clock | None,
        environ: Mapping[str, str] | None,
    ) -> None:
        self._kind = kind
        self._label = label
        self._parts = parts
        self._command = command
        self._stream = stream
        self._clock = clock or _SystemClock()
        self._environ = os.environ if environ is None else environ
        self._live: Live | None = None
        self._opened = False

    def start(self, total: int | None, label: str) -> None:
        """A run begins."""
        if not self._opened:
            self._opened = True
            view = self._view()
            if view is not None:
                self._live = Live(view, self._label, self._parts, brief=not self._command)
        if self._live is not None:
            self._live.start(total, label)

    def on(self, event: RunEvent) -> None:
        """Hear one run event."""
        if self._live is not None:
            self._live.on(event)

    def tick(self, at: float) -> None:
        """Time has passed: ``at`` is seconds since the run began, as in events."""
        if self._live is not None:
            self._live.tick(at)

    def finish(self, report: RunReport) -> None:
        """A run ended."""
        if self._live is not None:
            self._live.finish(report)

    def _view(self) -> View | None:
        stream = sys.stderr if self._stream is None else self._stream
        kind = self._kind if self._kind != "auto" else self._chosen(stream)
        if kind == "log":
            return LogView()
        if kind == "notebook":
            from fanwise.progress._notebook import NotebookView

            return NotebookView()
        return None if stream is None or kind == "none" else self._on_stream(kind, stream)

    def _chosen(self, stream: TextIO | None) -> str:
        try:
            return choose(self._environ, self._surroundings(stream))
        except UsageError as error:  # a run does not end because of how it is shown
            warn(f"{error}; no progress is shown", FanwiseWarning, stacklevel=2)
            return "none"

    def _on_stream(self, kind: str, stream: TextIO) -> View:
        if kind == "json":
            return JsonView(stream)
        if kind == "rich" and is_terminal(stream):  # a carriage return means nothing to a pipe or a file
            from fanwise.progress._bar import BarView

            return BarView(stream, self._environ, self._clock)
        return PlainView(stream, painter(self._environ, terminal=False))

    def _surroundings(self, stream: TextIO | None) -> Surroundings:
        from fanwise.progress._above import shown_now
        from fanwise.progress._notebook import in_notebook

        return Surroundings(
            nested=current_task() is not None or shown_now(),
            notebook=in_notebook(),
            terminal=is_terminal(stream),
            foreground=stream is not None and in_foreground(stream),
            command=self._command,
        )
