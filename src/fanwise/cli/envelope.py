"""``fanwise envelope``: the largest and smallest production loss for every crop, segment, tier and scenario."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise import __version__
from fanwise.cli._errors import Exit, as_sentence
from fanwise.cli._journals import Journal, journal_of, kept
from fanwise.cli._main import Commands
from fanwise.cli._options import RunOptions, epilog, workload_options
from fanwise.cli._outputs import check_writable, replace_text, terminable, write_reports
from fanwise.cli._streams import tell
from fanwise.cli._summary import Output, Summary, print_json, workers_started
from fanwise.errors import UsageError

if TYPE_CHECKING:
    from fanwise.workloads.envelope import Grid, Sweep
    from fanwise.workloads.envelope._job import Done, Extras
    from fanwise.workloads.envelope.study import Reading

__all__ = ["envelope", "run"]

SHOWN = 20  # bad values that are named on stderr
AGE = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
ASKED = ("tiers", "by", "method", "points", "filter", "unit")

envelope = Commands(
    ("envelope",),
    help="Envelopes of production loss: the most and the least that a disruption of an area can cost.",
    epilog=epilog("fanwise envelope run grid.parquet --all --by country --out out", "fanwise envelope run --help"),
    no_args_is_help=True,
)


def _age(context: click.Context, _: click.Parameter, value: str | None) -> float | None:
    """Seconds of ``12h`` or ``7d``."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", value.strip())
    if match is None:
        raise click.UsageError(f'--cache-max-age expects a number with s, m, h, d or w, not "{value}".', context)
    return float(match[1]) * AGE[match[2]]


def _figures(context: click.Context, _: click.Parameter, value: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip() for kind in value.split(",") if kind.strip()))
    for kind in kinds:
        if kind not in {"svg", "png"}:
            raise click.UsageError(f'--figures expects svg, png or both, not "{kind}".', context)
    if "png" in kinds and find_spec("matplotlib") is None:
        raise click.UsageError("--figures png needs matplotlib: pip install 'fanwise[plots]'", context)
    return kinds


_PATH = click.Path(path_type=Path)


@click.command(
    context_settings={"show_default": True},
    epilog=epilog(
        "fanwise envelope run grid.parquet --all --by country --out out",
        "fanwise envelope run spam_H_TA.csv spam_P_TA.csv --crop wheat --country France --figures svg",
        "fanwise envelope run grid.csv --crop allgrain --scenario heat.toml -p auto --report r.html",
    ),
)
@click.argument("inputs", nargs=-1, type=_PATH, metavar="INPUT...")
@click.option("--production", type=_PATH, help="The production file of a pair.")
@click.option("--harvest", type=_PATH, help="The harvested-area file of a pair.")
@click.option("--technology", default="A", metavar="T", help="Columns of a pair: A, I, R, H, L or S.")
@click.option("--encoding", default="auto", metavar="NAME", help="auto: UTF-8, else cp1252.")
@click.option("--crop", "crops", multiple=True, metavar="NAME", help="Code, name, group or cereals=WHEA+RICE.")
@click.option("--all", "every", is_flag=True, help="Every crop of the grid.")
@click.option("--tiers", default="comprehensive,commercial", metavar="T[,T…]", help="Names, or prime:50-100.")
@click.option("--by", default="none", metavar="none|country|region", help="Segments beside World.")
@click.option("--country", "countries", multiple=True, metavar="NAME", help="Only this country (repeatable).")
@click.option("--region", "regions", multiple=True, metavar="NAME", help="Only this region (repeatable).")
@click.option("--method", default="interp", metavar="interp|step", help="Cells in part, or whole.")
@click.option("--points", metavar="P", help="paper, compact, spaced:N, at:… or file:PATH.")
@click.option("--filter", default="standard", metavar="F", help="none, conservative, standard, aggressive.")
@click.option("--unit", default="kcal", metavar="kcal|mt", help="Of losses.")
@click.option("--kcal", type=_PATH, help="Table of kcal per g: crop,kcal_per_g.")
@click.option("--thresholds", type=_PATH, help="Table: crop,segment,label,value,unit.")
@click.option("--events", type=_PATH, help="Table: name,year,crop,segment,area_km2,loss,unit.")
@click.option("--history", type=_PATH, help="Table: crop,year,production,unit; for risk.csv.")
@click.option("--bootstrap", type=click.IntRange(0), default=1000, metavar="N", help="Replicates of the risk's bands.")
@click.option("--bands", type=click.IntRange(0), default=0, metavar="N", help="Replicates of uncertain yields.")
@click.option("--yield-cv", type=float, default=0.15, metavar="CV", help="Variation of yields for --bands.")
@click.option("--seed", type=click.IntRange(0), default=0, metavar="S", help="Of --bootstrap and --bands.")
@click.option("--scenario", "scenarios", multiple=True, type=_PATH, metavar="F.toml", help="Shocks (repeatable).")
@click.option("--curves", type=click.Choice(["baseline", "all"]), default="baseline", help="Whose curves are written.")
@click.option("--compare", type=_PATH, metavar="DIR", help="Write what changed since the results in DIR.")
@click.option("--recalculate", is_flag=True, help="Ignore cached results and replace them.")
@click.option("--cache-max-age", callback=_age, metavar="AGE", help="Compute again what is older, such as 12h or 7d.")
@click.option("--strict", is_flag=True, help="Bad values and unpaired cells are errors.")
@click.option("--format", type=click.Choice(["parquet", "csv", "both"]), default="parquet", help="Of the curves.")
@click.option("--figures", default="", callback=_figures, metavar="svg,png", help="A picture a crop and segment.")
@click.option("--out", type=_PATH, default=Path("envelope-out"), metavar="DIR", help="Directory of the results.")
@workload_options
def run(options: RunOptions, **own: Any) -> int:
    """Compute the envelopes of the grid in INPUT: a wide or long file, or a pair in the layout of SPAM."""
    began = time.perf_counter()
    if bool(own["crops"]) == own["every"]:
        raise UsageError("give --crop NAME (repeatable) or --all, one of them.")
    with options.warnings_as_notes("fanwise envelope"):
        extras = _check(options, own)
        return _run(options, own, extras, began)


