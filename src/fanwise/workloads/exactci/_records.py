"""What comes back: one interval, many intervals, coverage, and what is wrong with a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fanwise.report import RunReport

__all__ = ["Coverage", "Interval", "Intervals", "Status"]


class Status(IntEnum):
    """State of a row; rows from `MISSING` on hold ``nan`` in every number."""

    OK = 0
    EMPTY_MARGIN = 1
    MISSING = 2
    NOT_A_NUMBER = 3
    NEGATIVE = 4
    NOT_INTEGER = 5
    TOO_LARGE = 6
    FAILED = 7


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Confidence interval for the odds ratio of one 2×2 table.

    Attributes
    ----------
    lower, upper : float
        Ends of the interval; 0 or ``inf`` where the data set no bound.
    p_value : float
        P-value of the hypothesis that the odds ratio is 1.
    estimate : float
        Conditional maximum likelihood estimate; 0, ``inf`` or (empty margin) ``nan`` where it is not inside.
    odds_ratio : float
        Sample odds ratio ``a*d / (b*c)``.
    method : str
    alpha : float
    status : Status
    """

    lower: float
    upper: float
    p_value: float
    estimate: float
    odds_ratio: float
    method: str
    alpha: float
    status: Status

    def _compared(self) -> tuple[Any, ...]:
        numbers = (self.lower, self.upper, self.p_value, self.estimate, self.odds_ratio)
        return (*(None if math.isnan(x) else x for x in numbers), self.method, self.alpha, self.status)

    def __eq__(self, other: object) -> bool:
        """Equal numbers, ``nan`` counting as equal to ``nan``."""
        return self._compared() == other._compared() if isinstance(other, Interval) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Confidence intervals of N tables; ``len()`` and ``[i]`` give the number and one `Interval`.

    Attributes
    ----------
    lower, upper, p_value, estimate, odds_ratio : ndarray of float64, shape (N,)
        As in `Interval`.
    status : ndarray of uint8, shape (N,)
        Values of `Status`.
    method : str
    alpha : float
    report : RunReport or None
        How the work was done.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    p_value: NDArray[np.float64]
    estimate: NDArray[np.float64]
    odds_ratio: NDArray[np.float64]
    status: NDArray[np.uint8]
    method: str
    alpha: float
    report: RunReport | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, index: int) -> Interval:
        return Interval(
            lower=float(self.lower[index]),
            upper=float(self.upper[index]),
            p_value=float(self.p_value[index]),
            estimate=float(self.estimate[index]),
            odds_ratio=float(self.odds_ratio[index]),
            method=self.method,
            alpha=self.alpha,
            status=Status(int(self.status[index])),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Exact coverage of interval methods at G points of a grid, ``p2`` slowest.

    Attributes
    ----------
    n1, n2 : int
        Row totals.
    alpha : float
    p1, p2, odds_ratio : ndarray of float64, shape (G,)
        The grid: probabilities of the two rows and the odds ratio they make.
    covered, miss_low, miss_high : dict of str to ndarray of float64, shape (G,)
        By method: probability that the interval holds the odds ratio, lies above it, lies below it. They add to 1.
    finite, log_length : dict of str to ndarray of float64, shape (G,)
        With ``length=True``: probability of two finite ends, and the mean of ln(upper/lower) given that (``nan`` if it
        cannot happen). Read them together: a method with rarer finite intervals looks shorter.
    report : RunReport or None
    """

    n1: int
    n2: int
    alpha: float
    p1: NDArray[np.float64]
    p2: NDArray[np.float64]
    odds_ratio: NDArray[np.float64]
    covered: Mapping[str, NDArray[np.float64]]
    miss_low: Mapping[str, NDArray[np.float64]]
    miss_high: Mapping[str, NDArray[np.float64]]
    finite: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    log_length: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    report: RunReport | None = field(default=None, repr=False)
