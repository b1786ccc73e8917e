"""How envelopes grow with cells and tiers: seconds and peak memory with a cache off, cold and warm.

    python -m benchmarks.envelope --scaling

Each state of each size is measured in a process of its own, since the most memory that a process ever had is all the
system tells. The rows go to ``docs/_measured/envelope.json``, from which ``make docs`` makes the table and the picture.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import fanwise
from fanwise.workloads import envelope

__all__ = ["MEASURED", "study"]

MEASURED = Path(__file__).parents[1] / "docs" / "_measured" / "envelope.json"
CELLS, TIERS, WORKERS, STATES = (10**3, 10**4, 10**5, 10**6), (1, 2, 8), (1, 2, None), ("off", "cold", "warm")
NAMES = ["comprehensive", *(f"t{k}:{k * 10}-100" for k in range(1, 8))]


def measured(cells: int, tiers: int, workers: int | None, state: str, folder: str) -> dict[str, Any]:
    """Best seconds of a few runs, and the most memory of this process or one of its workers."""
    grid = envelope.generate_grid(cells=cells, crops=4, countries=min(cells, 100), seed=1)
    options = {"by": "country", "method": "step", "points": "compact", "progress": "none", "workers": workers}
    best = float("inf")
    for _ in range(5 if cells < 10**6 else 2):
        with fanwise.Cache(folder, memory=0) as cache:
            if state == "cold":
                cache.clear()
            again = replace(grid)  # a new object, so that digests of its bytes are part of it
            began = perf_counter()
            envelope.sweep(again, tiers=NAMES[:tiers], cache=None if state == "off" else cache, **options)
            best = min(best, perf_counter() - began)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"cells": cells, "tiers": tiers, "workers": workers, "cache": state, "seconds": round(best, 5),
            "peak_mb": round(peak / 1024)}  # fmt: skip


def study() -> Iterator[dict[str, Any]]:
    """Rows as they are measured; at the end they are written for the documentation."""
    rows = []
    for cells, tiers, workers in itertools.product(CELLS, TIERS, WORKERS):
        with tempfile.TemporaryDirectory() as folder:
            for state in STATES:
                words = [sys.executable, "-m", __spec__.name, json.dumps([cells, tiers, workers, state, folder])]
                rows.append(json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout))
                yield rows[-1]
    MEASURED.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", "utf-8")


if __name__ == "__main__":
    print(json.dumps(measured(*json.loads(sys.argv[1]))))
