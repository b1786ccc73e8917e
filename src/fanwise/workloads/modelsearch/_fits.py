"""Regressions in full: residuals, pseudo-inverse and orthonormal basis of each specification, by Householder QR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._project import COLLINEAR, Base, Pool
from fanwise.workloads.modelsearch._space import Indices
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["Fits", "estimate", "rank_reason"]

SUSPECT = 1e-4  # smallest pivot (standard units) below which the singular values are looked at
PERFECT = 1e-14


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """A batch of specifications of r free items each, all estimable; K = r + fixed columns.

    Standard units throughout: columns centred with norm 1, the target too.

    Attributes
    ----------
    indices : ndarray of int64, shape (batch, r)
        Rows of the pool.
    b : ndarray, shape (batch, K)
        Coefficients, free items first.
    e, e_ahead : ndarray, shapes (batch, n) and (batch, rows to predict)
        Residuals and prediction errors.
    ssr : ndarray, shape (batch,)
        Unexplained share of the centred target's squares: 1 − R².
    q : ndarray, shape (batch, r, n)
        Orthonormal rows that, with the base's, span the columns.
    pinv : ndarray, shape (batch, K, n)
        Pseudo-inverse of the columns: b = pinv·y, (X'X)⁻¹ = pinv·pinv'.
    """

    base: Base
    pool: Pool
    indices: Indices
    b: Floats
    e: Floats
    e_ahead: Floats
    ssr: Floats
    q: Floats
    pinv: Floats

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n(self) -> int:
        return self.base.n

    @property
    def k(self) -> int:
        """Columns, the constant included."""
        return 1 + int(self.b.shape[1])

    @property
    def items(self) -> Indices:
        """Numbers of the free items in the whole pool, shape (batch, r)."""
        return self.pool.items[self.indices]

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Fits:
        """The same for some of the batch."""
        numbers = (self.b, self.e, self.e_ahead, self.ssr, self.q, self.pinv)
        return Fits(self.base, self.pool, self.indices[chosen], *(part[chosen] for part in numbers))


def rank_reason(base: Base, pool: Pool, indices: Indices) -> str:
    """Why one specification has no unique coefficients, by the singular values of its columns; empty if it has."""
    if base.reason:
        return base.reason
    if base.n - (1 + len(base.q) + len(indices)) < 1:
        return "too-few-rows"
    if pool.flat[indices].any():
        return "constant-item"
    values = np.linalg.svd(np.vstack([pool.x[indices], base.fixed]), compute_uv=False)
    return "collinear" if len(values) and values[-1] < COLLINEAR * values[0] else ""


def estimate(base: Base, pool: Pool, indices: Indices) -> tuple[Fits, NDArray[np.str_]]:
    """Fit the specifications that can be fitted.

    Returns
    -------
    Fits
        Those without a reason, or with the reason ``perfect-fit``, in order.
    ndarray of str, shape (batch,)
        The reason of each specification given, empty for most.
    """
    batch, r = indices.shape
    reasons = np.full(batch, "", dtype="<U16")
    if base.reason or base.n - (1 + len(base.q) + r) < 1:
        reasons[:] = base.reason or "too-few-rows"
        return _fits(base, pool, indices[:0], *_orthogonal(pool, indices[:0])), reasons
    q, upper = _orthogonal(pool, indices)
    pivots = np.abs(upper.diagonal(axis1=1, axis2=2)) * pool.ratio[indices]
    for at in np.flatnonzero((pivots < SUSPECT).any(axis=1)):
        reasons[at] = rank_reason(base, pool, indices[at])
    kept = reasons == ""
    fits = _fits(base, pool, indices[kept], q[kept], upper[kept])
    reasons[np.flatnonzero(kept)[fits.ssr < PERFECT]] = "perfect-fit"
    return fits, reasons


def _orthogonal(pool: Pool, indices: Indices) -> tuple[Floats, Floats]:
    """Q (batch, r, n) and R (batch, r, r) of the projected columns."""
    batch, r = indices.shape
    if not r or not batch:
        return np.zeros((batch, r, pool.z.shape[1])), np.zeros((batch, r, r))
    q, upper = np.linalg.qr(pool.z[indices].transpose(0, 2, 1))
    return np.ascontiguousarray(q.transpose(0, 2, 1)), upper


def _fits(base: Base, pool: Pool, indices: Indices, q: Floats, upper: Floats) -> Fits:
    ratio = pool.ratio[indices][:, :, None]
    scores = q @ base.y
    e = base.y - np.einsum("brn,br->bn", q, scores)
    again = np.einsum("brn,bn->br", q, e)
    e -= np.einsum("brn,br->bn", q, again)
    solve = np.linalg.inv(upper)
    beta = np.einsum("brs,bs->br", solve, scores + again)
    free = np.matmul(solve, q) / ratio
    on_fixed = pool.on_fixed.T[indices]  # (batch, r, fixed)
    pinv = np.concatenate([free, base.pinv - np.matmul(on_fixed.transpose(0, 2, 1), free)], axis=1)
    b_free = beta / ratio[:, :, 0]
    b = np.concatenate([b_free, base.y_on_fixed - np.einsum("brf,br->bf", on_fixed, b_free)], axis=1)
    ahead = base.y_ahead - np.einsum("brt,br->bt", pool.z_ahead[indices], beta)
    return Fits(base, pool, indices, b, e, ahead, np.einsum("bn,bn->b", e, e), q, pinv)
