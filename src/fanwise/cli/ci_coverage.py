"""``fanwise ci coverage``: how often an interval method is right, exactly, over a grid."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise import __version__
from fanwise._whole import atomic
from fanwise.cli._errors import Exit
from fanwise.cli._journals import journal_of
from fanwise.cli._options import RunOptions, epilog, workload_options
from fanwise.cli._outputs import check_new, check_reports, terminable, write_reports
from fanwise.cli._summary import Output, Summary, print_json, workers_started
from fanwise.cli.ci import method_names
from fanwise.errors import UsageError
from fanwise.workloads.exactci._methods import ask

if TYPE_CHECKING:
    from fanwise.workloads.exactci import Coverage

__all__ = ["coverage", "grid_axis"]

LARGEST_AXIS = 100_000


@click.command(
    name="ci coverage",
    context_settings={"show_default": True},
    epilog=epilog(
        "fanwise ci coverage --n1 20 --n2 30 --p2 0.02:0.5:25 --odds-ratio log:0.1:10:41 -o cov.csv --plot cov.svg",
        "fanwise ci coverage --n1 8 --n2 10 --p2 0.1,0.3 --p1 0.2 --methods conditional,blaker,wald --length",
    ),
)
@click.option("--n1", type=click.IntRange(1), required=True, help="Total of the first row.")
@click.option("--n2", type=click.IntRange(1), required=True, help="Total of the second row.")
@click.option("--p2", required=True, metavar="GRID", help="Probability in the second row.")
@click.option("--p1", metavar="GRID", help="Probability in the first row; or give --odds-ratio.")
@click.option("--odds-ratio", metavar="GRID", help="Odds ratio of the rows; or give --p1.")
@click.option("--methods", default="conditional", metavar="M[,M…]|all", help="As --method of fanwise ci.")
@click.option("--alpha", type=float, default=0.05, metavar="F", help="One less the confidence level.")
@click.option("--length", is_flag=True, help="Add how often the interval is finite, and how long it is then.")
@click.option("-o", "--output", metavar="OUT.csv", help="CSV; on stdout without it.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="COVERAGE.svg", help="Lines, or a heat map.")
@workload_options
def coverage(options: RunOptions, **own: Any) -> int:
    """Compute the exact coverage of interval methods at each point of a grid.

    GRID is a list 0.1,0.2,0.5 or START:STOP:COUNT, or log:START:STOP:COUNT.
    """
    began = time.perf_counter()
    methods = method_names(own["methods"])
    ask(methods, own["alpha"], "two-sided")
    if (own["p1"] is None) == (own["odds_ratio"] is None):
        raise UsageError("give exactly one of --p1 and --odds-ratio.")
    axes = {
        name: grid_axis(f"--{name.replace('_', '-')}", own[name]) for name in ("p2", "p1", "odds_ratio") if own[name]
    }
    output = _check_files(options, own)
    from fanwise.workloads.exactci import coverage as compute

    journal = journal_of(options.cache_dir, "ci-coverage", output) if output is not None else None
    settings = {name: own[name] for name in ("n1", "n2", "p2", "p1", "odds_ratio", "methods", "alpha")}
    if journal is not None and not journal.begin(settings | {"version": __version__}, options):
        journal = None
    done = compute(
        own["n1"],
        own["n2"],
        **axes,
        methods=methods,
        alpha=own["alpha"],
        length=own["length"],
        workers=options.parallel,
        backend=options.backend,
        cache=options.cache(),
        progress=options.bar("ci coverage"),
        resume=journal and journal.path,
    )
    with terminable():
        _publish(done, output, own["plot"], log=own["p1"] is None)
    if journal is not None:
        journal.remove()
    problems = write_reports(done.report, options, "ci coverage")
    code, seconds = (Exit.PARTIAL if problems else Exit.DONE), time.perf_counter() - began
    rows = len(done.p1) * len(methods)
    options.note(f"fanwise ci coverage: {len(done.p1):,} points, {len(methods)} methods in {seconds:.2f} s.")
    if options.json:
        print_json(_summary(done, (output, own["plot"]), problems, options, (code, rows, seconds)))
    return code


def grid_axis(option: str, text: str) -> list[float]:
    """Read a grid: a list of numbers, ``START:STOP:COUNT``, or ``log:START:STOP:COUNT``; both ends are in it."""
    try:
        axis = _axis(text)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        allowed = "0.1,0.2,0.5 or START:STOP:COUNT or log:START:STOP:COUNT (COUNT from 1 to 100,000)"
        raise UsageError(f"{option} {text}: expected {allowed}.") from error
    below = math.inf if option == "--odds-ratio" else 1.0
    for value in axis:
        if not 0.0 < value < below:
            raise UsageError(f"{option} {text}: {value!r} is out of range (expected values above 0, below {below}).")
    return axis


def _axis(text: str) -> list[float]:
    log = text.startswith("log:")
    words = text.removeprefix("log:").split(":")
    if len(words) == 1 and not log:
        return [float(word) for word in text.split(",")]
    start, stop, count = float(words[0]), float(words[1]), int(words[2])
    if len(words) != 3 or not 1 <= count <= LARGEST_AXIS or (log and not stop / start > 0.0):
        raise ValueError(text)
    shares = [i / (count - 1) for i in range(1, count - 1)]
    between = [start * (stop / start) ** share if log else start + (stop - start) * share for share in shares]
    return [start, *between, stop][:count]


def _check_files(options: RunOptions, own: dict[str, Any]) -> Path | None:
    output = None if own["output"] in {None, "-"} else Path(own["output"])
    if output is None and options.json:
        raise UsageError("--json needs -o FILE: standard output cannot hold both the table and the summary.")
    for path, suffixes in ((output, (".csv",)), (own["plot"], (".svg",))):
        if path is not None:
            check_new(path, suffixes, force=options.force)
    check_reports(options, output, own["plot"])
    return output


def _publish(done: Coverage, output: Path | None, plot: Path | None, *, log: bool) -> None:
    from fanwise.workloads.exactci._coverage import coverage_rows
    from fanwise.workloads.exactci._panels import draw_coverage

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(coverage_rows(done))
    if plot is not None:
        with atomic(plot) as file:
            file.write(draw_coverage(done, log=log).encode())
    if output is None:
        sys.stdout.write(text.getvalue())
        return
    with atomic(output) as file:
        file.write(text.getvalue().encode())


def _summary(
    done: Coverage,
    paths: tuple[Path | None, Path | None],
    problems: list[tuple[str, str]],
    options: RunOptions,
    ending: tuple[int, int, float],
) -> Summary:
    code, rows, seconds = ending
    output, plot = paths
    outputs = [Output(str(output), rows), *([Output(str(plot))] if plot is not None else [])]
    own = {
        "workload": "ci coverage",
        "n1": done.n1,
        "n2": done.n2,
        "alpha": done.alpha,
        "methods": list(done.covered),
        "points": len(done.p1),
        "rows": rows,
        "lowest": {method: float(covered.min()) for method, covered in done.covered.items()},
        "workers": workers_started(done.report),
        "seconds": round(seconds, 6),
        "output": str(output),
    }
    return Summary("ci coverage", code, outputs, done.report, options.report, seconds, problems, own)
