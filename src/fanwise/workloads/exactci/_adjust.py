"""P-values of many tables, adjusted for their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ADJUSTMENTS", "adjust"]

ADJUSTMENTS = ("bonferroni", "bh")


def adjust(p_values: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """Adjust p-values; ``nan`` stays ``nan`` and does not count.

    Parameters
    ----------
    p_values : ndarray of float64, shape (N,)
    how : {"bonferroni", "bh"}
        ``bh`` controls the false discovery rate (Benjamini & Hochberg 1995, J. R. Statist. Soc. B 57:289-300).
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    if how == "bonferroni":
        adjusted[known] = np.minimum(1.0, p_values[known] * len(known))
        return adjusted
    order = known[np.argsort(-p_values[known], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p_values[order] * len(order) / ranks))
    return adjusted
