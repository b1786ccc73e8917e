"""Small data sets and configurations made on the spot, always the same."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._context import SearchContext, context_of

GOLDEN = ("macro", "synthetic")


def month_ends(count: int, year: int = 2001) -> list[str]:
    """The last days of consecutive months."""
    first = [dt.date(year + (m + 1) // 12, (m + 1) % 12 + 1, 1) for m in range(count)]
    return [(day - dt.timedelta(days=1)).isoformat() for day in first]


def quarter_ends(count: int, year: int = 1990) -> list[str]:
    return month_ends(3 * count, year)[2::3]


def autoregressive(rng: np.random.Generator, rows: int, rho: float = 0.5) -> np.ndarray:
    """An AR(1) series that starts at 0."""
    x = np.zeros(rows)
    for t in range(1, rows):
        x[t] = rho * x[t - 1] + rng.standard_normal()
    return x


def columns(rows: int = 120, drivers: int = 4, seed: int = 1, noise: float = 1.0) -> dict[str, np.ndarray]:
    """Drivers ``x1 …`` and a target ``y`` that the first two explain."""
    rng = np.random.default_rng(seed)
    table = {f"x{j + 1}": autoregressive(rng, rows) for j in range(drivers)}
    y = 1.0 + 0.9 * table["x1"] + noise * autoregressive(rng, rows, 0.2)
    if drivers > 1:
        y = y - 0.6 * np.concatenate([[0.0], table["x2"][:-1]])
    return {**table, "y": y}


def write_csv(path: Path, time: list[Any], table: Mapping[str, Any], *, heading: str = "date") -> Path:
    """Columns as a CSV file; NaN becomes an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([heading, *table])
        for row in zip(time, *table.values(), strict=True):
            writer.writerow(["" if isinstance(v, float) and np.isnan(v) else v for v in map(plain, row)])
    return path


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{key}" = {toml(part)}' for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value)


def document(sections: Mapping[str, Mapping[str, Any]], groups: list[Mapping[str, Any]]) -> str:
    """A TOML document of sections and search groups."""
    parts = []
    for name, section in sections.items():
        parts.append(f"[{name}]")
        parts += [f"{key} = {toml(value)}" for key, value in section.items()]
        if name == "search":
            for group in groups:
                parts.append("[[search.group]]")
                parts += [f"{key} = {toml(value)}" for key, value in group.items()]
    return "\n".join(parts) + "\n"


def write_config(
    folder: Path, sections: Mapping[str, Any] | None = None, groups: list[Any] | None = None, *, name: str = "search"
) -> Path:
    """A configuration over ``data.csv``; sections are merged into sensible ones for `columns`."""
    base: dict[str, dict[str, Any]] = {
        "data": {"file": "data.csv", "time": "date", "target": "y", "train": ["2001-01-31", "2008-12-31"]},
        "search": {},
        "filters": {},
        "rank": {},
        "multiplicity": {"bootstrap": 50},
        "run": {},
    }
    for section, values in (sections or {}).items():
        base.setdefault(section, {}).update(values)
    base = {section: values for section, values in base.items() if values or section in {"data", "search"}}
    path = folder / f"{name}.toml"
    path.write_text(document(base, groups or [{"name": "all", "items": ["x1@0..1", "x2@0..1", "x3", "x4"]}]), "utf-8")
    return path


def world(
    folder: Path,
    sections: Mapping[str, Any] | None = None,
    groups: list[Any] | None = None,
    *,
    table: Mapping[str, Any] | None = None,
) -> modelsearch.Config:
    """Data and a configuration over them, read back."""
    table = columns() if table is None else table
    rows = len(next(iter(table.values())))
    write_csv(folder / "data.csv", month_ends(rows), table)
    return modelsearch.load_config(write_config(folder, sections, groups))


def with_test() -> dict[str, Any]:
    """Training rows that leave two years to judge by."""
    return {"data": {"train": ["2001-01-31", "2008-12-31"], "test": ["2009-01-31", "2010-12-31"]}}


def context(config: modelsearch.Config) -> SearchContext:
    return context_of(config, modelsearch.prepare(config))


def evaluated(config: modelsearch.Config, *, full: bool = True) -> modelsearch.VerdictTable:
    """Every verdict of a small search."""
    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    return modelsearch.evaluate(frame, space, config, range(space.count()), full=full)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
