"""Envelopes of a grid as one fanwise run; the only file of this workload that calls fanwise."""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fanwise
from fanwise.errors import CacheError, FanwiseWarning, UsageError, UsageValueError
from fanwise.workloads.envelope import _pack
from fanwise.workloads.envelope._bands import band_table, replicates_of
from fanwise.workloads.envelope._crops import Crop, find_crops
from fanwise.workloads.envelope._grid import Grid, segments_of
from fanwise.workloads.envelope._question import make_question
from fanwise.workloads.envelope._scenarios import factors_of, key_of, read_scenarios
from fanwise.workloads.envelope._store import Answer, Store, key_text, memo_columns
from fanwise.workloads.envelope._sweep import Problem, Sweep
from fanwise.workloads.envelope._task import Columns, Item, Plan, SweepTask, columns_of, envelope
from fanwise.workloads.envelope.io import Source

if TYPE_CHECKING:
    import pandas as pd

    from fanwise.report import RunReport

__all__ = ["bands", "cache_or_none", "make_plan", "open_cache", "read_cached", "run_plan", "sweep"]

PAYS_S = 6.0
"""Seconds; less work than this stays in the calling process. A worker takes 0.6 s to import the numerical packages on a
free core, several times that on a busy one, and first items, which are timed to decide, are slow for reasons of their own:
2.6 s of work on two cores with three other jobs took 1.6 times as long with two workers."""


def sweep(
    grid: Grid,
    *,
    crops: Sequence[str] | str = "all",
    tiers: Sequence[Any] | str = ("comprehensive", "commercial"),
    by: str = "none",
    countries: Iterable[str] | None = None,
    regions: Iterable[str] | None = None,
    method: str = "interp",
    points: Any = None,
    filter: str = "standard",
    unit: str = "kcal",
    scenarios: Any = None,
    workers: int | None = None,
    backend: Any = "auto",
    executor: Any = None,
    cache: Any = None,
    max_age: float | None = None,
    recalculate: bool = False,
    progress: Any = "auto",
    resume: Any = None,
) -> Sweep:
    """Envelopes of every crop, segment, tier and scenario of a grid.

    Parameters
    ----------
    grid : Grid
    crops : "all" or sequence of str
        Codes, names, groups, or groups of your own such as ``cereals=WHEA+RICE``; ``all``: every crop of the grid.
    tiers : sequence of str
        ``comprehensive``, ``commercial``, or ``name:lo-hi`` in percent.
    by : {"none", "country", "region"}
        Segments beside World.
    countries, regions : iterable of str, optional
        Only these segments; naming some implies ``by``.
    method : {"interp", "step"}
    points : str, optional
        Target areas in km². Default: ``spaced:200`` for interp, ``paper`` for step.
    filter : {"none", "conservative", "standard", "aggressive"}
    unit : {"kcal", "mt"}
        Of losses.
    scenarios : path, mapping, or a sequence of them, optional
        TOML files, or what ``tomllib`` makes of one. The baseline is always computed.
    workers, backend, executor, progress, resume
        As in `fanwise.run`.
    cache : fanwise.Cache, optional
        Keeps envelopes between runs; a result is found again only if every byte it depends on is the same.
    max_age : float, optional
        Seconds after which an entry is computed again.
    recalculate : bool
        Read no entries, but replace them.

    Returns
    -------
    Sweep
        The same bits for any number of workers, any backend, any order of rows, and with the cache cold or warm.

    Raises
    ------
    UsageError, InputError
        If an option or a scenario is wrong; nothing has run.

    Examples
    --------
    >>> grid = Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([100.0, 300.0], [200.0, 900.0])})
    >>> result = sweep(grid, by="country", points="at:2", unit="mt", progress="none")
    >>> result.curve("WHEA", "World", "comprehensive").upper.tolist()
    [600.0, 1100.0]
    """
    began = time.perf_counter()
    plan, columns, skipped = make_plan(
        grid,
        crops=crops,
        question=(tiers, method, points, filter, unit),
        where=(by, countries, regions),
        scenarios=scenarios,
        keyed=cache is not None or resume is not None,
    )
    options = {"workers": workers, "backend": backend, "executor": executor, "progress": progress, "resume": resume}
    age = _age(max_age)
    store = None if cache is None else Store(cache, age)
    result = run_plan(grid, plan, columns, store, recalculate=recalculate, **options)
    seconds = {"compute": time.perf_counter() - began}
    return replace(result, failed=(*skipped, *result.failed), seconds=seconds)


