"""Progress objects of others: what they raise is said once and never ends a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanwise.records.run_events import RunEvent
from fanwise.typing import Progress

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Guard", "Tee"]


class Guard:
    """A progress object that may fail without harm: its first exception is logged, and then it is dropped.

    Parameters
    ----------
    progress : Progress
        With ``start``, ``on``, ``finish``, and ``tick(at)`` if it wants to hear that time has passed.

    Examples
    --------
    >>> from fanwise.progress import Guard
    >>> from fanwise.testing import RecordingProgress
    >>> recording = RecordingProgress()
    >>> guard = Guard(recording)
    >>> guard.start(3, "score")
    >>> recording.starts
    [(3, 'score')]
    """

    __slots__ = ("_progress",)

    def __init__(self, progress: Progress) -> None:
        self._progress: Progress | None = progress

    @property
    def dropped(self) -> bool:
        """True after the object has failed."""
        return self._progress is None

    def start(self, total: int | None, label: str) -> None:
        """A run begins."""
        self._call("start", total, label)

    def on(self, event: RunEvent) -> None:
        """Hear one run event."""
        if self._progress is not None:
            self._call("on", event)

    def tick(self, at: float) -> None:
        """Time has passed: ``at`` is seconds since the run began, as in events."""
        if hasattr(self._progress, "tick"):
            self._call("tick", at)

    def finish(self, report: RunReport) -> None:
        """A run ended."""
        self._call("finish", report)

    def _call(self, name: str, *args: object) -> None:
        if self._progress is None:
            return
        call: Callable[..., Any] = getattr(self._progress, name)
        try:
            call(*args)
        except Exception:  # whatever a user's object raises, the run goes on without it
            logging.getLogger("fanwise.progress").exception("%r failed and is no longer told", self._progress)
            self._progress = None


class Tee:
    """Several progress objects as one; one that fails is dropped, the others go on."""

    __slots__ = ("_guards", "_label")

    def __init__(self, progresses: tuple[Progress, ...], label: str | None = None) -> None:
        self._guards = tuple(Guard(progress) for progress in progresses)
        self._label = label

    def start(self, total: int | None, label: str) -> None:
        """A run begins."""
        for guard in self._guards:
            guard.start(total, self._label or label)

    def on(self, event: RunEvent) -> None:
        """Hear one run event."""
        for guard in self._guards:
            guard.on(event)

    def tick(self, at: float) -> None:
        """Time has passed."""
        for guard in self._guards:
            guard.tick(at)

    def finish(self, report: RunReport) -> None:
        """A run ended."""
        for guard in self._guards:
            guard.finish(report)
