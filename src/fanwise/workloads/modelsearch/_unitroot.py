"""Unit-root tests on many series at once: augmented Dickey–Fuller, Phillips–Perron, Engle–Granger.

All series of a batch have the same length. Sources: Dickey and Fuller (1979); Phillips and Perron (1988);
MacKinnon (1994, J. Business & Economic Statistics 12, 167–176) and MacKinnon (2010, Queen's University working
paper 1227) for the p-values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fanwise.workloads.modelsearch._transforms import Floats

__all__ = [
    "MOST_SERIES",
    "Dickey",
    "adf",
    "cointegration",
    "is_stationary",
    "mackinnon_p",
    "phillips_perron",
    "stationary",
]

# MacKinnon's response surfaces for τ with a constant, N = 1 … 6 series: the polynomial for small p holds up to τ*,
# that for large p from there on; below τ_min p is 0, above τ_max it is 1.
_TAU_STAR = (-1.61, -2.62, -3.13, -3.47, -3.78, -3.93)
_TAU_MIN = (-18.83, -18.86, -23.48, -28.07, -25.96, -23.27)
_TAU_MAX = (2.74, 0.92, 0.55, 0.61, 0.79, 1.0)
_SMALL_P = (
    (2.1659, 1.4412, 0.038269),
    (2.92, 1.5012, 0.039796),
    (3.4699, 1.4856, 0.03164),
    (3.9673, 1.4777, 0.026315),
    (4.5509, 1.5338, 0.029545),
    (5.1399, 1.6036, 0.034445),
)
_LARGE_P = (
    (1.7339, 0.93202, -0.12745, -0.010368),
    (2.1945, 0.64695, -0.29198, -0.042377),
    (2.5893, 0.45168, -0.36529, -0.050074),
    (3.0387, 0.45452, -0.33666, -0.041921),
    (3.5049, 0.52098, -0.29158, -0.033468),
    (3.9489, 0.58933, -0.25359, -0.02721),
)
MOST_SERIES = len(_TAU_STAR)
WELL_CONDITIONED = 1e-4  # smallest pivot of a scaled Gram whose Cholesky factor still gives 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Dickey:
    """Statistic, number of lagged differences and p-value of each series."""

    stat: Floats
    lags: NDArray[np.int64]
    p: Floats


def mackinnon_p(tau: Floats, series: int = 1) -> Floats:
    """P-values of Dickey–Fuller statistics with a constant, for ``series`` series (1 to 6)."""
    at = series - 1
    t = np.asarray(tau, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        low = ndtr(np.polynomial.polynomial.polyval(t, _SMALL_P[at]))
        high = ndtr(np.polynomial.polynomial.polyval(t, _LARGE_P[at]))
    p = np.where(t <= _TAU_STAR[at], low, high)
    p = np.where(t > _TAU_MAX[at], 1.0, np.where(t < _TAU_MIN[at], 0.0, p))
    return np.where(np.isnan(t), np.nan, p)


def long_lag(m: int) -> int:
    """Schwert's (1989) rule ⌈12·(m/100)^¼⌉."""
    return ceil(12.0 * sqrt(sqrt(m / 100.0)))


