"""Covariances of the coefficients: nonrobust, HC1 (White 1980; MacKinnon and White 1985), HAC (Newey and West 1987).

All three are c·H·H' with rows of H of length n (HAC: n + L). For HAC the Bartlett weights are those of a moving sum:
Σ_l (1 − |l|/(L+1)) Γ_l = (1/(L+1)) Σ_t m_t m_t' with m_t = w_t + … + w_{t+L}, w_t = e_t·pinv_t, zeros outside.
"""

from __future__ import annotations

from math import floor, pow

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtr

from fanwise.workloads.modelsearch._fits import Fits
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["block_p", "hac_lags", "label", "moving_sum", "root", "standard_errors", "two_sided"]


def hac_lags(n: int) -> int:
    """Newey and West's (1994) rule ⌊4·(n/100)^(2/9)⌋."""
    return floor(4.0 * pow(n / 100.0, 2.0 / 9.0))


def label(cov: str, n: int, autocorrelated: NDArray[np.bool_], heteroscedastic: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Which covariance each specification gets."""
    if cov != "auto":
        return np.full(len(autocorrelated), cov)
    robust = np.where(heteroscedastic, "HC1", "nonrobust")
    return np.where(autocorrelated, f"HAC({hac_lags(n)})", robust)


def moving_sum(rows: Floats, lags: int) -> Floats:
    """Sums of ``lags + 1`` neighbours along the last axis, zeros outside."""
    n = rows.shape[-1]
    sums = np.zeros((*rows.shape[:-1], n + lags))
    for shift in range(lags + 1):
        sums[..., shift : shift + n] += rows
    return sums


def root(fits: Fits, cov: str) -> Floats:
    """H with its factor in it, so that the covariance is H·H'; shape (batch, K, …)."""
    freedom = fits.n - fits.k
    if cov == "nonrobust":
        return np.asarray(fits.pinv * np.sqrt(fits.ssr / freedom)[:, None, None])
    weighted = fits.pinv * fits.e[:, None, :]
    if cov == "HC1":
        return np.asarray(weighted * np.sqrt(fits.n / freedom))
    lags = int(cov[4:-1])
    return np.asarray(moving_sum(weighted, lags) / np.sqrt(lags + 1.0))


def standard_errors(half: Floats) -> Floats:
    """Square roots of the diagonal of H·H'."""
    return np.asarray(np.sqrt(np.einsum("bkt,bkt->bk", half, half)))


def two_sided(t: Floats, freedom: int) -> Floats:
    """P-values of t statistics."""
    return np.asarray(2.0 * stdtr(freedom, -np.abs(t)))


def block_p(b: Floats, half: Floats, freedom: int) -> Floats:
    """P-values of the F test that the coefficients ``b`` (batch, q) with covariance H·H' are all 0; NaN if singular."""
    q = b.shape[1]
    covariance = np.matmul(half, half.transpose(0, 2, 1))
    spread = np.sqrt(covariance.diagonal(axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / (spread[:, :, None] * spread[:, None, :])
        z = b / spread
    return np.asarray(fdtrc(q, freedom, _quadratic(correlation, z) / q))


def _quadratic(matrices: Floats, z: Floats) -> Floats:
    """z'·M⁻¹·z for each matrix; NaN where it is singular."""
    try:
        return np.asarray(np.einsum("bq,bq->b", z, np.linalg.solve(matrices, z[:, :, None])[:, :, 0]))
    except np.linalg.LinAlgError:
        if len(z) == 1:
            return np.array([np.nan])
        return np.concatenate([_quadratic(matrices[at : at + 1], z[at : at + 1]) for at in range(len(z))])
