"""Speed of exact intervals, as ratios within one run: ``python -m benchmarks.exactci [--quick] [--mddc WHEEL]``.

The peer is exactcis 1.1.2 from PyPI; where it is not installed its rows say so. ``--mddc`` takes the wheel of mddc
1.1.0 from PyPI (its data are GPL and not part of this project) for the 14,698 tables of adverse-event reports.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from statistics import NormalDist
from time import perf_counter

import numpy as np

from benchmarks._rounds import Figure, interleaved
from fanwise.workloads.exactci import Status, _kernel, interval, intervals
from fanwise.workloads.exactci._matrix import tables_of

SIZES = {"small": (5, 40), "medium": (100, 500), "large": (1000, 5000)}
GOALS = {"small": 200, "medium": 600, "large": 3000}
METHODS = ("conditional", "blaker")


def random_tables(low: int, high: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    n1, n2 = rng.integers(low, high + 1, (2, count))
    a, c = rng.binomial(n1, rng.uniform(0.05, 0.6, count)), rng.binomial(n2, rng.uniform(0.05, 0.6, count))
    return np.stack([a, n1 - a, c, n2 - c], axis=1)


def serial(tables: np.ndarray, method: str) -> Callable[[], object]:
    return lambda: intervals(tables, method=method, workers=1, progress="none")


def peer(method: str) -> Callable[[list[int]], object] | None:
    """The peer's function for one table, or None if it is not installed."""
    try:
        import exactcis
    except ImportError:
        return None
    function = getattr(exactcis, f"exact_ci_{method}")
    design = exactcis.Design.CASE_CONTROL_FIXED_MARGIN
    return lambda table: function(*table, design=design)


def against_the_peer(rounds: int) -> Iterator[tuple[str, float | str, str]]:
    for method in METHODS:
        theirs = peer(method)
        for size, (low, high) in SIZES.items():
            ours = random_tables(low, high, 4000)
            few = ours[: {"small": 200, "medium": 30, "large": 4}[size]].tolist()
            if theirs is None:
                yield f"{method}, {size}: exactcis", "not installed", ""
                continue
            best = interleaved(
                {"ours": serial(ours, method), "theirs": lambda few=few, f=theirs: [f(t) for t in few]}, rounds
            )
            ratio = best["theirs"] / len(few) / (best["ours"] / len(ours))
            yield f"{method}, {size}: exactcis / intervals(workers=1), a table", ratio, f">= {GOALS[size]}"


def one_at_a_time(rounds: int) -> Iterator[tuple[str, float | str, str]]:
    for method in METHODS:
        theirs = peer(method)
        if theirs is None:
            yield f"{method}: interval, exactcis", "not installed", ""
            continue
        slowest = float("inf")
        for low, high in SIZES.values():
            for table in random_tables(low, high, 5).tolist():
                ours = partial(interval, *table, method=method)
                best = interleaved({"ours": ours, "theirs": partial(theirs, table)}, rounds)
                slowest = min(slowest, best["theirs"] / best["ours"])
        yield f"{method}: exactcis / interval, the worst of 15 tables", slowest, "> 1"


def never_slower(rounds: int) -> Iterator[tuple[str, float | str, str]]:
    for count in (1, 50, 1000, 15_000, 60_000):
        tables = random_tables(5, 40, count)
        auto = lambda tables=tables: intervals(tables, progress="none")  # noqa: E731 - one of two contestants
        best = interleaved({"one": serial(tables, "conditional"), "auto": auto}, 5 * rounds)
        allowed = (1.05 * best["one"] + 3e-4) / best["one"]
        yield f"{count:,} small tables: workers=None / workers=1", best["auto"] / best["one"], f"<= {allowed:.2f}"


