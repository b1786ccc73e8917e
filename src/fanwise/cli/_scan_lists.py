"""Lists that ``fanwise scan`` prints instead of scanning: rules, files, systems, sections."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from fanwise.cli._errors import Exit

if TYPE_CHECKING:
    from fanwise.cli._options import RunOptions
    from fanwise.workloads.auditscan import RuleSet
    from fanwise.workloads.auditscan.io import Source

__all__ = ["as_table", "print_rules", "show"]

Record = dict[str, Any]


def print_rules(rules: RuleSet, as_json: bool, command: str) -> int:
    """Print each rule of a set that was read without a problem, and what is odd about it."""
    from fanwise.workloads.auditscan._explain import listed

    rows = [listed(rule, rules.compat) for rule in rules.rules]
    if as_json:
        return _print_json(command, {"rules": rows, "warnings": list(rules.warnings), "rules_digest": rules.digest})
    for warning in rules.warnings:
        click.echo(f"fanwise scan: {warning}", err=True)
    click.echo(as_table([_as_words(row) for row in rows], ("name", "source", "families", "sheet", "literals")))
    click.echo(f"{len(rows):,} rules, {len(rules.warnings):,} warnings")
    return Exit.DONE


def _as_words(row: Record) -> Record:
    families = ", ".join(row["families"]) or "none"
    literals = " | ".join(row["literals"]) if row["literals"] else "reads every line"
    return {**row, "families": families, "literals": literals}


def _print_json(command: str, own: Record) -> int:
    from fanwise.cli._summary import Summary, print_json

    print_json(Summary(command, Exit.DONE, own=own))
    return Exit.DONE


def as_table(rows: Sequence[Record], columns: Sequence[str]) -> str:
    """Rows under headings, each column as wide as it needs."""
    cells = [list(columns), *([str(row[c]) if row[c] is not None else "" for c in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def show(what: str, paths: Sequence[str], glob: str, encoding: str | None, options: RunOptions) -> int:
    """Print the files, the systems or the sections that a scan would see."""
    from fanwise.workloads.auditscan.io import find_sources

    sources = find_sources(paths, glob)
    make, columns = _LISTS[what]
    rows = [row for source in sources for row in make(source, encoding)]
    if options.json:
        return _print_json("scan", {what: rows})
    click.echo(as_table(rows, columns))
    return Exit.DONE


def _file(source: Source, _encoding: str | None) -> Iterator[Record]:
    note = f"{source.status}: {source.reason}" if source.status else ""
    yield {"file": source.shown, "bytes": source.size, "note": note}


def _system(source: Source, encoding: str | None) -> Iterator[Record]:
    from dataclasses import asdict

    from fanwise.workloads.auditscan import identify

    text, note = _text(source, encoding)
    system = identify(text) if text is not None else None
    about = {name: value for name, value in asdict(system).items() if name != "name"} if system else {}
    empty = dict.fromkeys(("os_family", "producer", "producer_version", "system_os"))
    yield {"file": source.shown, **empty, **about, "note": note if system else note or "not an audit report"}


def _section(source: Source, encoding: str | None) -> Iterator[Record]:
    text, note = _text(source, encoding)
    if text is None:
        yield {"file": source.shown, "section": note, "lines": 0}
        return
    counted = Counter(head for line in text.split("\n") for head, colons, _ in [line.partition("::")] if colons)
    for section, lines in counted.items():
        yield {"file": source.shown, "section": section, "lines": lines}


def _text(source: Source, encoding: str | None) -> tuple[str | None, str]:
    """Text of a file, or why there is none."""
    from fanwise.workloads.auditscan._decode import NotText, decode
    from fanwise.workloads.auditscan.io import read_bytes, why

    if source.status:
        return None, f"{source.status}: {source.reason}"
    try:
        return decode(read_bytes(source.path), encoding).text, ""
    except NotText as verdict:
        return None, verdict.reason
    except OSError as error:
        return None, f"failed: {why(error)}"


_LISTS = {
    "files": (_file, ("file", "bytes", "note")),
    "systems": (_system, ("file", "os_family", "producer", "producer_version", "system_os", "note")),
    "sections": (_section, ("file", "section", "lines")),
}


def as_json(value: object) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False)
