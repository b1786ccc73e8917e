"""One specification in forms that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from io import StringIO
from typing import Any

import numpy as np

from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._items import Item, Season
from fanwise.workloads.modelsearch._verdicts import LISTS, VERDICTS, VerdictTable, lines

__all__ = ["FORMATS", "as_object", "exported", "forecast_csv"]

FORMATS = ("csv", "json", "python", "recipes")


def exported(form: str, frame: Frame, config: Config, row: VerdictTable) -> str:
    """Text of one verdict: its row, an object, a script that fits it again, or the recipes of its items."""
    if form == "csv":
        labels = [str(item) for item in frame.items]
        return ",".join(VERDICTS) + "\n" + "".join(lines(row, VERDICTS, labels))
    if form == "json":
        return json.dumps(as_object(frame, row), indent=1, ensure_ascii=False) + "\n"
    if form == "recipes":
        return json.dumps(list(_recipes(frame, row)), indent=1, ensure_ascii=False) + "\n"
    return "\n".join(_script(frame, config, row)) + "\n"


def as_object(frame: Frame, row: VerdictTable) -> dict[str, Any]:
    """A verdict as plain values; coefficients by the names of their columns."""
    names = [*(str(frame.items[i]) for i in _free(row)), *frame.fixed_names]
    found: dict[str, Any] = {}
    for name in VERDICTS:
        if name == "terms":
            found[name] = [str(frame.items[i]) for i in _free(row)]
        elif name in LISTS:
            found[name] = dict(zip(names, map(_known, row[name][0].tolist()), strict=False))
        else:
            found[name] = _known(row[name][0].item())
    return found


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _free(row: VerdictTable) -> list[int]:
    return [int(i) for i in row["indices"][0] if i >= 0]


def _recipes(frame: Frame, row: VerdictTable) -> Iterator[dict[str, Any]]:
    wanted = {frame.items[i] for i in _free(row)} | set(frame.forced)
    for recipe in frame.recipes:
        if recipe.item in wanted:
            step = asdict(recipe.item)
            del step["variable"]
            yield {"item": str(recipe.item), "column": recipe.column, **step, "source_hash": recipe.source_hash}


_FORMULAS = {
    "LV": "{x}",
    "DF": "{x} - {x}.shift({d})",
    "GR": "{x} / {x}.shift({d}) - 1",
    "ABSGR": "({x} / {x}.shift({d}) - 1).abs()",
    "LOG": "np.log({x})",
    "DLOG": "np.log({x}) - np.log({x}.shift({d}))",
    "AVG": "{x}.rolling({d}).mean()",
    "DEV": "{x} - {x}.rolling({d}).mean()",
}


def _script(frame: Frame, config: Config, row: VerdictTable) -> Iterator[str]:
    """A script of about ten lines that fits the specification with statsmodels."""
    items = [*(frame.items[i] for i in _free(row)), *frame.forced]
    cov = str(row["cov"][0])
    robust = (
        f'"HAC", cov_kwds={{"maxlags": {cov[4:-1]}}}, use_t=True' if cov.startswith("HAC") else f'"{cov}", use_t=True'
    )
    first, last = frame.time[0], frame.time[-1]
    yield "import numpy as np, pandas as pd, statsmodels.api as sm"
    yield f'd = pd.read_csv({_text(config.data.file.name)}, index_col={_text(config.data.time)}, na_values=["."])'
    yield f"y = {_formula(config.data.target, config)}"
    yield (
        "X = pd.DataFrame({" + ", ".join(f"{_text(str(i))}: {_formula(i, config)}" for i in items) + "}, index=d.index)"
    )
    for season in frame.seasons:
        yield from _season(season, dated=isinstance(first, str))
    yield f"rows = d.loc[{first!r}:{last!r}].index.difference({list(frame.dropped)}, sort=False)"
    yield f"fit = sm.OLS(y[rows], sm.add_constant(X.loc[rows])).fit(cov_type={robust})"
    yield "print(fit.summary())"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _formula(item: Item, config: Config) -> str:
    column = f"d[{_text(config.data.alias.get(item.variable, item.variable))}]"
    formula = _FORMULAS[item.transform].format(x=column, d=item.parameter)
    return f"({formula}).shift({item.lag})" if item.lag else formula


def _season(season: Season, *, dated: bool) -> Iterator[str]:
    if dated and 12 % season.period == 0:
        yield f"s = (pd.to_datetime(d.index).month - 1) // {12 // season.period} + 1"
    elif dated:
        yield f"s = np.arange(len(d)) % {season.period} + 1"
    else:
        yield f"s = (d.index - d.index[0]) % {season.period} + 1"
    chosen = list(season.chosen)
    names = [f"season({season.period}).{part}" for part in chosen]
    yield f"X[{names}] = np.column_stack([(s == part) * 1.0 for part in {chosen}])"


def forecast_csv(times: list[Any], predictions: dict[str, dict[int, Any]], *, named: bool) -> str:
    """Predictions as CSV: ``time``, one column an id, their mean; the scenario in front if scenarios have names."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ids = list(next(iter(predictions.values())))
    writer.writerow([*(["scenario"] if named else []), "time", *(f"id_{i}" for i in ids), "mean"])
    for at, (name, by_id) in enumerate(predictions.items()):
        columns = [by_id[i] for i in ids]
        for row, time in enumerate(times[at]):
            values = [column[row] for column in columns]
            cells = ["" if np.isnan(v) else f"{v:.12g}" for v in (*values, np.mean(values))]
            writer.writerow([*([name] if named else []), time, *cells])
    return text.getvalue()
