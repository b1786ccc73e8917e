"""Which of those that passed is best, and which of them are one and the same fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._verdicts import VerdictTable

__all__ = ["Extents", "composite", "extents", "order_of", "ranking_keys", "same_fit", "widened"]

Extents = Mapping[str, tuple[float, float]]
LARGE_IS_BEST = frozenset({"r2", "adj_r2", "composite"})
_FIT, _IN, _OUT = ("r2", "adj_r2"), ("in_max", "in_mean", "rmse"), ("out_max", "out_mean", "oos_rmse")


def extents(table: VerdictTable) -> Extents:
    """Smallest and largest value of each column that the composite is made of."""
    return {name: (float(np.nanmin(c)), float(np.nanmax(c))) for name in _FIT + _IN + _OUT if _known(c := table[name])}


def _known(column: Floats) -> bool:
    return bool(np.isfinite(column).any())


def widened(one: Extents, other: Extents) -> Extents:
    """The extents of two tables together."""
    return {
        name: (min(span[0] for span in spans), max(span[1] for span in spans))
        for name in {**one, **other}
        if (spans := [side[name] for side in (one, other) if name in side])
    }


def composite(table: VerdictTable, spread: Extents, weights: tuple[float, float, float]) -> Floats:
    """Weighted mean of fit, in-sample error and out-of-sample error, each between 0 and 1; larger is better.

    Parameters
    ----------
    spread : Extents
        Of all that passed: each measure is 0 at its worst and 1 at its best; 0.5 where all are equal.
    weights : tuple of float
        Of fit, in-sample and out-of-sample error; the last is left out without test rows.
    """
    parts = [
        np.mean([_normalised(table[name], spread[name]) for name in _FIT], axis=0),
        np.mean([1 - _normalised(table[name], spread[name]) for name in _IN], axis=0),
    ]
    if all(name in spread for name in _OUT):
        parts.append(np.mean([1 - _normalised(table[name], spread[name]) for name in _OUT], axis=0))
    used = weights[: len(parts)]
    total = sum(used)
    if not total:
        return np.full(len(table), np.nan)
    return np.asarray(sum(weight * part for weight, part in zip(used, parts, strict=True)) / total)


def _normalised(column: Floats, span: tuple[float, float]) -> Floats:
    low, high = span
    return np.full(len(column), 0.5) if high == low else np.asarray((column - low) / (high - low))


def ranking_keys(by: str, column: Floats) -> Floats:
    """Numbers that sort best first: rounded to 12 significant digits, so that last-bit noise makes a tie; NaN last."""
    rounded = np.array([float("%.12g" % value) for value in column.tolist()])  # noqa: UP031 (the digits of the output)
    keys = -rounded if by in LARGE_IS_BEST else rounded
    return np.where(np.isnan(keys), np.inf, keys)


def same_fit(table: VerdictTable) -> tuple[tuple[int, ...], ...]:
    """Ids of different specifications with one and the same fit: k equal, r2, dw and bg_p equal to 9 digits."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, k, *values in zip(*(table[name].tolist() for name in ("id", "k", "r2", "dw", "bg_p")), strict=True):
        groups.setdefault((str(k), *_nine_digits(values)), []).append(i)
    return tuple(tuple(sorted(ids)) for ids in groups.values() if len(ids) > 1)


def _nine_digits(values: Iterable[float]) -> list[str]:
    return [f"{value:.9g}" for value in values]


def order_of(keys: Floats, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions by key, ties by id."""
    return np.lexsort((ids, keys))
