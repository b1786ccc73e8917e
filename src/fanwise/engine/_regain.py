"""Is fanning out worth it? Compare the pace of the workers with that of the calling process, and go back if it is not.

A slow pace has two causes that look alike from here: the workers hinder each other (memory bandwidth, a library with
threads of its own), or the items became more expensive. So before the run moves back, one block of items is run in the
calling process while the workers pause; only if that is faster does it stay there.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["Regain"]

ROUNDS = 5
LEAST_GAIN = 1.05


class _Phase(Enum):
    MEASURING = auto()
    DRAINING = auto()
    TRIAL = auto()
    SETTLED = auto()
    ALONE = auto()


class Regain:
    """Judge of one run.

    Parameters
    ----------
    alone_s : float or None
        Seconds per item in the calling process, as probed; None switches the judge off.

    Attributes
    ----------
    pace_s : float
        Seconds of wall time per item with workers.
    alone_s : float
        Seconds per item in the calling process, measured again by the trial.
    """

    __slots__ = ("_chunks", "_items", "_phase", "_since", "alone_s", "pace_s")

    def __init__(self, alone_s: float | None) -> None:
        self.alone_s = alone_s or 0.0
        self.pace_s = 0.0
        self._phase = _Phase.SETTLED if alone_s is None else _Phase.MEASURING
        self._chunks = 0
        self._items = 0
        self._since = 0.0

    @property
    def pausing(self) -> bool:
        """Workers get nothing new: they finish what they have, then the trial runs."""
        return self._phase is _Phase.DRAINING or self._phase is _Phase.TRIAL

    @property
    def alone(self) -> bool:
        """The rest runs in the calling process."""
        return self._phase is _Phase.ALONE

    def heard(self, count: int, now: float, workers: int) -> None:
        """A worker finished a chunk. The first chunk of each is not counted: it holds the start."""
        if self._phase is not _Phase.MEASURING:
            return
        self._chunks += 1
        if self._chunks <= workers:
            self._since = now
            return
        self._items += count
        if self._chunks >= (1 + ROUNDS) * workers:
            self.pace_s = (now - self._since) / max(1, self._items)
            gains = self.pace_s * LEAST_GAIN <= self.alone_s
            self._phase = _Phase.SETTLED if gains else _Phase.DRAINING

    def begin_trial(self) -> None:
        """The workers are idle: a block is to run in the calling process now."""
        self._phase = _Phase.TRIAL

    def call_off(self) -> None:
        """There is nothing to try it with."""
        self._phase = _Phase.SETTLED

    def tried(self, count: int, busy: float) -> bool:
        """The block is done; True if the rest stays here."""
        if self._phase is not _Phase.TRIAL or count <= 0:
            return False
        self.alone_s = busy / count
        self._phase = _Phase.ALONE if self.alone_s < self.pace_s else _Phase.SETTLED
        return self._phase is _Phase.ALONE
