"""Speed of a model search, as ratios within one run: ``python -m benchmarks.modelsearch [--quick]``.

The peer is the plain loop of `tests.workloads.modelsearch.reference`: statsmodels, one specification at a time,
stopping at the first filter that fails, on random specifications of the same pool. Both run with one BLAS thread.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks._rounds import Figure, interleaved
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._blas import one_thread

Row = tuple[str, float, str]
LIMITS = {"r2_min": 0.30, "vif_max": 10.0, "p_max": 0.01}
LAGS, ROWS = 4, 200


def series(rng: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """AR(1) columns."""
    shocks = rng.standard_normal((rows, count))
    for t in range(1, rows):
        shocks[t] += 0.5 * shocks[t - 1]
    return shocks


def pool(folder: Path, variables: int, *, test: int = 0, **filters: object) -> modelsearch.Config:
    """``variables`` drivers with four lags each; a season explains half of the target, so that r2 drops nothing."""
    rng = np.random.default_rng(1)
    rows = ROWS + LAGS + test
    x = series(rng, rows, variables)
    season = rng.standard_normal(12)[np.arange(rows) % 12]
    y = season + 0.25 * x[:, 0] + 0.2 * np.roll(x[:, 1], 1) + season.std() * rng.standard_normal(rows)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"v{j}" for j in range(variables)]
    lines = [",".join(["t", "y", *names])]
    lines += [",".join([str(t + 1), repr(float(y[t])), *(repr(float(v)) for v in x[t])]) for t in range(rows)]
    (folder / "pool.csv").write_text("\n".join(lines) + "\n", "utf-8")
    wanted = {"p_max": LIMITS["p_max"], **filters}
    tail = f"test = [{ROWS + LAGS + 1}, {rows}]\n" if test else ""
    (folder / "pool.toml").write_text(
        f'[data]\nfile = "pool.csv"\ntime = "t"\ntarget = "y"\ntrain = [1, {ROWS + LAGS}]\n{tail}'
        f'[search]\nforced = ["season(12)"]\n[[search.group]]\nname = "all"\n'
        f"items = {[f'{name}@0..{LAGS - 1}' for name in names]}\n"
        f"[filters]\n" + "".join(f"{key} = {value}\n" for key, value in wanted.items()),
        "utf-8",
    )
    return modelsearch.load_config(folder / "pool.toml")


def search(config: modelsearch.Config, **options: Any) -> Callable[[], modelsearch.Result]:
    return lambda: modelsearch.search(config, progress="none", **options)


def plain_loop(config: modelsearch.Config, count: int) -> Callable[[], list[str]]:
    """The peer on ``count`` random specifications.

    Imported here: with the libraries of pandas loaded workers cannot be forked, which would be held against them.
    """
    from tests.workloads.modelsearch import reference

    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    ids = np.random.default_rng(2).integers(0, space.count(), count).tolist()
    fixed = frame.X[:, len(space.items) :]
    designs = [np.column_stack([frame.X[:, list(space.unrank(i))], fixed]) for i in ids]
    blocks = [list(range(design.shape[1] - fixed.shape[1], design.shape[1])) for design in designs]

    def loop() -> list[str]:
        with one_thread():
            return [reference.loop_verdict(frame.y, d, b, LIMITS) for d, b in zip(designs, blocks, strict=True)]

    return loop


def library_loop(config: modelsearch.Config, count: int) -> Callable[[], list[dict[str, Any]]]:
    """Every statistic of ``count`` specifications by library calls."""
    from tests.workloads.modelsearch import reference

    frame = modelsearch.prepare(config)
    space = modelsearch.Space(config, frame)
    ids = np.random.default_rng(3).integers(0, space.count(), count).tolist()
    fixed = frame.X[:, len(space.items) :]
    designs = [np.column_stack([frame.X[:, list(space.unrank(i))], fixed]) for i in ids]
    seasons = [range(design.shape[1] - fixed.shape[1], design.shape[1]) for design in designs]

    def loop() -> list[dict[str, Any]]:
        with one_thread():
            return [reference.statistics(frame.y, d, s) for d, s in zip(designs, seasons, strict=True)]

    return loop


def against_the_plain_loop(folder: Path, variables: int, rounds: int) -> Iterator[Row]:
    config = pool(folder / "verdicts", variables)
    count, sample = modelsearch.plan(config).count, 100
    best = interleaved({"two": search(config, workers=2), "loop": plain_loop(config, sample)}, rounds)
    rate = count / best["two"]
    yield f"{count:,} specifications with two workers, in 1,000/s", rate / 1000, ""
    yield "  against the plain loop on the same pool", rate / (sample / best["loop"]), "goal 500"
    harsh = pool(folder / "gram", variables, r2_min=0.9)
    best = interleaved({"two": search(harsh, workers=2), "loop": plain_loop(config, sample)}, rounds)
    yield "  where all fall at r2", count / best["two"] / (sample / best["loop"]), "goal 2,000"
    judged = pool(folder / "test", variables, test=24)
    best = interleaved({"two": search(judged, workers=2), "loop": plain_loop(config, sample)}, rounds)
    yield "  with a reality check on 24 test rows", count / best["two"] / (sample / best["loop"]), ""


def full(folder: Path, rounds: int) -> Iterator[Row]:
    config = pool(folder / "full", 8)
    count, sample = modelsearch.plan(config).count, 20
    contestants = {"full": search(config, workers=2, full=True), "loop": library_loop(config, sample)}
    best = interleaved(contestants, rounds)
    yield f"every statistic of {count:,} specifications with two workers, per s", count / best["full"], "goal 1,000"
    yield "  against library calls", count / best["full"] / (sample / best["loop"]), "goal 10"


def workers(folder: Path, variables: int, rounds: int) -> Iterator[Row]:
    config = pool(folder / "workers", variables)
    ways: dict[str, dict[str, Any]] = {
        "one process": {"workers": 1},
        "two processes": {"workers": 2, "backend": "process"},
        "two threads": {"workers": 2, "backend": "thread"},
    }
    best = interleaved({name: search(config, **options) for name, options in ways.items()}, rounds)
    for name in ("two processes", "two threads"):
        goal = "goal 1.6" if name == "two processes" else ""
        yield f"{name} against one process", best["one process"] / best[name], goal
    small = pool(folder / "small", 5)
    best = interleaved({"auto": search(small), "one": search(small, workers=1)}, 10 * rounds)
    yield "a small search with -p auto against -p 1, time", best["auto"] / best["one"], "at most 1.05"


def space(folder: Path) -> Iterator[Row]:
    config = pool(folder / "plan", 455)
    began = perf_counter()
    plan = modelsearch.plan(config)
    yield f"plan of {plan.count:,} specifications, s", perf_counter() - began, "at most 2"


def measure(quick: bool) -> Iterator[Row]:
    variables, rounds = (24, 1) if quick else (50, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from workers(folder, variables, rounds)
        yield from space(folder)
        yield from against_the_plain_loop(folder, variables, rounds)
        yield from full(folder, rounds)


def figures(quick: bool) -> Iterator[Figure]:
    """Every ratio."""
    for name, value, _ in measure(quick):
        yield Figure(name.strip(), value, "")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pool, one round")
    for what, value, goal in measure(parser.parse_args(arguments).quick):
        print(f"{what:<75} {value:>10,.2f}  {goal}", flush=True)


if __name__ == "__main__":
    main()
