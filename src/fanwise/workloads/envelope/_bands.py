"""Bands of uncertain yields: the whole calculation on production times random factors, at the baseline's target areas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.envelope._bounds import INSIDE, Polyline, at_points
from fanwise.workloads.envelope._scenarios import log_normal
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._task import Columns, Item, Plan, lines_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Replicates", "band_table", "replicates_of"]

Floats = NDArray[np.float64]
QUANTILES = {"q025": 0.025, "q500": 0.5, "q975": 0.975}


class Replicates:
    """Called with the number of a replicate: both bounds of every baseline curve, at the baseline's targets.

    Parameters
    ----------
    plan, columns
        Of the sweep.
    drawn : tuple of str
        Every crop of the grid, in the order in which normal values are drawn for each cell.
    targets : sequence of ndarray
        Target areas of each curve, by crop, then segment, then tier.
    cv, seed
        Coefficient of variation of yields; seed of the generators, one for each replicate.
    """

    def __init__(
        self, plan: Plan, columns: Columns, drawn: tuple[str, ...], targets: list[list[Floats]], draw: tuple[float, int]
    ) -> None:
        self.plan, self.columns, self.drawn, self.targets = plan, columns, drawn, targets
        self.cv, self.seed = draw

    def __call__(self, replicate: int) -> Floats:
        rng = np.random.default_rng([self.seed, replicate])
        z = rng.standard_normal((len(self.columns.codes), len(self.drawn)))
        parts = [self._crop(place, z) for place in range(len(self.plan.crops))]
        return np.concatenate(parts, axis=1)

    def _crop(self, place: int, z: Floats) -> Floats:
        """Lower and upper bound of every curve of a crop, side by side; 0 where a tier is empty now."""
        pairs = []
        for code in self.plan.crops[place].members:
            ha, mt = self.columns.pairs[code]
            pairs.append((ha, mt * log_normal(z[:, self.drawn.index(code)], self.cv)))
        targets = self.targets[place]
        values = [np.zeros((2, len(areas))) for areas in targets]
        tiers = len(self.plan.question.tiers)
        for line in lines_of(self.plan, self.columns, Item(0, place), pairs):
            at = line.segment * tiers + line.tier
            total = line.lower
            values[at][0] = _at(line.lower, total, targets[at], self.plan.question.method)
            values[at][1] = _at(line.upper, total, targets[at], self.plan.question.method)
        return np.concatenate([np.empty((2, 0)), *values], axis=1)


def _at(bound: Polyline, total: Polyline, targets: Floats, method: str) -> Floats:
    """A bound's losses; targets that are not inside the area take its total."""
    inside = targets < total.area_km2[-1] * INSIDE
    losses = np.full(len(targets), total.loss[-1])
    losses[inside] = at_points(bound, targets[inside], method)[1]
    return losses


def band_table(result: Sweep, replicates: list[Floats]) -> pd.DataFrame:
    """Quantiles over replicates, in the order of the baseline's curves."""
    table = result.table(["baseline"])[["crop", "segment", "tier", "point", "area_km2"]].copy()
    quantiles = np.quantile(np.stack(replicates), list(QUANTILES.values()), axis=0)
    for side, bound in enumerate(("lower", "upper")):
        for at, name in enumerate(QUANTILES):
            table[f"{bound}_{name}"] = quantiles[at, side]
    return table


def replicates_of(result: Sweep, cv: float, seed: int) -> Any:
    """The function of a replicate, for a sweep whose baseline is complete."""
    targets = [
        [result.results[0, place].curve(k).area_km2 for k in range(result.plan.curves)]
        for place in range(len(result.plan.crops))
    ]
    return Replicates(result.plan, result.columns, result.grid.crops, targets, (cv, seed))
