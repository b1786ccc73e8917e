"""One chunk of tables, one method: five numbers for each table."""

from __future__ import annotations

import contextlib
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.exactci import _kernel
from fanwise.workloads.exactci._methods import Question

__all__ = ["FIELDS", "LARGEST", "ready", "solve_chunk"]

FIELDS = ("lower", "upper", "p_value", "estimate", "odds_ratio")
_CODES = {
    "conditional": _kernel.CONDITIONAL,
    "midp": _kernel.MIDP,
    "blaker": _kernel.BLAKER,
    "minlike": _kernel.MINLIKE,
    "wald": _kernel.WALD,
    "unconditional": _kernel.CONDITIONAL,  # where its search begins
}
LARGEST = 40_401
"""More tables with the same row totals are too large for the unconditional method."""
_SIDES = {"two-sided": _kernel.TWO_SIDED, "greater": _kernel.GREATER, "less": _kernel.LESS}


def solve_chunk(item: tuple[str, NDArray[np.int64]], question: Question) -> NDArray[np.float64]:
    """Compute the rows of `FIELDS` for the tables of one chunk.

    Parameters
    ----------
    item : (str, ndarray of int64, shape (n, 4))
        Method and tables.
    question : Question

    Returns
    -------
    ndarray of float64, shape (5, n)
    """
    method, tables = item
    out = np.empty((len(FIELDS), len(tables)))
    alpha = question.two_sided_alpha
    z = -NormalDist().inv_cdf(0.5 * alpha)
    _kernel.solve(tables, _CODES[method], _SIDES[question.alternative], alpha, z, out)
    if method == "unconditional":
        _solve_unconditional(tables, alpha, out)
    return out


def _solve_unconditional(tables: NDArray[np.int64], alpha: float, out: NDArray[np.float64]) -> None:
    """Replace the conditional numbers; rows with too many tables become ``nan``."""
    from fanwise.workloads.exactci._unconditional import solve_unconditional

    a, b, c, d = tables.T
    large = (a + b + 1) * (c + d + 1) > LARGEST
    out[:, large & (a + c > 0) & (b + d > 0)] = np.nan
    solve_unconditional(tables, alpha, out[:2].copy(), out[:3])


def ready(method: str, question: Question) -> None:
    """Compile, or load, what ``method`` needs: once, here, before workers start and before anything is timed."""
    with contextlib.suppress(OSError):  # compiled all right, but Numba could not write its cache file
        solve_chunk((method, np.zeros((0, 4), np.int64)), question)
