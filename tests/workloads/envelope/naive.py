"""A whole sweep a second time: pandas for cells and segments, exact arithmetic for curves; nothing of the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tests.workloads.envelope.reference import Exact, envelope

KCAL = {"WHEA": 3.34, "RICE": 3.6, "MAIZ": 3.56}


class Asked(NamedTuple):
    """What a sweep is asked, in words of its own."""

    by: str = "none"
    tiers: Mapping[str, tuple[str, str]] = {"comprehensive": ("0", "100")}
    method: str = "interp"
    points: str = "spaced:4"
    rule: str = "none"
    unit: str = "kcal"

    def options(self) -> dict[str, Any]:
        """The same for `sweep`."""
        known = {"comprehensive", "commercial"}
        tiers = [name if name in known else f"{name}:{lo}-{hi}" for name, (lo, hi) in self.tiers.items()]
        plain = {"by": self.by, "method": self.method, "points": self.points, "filter": self.rule, "unit": self.unit}
        return plain | {"tiers": tiers, "progress": "none", "workers": 1}


class Found(NamedTuple):
    """A curve, or None where the tier is empty, and the cells of its segment."""

    crop: str
    segment: str
    tier: str
    cells: int
    exact: Exact | None


def frame_of(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Arguments of `Grid.from_arrays` as one table, sorted by id."""
    frame = pd.DataFrame({name: columns[name] for name in ("cell", "country", "region")})
    for code, (ha, mt) in columns["crops"].items():
        frame[f"{code}_H"], frame[f"{code}_P"] = ha, mt
    return frame.sort_values("cell")


def added(frame: pd.DataFrame, members: Sequence[str], unit: str) -> tuple[list[float], list[float]]:
    """Area and loss of each cell, member by member, one float at a time."""
    areas, losses = [], []
    for _, row in frame.iterrows():
        area = loss = 0.0
        for code in members:
            ha, mt = float(row[f"{code}_H"]), float(row[f"{code}_P"])
            if np.isfinite(ha) and np.isfinite(mt) and ha >= 0 and mt >= 0:
                area, loss = area + ha, loss + mt * (KCAL[code] * 1e6 if unit == "kcal" else 1.0)
        areas.append(area)
        losses.append(loss)
    return areas, losses


def segments(frame: pd.DataFrame, by: str) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "World", frame
    for name in sorted(set(frame[by]) - {""}) if by != "none" else ():
        yield name, frame[frame[by] == name]


def expected(columns: Mapping[str, Any], crops: Mapping[str, Sequence[str]], asked: Asked) -> Iterator[Found]:
    """Every curve of the baseline, in the order of crop, segment, tier."""
    frame = frame_of(columns)
    for crop, members in crops.items():
        for segment, part in segments(frame, asked.by):
            areas, losses = added(part, members, asked.unit)
            for tier, ends in asked.tiers.items():
                how = {"tier": ends, "method": asked.method, "points": asked.points, "rule": asked.rule}
                yield Found(crop, segment, tier, len(part), envelope(areas, losses, part["cell"].tolist(), **how))
