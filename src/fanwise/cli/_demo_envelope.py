"""The demo's envelopes: a made-up grid of 12 crops in 120 countries, as a plain loop over crops and through fanwise.

The job alone also shows the four ways beside each other: neither cache nor workers, one of them, both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fanwise.cli._demo_jobs import DemoJob, Way
from fanwise.workloads.envelope import Grid, Sweep, generate_grid, sweep
from fanwise.workloads.envelope._task import Item, envelopes_of
from fanwise.workloads.envelope.study import make_plan, open_cache, run_plan

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["job"]

CELLS, CROPS, COUNTRIES = 60_000, 12, 120
SWITCHES = {
    "neither": (False, False),
    "cache only": (True, False),
    "parallel only": (False, True),
    "both": (True, True),
}


def job() -> DemoJob:
    """Two tiers of every crop and country; the output is every bound at every point."""
    grid = generate_grid(cells=CELLS, crops=CROPS, countries=COUNTRIES, seed=1)
    question = (("comprehensive", "commercial"), "step", "compact", "standard", "kcal")
    plan, columns, _ = make_plan(
        grid, crops="all", question=question, where=("country", None, None), scenarios=None, keyed=False
    )

    def loop() -> bytes:
        found = [envelopes_of(plan, columns, Item(0, crop)) for crop in range(len(plan.crops))]
        return b"".join(envelopes.values.tobytes() for envelopes in found)

    def fanned() -> tuple[bytes, RunReport]:
        done = run_plan(grid, plan, columns, None)
        if done.report is None:
            raise RuntimeError("a sweep has a report")
        return output(done), done.report

    what = "cells of a grid, two tiers, 121 segments"
    return DemoJob("envelope", CELLS * CROPS, what, loop, fanned, lambda: ways(grid))


def output(done: Sweep) -> bytes:
    """Every bound at every point."""
    return b"".join(done.results[0, crop].values.tobytes() for crop in range(len(done.crops)))


def ways(grid: Grid) -> Iterator[Way]:
    """Each way a first and a repeated time. A new grid object each time, so that digests of its bytes are part of it."""
    for name, (caching, parallel) in SWITCHES.items():
        with tempfile.TemporaryDirectory() as folder:
            for run in ("first", "repeated"):
                began = perf_counter()
                done = _swept(replace(grid), folder if caching else None, parallel=parallel)
                seconds = perf_counter() - began
                hits = done.cache["envelopes"]["hits"]
                yield Way(name, run, seconds, hits, output(done), done.report.reason if done.report else "")


def _swept(grid: Grid, folder: str | None, *, parallel: bool) -> Sweep:
    asked: dict[str, Any] = {"by": "country", "method": "step", "points": "compact", "progress": "none"}
    asked["workers"] = None if parallel else 1
    if folder is None:
        return sweep(grid, **asked)
    with open_cache(folder) as cache:
        return sweep(grid, cache=cache, **asked)
