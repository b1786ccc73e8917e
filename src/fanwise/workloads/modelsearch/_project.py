"""Frisch–Waugh–Lovell: what every specification shares is projected out of target and pool once.

Columns are centred and scaled to norm 1 (*standard* units) before anything else: a mean far above the deviation, or
1e-7 beside 1e6, would ruin a Gram matrix. With F the fixed columns and M the projection off them, a specification is
left with r ≤ max_terms columns z_j = M x_j / ratio_j, and its residuals, R² and free coefficients are unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._frame import constant
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["COLLINEAR", "Base", "Pool", "base_of", "pool_of", "scaled"]

COLLINEAR = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """Target and fixed columns on some rows. Rows of ``q`` span the fixed columns; ``pinv`` is their pseudo-inverse.

    ``y`` is the target in standard units, projected; ``y_on_fixed`` its coefficients on the fixed columns;
    ``y_ahead`` and ``fixed_ahead`` are the rows to be predicted, in the units of these rows.
    ``reason`` says why no specification can be estimated here, if so.
    """

    y: Floats
    y_mean: float
    y_norm: float
    y_on_fixed: Floats
    y_ahead: Floats
    fixed: Floats
    fixed_mean: Floats
    fixed_norm: Floats
    fixed_ahead: Floats
    q: Floats
    pinv: Floats
    reason: str = ""

    @property
    def n(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Free items on the rows of a base, one a row.

    ``x`` standard units, ``z`` projected with norm 1, ``ratio`` the share of the norm that the projection left,
    ``on_fixed`` (fixed, items) the coefficients on the fixed columns, ``z_ahead`` the rows to be predicted,
    ``gram`` = z·z', ``zy`` = z·y. ``items`` are the numbers of the items in the whole pool.
    """

    x: Floats
    z: Floats
    ratio: Floats
    mean: Floats
    norm: Floats
    on_fixed: Floats
    z_ahead: Floats
    gram: Floats
    zy: Floats
    flat: NDArray[np.bool_]
    items: NDArray[np.int64]


def scaled(columns: Floats, ahead: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Rows centred and brought to norm 1, what lies ahead of them in the same units, their means and norms.

    A constant row becomes zeros with norm 1. Far from zero a mean is rounded: what is left of it goes in a second step,
    ahead too: a column of 1e6 ± 1e-5 would lie 1e-5 of its deviation beside where it was fitted, its near twin elsewhere.
    """
    mean = columns.mean(axis=1)
    centred = columns - mean[:, None]
    rest = centred.mean(axis=1)
    centred -= rest[:, None]
    flat = constant(columns)
    norm = np.where(flat, 1.0, np.linalg.norm(centred, axis=1))
    centred[flat] = 0.0
    return centred / norm[:, None], (ahead - mean[:, None] - rest[:, None]) / norm[:, None], mean, norm


def base_of(y: Floats, fixed: Floats, y_ahead: Floats, fixed_ahead: Floats) -> Base:
    """Project the fixed columns (one a row) and the constant out of the target; ``…_ahead`` are rows to predict."""
    (target,), (target_ahead,), (y_mean,), (y_norm,) = scaled(y[None], y_ahead[None])
    standard, ahead, mean, norm = scaled(fixed, fixed_ahead)
    reason = _why_not(standard, len(y))
    if reason:
        standard = standard[:0]
    q, upper = np.linalg.qr(standard.T)
    q = np.ascontiguousarray(q.T)
    pinv = np.linalg.solve(upper, q) if len(q) else q
    on_fixed = pinv @ target
    return Base(
        y=_off(target[None], q)[0],
        y_mean=float(y_mean),
        y_norm=float(y_norm),
        y_on_fixed=on_fixed,
        y_ahead=target_ahead - on_fixed @ ahead[: len(q)],
        fixed=standard,
        fixed_mean=mean,
        fixed_norm=norm,
        fixed_ahead=ahead,
        q=q,
        pinv=pinv,
        reason=reason,
    )


def _why_not(standard: Floats, n: int) -> str:
    if not len(standard):
        return ""
    if len(standard) >= n:
        return "too-few-rows"
    if not standard.any(axis=1).all():
        return "constant-item"
    values = np.linalg.svd(standard, compute_uv=False)
    return "collinear" if values[-1] < COLLINEAR * values[0] else ""


def _off(rows: Floats, q: Floats) -> Floats:
    """Rows minus their projection on the rows of ``q``; twice, so that little rests on what little is left."""
    once = rows - (rows @ q.T) @ q
    return once - (once @ q.T) @ q


def pool_of(base: Base, columns: Floats, ahead: Floats, items: NDArray[np.int64] | None = None) -> Pool:
    """Bring free items to the units of a base and project them.

    Parameters
    ----------
    base : Base
        Fixed part, on the same rows.
    columns, ahead : ndarray of float64, shapes (items, n) and (items, rows to predict)
    items : ndarray of int64, optional
        Numbers of the items in the whole pool; 0, 1, … if left out.
    """
    x, x_ahead, mean, norm = scaled(columns, ahead)
    z = _off(x, base.q)
    ratio = np.linalg.norm(z, axis=1)
    z /= np.where(ratio > 0, ratio, 1.0)[:, None]
    on_fixed = base.pinv @ x.T
    left = x_ahead - on_fixed.T @ base.fixed_ahead[: len(base.q)]
    return Pool(
        x=x,
        z=z,
        ratio=ratio,
        mean=mean,
        norm=norm,
        on_fixed=on_fixed,
        z_ahead=left / np.where(ratio > 0, ratio, 1.0)[:, None],
        gram=z @ z.T,
        zy=z @ base.y,
        flat=np.asarray(~x.any(axis=1)),
        items=np.arange(len(x)) if items is None else items,
    )
