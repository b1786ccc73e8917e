"""One chunk of tables, one method: five numbers for each table."""

from __future__ import annotations

import contextlib
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.exactci import _kernel
from fanwise.workloads.exactci._methods import Question

__all__ = ["FIELDS", "ready", "solve_chunk"]

FIELDS = ("lower", "upper", "p_value", "estimate", "odds_ratio")
_CODES = {
    "conditional": _kernel.CONDITIONAL,
    "midp": _kernel.MIDP,
    "blaker": _kernel.BLAKER,
    "minlike": _kernel.MINLIKE,
    "wald": _kernel.WALD,
}
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
    return out


def ready(method: str, question: Question) -> None:
    """Compile, or load, what ``method`` needs: once, here, before workers start and before anything is timed."""
    with contextlib.suppress(OSError):  # compiled all right, but Numba could not write its cache file
        solve_chunk((method, np.zeros((0, 4), np.int64)), question)
