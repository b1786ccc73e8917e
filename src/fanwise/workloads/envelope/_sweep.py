"""`Sweep`: every curve of a run, by scenario, crop, segment and tier; its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import UsageError
from fanwise.workloads.envelope._curves import VALUES, Curve, magnitude
from fanwise.workloads.envelope._envelopes import FACTS, Envelopes
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._task import Columns, Plan
from fanwise.workloads.envelope._words import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from fanwise.report import RunReport

__all__ = ["Place", "Problem", "Sweep"]


class Place(NamedTuple):
    """Which curve: a scenario, a crop, a segment, a tier."""

    scenario: str
    crop: str
    segment: str
    tier: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A crop that has no curves, and why. ``skipped``: it was never tried, for want of kcal per g."""

    scenario: str
    crop: str
    reason: str
    skipped: bool = False


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep gave. Made by `sweep`.

    Attributes
    ----------
    grid : Grid
    plan : Plan
        What was asked.
    results : mapping
        Envelopes by (place of the scenario, place of the crop).
    failed : tuple of Problem
        Crops without curves.
    report : RunReport or None
        Where the time went.
    cache : mapping
        How entries of the cache were used.
    seconds : mapping
        Where the time went.
    """

    grid: Grid
    plan: Plan
    columns: Columns
    results: Mapping[tuple[int, int], Envelopes]
    failed: tuple[Problem, ...]
    report: RunReport | None
    cache: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def statistics(self) -> dict[str, Any]:
        """``cache``, ``seconds`` and ``workers``. Asking a report costs 1 ms, so nobody does before it is wanted."""
        workers = 0 if self.report is None else self.report.workers
        return {"cache": self.cache, "seconds": self.seconds, "workers": workers}

    @property
    def crops(self) -> tuple[str, ...]:
        return tuple(crop.name for crop in self.plan.crops)

    @property
    def segments(self) -> tuple[str, ...]:
        return self.plan.segments

    @property
    def tiers(self) -> tuple[str, ...]:
        return tuple(tier.name for tier in self.plan.question.tiers)

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(scenario.name for scenario in self.plan.scenarios)

    @property
    def unit(self) -> str:
        return self.plan.question.unit

    def curve(
        self, crop: str, segment: str = "World", tier: str = "comprehensive", *, scenario: str = "baseline"
    ) -> Curve:
        """One curve.

        Raises
        ------
        UsageError
            If the sweep has no such scenario, crop, segment or tier, or the crop failed.
        """
        s, c = _place(self.scenarios, "scenario", scenario), _place(self.crops, "crop", crop)
        k = _place(self.segments, "segment", segment) * len(self.tiers) + _place(self.tiers, "tier", tier)
        if (s, c) not in self.results:
            raise UsageError(f"crop {crop!r} has no curves in scenario {scenario!r}: it failed")
        return self.results[s, c].curve(k)

    def curves(self, scenarios: Sequence[str] | None = None) -> Iterator[tuple[Place, Curve]]:
        """Every curve, in the order of scenario, crop, segment, tier."""
        for (s, c), found in sorted(self.results.items()):
            if scenarios is None or self.scenarios[s] in scenarios:
                for k, (segment, tier) in enumerate((g, t) for g in self.segments for t in self.tiers):
                    yield Place(self.scenarios[s], self.crops[c], segment, tier), found.curve(k)

    def table(self, scenarios: Sequence[str] | None = None) -> pd.DataFrame:
        """Every point of every curve.

        Returns
        -------
        DataFrame
            Columns ``scenario, crop, segment, tier, point, area_km2, magnitude, lower_area_km2, lower_<unit>,
            upper_area_km2, upper_<unit>``.
        """
        import pandas as pd

        wanted = [key for key in sorted(self.results) if scenarios is None or self.scenarios[key[0]] in scenarios]
        found = [self.results[key] for key in wanted]
        points = np.concatenate([np.empty(0, np.int64), *(one.counts() for one in found)])
        values = np.concatenate([np.empty((len(VALUES), 0)), *(one.values for one in found)], axis=1)  # noqa: PD011 - not a frame
        named = dict(zip((f"{n}_{self.unit}" if n in {"lower", "upper"} else n for n in VALUES), values, strict=True))
        starts = np.repeat(np.cumsum(points) - points, points)
        columns: dict[str, Any] = self._labels(wanted, points) | {"point": np.arange(len(starts)) - starts}
        columns["area_km2"] = named.pop("area_km2")
        columns["magnitude"] = magnitude(columns["area_km2"])
        return pd.DataFrame(columns | named)

    def _labels(self, keys: Sequence[tuple[int, int]], repeat: NDArray[np.int64]) -> dict[str, Any]:
        """Columns of scenario, crop, segment and tier: categories, each curve repeated so often."""
        import pandas as pd

        inner = [(g, t) for g in range(len(self.segments)) for t in range(len(self.tiers))]
        codes = np.array([(s, c, g, t) for s, c in keys for g, t in inner], dtype=np.int32).reshape(-1, 4)
        names = (self.scenarios, self.crops, self.segments, self.tiers)
        return {
            field: pd.Categorical.from_codes(np.repeat(codes[:, at], repeat), categories=pd.Index(names[at]))
            for at, field in enumerate(Place._fields)
        }

    def summary(self, scenarios: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a curve.

        Returns
        -------
        DataFrame
            Columns ``scenario, crop, segment, tier, status, cells, valid, filtered, used, area_km2,
            production_<unit>, yield_min, yield_max, width, width_reduction_pct, digest``.
        """
        import pandas as pd

        wanted = [key for key in sorted(self.results) if scenarios is None or self.scenarios[key[0]] in scenarios]
        found = [self.results[key] for key in wanted]
        facts = np.concatenate([np.empty((0, len(FACTS))), *(one.facts for one in found)])
        points = np.concatenate([np.empty(0, np.int64), *(one.counts() for one in found)])
        columns = self._labels(wanted, np.ones(len(facts), dtype=np.int64))
        columns["status"] = np.where(points > 0, "ok", "empty")
        for name, values in zip(FACTS, facts.T, strict=True):
            whole = name in {"cells", "valid", "filtered", "used"}
            columns[f"production_{self.unit}" if name == "production" else name] = (
                values.astype(np.int64) if whole else values
            )
        columns["width_reduction_pct"] = self._reductions(facts[:, FACTS.index("width")])
        columns["digest"] = [one.curve(k).digest for one in found for k in range(len(one.stops))]
        return pd.DataFrame(columns)

    def _reductions(self, widths: NDArray[np.float64]) -> NDArray[np.float64]:
        """``100·(1 − G_tier / G_comprehensive)``; NaN if comprehensive was not asked for or has G = 0."""
        by_tier = widths.reshape(-1, len(self.tiers))
        if "comprehensive" not in self.tiers:
            return np.full(len(widths), np.nan)
        whole = by_tier[:, [self.tiers.index("comprehensive")]]
        share = np.divide(by_tier, whole, out=np.full(by_tier.shape, np.nan), where=whole != 0)
        reductions: NDArray[np.float64] = (100.0 * (1.0 - share)).reshape(-1)
        return reductions

    def write(
        self, directory: str | os.PathLike[str], *, format: str = "parquet", overwrite: bool = False
    ) -> tuple[str, ...]:
        """Write curves and summary into a directory; a file with its final name is always complete.

        Parameters
        ----------
        directory : path
            Made if it is missing.
        format : {"parquet", "csv", "both"}
            Of the curves; the summary is CSV.
        overwrite : bool
            Replace results that are there.

        Returns
        -------
        tuple of str
            Paths of the files.

        Raises
        ------
        UsageError
            If the directory holds results and ``overwrite`` is False.
        """
        from fanwise.workloads.envelope._outputs import Folder

        with Folder(directory, overwrite=overwrite) as folder:
            folder.add_curves(self.table(), format)
            folder.add_csv("summary", self.summary())
        return tuple(folder.paths)


def _place(names: Sequence[str], kind: str, name: str) -> int:
    if name not in names:
        raise UsageError(f"no {kind} {name!r} in the sweep{did_you_mean(name, names)}")
    return names.index(name)
