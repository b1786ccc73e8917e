"""The demo's envelopes: a made-up grid of 12 crops in 120 countries, as a plain loop over crops and through fanwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanwise.cli._demo_jobs import DemoJob
from fanwise.workloads.envelope import generate_grid
from fanwise.workloads.envelope._task import Item, envelopes_of
from fanwise.workloads.envelope.study import make_plan, run_plan

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["job"]

CELLS, CROPS, COUNTRIES = 60_000, 12, 120


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
        return b"".join(done.results[0, crop].values.tobytes() for crop in range(len(plan.crops))), done.report

    return DemoJob("envelope", CELLS * CROPS, "cells of a grid, two tiers, 121 segments", loop, fanned)
