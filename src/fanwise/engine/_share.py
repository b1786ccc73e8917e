"""The calling process as one of the workers: for so little work that a further one costs more than it spares."""

from __future__ import annotations

from fanwise.engine._config import SchedulerConfig

__all__ = ["Share"]


class Share:
    """Whether the calling process takes part.

    Attributes
    ----------
    works : bool
        It does the part of a worker that is not there, and that is not started.
    ends : bool
        It does alone what waits: it is through with that before a worker could do its part and end.
    """

    __slots__ = ("_allowed_s", "_end_s", "ends", "works")

    def __init__(self, config: SchedulerConfig) -> None:
        self._allowed_s = config.caller_s if config.here_allowed else 0.0
        self._end_s = config.end_s
        self.works = self.ends = False

    def look(self, items: int, cost_s: float | None, *, room: bool) -> None:
        """So many items wait, at so many seconds each, and there are no more; is there ``room`` for a worker?"""
        if not self._allowed_s or cost_s is None:
            return
        self.works = room and items * cost_s <= self._allowed_s
        self.ends = self.works and 0 < items * cost_s <= 2 * self._end_s
