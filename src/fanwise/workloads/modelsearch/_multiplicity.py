"""How good the best of many would look by chance: White's (2000) reality check, Hansen's (2005) consistent SPA.

Both ask whether any specification predicts the test rows better than the model of forced items alone, and resample
those rows by the stationary bootstrap (Politis and Romano 1994). All that is kept is a running maximum per bootstrap
sample, so any cut of the search into chunks gives the same p-value.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from fanwise.workloads.modelsearch import _config as c
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["Maxima", "Multiplicity", "Weights", "combined", "conclude", "maxima", "sidak", "weights"]

ROWS_AT_ONCE = 256  # specifications per product with the bootstrap weights: 2 MB of results stay in the cache
CHANCE_LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Bootstrap samples: ``deviations`` (T, B) are shares of each test row minus 1/T."""

    method: str
    deviations: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Maxima:
    """The largest statistic so far, in the data and in each bootstrap sample."""

    observed: float
    bootstrap: Floats


@dataclass(frozen=True, slots=True)
class Multiplicity:
    """What may be said about the best of ``tried`` specifications.

    Attributes
    ----------
    method : str
        ``reality-check``, ``spa`` or ``none``.
    statistic, p : float or None
        V and its bootstrap p-value; None without test rows.
    expected_by_chance : float
        How many overall F tests would pass if no driver mattered.
    """

    method: str
    tried: int
    statistic: float | None
    p: float | None
    level: float
    expected_by_chance: float


def weights(rule: c.Multiplicity, rows: int) -> Weights | None:
    """Draw the stationary bootstrap: blocks of geometric length with mean ``rule.block``, wrapping around."""
    if rule.method == "none" or not rows:
        return None
    generator = np.random.Generator(np.random.PCG64(rule.seed))
    start = generator.integers(0, rows, size=(rule.bootstrap, rows))
    fresh = generator.random((rule.bootstrap, rows)) < 1.0 / rule.block
    drawn = start.copy()
    for t in range(1, rows):
        drawn[:, t] = np.where(fresh[:, t], start[:, t], (drawn[:, t - 1] + 1) % rows)
    counts = np.zeros((rule.bootstrap, rows))
    np.add.at(counts, (np.arange(rule.bootstrap)[:, None], drawn), 1.0)
    return Weights(rule.method, np.ascontiguousarray((counts - 1.0).T / rows))


def maxima(weights: Weights, gains: Floats) -> Maxima:
    """Largest statistics of some specifications.

    Parameters
    ----------
    gains : ndarray, shape (specifications, T)
        Squared error of the forced-only model minus that of the specification, on each test row.
    """
    rows = weights.deviations.shape[0]
    best = Maxima(-np.inf, np.full(weights.deviations.shape[1], -np.inf))
    for first in range(0, len(gains), ROWS_AT_ONCE):
        part = gains[first : first + ROWS_AT_ONCE]
        mean = sqrt(rows) * part.mean(axis=1)
        moved = sqrt(rows) * (part @ weights.deviations)
        if weights.method == "spa":
            mean, moved = _studentised(mean, moved, rows)
        if len(mean):
            best = combined(best, Maxima(float(mean.max()), moved.max(axis=0)))
    return best


def _studentised(mean: Floats, moved: Floats, rows: int) -> tuple[Floats, Floats]:
    """Divide by the bootstrap deviation; specifications far worse than the benchmark keep their mean."""
    omega = np.sqrt(np.mean(moved**2, axis=1))
    varying = omega > 0
    mean, moved = mean[varying] / omega[varying], moved[varying] / omega[varying, None]
    bound = -sqrt(2 * log(log(rows))) if rows > 2 else 0.0
    moved += np.where(mean >= bound, 0.0, mean)[:, None]
    return mean, moved


def combined(one: Maxima, other: Maxima) -> Maxima:
    return Maxima(max(one.observed, other.observed), np.maximum(one.bootstrap, other.bootstrap))


def conclude(rule: c.Multiplicity, p_max: float | None, tried: int, best: Maxima | None) -> Multiplicity:
    """Turn the maxima over the whole search into a p-value; ``best`` is None without test rows."""
    level = CHANCE_LEVEL if p_max is None else p_max
    if best is None or not np.isfinite(best.observed):
        return Multiplicity("none", tried, None, None, level, tried * level)
    floor = 0.0 if rule.method == "spa" else -np.inf  # Hansen's statistic is at least that of the benchmark itself
    observed, bootstrap = max(best.observed, floor), np.maximum(best.bootstrap, floor)
    return Multiplicity(rule.method, tried, observed, float(np.mean(bootstrap >= observed)), level, tried * level)


def sidak(p: Floats, tried: int) -> Floats:
    """P-values as if the best of ``tried`` independent tests had been looked at: 1 − (1 − p)^tried."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(tried * np.log1p(-p)))