def _age(max_age: float | None) -> float | None:
    if max_age is not None and not max_age >= 0:
        raise UsageValueError(f"max_age {max_age!r}: expected seconds ≥ 0")
    return max_age


def make_plan(
    grid: Grid,
    *,
    crops: Sequence[str] | str,
    question: tuple[Any, ...],
    where: tuple[str, Iterable[str] | None, Iterable[str] | None],
    scenarios: Any,
    keyed: bool,
) -> tuple[Plan, Columns, tuple[Problem, ...]]:
    """Check everything that is asked, and find out what there is to compute; crops that cannot be are problems."""
    asked = make_question(*question)
    found, skipped = _computable(grid, crops, asked.unit)
    by, named = _segmentation(*where)
    segments, codes = segments_of(grid, by, named)
    told = read_scenarios(scenarios, grid)
    sizes = (grid.n_cells, *np.bincount(codes + 1, minlength=len(segments))[1 : len(segments)].tolist())
    columns = columns_of(grid, codes, found, keyed=keyed)
    return Plan(asked, found, told, by, segments, sizes), columns, skipped


def _computable(grid: Grid, crops: Sequence[str] | str, unit: str) -> tuple[tuple[Crop, ...], tuple[Problem, ...]]:
    """Crops to compute; with ``all``, those without kcal per g are skipped instead of refused."""
    every = isinstance(crops, str) and crops == "all"
    wanted = grid.crops if every else ([crops] if isinstance(crops, str) else list(crops))
    found = find_crops(wanted, grid.crops, grid.kcal_per_g)
    lacking = {crop.name: crop.without_kcal() for crop in found if unit == "kcal" and crop.without_kcal()}
    hint = "give --kcal or --unit mt"
    if lacking and not every:
        name, codes = next(iter(lacking.items()))
        raise UsageError(f"crop {name}: no kcal per g is known for {', '.join(codes)}; {hint}")
    problems = [Problem("baseline", name, f"no kcal per g is known; {hint}", skipped=True) for name in lacking]
    return tuple(crop for crop in found if crop.name not in lacking), tuple(problems)


def _segmentation(
    by: str, countries: Iterable[str] | None, regions: Iterable[str] | None
) -> tuple[str, list[str] | None]:
    named = {what: [names] if isinstance(names, str) else list(names)
             for what, names in (("country", countries), ("region", regions)) if names}  # fmt: skip
    if by not in {"none", "country", "region"}:
        raise UsageValueError(f"by {by!r}: expected none, country or region")
    if len(named) > 1 or (named and by not in {"none", *named}):
        raise UsageValueError("countries and regions cannot both be segments of one run")
    return (by, None) if not named else next(iter(named.items()))


def run_plan(
    grid: Grid, plan: Plan, columns: Columns, store: Store | None, *, recalculate: bool = False, **options: Any
) -> Sweep:
    """Compute what the cache lacks, and put everything together."""
    items = _items(plan, columns)
    known = _recall(items, plan, store, recalculate=recalculate)
    missing = [item for item, answer in zip(items, known, strict=True) if answer is None or answer.origin == "miss"]
    cost_s = plan.cost_s(missing)
    small = not pays(cost_s, options) and _many(options.get("workers"))
    if small:
        options["workers"] = 1
    with _bundles() as freeze:
        done = fanwise.run(
            functools.partial(envelope, SweepTask(plan, columns, store, freeze)), missing, on_error="return", **options
        )
    answers: dict[Item, Answer] = {}
    failed: list[Problem] = []
    for outcome in done.outcomes:
        item = missing[outcome.index]
        if outcome.ok:
            answers[item] = outcome.unwrap()
        else:
            failed.append(_problem(plan, item, getattr(outcome, "error", None)))
    everything = {i: a for i, a in zip(items, known, strict=True) if a is not None and a.origin == "hit"} | answers
    return Sweep(
        grid=grid,
        plan=plan,
        columns=columns,
        results={(item.scenario, item.crop): everything[item].envelopes for item in items if item in everything},
        failed=tuple(failed),
        report=_small(done.report, cost_s) if small else done.report,
        cache=_counts(known, [answers.get(item) for item in items], len(missing), enabled=store is not None),
    )


