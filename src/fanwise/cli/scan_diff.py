"""``fanwise scan diff``: what changed between two scans."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fanwise.cli._errors import JSON, Exit
from fanwise.cli._options import epilog
from fanwise.cli._summary import Summary, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanwise.workloads.auditscan._diff import Change

__all__ = ["diff"]


@click.command(
    "scan diff", epilog=epilog("fanwise scan diff results-march results-june", "fanwise scan diff old new --fail")
)
@click.argument("before")
@click.argument("after")
@click.option("--fail", is_flag=True, help="Exit code 3 if there is a difference.")
@click.option("--json", "as_json", is_flag=True, help="An object for machines on stdout.")
def diff(before: str, after: str, fail: bool, as_json: bool) -> int:
    """List results that only one of two scans has.

    BEFORE and AFTER are folders with a results.jsonl, or such files. A result is the same if rule, file, text and
    fields are: it may have moved to another line.
    """
    click.get_current_context().meta[JSON] = as_json
    from fanwise.workloads.auditscan._diff import changes
    from fanwise.workloads.auditscan.io import read_jsonl

    found = changes(read_jsonl(before), read_jsonl(after))
    code = Exit.PARTIAL if fail and found else Exit.DONE
    if as_json:
        print_json(Summary("scan diff", code, own={"changes": [asdict(change) for change in found]}))
    else:
        click.echo(_as_text(found))
    return code


def _as_text(found: Sequence[Change]) -> str:
    lines = []
    for change in found:
        times = f" ({change.count} times)" if change.count > 1 else ""
        lines.append(f"{change.sign} {change.rule}  {change.file}{times}: " + change.text.replace("\n", "\n    "))
    signs = Counter(change.sign for change in found)
    return "\n".join([*lines, f"{signs['+']:,} new, {signs['-']:,} gone"])
