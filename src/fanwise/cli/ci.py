"""``fanwise ci``: exact intervals for the odds ratios of the 2×2 tables in a file."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise import __version__
from fanwise._format import plural
from fanwise.cli._ci_table import print_table
from fanwise.cli._errors import Exit
from fanwise.cli._journals import Journal, journal_of, kept
from fanwise.cli._options import RunOptions, epilog, workload_options
from fanwise.cli._outputs import check_input, check_new, check_reports, stdout_bytes, terminable, write_reports
from fanwise.cli._streams import tell
from fanwise.cli._summary import Output, Summary, print_json, workers_started
from fanwise.errors import UsageError
from fanwise.workloads.exactci._methods import ALL, ALTERNATIVES, METHODS, ask

if TYPE_CHECKING:
    from fanwise.workloads.exactci._job import Done, Job
    from fanwise.workloads.exactci.io import Source, Tables

__all__ = ["ci", "method_names", "names_of"]

SUFFIXES = (".csv", ".tsv", ".parquet")
SHOWN = 5  # bad rows that are named on stderr


@click.command(
    context_settings={"show_default": True},
    epilog=epilog(
        "fanwise ci trials.csv --method all --plot forest.svg -o intervals.csv",
        "fanwise ci counts.tsv --events cases,treated,controls,untreated -o intervals.parquet -p 2",
        "fanwise ci --table 12,5,8,10 --method all",
        "fanwise ci coverage --help        (how often a method is right, over a grid)",
    ),
)
@click.argument("input", required=False)
@click.option("-o", "--output", metavar="OUT", help="CSV, TSV or Parquet by its suffix; CSV on stdout without it.")
@click.option(
    "--method", "methods", default="conditional", show_default=True, metavar="M[,M…]|all", help=", ".join(METHODS)
)
@click.option(
    "--alpha", type=float, default=0.05, show_default=True, metavar="F", help="One less the confidence level."
)
@click.option(
    "--alternative",
    type=click.Choice(ALTERNATIVES),
    default="two-sided",
    show_default=True,
    help="One-sided: less, greater.",
)
@click.option("--measure", type=click.Choice(["or"]), default="or", show_default=True, help="or: the odds ratio.")
@click.option("--columns", metavar="A,B,C,D", help="Columns of the four counts.  [default: a,b,c,d]")
@click.option("--events", metavar="E1,T1,E2,T2", help="Columns of events and totals instead.")
@click.option("--matrix", is_flag=True, help="INPUT is a matrix of counts: each cell makes a table.")
@click.option(
    "--prefix", default="", show_default=False, metavar="TEXT", help="Goes before the names of the added columns."
)
@click.option("--adjust", type=click.Choice(["bonferroni", "bh"]), help="Add p_adjusted: p-values for many tables.")
@click.option("--strict", is_flag=True, help="A bad row ends it and nothing is written.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FOREST.svg", help="Forest plot of the first rows.")
@click.option("--plot-rows", type=click.IntRange(1, 2000), default=60, metavar="N", help="Rows in it.")
@click.option("--label", metavar="COLUMN", help="Column that labels them.  [default: the first that is no number]")
@click.option("--table", metavar="A,B,C,D", help="One table instead of INPUT; the result is printed.")
@workload_options
def ci(options: RunOptions, **own: Any) -> int:
    """Compute exact confidence intervals for the odds ratios of the 2×2 tables in INPUT.

    INPUT is a .csv (of commas, semicolons or tabs), .tsv or .parquet file with one table a row, or - for CSV on standard
    input. --method all means conditional, midp, blaker and minlike.
    """
    began = time.perf_counter()
    question = ask(method_names(own["methods"]), own["alpha"], own["alternative"])
    if own["table"] is not None:
        _check_alone(options, own)
        return print_table(own["table"], method_names(own["methods"]), question, options)
    settings = {
        "method": ",".join(method_names(own["methods"])),
        "alpha": own["alpha"],
        "alternative": own["alternative"],
    }
    wanted = _wanted(own["columns"], own["events"])
    output = _check_files(options, own)
    from fanwise.workloads.exactci._job import Job
    from fanwise.workloads.exactci.io import Wanted

    job = Job(
        input=own["input"],
        output=output,
        methods=method_names(own["methods"]),
        question=question,
        wanted=Wanted(wanted, events=own["events"] is not None),
        **{name: own[name] for name in ("prefix", "strict", "adjust", "matrix", "plot", "plot_rows", "label")},
    )
    return _run(job, options, settings | {"version": __version__}, began)


def _check_alone(options: RunOptions, own: dict[str, Any]) -> None:
    """Refuse what a table that is only printed has no use for: it would be left out without a word."""
    if own["input"] is not None:
        raise UsageError(f"--table {own['table']} and the input {own['input']}: give one of them.")
    given = {f"--{name}": own[name] for name in ("output", "plot", "columns", "events", "adjust", "label")}
    given |= {"--matrix": own["matrix"], "--report": options.report, "--trace": options.trace}
    if useless := [name for name, value in given.items() if value and value != "-"]:
        raise UsageError(f"--table prints its result; {', '.join(useless)} needs an input.")


def method_names(text: str) -> list[str]:
    """The methods that an option names, each once, in its order."""
    return list(dict.fromkeys(ALL if text == "all" else [name.strip() for name in text.split(",")]))


def names_of(option: str, text: str) -> tuple[str, str, str, str]:
    """Four names separated by commas; one that holds a comma stands in quotes, as in a CSV header."""
    try:
        names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))
    except csv.Error as error:
        raise UsageError(f"{option} {text}: {error}; expected four names, separated by commas.") from error
    if len(names) != 4 or not all(names):
        raise UsageError(f"{option} {text}: {len(names)} names; expected four, separated by commas.")
    return names


def _wanted(columns: str | None, events: str | None) -> tuple[str, str, str, str]:
    if columns is not None and events is not None:
        raise UsageError(f"--columns {columns} and --events {events}: give one of them.")
    return names_of("--events", events) if events is not None else names_of("--columns", columns or "a,b,c,d")


def _check_files(options: RunOptions, own: dict[str, Any]) -> Path | None:
    """Find what is wrong with files and options before anything is read; returns the output's path."""
    if own["input"] is None:
        raise UsageError("no input; give a .csv, .tsv or .parquet file, - for standard input, or --table A,B,C,D.")
    check_input(own["input"], SUFFIXES)
    output = None if own["output"] in {None, "-"} else Path(own["output"])
    if output is None and options.json:
        raise UsageError("--json needs -o FILE: standard output cannot hold both the intervals and the summary.")
    for path, suffixes in ((output, SUFFIXES), (own["plot"], (".svg",))):
        if path is not None:
            check_new(path, suffixes, force=options.force)
    check_reports(options, Path(own["input"]), output, own["plot"])
    return output


