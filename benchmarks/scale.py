"""The scheduler beyond this machine, in virtual time: ``python -m benchmarks.scale`` writes what the docs show.

The measured figures are the items a second that the scheduler passes on one core of this machine; everything else is
simulated. One worker in a hundred is ten times slower, one item in a thousand kills its worker once. Arguments are
numbers of workers for items of 30 ms; without any, 100 to 10,000.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._rounds import Figure
from fanwise.testing import simulate, simulate_cluster

__all__ = ["figures"]

MEASURED = Path(__file__).parents[1] / "docs" / "_measured" / "scale.json"
ITEM_S, SHORT_S = 0.03, 0.001
EACH_S = 30.0  # of work for each worker
WIRES = {"own wire": 50e-6, "Ray": 0.45e-3, "Dask": 1.6e-3}
HOST_CORES = 64


def harsh(workers: int, item_s: float = ITEM_S) -> dict[str, Any]:
    """A run with stragglers and deaths, and how many items a second of processor time the scheduler passed."""
    items = int(workers * EACH_S / item_s)
    began = time.process_time()
    done = simulate(
        items,
        item_s,
        workers=workers,
        stragglers=[(worker, 10.0) for worker in range(50, workers + 1, 100)],
        faults=[(index, "kill") for index in range(500, items, 1000)],
        ordered=False,
        watch=False,
    )
    seconds = time.process_time() - began
    return {
        "workers": workers,
        "items": items,
        "item_s": item_s,
        "ok": done.ok,
        "lost": done.lost,
        "retried": done.retried,
        "chunks": done.chunks,
        "efficiency": round(done.efficiency, 4),
        "coordinator_load": round(done.coordinator_load, 4),
        "items_per_s": round(items / seconds),
    }


def curves() -> list[dict[str, Any]]:
    """Efficiency over workers, for each kind of connection and for two levels."""
    one_level = [
        {"wire": name, "workers": workers, **cluster(workers, cost)}
        for name, cost in WIRES.items()
        for workers in (1, 10, 100, 1000, 10_000)
    ]
    hosts = (2 * HOST_CORES, 16 * HOST_CORES, 157 * HOST_CORES)
    return [
        *one_level,
        *({"wire": "Dask, two levels", "workers": n, **cluster(n, WIRES["Dask"], HOST_CORES)} for n in hosts),
    ]


def cluster(workers: int, coordinator_s: float, host_cores: int | None = None) -> dict[str, float]:
    """One point of a curve; one item a worker and 100 ms is plenty where ten thousand workers have 30 s each."""
    mean_s = 0.01 if workers <= 1000 else 0.1
    done = simulate_cluster(
        workers=workers,
        items=int(workers * EACH_S / mean_s),
        mean_s=mean_s,
        coordinator_s=coordinator_s,
        hosts=None if host_cores is None else workers // host_cores,
    )
    return {"efficiency": round(done.efficiency, 4), "coordinator_load": round(done.coordinator_load, 4)}


def figures(quick: bool) -> Iterator[Figure]:
    """Items a second, and whether each was resolved once."""
    row = harsh(100 if quick else 1000)
    yield Figure("scheduler, 30 ms items, stragglers and deaths: items a second", row["items_per_s"], "1/s")
    yield Figure("items resolved / items", (row["ok"] + row["lost"]) / row["items"])
    short = harsh(30 if quick else 100, SHORT_S)
    yield Figure("scheduler, 1 ms items, stragglers and deaths: items a second", short["items_per_s"], "1/s")


if __name__ == "__main__":
    rows = [harsh(int(workers)) for workers in sys.argv[1:] or ("100", "1000", "10000")]
    rows += [harsh(workers, SHORT_S) for workers in (100, 1000)]
    MEASURED.write_text(json.dumps({"harsh": rows, "curves": curves()}, indent=1) + "\n")
