"""Predictions of ranked specifications for rows to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Table
from fanwise.workloads.modelsearch._items import Item, parse_item
from fanwise.workloads.modelsearch._transforms import Floats, season_columns, values
from fanwise.workloads.modelsearch._verdicts import VerdictTable

__all__ = ["predict"]


def predict(config: Config, rows: VerdictTable, table: Table, ahead: int) -> dict[int, Floats]:
    """Predict the last ``ahead`` rows of ``table``, all specifications in one product.

    Parameters
    ----------
    rows : VerdictTable
        Specifications with ``terms``, ``const``, ``coef`` and ``k``.
    table : Table
        History and, behind it, the rows to come.

    Returns
    -------
    dict of int to ndarray, shape (ahead,)
        By id; NaN where an input is missing.
    """
    terms = [[parse_item(term) for term in str(text).split(";") if term] for text in rows["terms"]]
    free = list(dict.fromkeys(item for items in terms for item in items))
    blocks = [season_columns(season, table.months, table.ordinals) for season in config.search.seasons]
    columns = [values(item, table.columns[item.variable]) for item in (*free, *config.search.forced)]
    inputs = np.vstack([np.ones(len(table.time)), *columns, *blocks])[:, -ahead:]
    weights = _weights(rows, terms, free, len(inputs))
    missing = np.isnan(inputs)
    found = weights @ np.where(missing, 0.0, inputs)
    found[(weights != 0).astype(float) @ missing > 0] = np.nan
    return dict(zip(rows["id"].tolist(), found, strict=True))


def _weights(rows: VerdictTable, terms: Sequence[Sequence[Item]], free: Sequence[Item], width: int) -> Floats:
    """Coefficients on constant, every free item, forced items and season columns; 0 where an item does not occur."""
    place = {item: 1 + at for at, item in enumerate(free)}
    weights = np.zeros((len(rows), width))
    weights[:, 0] = rows["const"]
    for at, items in enumerate(terms):
        coef = rows["coef"][at][: int(rows["k"][at]) - 1]
        weights[at, [place[item] for item in items]] = coef[: len(items)]
        weights[at, 1 + len(free) :] = coef[len(items) :]
    return weights