def with_two_workers(rounds: int) -> Iterator[tuple[str, float | str, str]]:
    tables = random_tables(1000, 5000, 140_000)
    two = lambda: intervals(tables, method="blaker", workers=2, progress="none")  # noqa: E731 - one of two contestants
    best = interleaved({"one": serial(tables, "blaker"), "two": two}, max(2, rounds // 2))
    yield f"{best['one']:.1f} s of large tables: workers=1 / workers=2", best["one"] / best["two"], ">= 1.6"


def over_the_kernel(rounds: int) -> Iterator[tuple[str, float | str, str]]:
    tables, out = random_tables(5, 40, 15_000), np.empty((5, 15_000))
    z = NormalDist().inv_cdf(0.975)
    kernel = lambda: _kernel.solve(tables, _kernel.CONDITIONAL, 0, 0.05, z, out)  # noqa: E731 - one of two contestants
    best = interleaved({"kernel": kernel, "intervals": serial(tables, "conditional")}, 5 * rounds)
    yield "15,000 small tables: intervals(workers=1) / kernel", best["intervals"] / best["kernel"], "<= 1.3"


def adverse_events(wheel: str) -> np.ndarray:
    """Tables of four matrices of reports: each drug and event against all others; ``Other`` is in the totals only."""
    parts = []
    with zipfile.ZipFile(wheel) as files:
        for name in ("statin49", "statin101", "betablocker500", "sedative1000"):
            rows = list(csv.reader(io.StringIO(files.read(f"MDDC/datasets/data/{name}.csv").decode())))
            matrix = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
            events = [i for i, row in enumerate(rows[1:]) if not row[0].startswith("Other AE")]
            drugs = [j for j, drug in enumerate(rows[0][1:]) if drug != "Other"]
            cells = tables_of(matrix).reshape(matrix.shape[1], matrix.shape[0], 4)
            parts.append(cells[np.ix_(drugs, events)].reshape(-1, 4))
    return np.concatenate(parts)


def real_tables(wheel: str | None) -> Iterator[tuple[str, float | str, str]]:
    if wheel is None:
        yield "adverse-event tables", "not given (--mddc)", ""
        return
    tables = adverse_events(wheel)
    start = perf_counter()
    done = intervals(tables, progress="none")
    seconds = perf_counter() - start
    whole = (done.status <= Status.EMPTY_MARGIN).all() and not np.isnan(done.lower + done.upper).any()
    ordered = ((done.lower <= done.estimate) & (done.estimate <= done.upper) | np.isnan(done.estimate)).all()
    workers = sum(lane["lane"] > 0 for lane in json.loads(done.report.to_json())["workers"]) if done.report else 0
    yield f"{len(tables):,} adverse-event tables: seconds", seconds, ""
    yield (
        "  distinct tables, tables with a = 0",
        f"{len(np.unique(tables, axis=0)):,}, {(tables[:, 0] == 0).sum():,}",
        "",
    )
    yield "  rows ok, estimate inside, workers started", f"{whole}, {ordered}, {workers}", "True, True, 0"


def figures(quick: bool) -> Iterator[Figure]:
    """Every ratio that could be measured here."""
    rounds = 2 if quick else 5
    intervals(random_tables(5, 40, 10), method="blaker", progress="none")
    for study in (against_the_peer, one_at_a_time, never_slower, over_the_kernel, with_two_workers):
        for name, value, _ in study(rounds):
            if not isinstance(value, str):
                yield Figure(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--mddc", metavar="WHEEL")
    options = parser.parse_args()
    rounds = 2 if options.quick else 5
    intervals(random_tables(5, 40, 10), method="blaker", progress="none")
    for study in (against_the_peer, one_at_a_time, never_slower, over_the_kernel, with_two_workers):
        for name, value, goal in study(rounds):
            print(f"{name:<72}{value if isinstance(value, str) else f'{value:.4g}':>16}  {goal}", flush=True)
    for name, value, goal in real_tables(options.mddc):
        print(f"{name:<72}{value if isinstance(value, str) else f'{value:.4g}':>16}  {goal}")


if __name__ == "__main__":
    main()
