"""Exact confidence intervals for the odds ratios of many 2×2 tables, and their exact coverage.

>>> from fanwise.workloads.exactci import interval
>>> trial = interval(4, 119, 11, 128)
>>> round(trial.lower, 3), round(trial.upper, 3), round(trial.p_value, 3)
(0.092, 1.367, 0.161)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanwise.workloads.exactci._methods import METHODS
from fanwise.workloads.exactci._records import Coverage, Interval, Intervals, Status

if TYPE_CHECKING:
    from fanwise.workloads.exactci.study import coverage, interval, intervals

__all__ = ["METHODS", "Coverage", "Interval", "Intervals", "Status", "coverage", "interval", "intervals"]

_STUDY = {"coverage", "interval", "intervals"}


def __getattr__(name: str) -> Any:
    """Import NumPy and Numba when a function is first asked for, not before."""
    if name not in _STUDY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fanwise.workloads.exactci import study

    globals()[name] = value = getattr(study, name)
    return value
