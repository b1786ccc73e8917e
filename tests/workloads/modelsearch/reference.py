"""The plain loop: one specification at a time by library calls, as somebody without this package would write it.

Verdicts are compared with it and speed is measured against it. Columns are centred and scaled to unit variance before
fitting and coefficients transformed back.
"""

from __future__ import annotations

import warnings
from itertools import combinations_with_replacement
from math import ceil, floor, sqrt
from typing import Any

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.diagnostic import acorr_breusch_godfrey, het_breuschpagan
from statsmodels.stats.outliers_influence import variance_inflation_factor
from statsmodels.stats.stattools import durbin_watson
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import adfuller


def ols(y: np.ndarray, columns: np.ndarray) -> Any:
    """Fit on columns (n, K) of unit variance, the constant in front."""
    return sm.OLS(y, design(columns, columns)).fit()


def design(columns: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Columns in the units of ``like``, the constant in front."""
    return np.column_stack([np.ones(len(columns)), (columns - like.mean(axis=0)) / like.std(axis=0)])


def white_p(resid: np.ndarray, exog: np.ndarray) -> float:
    """White's test on the rank of all products."""
    products = np.column_stack(
        [exog[:, i] * exog[:, j] for i, j in combinations_with_replacement(range(exog.shape[1]), 2)]
    )
    centred = products - products.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    kept = norm > 1e-12 * sqrt(len(products)) * np.abs(products).max(axis=0)
    basis, sizes, _ = np.linalg.svd(centred[:, kept] / norm[kept], full_matrices=False)
    basis = basis[:, sizes > 1e-10 * sizes[0]]
    squares = resid**2 - np.mean(resid**2)
    return float(stats.chi2.sf(len(resid) * np.sum((basis.T @ squares) ** 2) / np.sum(squares**2), basis.shape[1]))


def adf(series: np.ndarray, regression: str = "c") -> tuple[float, int, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stat, p, lags = adfuller(series, regression=regression, autolag="AIC")[:3]
    return stat, lags, p


def phillips_perron(e: np.ndarray) -> tuple[float, float]:
    m = len(e)
    fit = sm.OLS(e[1:], np.column_stack([e[:-1], np.ones(m - 1)])).fit()
    u, sigma = fit.resid, fit.bse[0]
    gamma, s, lags = u @ u / (m - 1), sqrt(u @ u / (m - 3)), ceil(12 * (m / 100) ** 0.25)
    long_run = gamma + 2 * sum((1 - j / (lags + 1)) * (u[j:] @ u[:-j]) / (m - 1) for j in range(1, lags + 1))
    stat = sqrt(gamma / long_run) * (fit.params[0] - 1) / sigma
    stat -= 0.5 * (long_run - gamma) / sqrt(long_run) * (m - 1) * sigma / s
    return stat, mackinnonp(stat, "c", 1)


def robust(fit: Any, cov: str) -> Any:
    if cov.startswith("HAC"):
        return fit.get_robustcov_results("HAC", maxlags=int(cov[4:-1]), use_correction=False, use_t=True)
    return fit.get_robustcov_results("HC1", use_t=True) if cov == "HC1" else fit


def residual_tests(fit: Any, lags: int) -> dict[str, float]:
    """Residual tests that choose the covariance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bg_p = acorr_breusch_godfrey(fit, nlags=lags)[1]
    return {
        "dw": durbin_watson(fit.resid),
        "bg_p": bg_p,
        "bp_p": het_breuschpagan(fit.resid, fit.model.exog)[1],
        "white_p": white_p(fit.resid, fit.model.exog),
    }


def covariance_of(fit: Any, found: dict[str, float]) -> str:
    """The default rules: both tests of a pair must fail."""
    if not 1.5 <= found["dw"] <= 2.5 and not found["bg_p"] > 0.10:
        return f"HAC({floor(4 * (fit.nobs / 100) ** (2 / 9))})"
    return "HC1" if not found["bp_p"] > 0.05 and not found["white_p"] > 0.05 else "nonrobust"


def statistics(y: np.ndarray, columns: np.ndarray, season: range | None = None, cov: str = "auto") -> dict[str, Any]:
    """Everything about one specification on its training rows; ``season`` are positions of a season block."""
    fit = ols(y, columns)
    found: dict[str, Any] = residual_tests(fit, 1)
    found["cov"] = covariance_of(fit, found) if cov == "auto" else cov
    tough = robust(fit, found["cov"])
    scale = columns.std(axis=0)
    found |= {
        "coef": fit.params[1:] / scale,
        "const": fit.params[0] - float((fit.params[1:] / scale) @ columns.mean(axis=0)),
        "se": tough.bse[1:] / scale,
        "t": tough.tvalues[1:],
        "p": tough.pvalues[1:],
        "r2": fit.rsquared,
        "adj_r2": fit.rsquared_adj,
        "aic": fit.aic,
        "bic": fit.bic,
        "rmse": sqrt(fit.ssr / fit.nobs),
        "f_p": fit.f_pvalue,
        "max_vif": max(variance_inflation_factor(fit.model.exog, j) for j in range(1, columns.shape[1] + 1)),
    }
    found["adf_stat"], found["adf_lags"], found["adf_p"] = adf(fit.resid)
    found["pp_stat"], found["pp_p"] = phillips_perron(fit.resid)
    if season is not None:
        found["group_p"] = float(tough.f_test(np.eye(columns.shape[1] + 1)[[1 + at for at in season]]).pvalue)
    return found


def loop_verdict(y: np.ndarray, columns: np.ndarray, season: list[int], limits: dict[str, float]) -> str:
    """The plain loop with early stopping: the filter at which a specification falls, or nothing."""
    fit = sm.OLS(y, np.column_stack([np.ones(len(y)), columns])).fit()
    if not fit.rsquared >= limits["r2_min"]:
        return "r2"
    exog = fit.model.exog
    if not max(variance_inflation_factor(exog, j) for j in range(1, exog.shape[1])) <= limits["vif_max"]:
        return "vif"
    dw = durbin_watson(fit.resid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bg_p = acorr_breusch_godfrey(fit, nlags=1)[1]
    if not 1.5 <= dw <= 2.5 and not bg_p > 0.10:
        cov = f"HAC({floor(4 * (fit.nobs / 100) ** (2 / 9))})"
    else:
        crooked = not het_breuschpagan(fit.resid, exog)[1] > 0.05 and not white_p(fit.resid, exog) > 0.05
        cov = "HC1" if crooked else "nonrobust"
    tough = robust(fit, cov)
    free = [j for j in range(1, exog.shape[1]) if j - 1 not in season]
    if not max(tough.pvalues[free]) < limits["p_max"]:
        return "pvalue"
    if season and not float(tough.f_test(np.eye(exog.shape[1])[[1 + at for at in season]]).pvalue) < 0.10:
        return "group_f"
    if not adf(fit.resid)[2] < 0.05 and not phillips_perron(fit.resid)[1] < 0.05:
        return "stationary"
    return ""
