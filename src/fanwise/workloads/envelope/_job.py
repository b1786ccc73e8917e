"""Files of a grid in, one directory out: what ``fanwise envelope run`` does, without a word to the user."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fanwise.workloads.envelope._compare import CHANGES, KEY, Results, compare
from fanwise.workloads.envelope._crops import facts
from fanwise.workloads.envelope._events import Event, outside, read_events
from fanwise.workloads.envelope._figure import Picture, png, svg
from fanwise.workloads.envelope._outputs import Folder, slugs
from fanwise.workloads.envelope._page import page
from fanwise.workloads.envelope._risk import Fit, History, risk, risks
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope._thresholds import Threshold, crossings
from fanwise.workloads.envelope.study import bands

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Done", "Extras", "conclude", "pictures_of", "publish", "report_page", "scenario_table"]


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What is wanted beside curves and summary."""

    thresholds: tuple[Threshold, ...] = ()
    events: Path | None = None
    history: tuple[History, ...] = ()
    bootstrap: int = 1000
    bands: int = 0
    yield_cv: float = 0.0
    seed: int = 0
    all_curves: bool = False
    compare: Results | None = None
    format: str = "parquet"
    figures: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Done:
    """What came out, and the tables that go to files."""

    result: Sweep
    extras: Extras
    curves: pd.DataFrame
    summary: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    fits: Mapping[str, Fit] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def empty(self) -> int:
        """Curves without points."""
        return int(sum(int((found.counts() == 0).sum()) for found in self.result.results.values()))

    def facts(self) -> dict[str, Any]:
        """The workload's own fields of the summary for machines."""
        result, changes = self.result, self.tables.get("changes")
        members = dict.fromkeys(code for crop in result.plan.crops for code in crop.members)
        return {
            "crops": list(result.crops),
            "segments": list(result.segments),
            "tiers": list(result.tiers),
            "scenarios": list(result.scenarios),
            "unit": result.unit,
            "kcal_per_g": {code: result.grid.kcal_per_g.get(code) for code in members} if result.unit == "kcal" else {},
            "curves": len(result.results) * result.plan.curves,
            "points": int(sum(found.values.shape[1] for found in result.results.values())),  # noqa: PD011 - not a frame
            "empty": self.empty,
            "failed": [{"scenario": p.scenario, "crop": p.crop, "reason": p.reason} for p in result.failed],
            "dropped": result.grid.dropped_of(members),
            "changes": None if changes is None else _counted(changes),
            "risk": {name: {"years": fit.years, "sigma": fit.sigma, "p_now": fit.p_now, "scale": fit.scale}
                     for name, fit in self.fits.items()},
            "events_outside": outside(result, self.events),
        }  # fmt: skip


def _counted(changes: pd.DataFrame) -> dict[str, int]:
    counts = changes["change"].value_counts().to_dict()
    return {name: int(counts.get(name, 0)) for name in CHANGES}


def conclude(result: Sweep, extras: Extras, options: Mapping[str, Any]) -> Done:
    """Make every table that is wanted."""
    began = time.perf_counter()
    shown = None if extras.all_curves else ["baseline"]
    done = Done(result, extras, result.table(shown), result.summary(shown))
    tables: list[tuple[str, bool, Callable[[], pd.DataFrame]]] = [
        ("crossings", bool(extras.thresholds), lambda: crossings(result, extras.thresholds)),
        ("scenarios", len(result.scenarios) > 1, lambda: scenario_table(result)),
        (
            "bands",
            extras.bands > 0,
            lambda: bands(result, extras.bands, yield_cv=extras.yield_cv, seed=extras.seed, **options),
        ),
        ("changes", extras.compare is not None, lambda: _changes(done)),
    ]
    done.tables = {name: make() for name, wanted, make in tables if wanted}
    if extras.history:
        done.fits = risks(result, extras.history)
        done.tables["risk"] = risk(result, done.fits, bootstrap=extras.bootstrap, seed=extras.seed)
    if extras.events is not None:
        done.events = read_events(extras.events, result)
    done.seconds["tables"] = time.perf_counter() - began
    return done


