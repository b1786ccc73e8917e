"""The fast half of the cascade: what surely falls is dropped with O(r³) or O(n·L) arithmetic, in large batches.

A verdict given here is beyond rounding: whatever lies within a guard band of a threshold, or rests on an
ill-conditioned design, goes on to the exact half. The p-value test looks at the worst free coefficient only: if it is
not significant under any covariance that the residual tests might choose, those tests need not be made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from fanwise.workloads.modelsearch._config import Filters
from fanwise.workloads.modelsearch._context import SearchContext
from fanwise.workloads.modelsearch._covariance import hac_lags
from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._gram import GramFit
from fanwise.workloads.modelsearch._project import Base, Pool
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["NEAREST", "OPEN", "Screened", "screen", "trusted"]

OPEN = -1
NEAREST = 100  # near misses kept per chunk and per run
GUARD = 1e-6  # relative; the normal equations are good to 1e-8 where `trusted` holds
TRUSTED_PIVOT = 1e-4
TRUSTED_REST = 1e-9
BATCH_BYTES = 1 << 18  # vectors of length n per array and step: four such arrays stay in a 1 MB second-level cache


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """``failed`` is the position in `FILTERS` of the filter at which each specification surely fell, or `OPEN`.

    ``gap`` says how far from its threshold it fell, relative to the threshold; NaN for all but the nearest.
    """

    failed: NDArray[np.int8]
    gap: Floats


def trusted(fit: GramFit) -> NDArray[np.bool_]:
    """Where the normal equations can be relied on."""
    return np.asarray((fit.weakest > TRUSTED_PIVOT) & (fit.ssr > TRUSTED_REST))


def screen(context: SearchContext, pool: Pool, fit: GramFit) -> Screened:
    """Drop what surely falls at r2, adj_r2, sign, vif or pvalue; what is singular stays open."""
    with np.errstate(all="ignore"):
        return _screen(context, pool, fit)


def _screen(context: SearchContext, pool: Pool, fit: GramFit) -> Screened:
    filters = context.config.filters
    batch = len(fit.indices)
    failed, gap = np.full(batch, OPEN, dtype=np.int8), np.full(batch, np.nan)
    alive = trusted(fit)
    for name, (shortfall, bound) in _cheap(context, pool, fit).items():
        margin = GUARD * max(abs(bound), 1.0)
        falls = np.asarray(alive & (shortfall > margin))
        failed[falls] = FILTERS.index(name)
        gap[falls] = shortfall[falls] / (abs(bound) or 1.0)
        alive &= shortfall < -margin
    survivors = np.flatnonzero(alive)
    if filters.p_max is not None and len(survivors):
        strongest, fallen = _surely_insignificant(context, pool, fit, survivors)
        failed[survivors[fallen]] = FILTERS.index("pvalue")
        near = fallen[np.argsort(-strongest[fallen], kind="stable")[:NEAREST]]
        gap[survivors[near]] = 2 * stdtr(_freedom(context.base, fit), -strongest[near]) / filters.p_max - 1
    return Screened(failed, gap)


def _cheap(context: SearchContext, pool: Pool, fit: GramFit) -> dict[str, tuple[Floats, float]]:
    """How far each specification is beyond the threshold of each cheap filter (negative: it keeps it), and that."""
    filters, n = context.config.filters, context.base.n
    k = 1 + len(context.base.q) + fit.indices.shape[1]
    found: dict[str, tuple[Floats, float]] = {}
    if filters.r2_min is not None:
        found["r2"] = (filters.r2_min - (1 - fit.ssr), filters.r2_min)
    if filters.adj_r2_min is not None:
        found["adj_r2"] = (filters.adj_r2_min - (1 - fit.ssr * (n - 1) / (n - k)), filters.adj_r2_min)
    if context.demanded.any():
        found["sign"] = (_sign_shortfall(context, pool, fit), 0.0)
    if filters.vif_max is not None and k > 2:
        found["vif"] = (_max_vif(context.base, pool, fit) - filters.vif_max, filters.vif_max)
    return found


def _sign_shortfall(context: SearchContext, pool: Pool, fit: GramFit) -> Floats:
    """The largest t value of a coefficient with the wrong sign; minus the smallest |t| if there is none."""
    demanded = context.demanded[pool.items[fit.indices]].T
    t = fit.beta / np.sqrt(fit.variance_factors() * fit.ssr / context.base.n)
    return np.asarray(np.where(demanded != 0, -t * demanded, -np.inf).max(axis=0, initial=-np.inf))


def _max_vif(base: Base, pool: Pool, fit: GramFit) -> Floats:
    """The largest VIF over free and fixed columns, by block inversion against the fixed part."""
    ratio = pool.ratio[fit.indices].T
    largest = (fit.variance_factors() / ratio**2).max(axis=0, initial=1.0)
    own = np.einsum("fn,fn->f", base.pinv, base.pinv)
    for at, alone in enumerate(own):
        pull = pool.on_fixed[at][fit.indices].T / ratio
        through = np.einsum("ijb,jb->ib", fit.inverse, pull)
        np.maximum(largest, alone + np.einsum("ib,ib->b", through, through), out=largest)
    return np.asarray(largest)


def _freedom(base: Base, fit: GramFit) -> int:
    return base.n - 1 - len(base.q) - int(fit.indices.shape[1])


def _surely_insignificant(
    context: SearchContext, pool: Pool, fit: GramFit, chosen: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.int64]]:
    """Largest |t| of the worst free coefficient over the possible covariances, and where it surely misses p_max."""
    filters, freedom = context.config.filters, _freedom(context.base, fit)
    strongest = np.zeros(len(chosen))
    if not len(fit.beta) or filters.p_max is None:
        return strongest, np.empty(0, dtype=np.int64)
    bound = float(stdtrit(freedom, 1 - filters.p_max / 2)) * (1 - GUARD)
    t = np.abs(fit.beta[:, chosen]) / np.sqrt(fit.variance_factors()[:, chosen] * fit.ssr[chosen] / freedom)
    t = np.where(context.tested[pool.items[fit.indices[chosen]]].T, t, np.inf)
    worst, least = t.argmin(axis=0), t.min(axis=0)
    sure = np.isfinite(least)
    kinds = possible(filters, context.base.n)
    if "nonrobust" in kinds:
        strongest = least
        sure &= least < bound
    robust = [kind for kind in kinds if kind != "nonrobust"]
    if robust:
        rest = np.flatnonzero(sure)
        by_robust = _robust_t(context.base, pool, fit, (chosen[rest], worst[rest]), robust)
        strongest[rest] = np.maximum(strongest[rest], by_robust)
        sure &= strongest < bound
    return strongest, np.flatnonzero(sure)


def possible(filters: Filters, n: int) -> list[str]:
    """Covariances that the residual tests may choose."""
    if filters.cov != "auto":
        return [filters.cov]
    kinds = ["nonrobust"]
    if filters.heteroscedasticity is not None:
        kinds.append("HC1")
    if filters.autocorrelation is not None:
        kinds.append(f"HAC({hac_lags(n)})")
    return kinds


def _robust_t(
    base: Base, pool: Pool, fit: GramFit, which: tuple[NDArray[np.int64], NDArray[np.int64]], kinds: list[str]
) -> Floats:
    """The largest |t| of one coefficient (``which``: specification, column) over some robust covariances.

    Its variance is Σ over t, s of weight·u_t·u_s with u = e·(row of the pseudo-inverse): O(n·L), no k×k matrix.
    """
    n, freedom = base.n, _freedom(base, fit)
    chosen, column = which
    step = max(1, BATCH_BYTES // (8 * n))
    part = GramFit(fit.indices[chosen], fit.beta[:, chosen], fit.inverse[:, :, chosen], fit.ssr[chosen], fit.weakest)
    rows = part.covariance_rows(column)
    b = np.take_along_axis(part.beta, column[None], axis=0)[0]
    variance = np.empty((len(kinds), len(chosen)))
    gathered, e, pinv, product = (np.empty((step, n)) for _ in range(4))
    for first in range(0, len(chosen), step):
        stop = min(first + step, len(chosen))
        many = stop - first
        e[:many] = base.y
        pinv[:many] = 0.0
        for i in range(part.indices.shape[1]):
            np.take(pool.z, part.indices[first:stop, i], axis=0, out=gathered[:many], mode="clip")
            np.multiply(gathered[:many], part.beta[i, first:stop, None], out=product[:many])
            e[:many] -= product[:many]
            gathered[:many] *= rows[i, first:stop, None]
            pinv[:many] += gathered[:many]
        u = np.multiply(e[:many], pinv[:many], out=product[:many])
        variance[:, first:stop] = _variances(u, kinds, n / freedom)
    return np.asarray(np.abs(b) / np.sqrt(variance.min(axis=0)))


def _variances(u: Floats, kinds: list[str], small_sample: float) -> Floats:
    """Sums of u·u' under the weights of HC1 or of HAC(L), one row a covariance."""
    own = _products(u, 0)
    found = np.empty((len(kinds), len(u)))
    for at, kind in enumerate(kinds):
        if kind == "HC1":
            found[at] = own * small_sample
            continue
        lags = int(kind[4:-1])
        found[at] = own
        for lag in range(1, min(lags, u.shape[1] - 1) + 1):
            found[at] += 2 * (1 - lag / (lags + 1)) * _products(u, lag)
    return found


def _products(u: Floats, lag: int) -> Floats:
    """Σ_t u_t·u_{t−lag} of each row; as a product of matrices, since that is 1.7 times as fast as einsum."""
    ahead = u[:, None, lag:]
    return np.asarray(np.matmul(ahead, u[:, : u.shape[1] - lag, None])[:, 0, 0])
