"""``fanwise envelope show|diff|generate``: look at results and grids, compare results, make a grid up."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise.cli._errors import Exit
from fanwise.cli._options import epilog
from fanwise.cli._outputs import check_new, terminable
from fanwise.cli._summary import print_json
from fanwise.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from fanwise.workloads.envelope import Grid

__all__ = ["diff", "generate", "show"]

_PATH = click.Path(path_type=Path)


@click.command(
    epilog=epilog("fanwise envelope show envelope-out --sort width --top 10", "fanwise envelope show grid.csv")
)
@click.argument("paths", nargs=-1, required=True, type=_PATH, metavar="DIR|INPUT...")
@click.option("--crop", "crops", multiple=True, metavar="NAME", help="Only this crop (repeatable).")
@click.option("--country", "countries", multiple=True, metavar="NAME", help="Only this country (repeatable).")
@click.option("--sort", type=click.Choice(["width", "production"]), help="Largest first.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the first N rows.")
@click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")
def show(paths: tuple[Path, ...], **own: Any) -> int:
    """Print the summary of the results in DIR, or what the grid in INPUT holds; nothing is computed."""
    with terminable():
        told = _results(paths[0], own) if len(paths) == 1 and paths[0].is_dir() else _holdings(paths, own)
    if own["as_json"]:
        print_json(told)
        return Exit.DONE
    for heading, rows in told.items():
        for line in _lines(heading, rows):
            print(line)
    return Exit.DONE


def _lines(heading: str, rows: Any) -> Iterator[str]:
    """A table of records, or one line."""
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        yield f"{heading}: {', '.join(map(str, rows)) if isinstance(rows, list) else _shown(rows)}"
        return
    cells = [list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    yield f"{heading}:"
    for row in cells:
        yield "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"  # noqa: PLR0124 - NaN
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _results(folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """Tables of a directory of results."""
    from fanwise.workloads.envelope._compare import open_results, read_back

    opened = open_results(folder)
    summary = _chosen(opened.summary.drop(columns="digest"), own, f"production_{opened.unit}")
    told: dict[str, Any] = {"summary": _records(summary)}
    for name in ("crossings", "risk"):
        if (folder / f"{name}.csv").exists():
            told[name] = _records(_chosen(read_back(folder / f"{name}.csv"), own | {"sort": None, "top": None}, ""))
    return told


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _chosen(frame: pd.DataFrame, own: dict[str, Any], production: str) -> pd.DataFrame:
    """The rows that are wanted, in the order that is wanted."""
    from fanwise.workloads.envelope._crops import facts

    if own["crops"]:
        names = {alias: code for code, fact in facts().items() for alias in (*fact.names, code.casefold())}
        wanted = {name.casefold() for name in own["crops"]} | {
            names.get(name.casefold(), name).casefold() for name in own["crops"]
        }
        frame = frame[frame["crop"].str.casefold().isin(wanted)]
    if own["countries"] and "segment" in frame:
        frame = frame[frame["segment"].isin(own["countries"])]
    if own["sort"]:
        frame = frame.sort_values("width" if own["sort"] == "width" else production, ascending=False, kind="stable")
    return frame.head(own["top"]) if own["top"] else frame


def _holdings(paths: Sequence[Path], own: dict[str, Any]) -> dict[str, Any]:
    """What a grid holds: per crop area, production, mean yield, cells, and dropped by kind."""
    from fanwise.workloads.envelope import read_grid
    from fanwise.workloads.envelope._crops import find_crops

    if own["sort"] == "width":
        raise UsageError("--sort width needs a directory of results; a grid has no widths.")
    grid = read_grid(*paths)
    names = [grid.find("country", name) for name in own["countries"]]
    wanted = [crop.name for crop in find_crops(own["crops"], grid.crops, {})] if own["crops"] else list(grid.crops)
    rows = [_holding(grid, code, names) for code in wanted if code in grid.columns]
    if own["sort"]:
        rows.sort(key=lambda row: -row["production_mt"])
    told = {"cells": grid.n_cells, "unpaired": grid.notes.unpaired, "crops": rows[: own["top"]]}
    return told | {"countries": names or list(grid.countries), "regions": list(grid.regions)}


def _holding(grid: Grid, code: str, names: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    from fanwise.workloads.envelope._cells import tally, valid_cells

    ha, mt = grid.columns[code]
    if names:
        mine = np.array([*(name in names for name in grid.countries), False])[grid.country.codes]
        ha, mt = ha[mine], mt[mine]
    _, area, production = valid_cells([(ha, mt)], [1.0])
    dropped = tally((ha, mt))
    total = float(np.sum(area))
    return {
        "crop": code,
        "area_km2": total * 0.01,
        "production_mt": float(np.sum(production)),
        "yield_t_per_ha": float(np.sum(production)) / total if total else float("nan"),
        "cells": len(area),
        "missing": dropped.missing,
        "zero": dropped.zero,
        "bad": dropped.bad,
    }


@click.command(epilog=epilog("fanwise envelope diff out-old out-new"))
@click.argument("old", type=_PATH, metavar="DIR_OLD")
@click.argument("new", type=_PATH, metavar="DIR_NEW")
@click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Show which curves were added, removed or changed between two directories of results."""
    from fanwise.workloads.envelope import compare
    from fanwise.workloads.envelope._compare import CHANGES

    with terminable():
        table = compare(old, new)
    counts = {name: int((table["change"] == name).sum()) for name in CHANGES}
    rows = _records(table[table["change"] != "unchanged"])
    if as_json:
        print_json({"workload": "envelope", "changes": counts, "curves": rows})
        return Exit.DONE
    for line in _lines("changes", rows) if rows else ():
        print(line)
    print(" · ".join(f"{count:,} {name}" for name, count in counts.items()))
    return Exit.DONE


@click.command(
    epilog=epilog("fanwise envelope generate --cells 800000 --crops 12 --countries 200 --seed 1 --out grid.parquet")
)
@click.option("--cells", type=click.IntRange(1), required=True, help="Cells of the grid.")
@click.option("--crops", type=click.IntRange(1), required=True, help="Crops.")
@click.option("--countries", type=click.IntRange(1), required=True, help="Countries.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same grid for the same seed.")
@click.option("--out", type=_PATH, required=True, metavar="FILE", help=".csv or .parquet.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def generate(cells: int, crops: int, countries: int, seed: int, out: Path, force: bool) -> int:
    """Make up a grid whose areas and yields are spread as in real ones, for trials and measurements."""
    from fanwise.workloads.envelope import generate_grid
    from fanwise.workloads.envelope._generate import write_grid

    check_new(out, (".csv", ".parquet"), force=force)
    with terminable():
        write_grid(generate_grid(cells=cells, crops=crops, countries=countries, seed=seed), os.fspath(out))
    print(f"{out}: {cells:,} cells, {crops} crops, {countries} countries")
    return Exit.DONE
