"""The statistics of a verdict, in the stages in which filters need them, for batches of equal k."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch import _covariance as covariance
from fanwise.workloads.modelsearch._config import Filters
from fanwise.workloads.modelsearch._context import SearchContext
from fanwise.workloads.modelsearch._filters import demanded_signs
from fanwise.workloads.modelsearch._fits import Fits
from fanwise.workloads.modelsearch._multiplicity import sidak
from fanwise.workloads.modelsearch._tests import (
    autocorrelated,
    breusch_godfrey,
    breusch_pagan,
    durbin_watson,
    f_test,
    heteroscedastic,
    inflation,
)
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._unitroot import MOST_SERIES, adf, cointegration, phillips_perron
from fanwise.workloads.modelsearch._windows import sign_stability, walk_forward

__all__ = [
    "Columns",
    "basics",
    "covariance_labels",
    "errors_in_and_out",
    "inference",
    "predictive",
    "residual_tests",
    "unit_roots",
]

Columns = dict[str, NDArray[Any]]


def _same(fits: Fits, value: bool) -> NDArray[np.bool_]:  # noqa: FBT001 (the value that all of the batch share)
    return np.full(len(fits), value)


def basics(context: SearchContext, fits: Fits) -> Columns:
    """Fit, information criteria, VIF and signs; coefficients in the units of the data."""
    n, k = fits.n, fits.k
    ssr = fits.ssr * fits.base.y_norm**2
    with np.errstate(divide="ignore"):
        llf = -n / 2 * (log(2 * pi) + np.log(ssr / n) + 1)
    f_p = f_test(fits)
    coef = fits.b * (fits.base.y_norm / _norms(fits))
    return {
        "k": np.full(len(fits), k),
        "const": fits.base.y_mean - np.einsum("bk,bk->b", coef, _means(fits)),
        "coef": coef,
        "r2": 1 - fits.ssr,
        "adj_r2": 1 - fits.ssr * (n - 1) / (n - k),
        "aic": 2 * k - 2 * llf,
        "bic": k * log(n) - 2 * llf,
        "rmse": np.sqrt(ssr / n),
        "f_p": f_p,
        "f_p_sidak": sidak(f_p, context.tried),
        "max_vif": inflation(fits),
        "absent:max_vif": _same(fits, k == 1),
        **_signs(context, fits),
    }


def _norms(fits: Fits) -> Floats:
    return _beside_fixed(fits, fits.pool.norm, fits.base.fixed_norm)


def _means(fits: Fits) -> Floats:
    return _beside_fixed(fits, fits.pool.mean, fits.base.fixed_mean)


def _beside_fixed(fits: Fits, free: Floats, fixed: Floats) -> Floats:
    """A number of each column, shape (batch, K)."""
    return np.concatenate([free[fits.indices], np.broadcast_to(fixed, (len(fits), len(fixed)))], axis=1)


def _signs(context: SearchContext, fits: Fits) -> Columns:
    """Whether a restricted item lacks the demanded sign (0 does), and the largest t value of one that does."""
    frame, filters = context.frame, context.config.filters
    seasons = np.zeros(len(fits.base.fixed) - len(frame.forced))
    fixed = np.concatenate([demanded_signs(filters, frame.forced), seasons])
    wanted = np.concatenate([context.demanded[fits.items], np.broadcast_to(fixed, (len(fits), len(fixed)))], axis=1)
    wrong = (wanted != 0) & (np.sign(fits.b) != wanted)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(fits.b) / covariance.standard_errors(covariance.root(fits, "nonrobust"))
    return {"wrong_sign": wrong.any(axis=1), "sign_gap": np.where(wrong, t, 0.0).max(axis=1, initial=0.0)}


def residual_tests(filters: Filters, fits: Fits) -> Columns:
    """Autocorrelation of the residuals, and heteroscedasticity by Breusch and Pagan."""
    rule = filters.autocorrelation
    return {
        "dw": durbin_watson(fits),
        "bg_p": breusch_godfrey(fits, 1 if rule is None else rule.bg_lags),
        "bp_p": breusch_pagan(fits),
    }


def covariance_labels(filters: Filters, fits: Fits, tests: Columns) -> NDArray[np.str_]:
    """Which covariance each specification gets. With k = 1 there is nothing to be heteroscedastic in."""
    if fits.k == 1:
        crooked = _same(fits, False)
    else:
        crooked = heteroscedastic(filters.heteroscedasticity, tests["bp_p"], tests["white_p"])
    return covariance.label(
        filters.cov, fits.n, autocorrelated(filters.autocorrelation, tests["dw"], tests["bg_p"]), crooked
    )


def inference(context: SearchContext, fits: Fits, cov: NDArray[np.str_]) -> Columns:
    """Standard errors, t and p under the covariance of each specification; the season blocks' F tests."""
    shape = fits.b.shape
    se, t, p = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    blocks = _season_slices(context, fits)
    group_p = np.full(len(fits), -np.inf if blocks else np.nan)
    for kind in np.unique(cov):
        chosen = np.flatnonzero(cov == kind)
        half = covariance.root(fits.take(chosen), str(kind))
        se[chosen] = covariance.standard_errors(half)
        with np.errstate(divide="ignore", invalid="ignore"):
            t[chosen] = fits.b[chosen] / se[chosen]
        p[chosen] = covariance.two_sided(t[chosen], fits.n - fits.k)
        for block in blocks:
            block_p = covariance.block_p(fits.b[chosen, block], half[:, block], fits.n - fits.k)
            group_p[chosen] = np.maximum(group_p[chosen], block_p)
    tested = _tested(context, fits)
    nothing = np.asarray(~tested.any(axis=1))
    max_p = np.where(tested, p, -np.inf).max(axis=1, initial=-np.inf)
    max_p = np.where(nothing, np.nan, max_p)
    return {
        "cov": cov.astype("<U9"),
        "se": se * (fits.base.y_norm / _norms(fits)),
        "t": t,
        "p": p,
        "max_p": max_p,
        "absent:max_p": nothing,
        "group_p": group_p,
        "absent:group_p": _same(fits, not blocks),
    }


