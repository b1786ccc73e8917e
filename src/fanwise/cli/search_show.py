"""What a search found: `show`, `export` and `forecast` read its directory and compute nothing but single rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanwise.cli._errors import JSON, Exit
from fanwise.cli._options import epilog
from fanwise.cli._outputs import check_writable, replace_text, terminable
from fanwise.cli._streams import tell
from fanwise.cli._summary import Summary, finite, print_json
from fanwise.cli.search import CONFIG, output_of
from fanwise.errors import InputError, UsageError
from fanwise.workloads.modelsearch._export import FORMATS

if TYPE_CHECKING:
    from fanwise.workloads.modelsearch import Config, Frame, Space, Verdict, VerdictTable

__all__ = ["export", "forecast", "show"]

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
_NUMBERS = ("rank", "id", "r2", "adj_r2", "bic", "max_p", "oos_rmse", "wf_rmse")
_SHOWN = (*_NUMBERS, "terms")
_FIT = ("r2", "dw", "bg_p")


class Finished:
    """A search that has run: its configuration, its data, and the directory it wrote."""

    def __init__(self, config: Path, folder: Path) -> None:
        import fanwise
        from fanwise.workloads.modelsearch import Space, load_config, prepare
        from fanwise.workloads.modelsearch._identity import identity_of
        from fanwise.workloads.modelsearch._outputs import Folder

        self.config: Config = load_config(config)
        self.frame: Frame = prepare(self.config)
        self.space: Space = Space(self.config, self.frame)
        self.folder = folder
        if not (folder / "run.json").exists():
            raise UsageError(f"{folder} holds no search; run one first: fanwise search run {config} -o {folder}")
        Folder(folder).check(identity_of(self.config, self.frame.data_hash, fanwise.__version__))

    def ranked(self, top: int) -> list[dict[str, str]]:
        """The first rows of ``ranked.csv``."""
        path = self.folder / "ranked.csv"
        if not path.exists():
            raise UsageError(f"{self.folder} is not finished: there is no ranked.csv; run the search with --resume")
        with _readable(path), path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := {*_SHOWN, *_FIT, "k"} - {*(reader.fieldnames or ())}:
                raise ValueError(f"no column {min(missing)}")
            rows = [row for row, _ in zip(reader, range(top), strict=False)]
            for row in rows:
                self._check_row(row)
        return rows

    def _check_row(self, row: dict[str, str]) -> None:
        if None in row.values():
            raise ValueError("a field is missing")
        for name in (*_NUMBERS, *_FIT):
            float(row[name] or "nan")
        self._check_id(int(row["id"]))

    def funnel(self) -> list[dict[str, Any]]:
        """How many entered and fell at each filter."""
        with self._record("summary.json") as told:
            return [{"filter": str(s["filter"]), "entered": +s["entered"], "fell": +s["fell"]} for s in told["funnel"]]

    def statement(self) -> str:
        """What may be said about the best of so many."""
        with self._record("summary.json") as told:
            return _statement(told["multiplicity"])

    def near_misses(self, count: int) -> list[int]:
        """Ids of those that came furthest and fell."""
        with self._record("run.json") as told:
            ids = [int(i) for i in told["near_misses"][:count]]
            for i in ids:
                self._check_id(i)
            return ids

    @contextmanager
    def _record(self, name: str) -> Iterator[Any]:
        path = self.folder / name
        with _readable(path):
            yield json.loads(path.read_text("utf-8"))

    def _check_id(self, i: int) -> None:
        if not 0 <= i < self.space.count():
            raise UsageError(f"there is no specification {i:,}: ids run from 0 to {self.space.count() - 1:,}")

    def find(self, text: str) -> int:
        """An id, or the id of terms."""
        if text.isdecimal():
            self._check_id(int(text))
            return int(text)
        return self.space.find(text)

    def verdicts(self, ids: Sequence[int]) -> VerdictTable:
        from fanwise.workloads.modelsearch import evaluate

        return evaluate(self.frame, self.space, self.config, ids, full=True)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """A file that a search wrote: whatever in it is not as it was written makes it bad input."""
    try:
        yield
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is not as a search writes it ({error}); run the search again with --force") from error


@click.command(
    context_settings={"show_default": True},
    epilog=epilog("fanwise search show macro.toml --top 5", 'fanwise search show macro.toml --why "unemp:LV;m1:GR(4)"'),
)
@CONFIG
@click.option("-o", "--output", type=_DIRECTORY, metavar="DIR", help="Directory of the search.")
@click.option("--top", type=click.IntRange(0), default=20, metavar="N", help="How many of the best.")
@click.option("--why", metavar="ID|TERMS", help="Explain one specification.")
@click.option(
    "--near-misses", type=click.IntRange(0), default=0, metavar="N", help="Those that came furthest and fell."
)
@click.option("--funnel", is_flag=True, help="How many fell at each filter.")
@click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")
def show(config: Path, output: Path | None, as_json: bool, **own: Any) -> int:
    """Show the best of a finished search, its funnel, its near misses, or why one specification passed or fell."""
    click.get_current_context().meta[JSON] = as_json
    with terminable():
        finished = Finished(config, output_of(config, output))
        told = _told(finished, own)
    if as_json:
        print_json(Summary("search show", Exit.DONE, own=told))
        return Exit.DONE
    for part, lines in (
        ("why", _why_lines),
        ("funnel", _funnel_lines),
        ("near_misses", _miss_lines),
        ("ranked", _ranked_lines),
    ):
        if part in told:
            for line in lines(told[part]):
                print(line)
    for ids in told.get("same_fit", ()):
        print("one and the same fit: " + ", ".join(map(str, ids)))
    if "statement" in told:
        print(told["statement"])
    return Exit.DONE


def _told(finished: Finished, own: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, as plain values."""
    if own["why"] is not None:
        from fanwise.workloads.modelsearch import why

        return {"why": _verdict(why(finished.frame, finished.space, finished.config, finished.find(own["why"])))}
    told: dict[str, Any] = {}
    if own["funnel"]:
        told["funnel"] = finished.funnel()
    if own["near_misses"]:
        told["near_misses"] = list(_misses(finished, own["near_misses"]))
    if not told:
        told["ranked"] = finished.ranked(own["top"])
        told["same_fit"] = _same_fit(told["ranked"])
        told["statement"] = finished.statement()
    return told


