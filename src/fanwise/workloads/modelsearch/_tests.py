"""Specification tests of a batch of regressions: autocorrelation and heteroscedasticity of the residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc

from fanwise.workloads.modelsearch._config import Autocorrelation, Heteroscedasticity
from fanwise.workloads.modelsearch._fits import Fits
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = [
    "autocorrelated",
    "breusch_godfrey",
    "breusch_pagan",
    "durbin_watson",
    "f_test",
    "heteroscedastic",
    "inflation",
]

Flags = NDArray[np.bool_]


def f_test(fits: Fits) -> Floats:
    """P-value of the hypothesis that every coefficient but the constant is 0; NaN for the constant alone."""
    k, n = fits.k, fits.n
    if k == 1:
        return np.full(len(fits), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(fdtrc(k - 1, n - k, (1 - fits.ssr) / (k - 1) / (fits.ssr / (n - k))))


def inflation(fits: Fits) -> Floats:
    """Largest variance inflation factor: VIF_j = [R⁻¹]_jj, R the correlation matrix of the columns; NaN without any."""
    if fits.k == 1:
        return np.full(len(fits), np.nan)
    if fits.k == 2:
        return np.ones(len(fits))
    return np.asarray(np.einsum("bkn,bkn->bk", fits.pinv, fits.pinv).max(axis=1))


def durbin_watson(fits: Fits) -> Floats:
    """Σ(e_t − e_{t−1})² / Σe_t²."""
    steps = np.diff(fits.e, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.einsum("bt,bt->b", steps, steps) / fits.ssr)


def breusch_godfrey(fits: Fits, lags: int) -> Floats:
    """P-values of the LM test of residuals on the columns and their own ``lags`` predecessors, zeros in front."""
    n = fits.n
    late = np.zeros((len(fits), lags, n))
    for lag in range(1, lags + 1):
        late[:, lag - 1, lag:] = fits.e[:, :-lag]
    basis, _ = np.linalg.qr(_off_columns(fits, late).transpose(0, 2, 1))
    explained = np.einsum("bnl,bn->bl", basis, fits.e)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(chdtrc(lags, n * np.einsum("bl,bl->b", explained, explained) / fits.ssr))


def _off_columns(fits: Fits, rows: Floats) -> Floats:
    """Rows (batch, m, n) minus their projection on the constant and every column of their regression."""
    left = rows - rows.mean(axis=2, keepdims=True)
    left -= np.matmul(np.matmul(left, fits.base.q.T), fits.base.q)
    return np.asarray(left - np.matmul(np.matmul(left, fits.q.transpose(0, 2, 1)), fits.q))


def breusch_pagan(fits: Fits) -> Floats:
    """P-values of Koenker's LM test of squared residuals on the columns; NaN for the constant alone."""
    if fits.k == 1:
        return np.full(len(fits), np.nan)
    squares = fits.e**2
    squares -= squares.mean(axis=1, keepdims=True)
    total = np.einsum("bn,bn->b", squares, squares)
    on_fixed = squares @ fits.base.q.T
    on_free = np.einsum("brn,bn->br", fits.q, squares)
    explained = np.einsum("bf,bf->b", on_fixed, on_fixed) + np.einsum("br,br->b", on_free, on_free)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(chdtrc(fits.k - 1, fits.n * explained / total))


def autocorrelated(rule: Autocorrelation | None, dw: Floats, bg_p: Floats) -> Flags:
    """Whether the residuals count as autocorrelated; NaN counts."""
    if rule is None:
        return np.zeros(len(dw), dtype=bool)
    by_dw = ~((dw >= rule.dw[0]) & (dw <= rule.dw[1]))
    by_bg = ~(bg_p > rule.bg_p)
    return by_dw & by_bg if rule.fail == "both" else by_dw | by_bg


def heteroscedastic(rule: Heteroscedasticity | None, bp_p: Floats, white_p: Floats) -> Flags:
    """Whether the residuals count as heteroscedastic; NaN counts."""
    if rule is None:
        return np.zeros(len(bp_p), dtype=bool)
    by_bp, by_white = ~(bp_p > rule.bp_p), ~(white_p > rule.white_p)
    return by_bp & by_white if rule.fail == "both" else by_bp | by_white