def _check(options: RunOptions, own: dict[str, Any]) -> Extras:
    """Find what is wrong with options and small files before the grid is read."""
    from fanwise.workloads.envelope._compare import open_results
    from fanwise.workloads.envelope._job import Extras
    from fanwise.workloads.envelope._outputs import check_free
    from fanwise.workloads.envelope._question import make_question
    from fanwise.workloads.envelope._risk import read_history
    from fanwise.workloads.envelope._tables import read_kcal
    from fanwise.workloads.envelope._thresholds import read_thresholds

    make_question(own["tiers"], own["method"], own["points"], own["filter"], own["unit"])
    check_free(own["out"], overwrite=options.force)
    there = next(place for place in (own["out"], *own["out"].absolute().parents) if place.exists())
    check_writable(options.report, options.trace, there / f".fanwise.{os.getpid()}", folder=own["out"])
    own["kcal_table"] = {} if own["kcal"] is None else read_kcal(own["kcal"])
    return Extras(
        thresholds=() if own["thresholds"] is None else read_thresholds(own["thresholds"]),
        events=own["events"],
        history=() if own["history"] is None else read_history(own["history"]),
        all_curves=own["curves"] == "all",
        compare=None if own["compare"] is None else open_results(own["compare"]),
        **{name: own[name] for name in ("bootstrap", "bands", "yield_cv", "seed", "format", "figures")},
    )


@contextmanager
def _cache(options: RunOptions) -> Iterator[Any]:
    from fanwise.workloads.envelope.study import cache_or_none

    cache = None if options.no_cache else cache_or_none(options.cache_dir)
    try:
        yield cache
    finally:
        if cache is not None:
            cache.close()


def _run(options: RunOptions, own: dict[str, Any], extras: Extras, began: float) -> int:
    from fanwise.workloads.envelope._job import conclude, publish, report_page

    places = {"workers": options.parallel, "backend": options.backend}
    journal = journal_of(options.cache_dir, "envelope", own["out"])
    with _cache(options) as cache:
        with terminable():
            reading = _read(options, own, cache)
        read = time.perf_counter()
        keeps = journal.begin(_settings(own), options)
        grid = reading.grid.with_kcal(own["kcal_table"])
        result = _sweep(grid, own, cache, places | {"progress": options.bar("envelope")}, journal if keeps else None)
        result = replace(result, cache=reading.counted(result.cache))
    computed = time.perf_counter()
    with terminable(), kept(journal if keeps else None, len(result.results), "items"):
        done = conclude(result, extras, places | {"progress": "none"})
        files = publish(done, own["out"], overwrite=options.force)
    journal.remove()
    ended = time.perf_counter()
    done.seconds = {"read": read - began, "compute": computed - read, "write": ended - computed, "total": ended - began}
    page = functools.partial(report_page, done, done.seconds)
    problems = [*_problems(result), *write_reports(result.report, options, "envelope", page)]
    code = Exit.PARTIAL if problems or (own["strict"] and done.empty) else Exit.DONE
    _say(done, problems, options)
    outputs = [Output(path, rows) for path, rows in files]
    told = _told(own, done)
    summary = Summary("envelope run", code, outputs, result.report, options.report, ended - began, problems, told)
    replace_text(own["out"] / "run.json", summary.as_json() + "\n")
    if options.json:
        print_json(summary)
    return code


