"""Many small regressions from one Gram matrix: O(r³) arithmetic each, no vector of length n.

Every operation is elementwise over the batch, so a specification's numbers do not depend on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fanwise.workloads.modelsearch._project import Pool
from fanwise.workloads.modelsearch._space import Indices
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["GramFit", "fit"]


@dataclass(frozen=True, slots=True, eq=False)
class GramFit:
    """Regressions of the projected target on r projected items each; the batch is the last axis.

    ``beta`` (r, batch) coefficients on z; ``inverse`` (r, r, batch) the inverse Cholesky factor, so that
    (z'z)⁻¹ = inverse'·inverse; ``ssr`` the unexplained share of the projected target's squares;
    ``weakest`` the smallest pivot, in standard units, which says how far the numbers can be trusted.
    """

    indices: Indices
    beta: Floats
    inverse: Floats
    ssr: Floats
    weakest: Floats

    def variance_factors(self) -> Floats:
        """Diagonal of (z'z)⁻¹, shape (r, batch)."""
        return np.asarray(np.einsum("ijb,ijb->jb", self.inverse, self.inverse))

    def covariance_rows(self, column: Indices) -> Floats:
        """For each regression the row of (z'z)⁻¹ that belongs to its ``column``, shape (r, batch)."""
        chosen = np.take_along_axis(self.inverse, column[None, None, :], axis=1)[:, 0]
        return np.asarray(np.einsum("ijb,ib->jb", self.inverse, chosen))


def fit(pool: Pool, indices: Indices, total: float) -> GramFit:
    """Solve the normal equations of every row of ``indices``.

    Parameters
    ----------
    pool : Pool
        Its ``gram`` and ``zy`` are read.
    indices : ndarray of int64, shape (batch, r)
        Rows of the pool.
    total : float
        Sum of squares of the projected target.
    """
    picked = np.ascontiguousarray(indices.T)
    r, batch = picked.shape
    lower = np.zeros((r, r, batch))
    weakest = np.full(batch, np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for j in range(r):
            left = pool.gram[picked[j], picked[j]] - _dots(lower[j, :j], lower[j, :j])
            lower[j, j] = np.sqrt(np.maximum(left, 0.0))
            np.minimum(weakest, lower[j, j] * pool.ratio[picked[j]], out=weakest)
            for i in range(j + 1, r):
                across = pool.gram[picked[i], picked[j]] - _dots(lower[i, :j], lower[j, :j])
                lower[i, j] = across / lower[j, j]
        inverse = _inverted(lower)
        scores = np.einsum("ijb,jb->ib", inverse, pool.zy[picked])
        ssr = total - np.einsum("ib,ib->b", scores, scores)
        beta = np.einsum("ijb,ib->jb", inverse, scores)
    return GramFit(indices, beta, inverse, ssr, weakest)


def _dots(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("kb,kb->b", a, b))


def _inverted(lower: Floats) -> Floats:
    """Inverse of lower triangular matrices by forward substitution."""
    inverse = np.zeros_like(lower)
    for j in range(len(lower)):
        inverse[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, len(lower)):
            inverse[i, j] = -_dots(lower[i, j:i], inverse[j:i, j]) / lower[i, i]
    return inverse