def _verdict(verdict: Verdict) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "id": verdict.id,
        "terms": verdict.terms,
        "passed": verdict.passed,
        "failed_at": verdict.failed_at,
        "checks": [asdict(check) for check in verdict.checks],
        "information": finite(verdict.information),
        "neighbours": [asdict(neighbour) for neighbour in verdict.neighbours],
    }


def _why_lines(told: dict[str, Any]) -> Iterator[str]:
    outcome = "passes" if told["passed"] else f"falls at {told['failed_at']}"
    yield f"{told['id']} {told['terms'] or '(forced only)'}: {outcome}"
    for check in told["checks"]:
        value = "" if check["statistic"] is None else f"{check['statistic']:.6g}"
        mark = "pass" if check["passed"] else "FAIL"
        yield f"  {check['name']:<14}{value:>12} {check['threshold']:<12} {mark}  {check['reason']}".rstrip()
    for name, value in told["information"].items():
        yield f"  {name:<18}{'' if value is None else format(value, '.6g'):>12}  (for information)"
    for neighbour in told["neighbours"]:
        yield f"  would pass: {neighbour['change']} {neighbour['item']} (id {neighbour['id']})"


def _funnel_lines(funnel: list[dict[str, Any]]) -> Iterator[str]:
    for step in funnel:
        yield f"{step['filter']:<14}{step['entered']:>14,} entered {step['fell']:>14,} fell"
    yield f"{'passed':<14}{funnel[-1]['entered'] - funnel[-1]['fell']:>14,}"


def _misses(finished: Finished, count: int) -> Iterator[dict[str, Any]]:
    from fanwise.workloads.modelsearch._export import as_object

    ids = finished.near_misses(count)
    table = finished.verdicts(ids)
    for at in range(len(ids)):
        yield as_object(finished.frame, table.take([at]))


def _miss_lines(misses: list[dict[str, Any]]) -> Iterator[str]:
    for miss in misses:
        shown = ", ".join(f"{n} {miss[n]:.4g}" for n in ("r2", "max_p", "max_vif", "group_p") if miss[n] is not None)
        yield f"{miss['id']} {';'.join(miss['terms'])} fell at {miss['failed_at']} ({shown})"


def _ranked_lines(rows: list[dict[str, str]]) -> Iterator[str]:
    yield "  ".join(f"{name:>10}" for name in _SHOWN[:-1]) + "  terms"
    for row in rows:
        cells = [f"{float(row[name]):.6g}" if row[name] else "" for name in _SHOWN[:-1]]
        yield "  ".join(f"{cell:>10}" for cell in cells) + f"  {row['terms']}"