def adf(series: Floats) -> Dickey:
    """Augmented Dickey–Fuller with a constant, lags by AIC.

    Parameters
    ----------
    series : ndarray of float64, shape (batch, m)

    Returns
    -------
    Dickey
        NaN where the series is too short or its regression singular.
    """
    m = series.shape[1]
    stat, lags = _dickey(series, min(long_lag(m), m // 2 - 2), drift=True)
    return Dickey(stat, lags, mackinnon_p(stat))


def cointegration(residuals: Floats, columns: int) -> Floats:
    """Engle–Granger p-values of the residuals of regressions on ``columns`` series (1 to 5)."""
    m = residuals.shape[1]
    stat, _ = _dickey(residuals, min(long_lag(m), m // 2 - 1), drift=False)
    return mackinnon_p(stat, columns + 1)


def _dickey(series: Floats, longest: int, *, drift: bool) -> tuple[Floats, NDArray[np.int64]]:
    """Choose the lags on the rows that all have, then fit that many on all rows that allow them."""
    batch = len(series)
    stat, lags = np.full(batch, np.nan), np.zeros(batch, dtype=np.int64)
    if longest < 0:
        return stat, lags
    factor = _factor(_regressors(series, longest, drift=drift))
    usable = np.isfinite(factor[:, -1, -1])
    lags[usable] = _fewest_by_aic(factor[usable], series.shape[1] - 1 - longest, drift=drift)
    for p in np.unique(lags[usable]):
        chosen = np.flatnonzero(usable & (lags == p))
        rows = _regressors(series[chosen], int(p), drift=drift)
        rows[:, [0, -2]] = rows[:, [-2, 0]]  # the level last but one: its t is read off the last row of the factor
        last = _factor(rows)[:, -1]
        freedom = rows.shape[2] - rows.shape[1] + 1 - drift
        with np.errstate(all="ignore"):
            stat[chosen] = last[:, -2] / np.sqrt(last[:, -1] ** 2 / freedom) if freedom > 0 else np.nan
    return stat, lags


def _regressors(series: Floats, p: int, *, drift: bool) -> Floats:
    """Rows: level e_{t−1}, differences Δe_{t−1} … Δe_{t−p}, last Δe_t; norm 1, centred if there is a drift."""
    m = series.shape[1]
    steps = np.diff(series, axis=1)
    rows = np.empty((len(series), p + 2, m - 1 - p))
    rows[:, 0] = series[:, p : m - 1]
    for lag in range(1, p + 1):
        rows[:, lag] = steps[:, p - lag : m - 1 - lag]
    rows[:, -1] = steps[:, p:]
    if drift:
        rows -= rows.mean(axis=2, keepdims=True)
    with np.errstate(all="ignore"):
        rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return rows


def _factor(rows: Floats) -> Floats:
    """Lower triangular L with L·L' = rows·rows', diagonal ≥ 0: by Cholesky, or QR where that is not safe."""
    batch, width, _ = rows.shape
    factor = np.full((batch, width, width), np.nan)
    finite = np.isfinite(rows).all(axis=(1, 2))
    safe = np.zeros(batch, dtype=bool)
    try:
        factor[finite] = np.linalg.cholesky(np.matmul(rows[finite], rows[finite].transpose(0, 2, 1)))
        safe[finite] = factor[finite].diagonal(axis1=1, axis2=2).min(axis=1) > WELL_CONDITIONED
    except np.linalg.LinAlgError:
        safe[:] = False
    for at in np.flatnonzero(finite & ~safe):
        upper: Floats = np.linalg.qr(rows[at].T)[1]
        upper *= np.where(upper.diagonal() < 0, -1.0, 1.0)[:, None]
        factor[at] = np.nan if len(upper) < width or upper.diagonal()[:-1].min() < 1e-13 else upper.T
    return factor


def _fewest_by_aic(factor: Floats, nobs: int, *, drift: bool) -> NDArray[np.int64]:
    """Lags of least AIC; every shorter model is read off the same factor. Ties go to fewer lags."""
    unexplained = np.cumsum(factor[:, -1, ::-1] ** 2, axis=1)[:, ::-1][:, 1:]
    parameters = np.arange(1, unexplained.shape[1] + 1) + drift
    with np.errstate(divide="ignore"):
        return np.asarray(np.argmin(nobs * np.log(unexplained / nobs) + 2 * parameters, axis=1))


def phillips_perron(series: Floats) -> tuple[Floats, Floats]:
    """Phillips–Perron Z_τ with a constant and its p-value.

    Parameters
    ----------
    series : ndarray of float64, shape (batch, m)
    """
    m = series.shape[1]
    window = long_lag(m)
    before = series[:, :-1] - series[:, :-1].mean(axis=1, keepdims=True)
    now = series[:, 1:] - series[:, 1:].mean(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        spread = np.einsum("bt,bt->b", before, before)
        rho = np.einsum("bt,bt->b", before, now) / spread
        u = now - rho[:, None] * before
        squares = np.einsum("bt,bt->b", u, u)
        gamma = squares / (m - 1)
        s2 = squares / (m - 3)
        sigma = np.sqrt(s2 / spread)
        long_run = gamma.copy()
        for j in range(1, min(window, m - 2) + 1):
            long_run += 2 * (1 - j / (window + 1)) * np.einsum("bt,bt->b", u[:, j:], u[:, :-j]) / (m - 1)
        root = np.sqrt(long_run)
        stat = np.sqrt(gamma / long_run) * (rho - 1) / sigma
        stat -= 0.5 * (long_run - gamma) / root * (m - 1) * sigma / np.sqrt(s2)
    return stat, mackinnon_p(stat)


def stationary(test: str, adf_p: Floats, pp_p: Floats, threshold: float) -> NDArray[np.bool_]:
    """Whether each series passes ``test``: a p-value below the threshold, NaN fails."""
    by_adf, by_pp = adf_p < threshold, pp_p < threshold
    verdicts = {"adf": by_adf, "pp": by_pp, "adf-or-pp": by_adf | by_pp, "adf-and-pp": by_adf & by_pp}
    return np.asarray(verdicts[test])


def is_stationary(series: Floats, test: str, threshold: float) -> bool:
    """Whether one series passes ``test``."""
    one = np.ascontiguousarray(series)[None]
    return bool(stationary(test, adf(one).p, phillips_perron(one)[1], threshold)[0])
