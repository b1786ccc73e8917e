"""``fanwise search``: every allowed regression, tested, ranked, explained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise.cli._errors import JSON, Exit
from fanwise.cli._main import Commands
from fanwise.cli._options import RunOptions, epilog, workload_options
from fanwise.cli._outputs import check_reports, tell_problems, terminable, write_reports
from fanwise.cli._summary import Output, Summary, print_json
from fanwise.errors import UsageError

if TYPE_CHECKING:
    from fanwise.workloads.modelsearch import Plan, Result, Verification

__all__ = ["output_of", "plan", "run", "search"]

CONFIG = click.argument("config", type=click.Path(path_type=Path))
_OWN_FILES = ("run.json", "summary.json", "funnel.html")
LISTED = 10  # items that a line names
TOLERATED = 1e-6  # larger differences from statsmodels are a defect

search = Commands(
    ("search",),
    help="Assess every allowed regression of a target on a pool of drivers, rank those that pass, explain the others.",
    epilog=epilog(
        "fanwise search plan macro.toml", "fanwise search run macro.toml", "fanwise search show macro.search"
    ),
    no_args_is_help=True,
)


def output_of(config: Path, given: Path | None) -> Path:
    """The directory of a search: the option, else the name of its configuration with ``.search``."""
    return given if given is not None else Path(f"{config.stem}.search")


def _folder(config: Path, given: Path | None, *, several: bool) -> Path:
    """The directory of one search among several, each with one of its own."""
    return given / f"{config.stem}.search" if several and given is not None else output_of(config, given)


@click.command(
    epilog=epilog("fanwise search plan macro.toml", "fanwise search plan macro.toml --unrank 1214"),
)
@CONFIG
@click.option(
    "--list", "listed", type=click.IntRange(0), default=0, metavar="N", help="Print the first N specifications."
)
@click.option("--unrank", type=int, metavar="I", help="Print specification I.")
@click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")
def plan(config: Path, listed: int, unrank: int | None, as_json: bool) -> int:
    """Show the pool, what left it and why, how many specifications there are and how long they would take."""
    click.get_current_context().meta[JSON] = as_json
    from fanwise.workloads.modelsearch import Space, load_config
    from fanwise.workloads.modelsearch import plan as make_plan

    settings = load_config(config)
    with terminable():
        found = make_plan(settings)
    space = Space(settings, found.frame)
    ids = [*range(min(listed, found.count)), *([] if unrank is None else [unrank])]
    chosen = [(i, _terms(space, i)) for i in ids]
    if as_json:
        print_json(Summary("search plan", Exit.DONE, own=_plan_object(found, chosen)))
        return Exit.DONE
    for line in _plan_lines(config, found):
        print(line)
    for i, terms in chosen:
        print(f"{i}  {terms}")
    return Exit.DONE


def _terms(space: Any, i: int) -> str:
    try:
        return str(space.terms(i))
    except IndexError as error:
        raise UsageError(str(error)) from None


def _plan_object(found: Plan, chosen: Sequence[tuple[int, str]]) -> dict[str, Any]:
    frame = found.frame
    return {
        "n": len(frame.y),
        "n_test": len(frame.y_test),
        "pool": [str(item) for item in frame.items],
        "forced": list(frame.fixed_names),
        "excluded": [list(pair) for pair in frame.excluded],
        "undefined": dict(frame.undefined),
        "notes": list(frame.notes),
        "count": found.count,
        "memory_bytes": found.memory,
        "seconds": found.seconds,
        "specifications": [{"id": i, "terms": terms} for i, terms in chosen],
    }


def _plan_lines(config: Path, found: Plan) -> Iterator[str]:
    from fanwise.workloads.modelsearch._limits import duration

    frame = found.frame
    yield f"{config.name}: {found.count:,} specifications of {len(frame.items)} items"
    yield f"rows: {len(frame.y)} train ({frame.time[0]} to {frame.time[-1]}), {len(frame.y_test)} test"
    yield "pool: " + " ".join(map(str, frame.items))
    if frame.fixed_names:
        yield "forced: " + " ".join(frame.fixed_names)
    for item, why in frame.excluded:
        yield f"left out: {item} ({why})"
    for item, count in frame.undefined.items():
        yield f"not defined: {item} at {count} rows (logarithm of 0 or less, or division by 0)"
    for note in frame.notes:
        yield f"note: {note}"
    yield f"memory of the Gram matrix: {found.memory / 1e6:,.1f} MB"
    yield f"projected: {duration(found.seconds)} in one process, measured on two chunks"


def _range(context: click.Context, _: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Two ids with a colon between them; the second one is not included."""
    if value is None:
        return None
    first, colon, stop = value.partition(":")
    if not colon or not first.isdecimal() or not stop.isdecimal() or int(first) >= int(stop):
        raise click.UsageError(f'--range expects A:B with A < B, such as 0:1000000, not "{value}".', context)
    return int(first), int(stop)


