"""What changed between two runs, curve by curve."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fanwise.errors import InputError
from fanwise.workloads.envelope._sweep import Place, Sweep

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHANGES", "KEY", "Results", "compare", "open_results", "read_back"]

KEY = list(Place._fields)
TEXTS = {*KEY, "status", "digest", "label", "scaled", "change"}
CHANGES = ("added", "removed", "changed", "unchanged")


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """Tables of a run, and its unit."""

    curves: pd.DataFrame
    summary: pd.DataFrame
    unit: str


def open_results(source: Any) -> Results:
    """The tables of a `Sweep`, or of a directory that one was written to.

    Raises
    ------
    InputError
        If the directory does not hold results.
    """
    import pandas as pd

    if isinstance(source, Results):
        return source
    if isinstance(source, Sweep):
        return Results(_keyed(source.table()), _keyed(source.summary()), source.unit)
    folder = os.fspath(source)
    try:
        summary = read_back(f"{folder}/summary.csv")
        if os.path.exists(f"{folder}/curves.parquet"):
            with open(f"{folder}/curves.parquet", "rb") as file:  # pyarrow opens no name that is not UTF-8
                curves = pd.read_parquet(file)
        else:
            curves = read_back(f"{folder}/curves.csv")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no results of fanwise envelope ({error})") from error
    unit = next(
        (name.removeprefix("production_") for name in map(str, summary) if name.startswith("production_")), "kcal"
    )
    _check(folder, "summary", summary, [f"production_{unit}", "width"], ["digest"])
    bounds = [f"{bound}_{what}" for bound in ("lower", "upper") for what in ("area_km2", unit)]
    _check(folder, "curves", curves, ["area_km2", *bounds], [])
    return Results(_keyed(curves), _keyed(summary), unit)


def _check(folder: str, table: str, frame: pd.DataFrame, numbers: Sequence[str], texts: Sequence[str]) -> None:
    """Raise if a table that others will look into lacks a column, or a column of numbers holds something else."""
    wanted = [*KEY, *texts, *numbers]
    wrong = [name for name in wanted if name not in frame]
    wrong = wrong or [name for name in numbers if frame[name].dtype.kind not in "fiu"]
    if wrong:
        why = "is missing" if wrong[0] not in frame else "does not hold numbers"
        raise InputError(f"{folder} holds no results of fanwise envelope: column {wrong[0]} of its {table} {why}")


def read_back(path: str | os.PathLike[str]) -> pd.DataFrame:
    """A table that was written: floats to the last bit, empty fields NaN; names such as ``NA`` stay text."""
    import pandas as pd

    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = [name for name in map(str, frame) if name not in TEXTS]
    return frame.assign(**{name: frame[name].replace("", "nan").astype(float) for name in numbers})


def _keyed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(KEY, str))


def compare(old: Any, new: Any) -> pd.DataFrame:
    """What became of each curve.

    Parameters
    ----------
    old, new : Sweep or path
        Runs, or directories that they were written to.

    Returns
    -------
    DataFrame
        Columns ``scenario, crop, segment, tier, change, max_rel_diff, production_change_pct, width_change``; ``change``
        is added, removed, changed or unchanged. ``max_rel_diff`` is that of the bounds at the old target areas.
    """
    import pandas as pd

    before, after = open_results(old), open_results(new)
    if before.unit != after.unit:
        raise InputError(f"the old results are in {before.unit}, the new ones in {after.unit}; they do not compare")
    rows = {name: _by_key(results.summary) for name, results in (("old", before), ("new", after))}
    curves = {name: dict(list(r.curves.groupby(KEY, sort=False))) for name, r in (("old", before), ("new", after))}
    found = [(*key, *_change(key, rows, curves, after.unit)) for key in dict.fromkeys([*rows["old"], *rows["new"]])]
    return pd.DataFrame(found, columns=[*KEY, "change", "max_rel_diff", "production_change_pct", "width_change"])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _by_key(summary: pd.DataFrame) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {tuple(row[name] for name in KEY): row for row in _records(summary)}


def _change(
    key: tuple[str, ...], rows: Mapping[str, Any], curves: Mapping[str, Any], unit: str
) -> tuple[str, float, float, float]:
    old, new = rows["old"].get(key), rows["new"].get(key)
    nan = float("nan")
    if old is None or new is None:
        return ("added" if old is None else "removed"), nan, nan, nan
    if old["digest"] == new["digest"]:
        return "unchanged", 0.0, 0.0, 0.0
    production = f"production_{unit}"
    share = 100.0 * (new[production] / old[production] - 1.0) if old[production] else nan
    widest = _difference(curves["old"].get(key), curves["new"].get(key), unit)
    return "changed", widest, share, new["width"] - old["width"]


def _difference(old: pd.DataFrame | None, new: pd.DataFrame | None, unit: str) -> float:
    """The largest relative difference of either bound at the old targets, on the polylines of the points."""
    if old is None or new is None or not len(old) or not len(new):
        return float("nan")
    targets = np.asarray(old["area_km2"], dtype=np.float64)
    widest = 0.0
    for bound in ("lower", "upper"):
        now = np.interp(targets, [0.0, *new[f"{bound}_area_km2"]], [0.0, *new[f"{bound}_{unit}"]])
        was = np.interp(targets, [0.0, *old[f"{bound}_area_km2"]], [0.0, *old[f"{bound}_{unit}"]])
        widest = max(widest, float(np.max(np.abs(now - was) / np.where(was > 0, was, 1.0))))
    return widest