def _season_slices(context: SearchContext, fits: Fits) -> list[slice]:
    at = fits.indices.shape[1] + len(context.frame.forced)
    slices = []
    for season in context.frame.seasons:
        slices.append(slice(at, at + len(season.chosen)))
        at += len(season.chosen)
    return slices


def _tested(context: SearchContext, fits: Fits) -> NDArray[np.bool_]:
    """Which coefficients have their p-value tested, shape (batch, K)."""
    exempt = set(context.config.filters.p_exempt)
    forced = [item not in exempt for item in context.frame.forced]
    seasons = [context.config.filters.season == "each"] * (len(fits.base.fixed) - len(forced))
    fixed = np.broadcast_to(np.array([*forced, *seasons], dtype=bool), (len(fits), len(fits.base.fixed)))
    return np.concatenate([context.tested[fits.items], fixed], axis=1)


def unit_roots(context: SearchContext, fits: Fits) -> Columns:
    """ADF, Phillips–Perron and Engle–Granger on the residuals."""
    series = fits.indices.shape[1] + len(context.frame.forced)
    dickey = adf(fits.e)
    pp_stat, pp_p = phillips_perron(fits.e)
    known = 1 <= series < MOST_SERIES
    return {
        "adf_stat": dickey.stat,
        "adf_lags": np.where(np.isnan(dickey.stat), np.nan, dickey.lags),
        "adf_p": dickey.p,
        "pp_stat": pp_stat,
        "pp_p": pp_p,
        "coint_p": cointegration(fits.e, series) if known else np.full(len(fits), np.nan),
        "absent:coint_p": _same(fits, series == 0),
    }


def predictive(context: SearchContext, fits: Fits) -> Columns:
    """Errors on the test rows and at walk-forward origins; how stable the signs are."""
    columns, indices = _columns_of(fits)
    oos_rmse = _root_mean(fits.e_ahead * fits.base.y_norm)
    forced_only = _root_mean(fits.base.y_ahead[None] * fits.base.y_norm)
    r = fits.indices.shape[1]
    wf_rmse, skipped = np.full(len(fits), np.nan), np.full(len(fits), np.nan)
    if context.config.rank.walk_forward is not None:
        wf_rmse, skipped = walk_forward(context.walk, columns, indices)
    with np.errstate(divide="ignore", invalid="ignore"):
        oos_ratio = oos_rmse / forced_only
    return {
        "oos_rmse": oos_rmse,
        "oos_ratio": oos_ratio,
        "wf_rmse": wf_rmse,
        "wf_skipped": skipped.astype(np.float64),
        "sign_stability": sign_stability(context.windows, columns, indices, fits.b[:, :r]),
        "absent:sign_stability": _same(fits, r == 0),
    }


def _columns_of(fits: Fits) -> tuple[Floats, NDArray[np.int64]]:
    """The free items of the batch as in the data, and the specifications in their numbering."""
    used, within = np.unique(fits.indices, return_inverse=True)
    return fits.pool.x[used], within.reshape(fits.indices.shape)


def _root_mean(errors: Floats) -> Floats:
    if not errors.shape[1]:
        return np.full(len(errors), np.nan)
    return np.asarray(np.sqrt(np.mean(errors**2, axis=1)))


def errors_in_and_out(fits: Fits) -> Columns:
    """What the composite needs beside the printed columns: largest and mean absolute errors, in units of the target."""
    inside, outside = np.abs(fits.e) * fits.base.y_norm, np.abs(fits.e_ahead) * fits.base.y_norm
    some = outside.shape[1] > 0
    return {
        "in_max": inside.max(axis=1),
        "in_mean": inside.mean(axis=1),
        "out_max": outside.max(axis=1) if some else np.full(len(fits), np.nan),
        "out_mean": outside.mean(axis=1) if some else np.full(len(fits), np.nan),
    }
