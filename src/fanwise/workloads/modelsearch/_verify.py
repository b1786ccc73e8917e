"""An independent second opinion: the best specifications again, one at a time, by statsmodels.

Columns are centred and scaled to unit variance before fitting and coefficients transformed back; on raw columns whose
scales differ by 1e13 statsmodels itself is off by 1e-8. What statsmodels lacks (White with rank-deficient products,
Phillips–Perron) is written out here from its definition on statsmodels regressions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import ceil, sqrt
from typing import Any

import numpy as np

from fanwise.errors import UsageError
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._unitroot import MOST_SERIES
from fanwise.workloads.modelsearch._verdicts import VerdictTable
from fanwise.workloads.modelsearch._windows import origins

__all__ = ["Verification", "verify_rows"]

SHORTEST = 4  # residuals in which statsmodels looks for a unit root


@dataclass(frozen=True, slots=True)
class Verification:
    """How far statsmodels and the search are apart.

    Attributes
    ----------
    rows : int
        Specifications compared.
    max_abs : float
        Largest absolute difference.
    max_rel : float
        Largest difference relative to ``max(1, |reference|)``, for coefficients to ``|reference| + se``.
    worst : tuple of (int, str) or None
        Id and column of the largest relative difference.
    """

    rows: int
    max_abs: float
    max_rel: float
    worst: tuple[int, str] | None


def verify_rows(frame: Frame, config: Config, rows: VerdictTable) -> Verification:
    """Fit the rows again and compare every statistic that both have."""
    max_abs, max_rel, worst = 0.0, 0.0, None
    for at in range(len(rows)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # p-values outside tables, return types that are to change
            expected = _reference(frame, config, rows["indices"][at], str(rows["cov"][at]))
        for name, reference in expected.items():
            found = rows[name][at][: len(np.atleast_1d(reference))] if np.ndim(reference) else rows[name][at]
            difference = np.abs(np.asarray(found) - reference)
            scale = np.maximum(1.0, np.abs(reference))
            if name in {"coef", "se"}:
                scale = np.abs(expected["coef"]) + expected["se"]
            relative = float(np.max(difference / scale, initial=0.0))
            max_abs = max(max_abs, float(np.max(difference, initial=0.0)))
            if relative > max_rel or np.isnan(relative):
                max_rel, worst = relative if not np.isnan(relative) else np.inf, (int(rows["id"][at]), name)
    return Verification(len(rows), max_abs, max_rel, worst)


def _reference(frame: Frame, config: Config, indices: Any, cov: str) -> dict[str, Any]:
    """Every statistic of one specification by plain library calls."""
    try:
        import statsmodels.api as sm
    except ImportError:
        raise UsageError("--verify needs statsmodels: pip install 'fanwise[search]'") from None
    free = [int(i) for i in indices if i >= 0]
    raw = np.vstack([frame.free(free)[0], frame.fixed])
    design = _Design(raw)
    fit = sm.OLS(frame.y, design.matrix(raw)).fit()
    found = {
        **_fit(fit, design),
        **_residual_tests(fit, config),
        **_unit_roots(fit.resid, len(free) + len(frame.forced)),
    }
    found |= _inference(fit, design, cov, _season_blocks(frame, len(free)))
    found |= _ahead(frame, config, free, design, fit)
    return {name: value for name, value in found.items() if not np.all(np.isnan(value))}


class _Design:
    """Centring and scaling learnt from training rows, and the way back."""

    def __init__(self, raw: Floats) -> None:
        self.mean = raw.mean(axis=1, keepdims=True)
        self.deviation = raw.std(axis=1, keepdims=True)

    def matrix(self, raw: Floats) -> Floats:
        """Columns with the constant in front."""
        return np.vstack([np.ones((1, raw.shape[1])), (raw - self.mean) / self.deviation]).T

    def scale(self) -> Floats:
        return np.asarray(self.deviation[:, 0])


def _fit(fit: Any, design: _Design) -> dict[str, Any]:
    coef = fit.params[1:] / design.scale()
    matrix = fit.model.exog[:, 1:]
    inflation = np.nan
    if matrix.shape[1] == 1:
        inflation = 1.0
    elif matrix.shape[1]:
        triangle = np.linalg.qr(matrix, mode="r")  # the inverse of the correlations would square the condition
        inflation = len(matrix) * float(np.max(np.sum(np.linalg.inv(triangle) ** 2, axis=1)))
    return {
        "coef": coef,
        "const": fit.params[0] - float(coef @ design.mean[:, 0]),
        "r2": fit.rsquared,
        "adj_r2": fit.rsquared_adj,
        "aic": fit.aic,
        "bic": fit.bic,
        "rmse": sqrt(fit.ssr / fit.nobs),
        "f_p": fit.f_pvalue if matrix.shape[1] else np.nan,
        "max_vif": inflation,
    }


def _residual_tests(fit: Any, config: Config) -> dict[str, Any]:
    from statsmodels.stats.diagnostic import acorr_breusch_godfrey, het_breuschpagan
    from statsmodels.stats.stattools import durbin_watson

    rule = config.filters.autocorrelation
    lags, columns = 1 if rule is None else rule.bg_lags, fit.model.exog.shape[1]
    enough = fit.nobs > columns + lags  # else statsmodels refuses
    found = {
        "dw": durbin_watson(fit.resid),
        "bg_p": acorr_breusch_godfrey(fit, nlags=lags)[1] if enough else np.nan,
    }
    if columns > 1:
        found |= {"bp_p": het_breuschpagan(fit.resid, fit.model.exog)[1], "white_p": _white_p(fit)}
    return found


def _white_p(fit: Any) -> float:
    from scipy.special import chdtrc

    columns = fit.model.exog
    pairs = combinations_with_replacement(range(columns.shape[1]), 2)
    products = np.column_stack([columns[:, i] * columns[:, j] for i, j in pairs])
    centred = products - products.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    kept = norm > 1e-12 * sqrt(len(products)) * np.abs(products).max(axis=0)
    directions, sizes, _ = np.linalg.svd(centred[:, kept] / norm[kept], full_matrices=False)
    basis = directions[:, sizes > 1e-10 * sizes[0]]
    squares = fit.resid**2 - np.mean(fit.resid**2)
    return float(chdtrc(basis.shape[1], len(squares) * np.sum((basis.T @ squares) ** 2) / np.sum(squares**2)))


def _season_blocks(frame: Frame, free: int) -> Iterator[range]:
    at = 1 + free + len(frame.forced)
    for season in frame.seasons:
        yield range(at, at + len(season.chosen))
        at += len(season.chosen)


def _inference(fit: Any, design: _Design, cov: str, blocks: Iterator[range]) -> dict[str, Any]:
    if cov.startswith("HAC"):
        fit = fit.get_robustcov_results("HAC", maxlags=int(cov[4:-1]), use_correction=False, use_t=True)
    elif cov == "HC1":
        fit = fit.get_robustcov_results("HC1", use_t=True)
    found = {"se": fit.bse[1:] / design.scale(), "t": fit.tvalues[1:], "p": fit.pvalues[1:]}
    ps = [float(fit.f_test(np.eye(len(fit.params))[list(block)]).pvalue) for block in blocks]
    return found | ({"group_p": max(ps)} if ps else {})


def _unit_roots(resid: Floats, series: int) -> dict[str, Any]:
    from statsmodels.tsa.adfvalues import mackinnonp
    from statsmodels.tsa.stattools import adfuller

    if len(resid) < SHORTEST:
        return {}
    stat, p, lags = adfuller(resid, regression="c", autolag="AIC")[:3]
    pp = _phillips_perron(resid)
    found = {"adf_stat": stat, "adf_p": p, "adf_lags": lags, "pp_stat": pp, "pp_p": mackinnonp(pp, "c", 1)}
    if 1 <= series < MOST_SERIES:
        tau, _, lags, rows = adfuller(resid, regression="n", autolag="AIC")[:4]
        if rows > lags + 1:  # else it fits exactly, and the statistic is rounding
            found["coint_p"] = mackinnonp(tau, "c", series + 1)
    return found


def _phillips_perron(e: Floats) -> float:
    import statsmodels.api as sm

    m = len(e)
    fit = sm.OLS(e[1:], np.column_stack([e[:-1], np.ones(m - 1)])).fit()
    u, sigma = fit.resid, fit.bse[0]
    gamma, s = u @ u / (m - 1), sqrt(u @ u / (m - 3))
    lags = ceil(12 * (m / 100) ** 0.25)
    long_run = gamma + 2 * sum((1 - j / (lags + 1)) * (u[j:] @ u[:-j]) / (m - 1) for j in range(1, lags + 1))
    bias = 0.5 * (long_run - gamma) / sqrt(long_run) * (m - 1) * sigma / s
    return float(sqrt(gamma / long_run) * (fit.params[0] - 1) / sigma - bias)


def _ahead(frame: Frame, config: Config, free: list[int], design: _Design, fit: Any) -> dict[str, Any]:
    """Errors on test rows and at walk-forward origins (origins that a rank rule may skip are left to the search)."""
    import statsmodels.api as sm

    found: dict[str, Any] = {}
    if len(frame.y_test):
        test = design.matrix(np.vstack([frame.free(free)[1], frame.fixed_test]))
        found["oos_rmse"] = sqrt(np.mean((frame.y_test - fit.predict(test)) ** 2))
    walk = config.rank.walk_forward
    if walk is None:
        return found
    matrix, squares = fit.model.exog, []
    for _, origin, stop in origins(len(frame.y), walk.min_train, walk.step):
        part = matrix[:origin]
        if np.linalg.matrix_rank(part) == part.shape[1] < origin:
            params = sm.OLS(frame.y[:origin], part).fit().params
            squares.append((frame.y[origin:stop] - matrix[origin:stop] @ params) ** 2)
    found["wf_rmse"] = sqrt(np.mean(np.concatenate(squares))) if squares else np.nan
    return found
