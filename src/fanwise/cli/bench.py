"""``fanwise bench``: how long the loop, fanwise and other libraries take on this machine, cell by cell."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

import fanwise
from fanwise.cli._bench.contestants import Contestant, chosen
from fanwise.cli._bench.figures import Figures, figures
from fanwise.cli._bench.gates import broken, read_gates
from fanwise.cli._bench.grid import Cell, read_grid
from fanwise.cli._bench.rounds import Measured, measure, seats
from fanwise.cli._bench.views import heat_map, page, table
from fanwise.cli._errors import Exit
from fanwise.cli._options import epilog, parallel
from fanwise.cli._outputs import check_writable, replace_text
from fanwise.cli._streams import tell
from fanwise.engine._resources import HostResources, budget

__all__ = ["bench"]

SCHEMA = "fanwise.bench/1"
_FILE = click.Path(path_type=Path, dir_okay=False, readable=False)
_BUSY = 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that was measured, and the load of the machine before and after."""

    contestants: Sequence[Contestant]
    measured: Sequence[Measured]
    figures: Sequence[Figures]
    workers: int
    load: tuple[float, float]


@click.command(
    epilog=epilog("fanwise bench", "fanwise bench --peers joblib,mpire --svg bench.svg --json bench.json -p 2")
)
@click.option("--grid", default="small", show_default=True, metavar="small|full|FILE.toml", help="Kinds of work.")
@click.option("--peers", default="auto", show_default=True, metavar="auto|none|NAMES", help="Other libraries, by name.")
@click.option("-p", "--workers", default="auto", callback=parallel, metavar="N|auto", help="Workers.")
@click.option(
    "--repeat", type=click.IntRange(1), default=5, show_default=True, metavar="N", help="Rounds in each cell."
)
@click.option(
    "--json",
    "as_json",
    type=_FILE,
    metavar="FILE",
    help="Write all samples; - is stdout.",
    flag_value=Path("-"),
    is_flag=False,
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page.")
@click.option("--svg", type=_FILE, metavar="FILE", help="Write a heat map.")
@click.option("--gate", type=_FILE, metavar="FILE.toml", help="Limits that ratios must keep; else it ends with 3.")
def bench(grid: str, peers: str, workers: int | None, repeat: int, gate: Path | None, **files: Path | None) -> int:
    """Measure the loop, fanwise and other installed libraries on the same work, taking turns, and print ratios.

    A ratio is a time over the loop's: below 1 is faster. Results are compared first; a wrong one is listed as wrong.
    """
    cells, gates = read_grid(grid), read_gates(gate) if gate else []
    contestants = chosen(peers, forced=grid == "full")
    check_writable(*(path for path in files.values() if path != Path("-")))
    result = run(cells, contestants, workers or budget(HostResources(), wanted=None, nested=False).workers, repeat)
    say = sys.stderr if files["as_json"] == Path("-") else sys.stdout
    print(table(result.figures, contestants), file=say)
    write(result, files)
    failed = broken(gates, result.figures)
    for sentence in failed:
        tell(f"fanwise bench: {sentence}")
    return Exit.PARTIAL if failed else Exit.DONE


def run(cells: Sequence[Cell], contestants: Sequence[Contestant], workers: int, rounds: int) -> Result:
    """Measure cell after cell."""
    before = os.getloadavg()[0]
    if before > _BUSY * (os.cpu_count() or 1):
        tell(f"fanwise bench: the machine is busy (load {before:.1f}): timings will mislead.")
    measured = []
    with seats(contestants, workers) as found:
        for number, cell in enumerate(cells, 1):
            tell(f"fanwise bench: {number} of {len(cells)}: {cell.name}")
            measured.append(measure(cell, found, rounds))
    return Result(contestants, measured, [figures(each) for each in measured], workers, (before, os.getloadavg()[0]))


def write(result: Result, files: Mapping[str, Path | None]) -> None:
    """Write what was asked for."""
    texts = {
        "as_json": lambda: json.dumps(described(result), indent=1) + "\n",
        "html": lambda: page(result.figures, result.contestants, host(result)),
        "svg": lambda: heat_map(result.figures),
    }
    for name, path in files.items():
        if path == Path("-"):
            print(texts[name](), end="")
        elif path is not None:
            replace_text(path, texts[name]())


def host(result: Result) -> str:
    """Where it was measured, in one line."""
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {sys.platform}-{platform.machine()}"
    return f"fanwise {fanwise.__version__}, {result.workers} workers, {where}, load {result.load[0]:.1f} to {result.load[1]:.1f}"


def described(result: Result) -> dict[str, Any]:
    """``fanwise.bench/1``: host, versions, and for each cell figures and raw samples."""
    return {
        "schema": SCHEMA,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": {
            "platform": f"{sys.platform}-{platform.machine()}",
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_before": result.load[0],
            "load_after": result.load[1],
        },
        "workers": result.workers,
        "contestants": [{"name": each.name, "version": each.version or "not installed"} for each in result.contestants],
        "cells": [
            {**asdict(found), "name": found.cell.name, "results": _results(result.contestants, raw)}
            for found, raw in zip(result.figures, result.measured, strict=True)
        ],
    }


def _results(contestants: Sequence[Contestant], raw: Measured) -> dict[str, Any]:
    """What became of each contestant: its samples, or why there are none."""
    return {
        each.name: "not installed" if each.version is None else raw.seconds.get(each.name) or raw.out[each.name]
        for each in contestants
    }