@click.command(
    context_settings={"show_default": True},
    epilog=epilog("fanwise search run macro.toml -p 4 --verify 20", "fanwise search run macro.toml --resume"),
)
@click.argument("configs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CONFIG...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory of the results.  [default: CONFIG's name with .search]",
)
@click.option("--full", is_flag=True, help="Every statistic of every specification (verdicts.csv).")
@click.option("--verify", type=click.IntRange(0), default=0, metavar="N", help="Fit the best N again with statsmodels.")
@click.option("--range", "ids", callback=_range, metavar="A:B", help="Only specifications A to B-1.")
@workload_options
def run(options: RunOptions, **own: Any) -> int:
    """Assess every specification of CONFIG, rank those that pass, and write what was found.

    Several configurations share one set of warm workers; with -o each gets a directory of its own in DIR.
    """
    configs, several = own["configs"], len(own["configs"]) > 1
    folders = [_folder(config, own["output"], several=several) for config in configs]
    check_reports(options, *configs, *(folder / name for folder in folders for name in _OWN_FILES))
    if options.verbose and options.no_cache:
        options.note("fanwise search: a search has no cache; finished chunks in its directory are all that is kept.")
    code, told = Exit.DONE, []
    with _executor(options, several=several) as executor:
        for config, folder in zip(configs, folders, strict=True):
            ended, summary = _run_one(config, folder, options, own, executor)
            code = max(code, ended)
            told.append(summary)
    if options.json:
        print_json(told[0] if not several else _together(told, code))
    return code


@contextmanager
def _executor(options: RunOptions, *, several: bool) -> Iterator[Any]:
    """Workers that stay warm from one configuration to the next."""
    if not several or options.parallel == 1:
        yield None
        return
    import fanwise

    with fanwise.Executor(options.parallel, backend=options.backend) as executor:
        yield executor


def _run_one(config: Path, out: Path, options: RunOptions, own: dict[str, Any], executor: Any) -> tuple[Exit, Summary]:
    from fanwise.workloads.modelsearch import search as run_search

    began = time.perf_counter()
    places = {"executor": executor} if executor else {"workers": options.parallel, "backend": options.backend}
    with options.warnings_as_notes("fanwise search"):
        result = run_search(
            config,
            out=out,
            resume=options.resume,
            force=options.force,
            full=own["full"],
            verify=own["verify"],
            ids=own["ids"],
            progress=options.bar("search"),
            **places,
        )
    problems = [*_problems(result), *write_reports(result.report, options, "search")]
    code = _code(result.verification, problems)
    say = options.note if options.json else _print_unless(options.quiet)
    tell_problems("fanwise search", problems)
    if result.excluded:
        options.note(f"fanwise search: left out: {_left_out(result.excluded)}.")
    for line in _closing(result):
        say(line)
    return code, _summary(result, (code, time.perf_counter() - began), options, problems)


def _print_unless(quiet: bool) -> Callable[[str], None]:
    def say(text: str) -> None:
        if not quiet:
            print(text)

    return say


def _problems(result: Result) -> list[tuple[str, str]]:
    return [
        (f"ids {problem.first:,} to {problem.stop - 1:,}", f"{problem.error} (--resume tries only what is missing)")
        for problem in result.problems
    ]


def _left_out(excluded: Sequence[tuple[str, str]]) -> str:
    """Items that left the pool, and why; `plan` and ``summary.json`` name all of them."""
    named = ", ".join(f"{item} ({why})" for item, why in excluded[:LISTED])
    return named if len(excluded) <= LISTED else f"{named} and {len(excluded) - LISTED:,} more"


def _code(verification: Verification | None, problems: Sequence[tuple[str, str]]) -> Exit:
    if verification is not None and not verification.max_rel <= TOLERATED:
        return Exit.DEFECT
    return Exit.PARTIAL if problems else Exit.DONE


def _closing(result: Result) -> Iterator[str]:
    """What was found, in a few lines."""
    from fanwise.workloads.modelsearch._funnel import statement

    best = ""
    if len(result.ranked):
        by, value = result.best
        best = f" · best {by} {value:.6g}: {result.ranked['terms'][0]}"
    yield f"{result.tried:,} tried · {result.passed:,} passed{best}"
    if not result.passed:
        yield "fell: " + ", ".join(f"{name} {fell:,}" for name, fell in result.funnel.items() if fell)
        for i, terms, failed in zip(*(result.near_misses[n][:10] for n in ("id", "terms", "failed_at")), strict=True):
            yield f"near miss: {i} {terms} fell at {failed}"
    yield statement(result.multiplicity)
    if result.verification is not None:
        worst = result.verification.worst
        where = "" if worst is None else f" (id {worst[0]}, {worst[1]})"
        yield f"max deviation {result.verification.max_rel:.1e}{where}"
    if result.files:
        yield "wrote " + ", ".join(str(path) for path in result.files)


def _summary(
    result: Result, ending: tuple[Exit, float], options: RunOptions, problems: Sequence[tuple[str, str]]
) -> Summary:
    code, seconds = ending
    rows = {"ranked.csv": result.rows, "ranked.partial.csv": result.rows, "verdicts.csv": result.tried}
    outputs = [Output(str(path), rows.get(path.name)) for path in result.files]
    own: dict[str, Any] = {"workload": "search"}
    for path in result.files:
        if path.name in {"summary.json", "run.json"}:
            own |= json.loads(path.read_text("utf-8"))
    if result.verification is not None:
        worst = result.verification.worst
        own["verification"] = {
            "max_abs": result.verification.max_abs,
            "max_rel": result.verification.max_rel,
            "worst": worst,
        }
    return Summary("search run", code, outputs, result.report, options.report, seconds, problems, own)


def _together(told: Sequence[Summary], code: Exit) -> Summary:
    """One object for several searches; each one's own fields under ``searches``."""
    return Summary(
        "search run",
        code,
        [output for one in told for output in one.outputs],
        wall_s=sum(one.wall_s for one in told),
        problems=[problem for one in told for problem in one.problems],
        own={"workload": "search", "searches": [dict(one.own) for one in told]},
    )