def _journal(job: Job, options: RunOptions, settings: dict[str, Any]) -> Journal | None:
    """The journal of this output, or of this input if the output is stdout; None if both are streams."""
    if job.output is None and job.input == "-":
        return None
    journal = journal_of(options.cache_dir, "ci", job.output or Path(job.input))
    return journal if journal.begin(settings, options) else None


def _run(job: Job, options: RunOptions, settings: dict[str, Any], began: float) -> int:
    from fanwise.workloads.exactci._job import compute, opened, publish, read
    from fanwise.workloads.exactci._scratch import scratch

    if find_spec("numba") is None:
        options.note("fanwise ci: numba is missing, so this takes about 100 times as long: pip install 'fanwise[ci]'")
    with opened(job, sys.stdin.buffer) as source, scratch() as counts, scratch() as numbers:
        with terminable():
            tables = read(job, source, counts)
        journal = _journal(job, options, settings)
        run = {"workers": options.parallel, "backend": options.backend, "cache": options.cache()}
        done = compute(job, tables, numbers, progress=options.bar("ci"), resume=journal and journal.path, **run)
        with terminable(), kept(journal, len(tables.status) * len(job.methods), "rows"), stdout_bytes() as stream:
            rows = publish(job, source, done, stream)
        if journal is not None:
            journal.remove()
        problems = [*_bad_rows(source, tables), *done.failures(), *write_reports(done.study.report, options, "ci")]
    seconds = time.perf_counter() - began
    _say(done, rows, problems, options, seconds)
    code = Exit.PARTIAL if problems else Exit.DONE
    if options.json:
        print_json(_summary(job, done, problems, options, (code, rows, seconds)))
    return code


def _bad_rows(source: Source, tables: Tables) -> list[tuple[str, str]]:
    from fanwise.workloads.exactci._job import describe

    return [(f"{source.unit} {bad.line}", describe(source, bad)) for bad in tables.bad_cells]


def _say(done: Done, rows: int, problems: Sequence[tuple[str, str]], options: RunOptions, seconds: float) -> None:
    """Name what went wrong; say in one line what was done."""
    tables, count = done.tables, done.rows_by_origin()
    for _, message in problems[:SHOWN]:
        tell(f"fanwise ci: {message}")
    if tables.bad.any():
        tell(f"fanwise ci: {plural(int(tables.bad.sum()), 'row')} without a table; status says why.")
    if done.empty_margins:
        options.note(f"fanwise ci: {plural(done.empty_margins, 'row')} with an empty margin: the interval is 0 to inf.")
    reused = ", ".join(f"{count[name]:,} {name}" for name in ("resumed", "cached") if count[name])
    reused = f" ({reused})" if reused else ""
    what = f"{plural(len(tables.status), 'table')}, {plural(rows, 'row')}"
    options.note(f"fanwise ci: {what} in {seconds:.2f} s{reused}.")


def _summary(
    job: Job, done: Done, problems: Sequence[tuple[str, str]], options: RunOptions, ending: tuple[int, int, float]
) -> Summary:
    code, rows, seconds = ending
    outputs = [Output(str(job.output), rows), *([Output(str(job.plot))] if job.plot is not None else [])]
    bad_rows = [
        {"line": bad.line, "column": bad.column, "value": bad.value, "status": bad.status.name.lower()}
        for bad in done.tables.bad_cells
    ]
    own = {
        "workload": "ci",
        "alternative": job.question.alternative,
        "tables": len(done.tables.status),
        "rows": rows,
        "methods": list(job.methods),
        "alpha": job.question.alpha,
        **done.rows_by_origin(),
        "empty_margin": done.empty_margins,
        "bad": int(done.tables.bad.sum()),
        "bad_rows": bad_rows,
        "workers": workers_started(done.study.report),
        "seconds": round(seconds, 6),
        "output": str(job.output),
    }
    return Summary("ci", code, outputs, done.study.report, options.report, seconds, problems, own)