def pays(seconds: float, options: Mapping[str, Any]) -> bool:
    """True unless the work is too small for workers, and none were asked for by kind."""
    asked = options.get("executor") is not None or options.get("backend", "auto") != "auto"
    return asked or seconds >= PAYS_S


def _small(report: RunReport, cost_s: float) -> RunReport:
    """A report that gives the reason of `pays` in place of the one worker it was run with."""
    work = f"about {cost_s:.1f} s of work" if cost_s >= 0.05 else "hardly any work"
    return report.told_as(reason=f"Ran in this process: {work}; workers pay from {PAYS_S:g} s on.")


def _many(workers: Any) -> bool:
    """True if as many are asked for as pay, or more than one; what cannot be is refused by who starts them."""
    return workers is None or (isinstance(workers, int) and workers > 1)


def _items(plan: Plan, columns: Columns) -> list[Item]:
    """Every crop in every scenario; keys only where somebody looks at them."""
    places = [(s, c) for s in range(len(plan.scenarios)) for c in range(len(plan.crops))]
    if not columns.digests:
        return [Item(s, c) for s, c in places]
    return [Item(s, c, _key(plan, columns, s, c)) for s, c in places]


def _key(plan: Plan, columns: Columns, scenario: int, crop: int) -> str:
    asked, told = plan.question, plan.crops[crop]
    return key_text(
        {
            "data": [columns.digests[code] for code in told.members],
            "kcal": list(told.kcal_per_g),
            "unit": asked.unit,
            "by": plan.by,
            "segments": list(plan.segments),
            "tiers": [[tier.name, tier.lo, tier.hi] for tier in asked.tiers],
            "method": asked.method,
            "points": [asked.points.kind, list(map(float.hex, asked.points.values)), asked.points.count],
            "filter": [asked.filter.least_ha.hex(), asked.filter.factor.hex()],
            "shocks": [key_of(factors_of(plan.scenarios[scenario], code, columns.labels)) for code in told.members],
        }
    )


def _recall(items: Sequence[Item], plan: Plan, store: Store | None, *, recalculate: bool) -> list[Answer | None]:
    if store is None:
        return [None] * len(items)
    if recalculate:
        for item in items:
            store.forget(item.key)
        return [None] * len(items)
    return [store.find(item.key, plan.curves) for item in items]


def _counts(
    looked: Sequence[Answer | None], made: Sequence[Answer | None], misses: int, *, enabled: bool
) -> dict[str, Any]:
    """What was found and what was made of each item; one that was met damaged twice is one damaged entry."""
    pairs = [[answer for answer in pair if answer is not None] for pair in zip(looked, made, strict=True)]
    origins = Counter(answer.origin for pair in pairs for answer in pair)
    counts = {
        "hits": origins["hit"],
        "misses": misses if enabled else 0,
        "computed": origins["computed"],
        "waited": origins["waited"],
        "expired": sum(any(answer.expired for answer in pair) for pair in pairs),
        "corrupt": sum(any(answer.corrupt for answer in pair) for pair in pairs),
    }
    return {"enabled": enabled, "columns": {"hits": 0, "misses": 0}, "envelopes": counts}


def _problem(plan: Plan, item: Item, error: BaseException | None) -> Problem:
    reason = f"{type(error).__name__}: {error}" if error is not None else "not run"
    return Problem(plan.scenarios[item.scenario].name, plan.crops[item.crop].name, reason)


