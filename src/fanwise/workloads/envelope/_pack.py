"""The columns of a grid as an entry of the cache: arrays, and a header of plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fanwise.workloads.envelope._cells import Pair, Tally
from fanwise.workloads.envelope._grid import Grid, Notes
from fanwise.workloads.envelope._labels import Labels

__all__ = ["crops_of", "from_entry", "to_entry", "to_part"]


def to_entry(grid: Grid) -> dict[str, Any]:
    """Everything of a grid that was read from files, but the columns of its crops."""
    header = {
        "crops": list(grid.crops),
        "country": list(grid.country.names),
        "region": list(grid.region.names),
        "kcal_per_g": dict(grid.kcal_per_g),
        "warnings": list(grid.notes.warnings),
        "bad": list(grid.notes.bad),
        "unpaired": grid.notes.unpaired,
        "aliases": dict(grid.notes.aliases),
        "tallies": {code: [one.missing, one.zero, one.bad] for code, one in grid.tallies.items()},
    }
    return {
        "header": json.dumps(header, ensure_ascii=False),
        "cell": grid.cell,
        "country": grid.country.codes,
        "region": grid.region.codes,
    }


def to_part(pair: Pair) -> dict[str, Any]:
    """The columns of one crop."""
    return {"columns": list(pair)}


def crops_of(entry: Any) -> list[str]:
    """Codes of the crops whose columns belong to an entry; none if it is not one."""
    crops: list[str] = json.loads(entry["header"]).get("crops", []) if _is_head(entry) else []
    return crops


def _is_head(entry: Any) -> bool:
    return isinstance(entry, dict) and {"header", "cell", "country", "region"} <= entry.keys()


def from_entry(entry: Any, parts: Sequence[Any]) -> Grid | None:
    """The grid, or None if the entry and the columns of its crops do not make one."""
    if not _is_head(entry) or not all(isinstance(part, dict) and "columns" in part for part in parts):
        return None
    header = json.loads(entry["header"])
    columns = [column for part in parts for column in part["columns"]]
    arrays = [entry["cell"], entry["country"], entry["region"], *columns]
    if len({len(array) for array in arrays}) != 1 or len(columns) != 2 * len(header["crops"]):
        return None
    for array in arrays:
        array.flags.writeable = False
    halves = iter(columns)
    grid = Grid(
        cell=entry["cell"],
        country=_labels(header["country"], entry["country"]),
        region=_labels(header["region"], entry["region"]),
        columns={code: (next(halves), next(halves)) for code in header["crops"]},
        kcal_per_g=header["kcal_per_g"],
        notes=Notes(tuple(header["warnings"]), tuple(header["bad"]), header["unpaired"], header["aliases"]),
    )
    vars(grid)["tallies"] = {code: Tally(*counts) for code, counts in header["tallies"].items()}
    return grid


def _labels(names: list[str], codes: Any) -> Labels:
    return Labels(tuple(names), np.asarray(codes, dtype=np.int32))