def _same_fit(rows: list[dict[str, str]]) -> list[list[int]]:
    """Rows of one and the same fit, judged as in the search itself."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        key = (row["k"], *(f"{float(row[name] or 'nan'):.9g}" for name in _FIT))
        groups.setdefault(key, []).append(int(row["id"]))
    return [ids for ids in groups.values() if len(ids) > 1]


def _statement(told: dict[str, Any]) -> str:
    from fanwise.workloads.modelsearch import Multiplicity
    from fanwise.workloads.modelsearch._funnel import statement

    return statement(
        Multiplicity(told["method"], told["tried"], told["V"], told["p"], told["level"], told["expected_by_chance"])
    )


def _check_output(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise UsageError(f"{path} exists; use --force to overwrite it.")
    check_writable(path)


@click.command(
    context_settings={"show_default": True},
    epilog=epilog("fanwise search export macro.toml --id 1214 -o model.py --format python"),
)
@CONFIG
@click.option("--id", "wanted", required=True, metavar="I", help="Number (or terms) of the specification.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="csv", help="python: a script that fits it again."
)
@click.option("--from", "folder", type=_DIRECTORY, metavar="DIR", help="Directory of the search.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def export(config: Path, output: Path, wanted: str, form: str, folder: Path | None, force: bool) -> int:
    """Write one specification as a row, an object, a script for statsmodels, or the recipes of its items."""
    from fanwise.workloads.modelsearch._export import exported

    _check_output(output, force=force)
    with terminable():
        finished = Finished(config, output_of(config, folder))
        row = finished.verdicts([finished.find(wanted)])
        replace_text(output, exported(form, finished.frame, finished.config, row))
    return Exit.DONE


def _scenarios(context: click.Context, _: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    """Files by name; one file alone may go without."""
    found: dict[str, Path] = {}
    for value in values:
        name, named, path = value.rpartition("=")
        if not named and len(values) > 1:
            raise click.UsageError(
                f"--future {value}: of several files each needs a name, as in base={value}.", context
            )
        if name in found:
            raise click.UsageError(f"--future: two scenarios are called {name}.", context)
        found[name] = Path(path)
    return found


def _ids(context: click.Context, _: click.Parameter, value: str | None) -> list[str]:
    parts = [] if value is None else [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.UsageError(f"--ids expects numbers with commas between them, not {value}.", context)
    return parts


@click.command(
    context_settings={"show_default": True},
    epilog=epilog(
        "fanwise search forecast macro.toml --future next.csv -o forecast.csv",
        "fanwise search forecast macro.toml --future base=b.csv --future severe=s.csv --top 5 -o forecast.csv",
    ),
)
@CONFIG
@click.option("--future", "futures", multiple=True, required=True, callback=_scenarios, metavar="[NAME=]FILE")
@click.option("--top", type=click.IntRange(1), default=1, metavar="N", help="The best N predict.")
@click.option("--ids", callback=_ids, metavar="I,J", help="These specifications predict instead.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@click.option("--from", "folder", type=_DIRECTORY, metavar="DIR", help="Directory of the search.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def forecast(config: Path, output: Path, futures: dict[str, Path], **own: Any) -> int:
    """Predict the target for the rows of FILE, which has the columns of the data file at later times."""
    from fanwise.workloads.modelsearch import forecast as predict
    from fanwise.workloads.modelsearch._export import forecast_csv
    from fanwise.workloads.modelsearch.io import read_table

    _check_output(output, force=own["force"])
    with terminable():
        finished = Finished(config, output_of(config, own["folder"]))
        ids = [finished.find(i) for i in own["ids"]] or [int(row["id"]) for row in finished.ranked(own["top"])]
        if not ids:
            raise UsageError(f"{finished.folder}: nothing passed, so nothing predicts; name specifications with --ids")
        found = predict(finished.config, finished.verdicts(ids), futures, top=len(ids))
        history = read_table(finished.config)
        times = [
            read_table(finished.config, path, after=history).time[len(history.time) :] for path in futures.values()
        ]
        text = forecast_csv([list(time) for time in times], found, named=list(futures) != [""])
        replace_text(output, text)
    empty = sum(any(map(isnan, column)) for by_id in found.values() for column in by_id.values())
    if empty:
        columns = "1 column" if empty == 1 else f"{empty} columns"
        tell(f"fanwise search: empty cells in {columns} of {output}: an input is missing there.")
        return Exit.PARTIAL
    return Exit.DONE
