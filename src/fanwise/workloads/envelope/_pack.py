"""The columns of a grid as an entry of the cache: arrays, and a header of plain text."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fanwise.workloads.envelope._cells import Tally
from fanwise.workloads.envelope._grid import Grid, Notes
from fanwise.workloads.envelope._labels import Labels

__all__ = ["from_entry", "to_entry"]


def to_entry(grid: Grid) -> dict[str, Any]:
    """Everything of a grid that was read from files."""
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
        "columns": [column for pair in grid.columns.values() for column in pair],
    }


def from_entry(entry: Any) -> Grid | None:
    """The grid, or None if the entry is not one."""
    if not isinstance(entry, dict) or not {"header", "cell", "country", "region", "columns"} <= entry.keys():
        return None
    header = json.loads(entry["header"])
    arrays = [entry["cell"], entry["country"], entry["region"], *entry["columns"]]
    if len({len(array) for array in arrays}) != 1 or len(entry["columns"]) != 2 * len(header["crops"]):
        return None
    for array in arrays:
        array.flags.writeable = False
    halves = iter(entry["columns"])
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
