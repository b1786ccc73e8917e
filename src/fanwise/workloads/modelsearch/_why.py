"""One specification in full: every filter with its number and its bound, and what would have to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from fanwise.workloads.modelsearch._cascade import verdicts
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._context import SearchContext
from fanwise.workloads.modelsearch._filters import FILTERS, Rule, rules
from fanwise.workloads.modelsearch._fits import Fits, estimate
from fanwise.workloads.modelsearch._space import Indices
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._verdicts import VerdictTable

__all__ = ["Check", "Neighbour", "Verdict", "explain"]


@dataclass(frozen=True, slots=True)
class Check:
    """One filter: the number it looked at, the bound, and whether it was kept.

    ``statistic`` is None where there is nothing to test; ``threshold`` is empty for a filter that is switched off.
    """

    name: str
    statistic: float | None
    threshold: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A specification one item away that passes."""

    change: str
    item: str
    id: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything there is to say about one specification.

    Attributes
    ----------
    checks : tuple of Check
        All filters, in order.
    information : dict of str to float
        Jarque–Bera, skew and kurtosis of the residuals, Ramsey RESET, Chow at the middle row, condition number; these
        are never filters.
    neighbours : tuple of Neighbour
        Which single item to remove or add would make it pass (empty if it does).
    row : VerdictTable
        Its one row.
    """

    id: int
    terms: str
    passed: bool
    failed_at: str
    reason: str
    checks: tuple[Check, ...]
    information: dict[str, float]
    neighbours: tuple[Neighbour, ...]
    row: VerdictTable


def explain(context: SearchContext, i: int) -> Verdict:
    """Judge one specification with every filter, whether or not an earlier one failed."""
    row = verdicts(context, [i], full=True)
    indices = row["indices"]
    pool, local = context.local(indices)
    fits, _ = estimate(context.base, pool, local)
    passed = bool(row["passed"][0])
    return Verdict(
        id=i,
        terms=context.space.terms(i),
        passed=passed,
        failed_at=str(row["failed_at"][0]),
        reason=str(row["reason"][0]),
        checks=tuple(_checks(context, row, fits)),
        information=_information(fits) if len(fits) else {},
        neighbours=() if passed else tuple(_neighbours(context, indices[0])),
        row=row,
    )


def _checks(context: SearchContext, row: VerdictTable, fits: Fits) -> Iterator[Check]:
    reason = str(row["reason"][0])
    says = {"collinear": _collinear(context, row), "": "full rank"}.get(reason, reason)
    yield Check("rank", None, "a unique least-squares solution", not reason, says)
    by_rule = rules(context.config.filters)
    for name in FILTERS[1:]:
        if not len(fits):
            yield Check(name, None, "", passed=False, reason="not estimable")
        elif name == "sign":
            yield _sign(context, row)
        elif name == "stationary":
            yield _stationary(context.config, row)
        else:
            yield _compared(context, row, by_rule[name])


def _compared(context: SearchContext, row: VerdictTable, rule: Rule) -> Check:
    value = float(row[rule.column][0])
    statistic = None if np.isnan(value) else value
    if rule.bound is None:
        return Check(rule.filter, statistic, "", passed=True, reason="switched off")
    absent = statistic is None and _is_absent(context, row, rule)
    passed = absent or bool(rule.holds(np.array([value]))[0])
    reason = {"pvalue": _worst_item, "group_f": _by_covariance}.get(rule.filter, _nothing)(context, row)
    return Check(
        rule.filter, statistic, f"{rule.sense} {rule.bound:g}", passed, "nothing to test" if absent else reason
    )


def _is_absent(context: SearchContext, row: VerdictTable, rule: Rule) -> bool:
    """Whether a specification without this number passes: see `_filters.passed`."""
    free = int((row["indices"][0] >= 0).sum())
    frame, filters = context.frame, context.config.filters
    tested = [*context.tested[row["indices"][0]], *(item not in set(filters.p_exempt) for item in frame.forced)]
    absent = {
        "vif": free + len(frame.fixed) == 0,
        "pvalue": not any(tested) and not (filters.season == "each" and frame.seasons),
        "group_f": not frame.seasons,
        "cointegration": free + len(frame.forced) == 0,
        "stability": free == 0,
    }
    return bool(absent.get(rule.filter, False))


def _nothing(context: SearchContext, row: VerdictTable) -> str:
    return ""


def _names(context: SearchContext, row: VerdictTable) -> list[str]:
    return [*(str(context.frame.items[i]) for i in row["indices"][0]), *context.frame.fixed_names]


def _worst_item(context: SearchContext, row: VerdictTable) -> str:
    """Which item has the largest tested p-value, under which covariance and why."""
    p, worst = row["p"][0][: int(row["k"][0]) - 1], float(row["max_p"][0])
    if np.isnan(worst):
        return ""
    name = _names(context, row)[int(np.argmin(np.abs(p - worst)))]
    return f"{name}; {_by_covariance(context, row)}"


def _by_covariance(context: SearchContext, row: VerdictTable) -> str:
    cov = str(row["cov"][0])
    if context.config.filters.cov != "auto":
        return f"{cov} covariance, as configured"
    dw, bg, bp, white = (float(row[name][0]) for name in ("dw", "bg_p", "bp_p", "white_p"))
    why = {
        "HC1": f"the residuals are heteroscedastic: Breusch–Pagan p {bp:.3g}, White p {white:.3g}",
        "nonrobust": f"no sign of autocorrelation (Durbin–Watson {dw:.3g}, Breusch–Godfrey p {bg:.3g}) "
        f"or heteroscedasticity (Breusch–Pagan p {bp:.3g}, White p {white:.3g})",
    }.get(cov, f"the residuals are autocorrelated: Durbin–Watson {dw:.3g}, Breusch–Godfrey p {bg:.3g}")
    return f"{cov} covariance, since {why}"


def _sign(context: SearchContext, row: VerdictTable) -> Check:
    sign = context.config.filters.sign
    wrong, demanded = [], 0
    items = [*(context.frame.items[i] for i in row["indices"][0]), *context.frame.forced]
    for item, coef in zip(items, row["coef"][0], strict=False):
        wanted = sign.get(str(item), sign.get(item.variable))
        demanded += wanted is not None
        if wanted is not None and np.sign(coef) != {"+": 1, "-": -1}[wanted]:
            wrong.append(f"{item} is {coef:.4g}, wanted {wanted}")
    return Check("sign", None, f"{demanded} demanded" if demanded else "", not wrong, "; ".join(wrong))


def _stationary(config: Config, row: VerdictTable) -> Check:
    filters = config.filters
    adf, pp = float(row["adf_p"][0]), float(row["pp_p"][0])
    if filters.stationary is None:
        return Check("stationary", adf, "", passed=True, reason="switched off")
    by = {"adf": adf, "pp": pp, "adf-or-pp": np.fmin(adf, pp), "adf-and-pp": np.maximum(adf, pp)}[filters.stationary]
    says = f"{filters.stationary}: ADF p {adf:.3g}, Phillips–Perron p {pp:.3g}"
    return Check("stationary", float(by), f"< {filters.stationary_p:g}", bool(by < filters.stationary_p), says)


def _collinear(context: SearchContext, row: VerdictTable) -> str:
    """The columns of the smallest singular value's direction."""
    pool, local = context.local(row["indices"])
    columns = np.vstack([pool.x[local[0]], context.base.fixed])
    if not len(columns):
        return ""
    _, _, directions = np.linalg.svd(columns.T, full_matrices=False)
    share = np.abs(directions[-1])
    names = _names(context, row)
    return "collinear: " + ", ".join(names[at] for at in np.flatnonzero(share > 0.1 * share.max()) if at < len(names))


