"""Fits on parts of the training rows: walk-forward errors and the stability of signs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._fits import PERFECT, estimate
from fanwise.workloads.modelsearch._gram import fit
from fanwise.workloads.modelsearch._project import Base, base_of, pool_of
from fanwise.workloads.modelsearch._space import Indices
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["Window", "origins", "parts", "sign_stability", "walk_forward", "windows_of"]

TRUSTED_PIVOT = 1e-3  # weakest pivot for which the normal equations still give 1e-10
TRUSTED_REST = 1e-9  # least unexplained share for the same


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Rows ``first … stop-1`` to fit on, rows ``stop … ahead-1`` to predict."""

    first: int
    stop: int
    ahead: int
    base: Base


def origins(n: int, min_train: int, step: int) -> list[tuple[int, int, int]]:
    """Walk-forward: fit on [0, o), predict [o, o + step)."""
    return [(0, origin, min(origin + step, n)) for origin in range(min_train, n, step)]


def parts(n: int, count: int) -> list[tuple[int, int, int]]:
    """``count`` consecutive parts, the first n mod count one row longer."""
    edges = np.cumsum([0] + [n // count + (at < n % count) for at in range(count)])
    return [(int(a), int(b), int(b)) for a, b in pairwise(edges)]


def windows_of(y: Floats, fixed: Floats, bounds: list[tuple[int, int, int]]) -> list[Window]:
    """Project the fixed columns out of each window; parts without rows are left out."""
    return [Window(a, b, c, base_of(y[a:b], fixed[:, a:b], y[b:c], fixed[:, b:c])) for a, b, c in bounds if b > a]


@dataclass(frozen=True, slots=True, eq=False)
class _WindowFit:
    b: Floats  # (batch, r) coefficients in units of the window
    errors: Floats  # (batch, rows ahead) in units of the target
    valid: NDArray[np.bool_]


def _fit(window: Window, columns: Floats, indices: Indices) -> _WindowFit:
    """Fit each specification on a window; those that the rank rule forbids there are not valid."""
    base = window.base
    batch, r = indices.shape
    ahead = window.ahead - window.stop
    if base.reason or base.n - (1 + len(base.q) + r) < 1:
        return _WindowFit(np.full((batch, r), np.nan), np.full((batch, ahead), np.nan), np.zeros(batch, dtype=bool))
    pool = pool_of(base, columns[:, window.first : window.stop], columns[:, window.stop : window.ahead])
    quick = fit(pool, indices, float(base.y @ base.y))
    with np.errstate(all="ignore"):
        b = (quick.beta / pool.ratio[indices].T).T
        errors = base.y_ahead - np.einsum("brt,rb->bt", pool.z_ahead[indices], quick.beta)
    valid = (quick.weakest > TRUSTED_PIVOT) & (quick.ssr > TRUSTED_REST)
    doubtful = np.flatnonzero(~valid)
    if len(doubtful):
        exact, reasons = estimate(base, pool, indices[doubtful])
        good = exact.ssr >= PERFECT
        settled = doubtful[reasons == ""]
        b[settled], errors[settled] = exact.b[good][:, :r], exact.e_ahead[good]
        valid[settled] = True
    return _WindowFit(b, errors * base.y_norm, valid)


def walk_forward(windows: list[Window], columns: Floats, indices: Indices) -> tuple[Floats, NDArray[np.int64]]:
    """Root mean square error over all predicted rows, and how many origins were skipped.

    Parameters
    ----------
    windows : list of Window
    columns : ndarray, shape (items, n)
        The items that ``indices`` (batch, r) count, on the training rows.
    """
    squares, rows = np.zeros(len(indices)), np.zeros(len(indices))
    skipped = np.zeros(len(indices), dtype=np.int64)
    for window in windows:
        found = _fit(window, columns, indices)
        squares += np.where(found.valid, np.einsum("bt,bt->b", found.errors, found.errors), 0.0)
        rows += np.where(found.valid, found.errors.shape[1], 0)
        skipped += ~found.valid
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(squares / rows), skipped


def sign_stability(windows: list[Window], columns: Floats, indices: Indices, b: Floats) -> Floats:
    """Least share, over free items, of estimable windows whose coefficient has the sign of ``b`` (batch, r)."""
    if not indices.shape[1]:
        return np.full(len(indices), np.nan)
    same, estimable = np.zeros(b.shape), np.zeros(len(indices))
    for window in windows:
        found = _fit(window, columns, indices)
        same += found.valid[:, None] & (np.sign(found.b) == np.sign(b))
        estimable += found.valid
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((same / estimable[:, None]).min(axis=1))
