"""The demo's first job: exact intervals for published trials and for a simulated screening of 120,000 tables."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fanwise.cli._demo_jobs import DemoJob
from fanwise.workloads.exactci._chunks import cut
from fanwise.workloads.exactci._methods import ALL, ask
from fanwise.workloads.exactci._solve import ready, solve_chunk
from fanwise.workloads.exactci.study import study

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["job"]

SIMULATED = 120_000
ALPHA = 0.05


def job() -> DemoJob:
    """All four exact methods on every table."""
    question = ask(ALL, ALPHA, "two-sided")
    tables = np.concatenate([published(), simulated(SIMULATED)])
    for method in ALL:
        ready(method)

    def loop() -> bytes:
        parts = [(method, tables[start:stop]) for method in ALL for start, stop in cut(tables, method)]
        return b"".join(solve_chunk(part, question).tobytes() for part in parts)

    def fanned() -> tuple[bytes, RunReport]:
        done = study(tables, ALL, question)
        if done.report is None:
            raise RuntimeError("a study of tables has a report")
        return b"".join(n.tobytes() for part in done.parts if (n := part.numbers()) is not None), done.report

    return DemoJob("ci", len(tables), "2×2 tables, four exact methods", loop, fanned)


def published() -> NDArray[np.int64]:
    """Counts of published trials that come with the package."""
    rows: list[list[int]] = []
    for file in sorted(files("fanwise").joinpath("_demo").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".csv"):
            with file.open(encoding="utf-8") as lines:
                rows += [[int(row[c]) for c in "abcd"] for row in csv.DictReader(lines) if set("abcd") <= row.keys()]
    return np.array(rows, dtype=np.int64)


def simulated(count: int) -> NDArray[np.int64]:
    """A screening: event counts in two arms of 50 to 2,000 people, odds ratios around 1. The same tables every time."""
    rng = np.random.default_rng(2024)
    arms = rng.integers(50, 2000, size=(count, 2))
    base = rng.beta(1.2, 12, count)
    odds = base / (1 - base) * np.exp(rng.normal(0, 0.5, count))
    events = rng.binomial(arms, np.stack([odds / (1 + odds), base], axis=1))
    return np.stack([events[:, 0], arms[:, 0] - events[:, 0], events[:, 1], arms[:, 1] - events[:, 1]], axis=1)
