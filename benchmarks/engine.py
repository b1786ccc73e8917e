"""The engine against the loop and the standard library: small work, large work, dispatch, faults, interrupt."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import fanwise
from benchmarks._rounds import Figure, burning, interleaved, spin

SMALL = [
    (1000, 1e-6), (100, 1e-5), (10, 1e-4), (1, 1e-4), (5, 1e-4), (10, 1e-5), (2, 1e-3), (3, 1e-3), (1, 5e-3),
    (4, 7e-4), (30, 1e-4), (200, 1e-5),
]  # fmt: skip


def loop_and_map(work: Any, items: list[int], rounds: int) -> dict[str, float]:
    """Best seconds of the loop and of `fanwise.map`."""
    return interleaved({"loop": lambda: [work(x) for x in items], "fanwise": lambda: fanwise.map(work, items)}, rounds)


def never_slower(rounds: int = 20) -> list[dict[str, Any]]:
    """Each small cell: seconds of the loop and of fanwise, and whether within 5 % or 0.3 ms."""
    rows = []
    for count, seconds in SMALL:
        work, items = spin(seconds), list(range(count))
        best = loop_and_map(work, items, rounds)
        allowed = max(0.05 * best["loop"], 0.3e-3)
        extra = best["fanwise"] - best["loop"]
        rows.append({"items": count, "item_s": seconds, **best, "extra_s": extra, "held": extra <= allowed})
    return rows


def large_work(rounds: int = 5) -> dict[str, float]:
    """200 items of 10 ms, cold."""
    work, items = burning(0.010), list(range(200))
    best = interleaved(
        {"loop": lambda: [work(x) for x in items], "fanwise": lambda: fanwise.map(work, items, workers=2)}, rounds
    )
    return {**best, "speedup": best["loop"] / best["fanwise"]}


def dispatch(rounds: int = 5) -> dict[str, float]:
    """10⁵ trivial tasks on two warm workers, chunks of one and automatic."""
    items = list(range(100_000))
    with (
        fanwise.Executor(2, backend="process") as executor,
        multiprocessing.get_context("fork").Pool(2) as pool,
        ProcessPoolExecutor(2) as ppe,
    ):
        fanwise.map(abs, items[:100], executor=executor)
        pool.map(abs, items[:100])
        list(ppe.map(abs, items[:100]))
        best = interleaved(
            {
                "fanwise, 1": lambda: fanwise.map(abs, items, executor=executor, chunk_size=1),
                "Pool, 1": lambda: pool.map(abs, items, chunksize=1),
                "fanwise, auto": lambda: fanwise.map(abs, items, executor=executor),
                "ProcessPoolExecutor, n//8": lambda: list(ppe.map(abs, items, chunksize=len(items) // 8)),
            },
            rounds,
        )
    return {name: seconds / len(items) for name, seconds in best.items()}


def one_crash() -> dict[str, Any]:
    """40 items, item 20 kills its worker."""

    def work(item: int) -> int:
        if item == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    start = perf_counter()
    run = fanwise.run(work, range(40), backend="process", workers=2)
    return {"ok": run.report.ok, "lost": run.report.lost, "seconds": perf_counter() - start}


def interrupt() -> dict[str, Any]:
    """Ctrl-C in the middle of a run: how soon the prompt is back, and what is kept."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = perf_counter()
    try:
        fanwise.map(spin(0.05), range(1000), workers=2)
    except fanwise.RunInterrupted as error:
        return {
            "seconds_after_signal": perf_counter() - start - 0.5,
            "kept": len(error.run.outcomes) if error.run else 0,
        }
    return {}


def figures(quick: bool) -> Iterator[Figure]:
    """What `gates.toml` holds; the dispatch figures are ratios to the standard library's."""
    cells = never_slower(5 if quick else 20)
    beyond = [(row["extra_s"] - max(0.05 * row["loop"], 0.3e-3)) * 1e3 for row in cells]
    yield Figure("small work beyond what is allowed, worst cell", max(beyond), "ms")
    yield Figure("200 × 10 ms: loop / map", large_work(2 if quick else 5)["speedup"])
    each = dispatch(2 if quick else 5)
    yield Figure("dispatch, chunks of 1: map / Pool.map", each["fanwise, 1"] / each["Pool, 1"])
    yield Figure(
        "dispatch, own chunks: map / executor at its best", each["fanwise, auto"] / each["ProcessPoolExecutor, n//8"]
    )
    crash = one_crash()
    yield Figure("one crash in 40 items: results kept", crash["ok"], "")
    yield Figure("Ctrl-C to the exception", interrupt()["seconds_after_signal"], "s")


def main() -> None:
    """Print everything as JSON."""
    json.dump(
        {
            "never_slower": never_slower(),
            "large_work": large_work(),
            "dispatch_s_per_item": dispatch(),
            "one_crash": one_crash(),
            "interrupt": interrupt(),
        },
        sys.stdout,
        indent=1,
    )


if __name__ == "__main__":
    main()