def _neighbours(context: SearchContext, indices: Indices) -> Iterator[Neighbour]:
    """Every specification with one item less or more, if it passes."""
    have = [int(i) for i in indices]
    changes: dict[int, tuple[str, int]] = {}
    for item in have:
        _note(context, changes, [i for i in have if i != item], ("remove", item))
    for item in set(range(len(context.frame.items))) - set(have):
        _note(context, changes, sorted([*have, item]), ("add", item))
    if not changes:
        return
    found = verdicts(context, sorted(changes), full=False)
    for i, passed in zip(found["id"].tolist(), found["passed"].tolist(), strict=True):
        if passed:
            change, item = changes[i]
            yield Neighbour(change, str(context.frame.items[item]), i)


def _note(
    context: SearchContext, changes: dict[int, tuple[str, int]], items: list[int], change: tuple[str, int]
) -> None:
    if context.space.contains(items):
        changes[context.space.rank(items)] = change


def _information(fits: Fits) -> dict[str, float]:
    """Tests that are shown and never filter."""
    e = fits.e[0]
    second = np.mean(e**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        skew, kurtosis = np.mean(e**3) / second**1.5, np.mean(e**4) / second**2
    jarque_bera = fits.n / 6 * (skew**2 + (kurtosis - 3) ** 2 / 4)
    reset, reset_p = _reset(fits)
    chow, chow_p = _chow(fits)
    return {
        "jarque_bera": float(jarque_bera),
        "jarque_bera_p": float(np.exp(-jarque_bera / 2)),
        "skew": float(skew),
        "kurtosis": float(kurtosis),
        "reset_f": reset,
        "reset_p": reset_p,
        "chow_f": chow,
        "chow_p": chow_p,
        "condition_number": _condition(fits),
    }


def _f(gained: float, ssr: float, freedom: tuple[int, int]) -> tuple[float, float]:
    """F statistic of ``freedom[0]`` restrictions and its p-value."""
    if freedom[1] <= 0 or ssr <= 0:
        return np.nan, np.nan
    f = gained / freedom[0] / (ssr / freedom[1])
    return float(f), float(fdtrc(*freedom, f))


def _reset(fits: Fits) -> tuple[float, float]:
    """Ramsey's RESET: squares and cubes of the fit added to the columns."""
    fitted = fits.base.y_norm * (_target(fits) - fits.e[0]) + fits.base.y_mean
    spread = fitted.std()
    z = (fitted - fitted.mean()) / (spread or 1.0)
    powers = np.vstack([z**2, z**3])
    powers = powers - powers.mean(axis=1, keepdims=True)
    basis = np.vstack([fits.base.q, fits.q[0]])
    for _ in range(2):
        powers = powers - (powers @ basis.T) @ basis
    q, upper = np.linalg.qr(powers.T)
    q = q[:, np.abs(upper.diagonal()) > 1e-10 * np.sqrt(fits.n)]
    gained = float(np.sum((q.T @ fits.e[0]) ** 2))
    return _f(gained, float(fits.ssr[0]) - gained, (max(q.shape[1], 1), fits.n - fits.k - q.shape[1]))


def _target(fits: Fits) -> Floats:
    """The centred target in standard units."""
    return np.asarray(fits.base.y + fits.base.y_on_fixed @ fits.base.fixed)


def _chow(fits: Fits) -> tuple[float, float]:
    """Chow's F: whether both halves have one and the same coefficients."""
    half, k = fits.n // 2, fits.k
    columns = np.vstack([np.ones((1, fits.n)), fits.pool.x[fits.indices[0]], fits.base.fixed])
    y = _target(fits)
    parts = 0.0
    for rows in (slice(0, half), slice(half, fits.n)):
        design = columns[:, rows].T
        if design.shape[0] <= k or np.linalg.matrix_rank(design) < k:
            return np.nan, np.nan
        q, _ = np.linalg.qr(design)
        rest = y[rows] - q @ (q.T @ y[rows])
        parts += float(rest @ rest)
    return _f(float(fits.ssr[0]) - parts, parts, (k, fits.n - 2 * k))


def _condition(fits: Fits) -> float:
    """Of the columns as in the data, the constant included."""
    pool, base, chosen = fits.pool, fits.base, fits.indices[0]
    standard = np.vstack([pool.x[chosen], base.fixed])
    norm = np.concatenate([pool.norm[chosen], base.fixed_norm])
    mean = np.concatenate([pool.mean[chosen], base.fixed_mean])
    raw = np.vstack([np.ones((1, fits.n)), standard * norm[:, None] + mean[:, None]])
    return float(np.linalg.cond(raw.T))