def bands(result: Sweep, count: int, *, yield_cv: float, seed: int = 0, **options: Any) -> pd.DataFrame:
    """Bands of uncertain yields around the baseline: production of each cell times a random factor, ``count`` times.

    Parameters
    ----------
    result : Sweep
    count : int
        Replicates.
    yield_cv : float
        Coefficient of variation of a cell's yield; 0 gives the baseline to the last bit.
    seed : int
    **options
        As in `fanwise.map`.

    Returns
    -------
    DataFrame
        Columns ``crop, segment, tier, point, area_km2``, and quantiles ``lower_q025 … upper_q975``.
    """
    if count < 1 or not 0 <= yield_cv < float("inf"):
        raise UsageValueError(f"{count} bands with yield_cv {yield_cv}: expected a count ≥ 1 and a finite number ≥ 0")
    if any((0, place) not in result.results for place in range(len(result.crops))):
        raise UsageError("bands need the baseline of every crop; one has failed")
    places = [Item(0, place) for place in range(len(result.crops))]
    if not pays(count * result.plan.cost_s(places), options) and _many(options.get("workers")):
        options["workers"] = 1
    return band_table(result, fanwise.map(replicates_of(result, yield_cv, seed), range(count), **options))


@contextlib.contextmanager
def _bundles() -> Iterator[Callable[[Columns], Any]]:
    """Freeze columns once, when they first travel; the memory is freed at the end of the run."""
    made: list[fanwise.Bundle] = []

    def freeze(columns: Columns) -> fanwise.Bundle:
        if not made:
            made.append(fanwise.freeze(columns.to_mapping(), name="grid"))
        return made[0]

    try:
        yield freeze
    finally:
        for bundle in made:
            bundle.close()


def open_cache(path: str | Path | None) -> fanwise.Cache:
    """A cache of this process; envelopes are read once a run, so none stay in memory."""
    return fanwise.Cache(path, memory=0)


def cache_or_none(path: str | Path | None) -> fanwise.Cache | None:
    """A cache, or None with a warning where there cannot be one: a run goes on without."""
    try:
        return open_cache(path)
    except (CacheError, OSError) as error:
        warnings.warn(f"no cache: {error}", FanwiseWarning, stacklevel=3)
        return None


class Reading(NamedTuple):
    """A grid that was asked for: whether the cache had it, and how many damaged entries were met."""

    grid: Grid
    found: bool
    corrupt: int = 0

    def counted(self, cache: Mapping[str, Any]) -> dict[str, Any]:
        """What a sweep of this grid says of the cache, with the columns in it."""
        columns = {"hits": int(self.found), "misses": int(cache["enabled"] and not self.found)}
        damaged = cache["envelopes"]["corrupt"] + self.corrupt
        return {**cache, "columns": columns, "envelopes": {**cache["envelopes"], "corrupt": damaged}}


def read_cached(source: Source, cache: Any) -> Reading:
    """A grid from the cache, or from its files.

    Each crop is an entry of its own, stored before the one that names them: a cache takes no entry larger than a quarter
    of itself, and 800,000 cells of 42 crops are 0.5 GB.
    """
    if cache is None:
        return Reading(source.grid(), found=False)
    key, read = source.key(), list[Grid]()

    def entry() -> dict[str, Any]:
        read.append(source.grid())
        for code, pair in read[0].columns.items():
            memo(f"{key} {code}", functools.partial(_pack.to_part, pair))
        return _pack.to_entry(read[0])

    memo, before = memo_columns(cache), cache.counters.corrupt
    value = memo(key, entry)
    unfit = False
    if not read:
        parts = [memo.lookup(f"{key} {code}", None) for code in _pack.crops_of(value)]
        grid = _pack.from_entry(value, [part for _, part in parts])
        if grid is not None:
            return Reading(grid, found=True)
        unfit = all(found for found, _ in parts)  # else one was evicted, or its damage is counted
        memo.forget(key, None)
        memo(key, entry)
    return Reading(read[0], found=False, corrupt=int(unfit or cache.counters.corrupt > before))