def _read(options: RunOptions, own: dict[str, Any], cache: Any) -> Reading:
    """The grid, and how the cache of its columns was used."""
    from fanwise.workloads.envelope.io import source_of, warn
    from fanwise.workloads.envelope.study import read_cached

    files = own["production"], own["harvest"], own["technology"], own["encoding"]
    reading = read_cached(source_of(own["inputs"], *files, strict=own["strict"]), cache)
    warn(reading.grid)
    for text in reading.grid.notes.bad[:SHOWN]:
        options.note(f"fanwise envelope: dropped: {text}.")
    return reading


def _settings(own: Mapping[str, Any]) -> dict[str, Any]:
    """What an interrupted run must have been asked, too, to be gone on with."""
    names = (*ASKED, "crops", "every", "countries", "regions", "technology", "encoding", "strict")
    return {name: str(own[name]) for name in names} | {
        "inputs": [str(path) for path in own["inputs"]],
        "kcal": own["kcal_table"],
        "scenarios": [str(path) for path in own["scenarios"]],
        "version": __version__,
    }


def _sweep(
    grid: Grid, own: Mapping[str, Any], cache: Any, options: Mapping[str, Any], journal: Journal | None
) -> Sweep:
    from fanwise.workloads.envelope import sweep

    return sweep(
        grid,
        crops="all" if own["every"] else list(own["crops"]),
        countries=own["countries"] or None,
        regions=own["regions"] or None,
        scenarios=list(own["scenarios"]) or None,
        cache=cache,
        max_age=own["cache_max_age"],
        recalculate=own["recalculate"],
        resume=None if journal is None else journal.path,
        **{name: own[name] for name in ASKED},
        **options,
    )


def _problems(result: Sweep) -> list[tuple[str, str]]:
    return [
        (f"{p.scenario}, {p.crop}", f"crop {p.crop}{'' if p.skipped else ' failed'}: {p.reason}") for p in result.failed
    ]


def _told(own: Mapping[str, Any], done: Done) -> dict[str, Any]:
    """The workload's own fields."""
    inputs = [*own["inputs"], *(own[role] for role in ("harvest", "production") if own[role] is not None)]
    return {
        "workload": "envelope",
        "version": __version__,
        "inputs": [str(path) for path in inputs],
        **done.facts(),
        "workers": workers_started(done.result.report),
        "seconds": {name: round(value, 6) for name, value in done.seconds.items()},
        "cache": done.result.cache,
    }


def _say(done: Done, problems: list[tuple[str, str]], options: RunOptions) -> None:
    """Name what went wrong; say in one line what was done."""
    for _, message in problems:
        tell(f"fanwise envelope: {as_sentence(message)}")
    counts = done.result.cache["envelopes"]
    if counts["corrupt"]:
        entries = "entry of the cache was" if counts["corrupt"] == 1 else "entries of the cache were"
        options.note(f"fanwise envelope: {counts['corrupt']} damaged {entries} computed again.")
    told = done.facts()
    resumed = 0 if done.result.report is None else done.result.report.resumed
    reused = f", {resumed:,} items resumed" if resumed else ""
    cached = f", {counts['hits']} of {counts['hits'] + counts['misses']} from the cache" if counts["hits"] else ""
    empty = f", {done.empty} empty" if done.empty else ""
    options.note(
        f"fanwise envelope: {told['curves']:,} curves{empty}, {told['points']:,} points "
        f"in {done.seconds['total']:.2f} s{reused}{cached}."
    )
    if told["kcal_per_g"]:
        options.note("kcal per g: " + ", ".join(f"{code} {value}" for code, value in told["kcal_per_g"].items()))
    if options.verbose and done.result.report is not None:
        options.note(done.result.report.reason)