def _changes(done: Done) -> pd.DataFrame:
    plain = dict.fromkeys(KEY, str)
    new = Results(done.curves.astype(plain), done.summary.astype(plain), done.result.unit)
    return compare(done.extras.compare, new)


def scenario_table(result: Sweep) -> pd.DataFrame:
    """The summary of every scenario, with the change of each tier's loss against the baseline in percent."""
    table = result.summary()
    production = f"production_{result.unit}"
    key = ["crop", "segment", "tier"]
    base = table[table["scenario"] == "baseline"].set_index(key)[production]
    before = table.set_index(key).index.map(base.to_dict()).to_numpy(dtype=np.float64)
    now = table[production].fillna(0.0).to_numpy(dtype=np.float64)  # a tier that is empty now has lost everything
    table["delta_loss_pct"] = 100.0 * (now / before - 1.0)
    return table


def publish(done: Done, directory: Path, *, overwrite: bool) -> list[tuple[str, int | None]]:
    """Write everything; files appear together.

    Returns
    -------
    list of (path, rows)
    """
    rows = {"curves": len(done.curves), "summary": len(done.summary)} | {n: len(t) for n, t in done.tables.items()}
    with Folder(directory, overwrite=overwrite) as folder:
        folder.add_curves(done.curves, done.extras.format)
        folder.add_csv("summary", done.summary)
        for name, table in done.tables.items():
            (folder.add_parquet if name in {"bands", "scenarios"} else folder.add_csv)(name, table)
        for name, content in _figures(done):
            folder.add(name, content)
    return [(path, rows.get(Path(path).stem)) for path in folder.paths]


def _figures(done: Done) -> Iterator[tuple[str, bytes]]:
    if not done.extras.figures:
        return
    pictures = list(pictures_of(done))
    names = slugs(f"{crop}_{segment}" for crop, segment, _ in pictures)
    for name, (_, _, picture) in zip(names, pictures, strict=True):
        if "svg" in done.extras.figures:
            yield f"figures/{name}.svg", svg(picture).encode()
        if "png" in done.extras.figures:
            yield f"figures/{name}.png", png(picture)


def pictures_of(done: Done, segments: Sequence[str] | None = None) -> Iterator[tuple[str, str, Picture]]:
    """One picture of the baseline for each crop and segment that has curves."""
    result, lines = done.result, done.tables.get("crossings")
    for place, crop in enumerate(result.crops):
        if (0, place) not in result.results:
            continue
        for segment in result.segments if segments is None else segments:
            tiers = tuple((tier, result.curve(crop, segment, tier)) for tier in result.tiers)
            if not any(len(curve) for _, curve in tiers):
                continue
            events = tuple(e for e in done.events if (e.crop, e.segment) == (crop, segment))
            title = f"{facts()[crop].names[0]} ({crop})" if crop in facts() else crop
            labels = () if lines is None else _labels(lines, crop, segment, f"threshold_{result.unit}")
            yield crop, segment, Picture(f"{title}, {segment}", result.unit, tiers, labels, events)


def _labels(lines: pd.DataFrame, crop: str, segment: str, column: str) -> tuple[tuple[str, float], ...]:
    mine = lines[(lines["scenario"] == "baseline") & (lines["crop"] == crop) & (lines["segment"] == segment)]
    return tuple(dict(zip(mine["label"], mine[column].astype(float), strict=True)).items())


def report_page(done: Done, seconds: Mapping[str, float]) -> str:
    """The report as one page, with the picture of each crop in World."""
    grid = done.result.grid
    dropped = {code: f"missing {t.missing:,}, zero {t.zero:,}, bad {t.bad:,}" for code, t in grid.tallies.items()}
    told = {
        "Dropped cells": dropped,
        "kcal per g": {c: f"{k} ({_source(c)})" for c, k in grid.kcal_per_g.items() if c in grid.crops},
        "Where the time went (s)": {name: f"{value:.3f}" for name, value in seconds.items()},
    }
    if done.result.report is not None:
        told["Plan"] = {"workers": str(done.result.report.workers), "why": done.result.report.reason}
    figures = [svg(picture) for _, _, picture in pictures_of(done, ["World"])]
    return page(done.summary, figures, told, done.result.unit)


def _source(code: str) -> str:
    return facts()[code].source if code in facts() else "given"
