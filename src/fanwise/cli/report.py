"""``fanwise report``: a report that was written by ``--report`` or ``to_json()``, shown again, or beside another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fanwise.cli._errors import Exit, reason
from fanwise.cli._options import epilog
from fanwise.cli._outputs import check_apart, check_writable, replace_text
from fanwise.cli._summary import SCHEMA as SUMMARY
from fanwise.errors import InputError

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["report"]

_FILE = click.Path(path_type=Path, dir_okay=False, readable=False)


@click.command(
    epilog=epilog("fanwise report run.json", "fanwise report run.json --compare before.json --html run.html")
)
@click.argument("file", type=_FILE, metavar="RUN.json")
@click.option("--html", type=_FILE, metavar="FILE.html", help="Write it as a page.")
@click.option("--trace", type=_FILE, metavar="FILE.json", help="Write a trace for Perfetto or chrome://tracing.")
@click.option("--text", is_flag=True, help="Print it, also when a file is written.")
@click.option("--compare", type=_FILE, metavar="OTHER.json", help="Print this run and another one side by side.")
def report(file: Path, html: Path | None, trace: Path | None, text: bool, compare: Path | None) -> int:
    """Print the report of a run, or write it as a page or a trace.

    RUN.json is what --report writes beside its page, and what RunReport.to_json() returns.
    """
    from fanwise.report import as_text
    from fanwise.report import compare as side_by_side

    check_apart([file, *([compare] if compare else [])], [html, trace])
    found, other = _read(file), None if compare is None else _read(compare)
    check_writable(html, trace)
    for path, render in ((html, found.to_html), (trace, found.to_trace)):
        if path is not None:
            replace_text(path, render())
    if text or not (html or trace or other):
        click.echo(as_text(found), nl=False)
    if other is not None:
        click.echo(side_by_side(found, other), nl=False)
    return Exit.DONE


def _read(path: Path) -> RunReport:
    from fanwise import RunReport

    try:
        return RunReport.from_json(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a fanwise report: it is not text.") from error
    except InputError as error:
        said = str(error)
        hint = " It is a command's summary; its report is what --report FILE.html writes beside the page." * (
            SUMMARY in said
        )
        raise InputError(f"{path}: {said}.{hint}") from error
