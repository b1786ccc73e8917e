"""``fanwise doctor``: what this machine offers, and what stands in the way."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fanwise.cli._doctor import calibration, machine, packages, places, system
from fanwise.cli._doctor.finding import Finding, worst
from fanwise.cli._errors import JSON, Exit
from fanwise.cli._options import cache_dir_option, epilog
from fanwise.cli._summary import Summary, print_json
from fanwise.engine._resources import HostResources, budget

__all__ = ["doctor"]

_COLUMNS = 100


@click.command(epilog=epilog("fanwise doctor", "fanwise doctor --calibrate --json"))
@click.option("--calibrate", is_flag=True, help="Measure how fast workers start and data moves (2 s), and keep it.")
@cache_dir_option("Where cache and journals are kept.")
@click.option("--json", "as_json", is_flag=True, help="For machines, on stdout.")
def doctor(calibrate: bool, cache_dir: Path, as_json: bool) -> int:
    """Look at Python, cores, memory, kernel, directories, packages and terminal; say what stands in fanwise's way.

    It ends with 3 if something is a problem. A note is worth knowing and does no harm.
    """
    click.get_current_context().meta[JSON] = as_json
    began = time.perf_counter()
    found = list(look(cache_dir, calibrate=calibrate))
    code = Exit.PARTIAL if worst(found) == "problem" else Exit.DONE
    if as_json:
        problems = [(each.check, f"{each.found}. {each.advice}") for each in found if each.verdict == "problem"]
        own: dict[str, Any] = {"checks": [asdict(each) for each in found], "verdict": worst(found)}
        print_json(Summary("doctor", code, wall_s=time.perf_counter() - began, problems=problems, own=own))
    else:
        click.echo(table(found))
    return code


def look(cache_dir: Path, *, calibrate: bool, root: Path = Path("/")) -> Iterator[Finding]:
    """All findings, in the order of the table."""
    resources = HostResources(root)
    yield from machine.look(root, resources)
    yield from system.look(budget(resources, wanted=None, nested=False).workers)
    yield from places.look(cache_dir, sys.stderr, os.environ)
    yield from packages.look()
    yield calibration.look(cache_dir, again=calibrate)


def table(found: Sequence[Finding]) -> str:
    """A line for each finding, and more where one does not fit."""
    wide = max(len(each.check) for each in found)
    lines = [f"{'check':<{wide}}  {'verdict':<7}  found, and what to do"]
    for each in found:
        said = textwrap.wrap(each.found, _COLUMNS - wide - 11) or [""]
        said += textwrap.wrap(each.advice, _COLUMNS - wide - 11, initial_indent="→ ", subsequent_indent="  ")
        lines.append(f"{each.check:<{wide}}  {each.verdict:<7}  {said[0]}")
        lines += [f"{'':<{wide}}  {'':<7}  {line}" for line in said[1:]]
    return "\n".join(lines)
