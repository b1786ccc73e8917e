"""``fanwise cache info | list | verify | prune | clear``: what is kept, whether it is whole, and how it is made less.

No command reads a stored value.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from fanwise import Cache
from fanwise.cache import CacheStats, Counters, EntryInfo
from fanwise.cache._hashing import FOLDER, NAME
from fanwise.cache._home import SCHEMA, is_present
from fanwise.cache._settings import DISK
from fanwise.cache._sizes import parse_age, parse_size, show_bytes, show_limit
from fanwise.cli._errors import Exit
from fanwise.cli._options import cache_dir_option, epilog
from fanwise.errors import UsageError

__all__ = ["clear", "info", "list_entries", "prune", "verify"]

_SORTS: dict[str, Callable[[EntryInfo], Any]] = {
    "age": lambda entry: -entry.created,
    "size": lambda entry: -entry.bytes,
    "name": lambda entry: (entry.name, entry.key),
}


class Call(NamedTuple):
    """What every one of these commands was told."""

    path: Path
    json: bool
    quiet: bool
    verbose: bool

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.quiet and not self.json:
            print(text)

    def tell(self, record: dict[str, Any], text: str) -> None:
        """An object for machines or a line for people, as asked."""
        if self.json:
            print(json.dumps(record))
        else:
            self.say(text)

    def is_missing(self) -> bool:
        """Whether there is nothing to look at; nothing is made by looking."""
        return not is_present(str(self.path))

    def open(self) -> Cache:
        return Cache(self.path, memory=0)


def cache_command(name: str, *examples: str) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function, with the options that all have, given to it as one `Call`."""

    def decorate(function: Callable[..., int]) -> click.Command:
        @click.command(name=f"cache {name}", epilog=epilog(*(f"fanwise cache {name} {e}".rstrip() for e in examples)))
        @cache_dir_option("Directory of the cache.")
        @click.option("--json", is_flag=True, help="For machines, on stdout.")
        @click.option("-q", "--quiet", is_flag=True, help="Errors only.")
        @click.option("-v", "--verbose", count=True, help="Say more.")
        @functools.wraps(function)
        def run(cache_dir: Path, json: bool, quiet: bool, verbose: int, **own: Any) -> int:
            return function(Call(cache_dir, json, quiet, verbose > 0), **own)

        return run

    return decorate


@cache_command("info", "", "--cache-dir .fw --json")
def info(call: Call) -> int:
    """Say how full a cache is, and of what."""
    if call.is_missing():
        call.tell(_described(_nothing(call.path), []), f"no cache at {call.path}")
        return Exit.DONE
    with call.open() as cache:
        stats, entries = cache.stats(), list(cache.list())
    if call.json:
        print(json.dumps(_described(stats, entries)))
        return Exit.DONE
    call.say(f"{call.path}  {stats.backend}, schema {stats.schema}")
    limit = show_limit(parse_size(DISK, "disk"))
    call.say(f"{stats.entries:,} entries, {show_bytes(stats.bytes)} of {limit}")
    if call.verbose:
        call.say(f"folder {FOLDER}, sums by {NAME}")
    if entries:
        created = [entry.created for entry in entries]
        call.say(f"oldest {_instant(min(created))}, newest {_instant(max(created))}")
    for name, count, size in _functions(entries):
        call.say(f"  {name}  {count:,} entries, {show_bytes(size)}")
    return Exit.DONE


def _nothing(path: Path) -> CacheStats:
    return CacheStats.of(Counters(), entries=0, bytes=0, bytes_memory=0, path=str(path), backend="none", schema=SCHEMA)


def _described(stats: CacheStats, entries: list[EntryInfo]) -> dict[str, Any]:
    created = [entry.created for entry in entries]
    return {
        **json.loads(stats.to_json()),
        "limit": parse_size(DISK, "disk"),
        "oldest": _instant(min(created)) if created else None,
        "newest": _instant(max(created)) if created else None,
        "functions": [{"name": name, "entries": count, "bytes": size} for name, count, size in _functions(entries)],
    }


def _functions(entries: Iterable[EntryInfo]) -> list[tuple[str, int, int]]:
    """Name, number of entries and bytes, largest first."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        sizes[entry.name].append(entry.bytes)
    rows = [(name, len(each), sum(each)) for name, each in sizes.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache_command("list", "--sort size --limit 20", "--name app:load --json")
@click.option("--name", "prefix", default="", metavar="PREFIX", help="Only of functions whose names begin so.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many.")
@click.option(
    "--sort", type=click.Choice(sorted(_SORTS)), default="age", show_default=True, help="Newest, largest, or by name."
)
def list_entries(call: Call, prefix: str, limit: int | None, sort: str) -> int:
    """List entries: a table, or with --json one object a line."""
    if call.is_missing():
        call.say(f"no cache at {call.path}")
        return Exit.DONE
    with call.open() as cache:
        entries = sorted(cache.list(prefix), key=_SORTS[sort])[:limit]
    for entry in entries:
        if call.json:
            expires = None if entry.expires == float("inf") else entry.expires
            print(json.dumps({**asdict(entry), "expires": expires}))
        else:
            until = "" if entry.expires == float("inf") else f"  until {_instant(entry.expires)}"
            row = f"{entry.key}  {_instant(entry.created)}  {show_bytes(entry.bytes):>9}  {entry.where:<4}  {entry.codec:<6}"
            call.say(f"{row}  {entry.name}{until}")
    return Exit.DONE


@cache_command("verify", "", "--repair")
@click.option("--repair", is_flag=True, help="Remove what is damaged.")
def verify(call: Call, repair: bool) -> int:
    """Read and check every record and blob; exit code 3 if any is damaged."""
    if call.is_missing():
        call.tell({"entries": 0, "damage": [], "repaired": False}, f"no cache at {call.path}")
        return Exit.DONE
    with call.open() as cache:
        report = cache.verify(repair=repair)
    for each in () if call.json else report.damage:
        call.say(f"{each.file} at {each.offset}: {each.why}" + (f" (key {each.key})" if each.key else ""))
    found = f"{len(report.damage):,} damaged" + (" and removed" if report.repaired else "")
    call.tell(asdict(report), f"{report.entries:,} entries are whole" + (f", {found}" if report.damage else ""))
    return Exit.DONE if report.ok else Exit.PARTIAL


@cache_command("prune", "--older-than 30d --max-size 1GB", "--dry-run")
@click.option("--max-size", metavar="SIZE", help="What may stay, such as 500MB: the oldest go first.")
@click.option("--older-than", metavar="AGE", help="What is older goes: 90s, 15m, 12h, 30d, 8w.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(call: Call, max_size: str | None, older_than: str | None, dry_run: bool) -> int:
    """Remove expired entries and orphans, and on request old and surplus entries."""
    limit = None if max_size is None else parse_size(max_size, "--max-size")
    age = None if older_than is None else parse_age(older_than, "--older-than")
    if call.is_missing():
        call.tell(
            {"removed": 0, "removed_bytes": 0, "kept": 0, "kept_bytes": 0, "orphans": 0}, f"no cache at {call.path}"
        )
        return Exit.DONE
    with call.open() as cache:
        report = cache.prune(max_bytes=limit, older_than=age, dry_run=dry_run)
    orphans = f" and {report.orphans:,} orphans" if report.orphans else ""
    call.tell(
        asdict(report),
        f"{'would remove' if dry_run else 'removed'} {report.removed:,} entries, {show_bytes(report.removed_bytes)}{orphans}; "
        f"kept {report.kept:,} entries, {show_bytes(report.kept_bytes)}",
    )
    return Exit.DONE


@cache_command("clear", "--name app:load --yes")
@click.option("--name", "prefix", default="", metavar="PREFIX", help="Only of functions whose names begin so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(call: Call, prefix: str, yes: bool) -> int:
    """Remove all entries, or those of some functions."""
    if call.is_missing():
        call.tell({"removed": 0}, f"no cache at {call.path}")
        return Exit.DONE
    with call.open() as cache:
        count = sum(1 for _ in cache.list(prefix))
        if not yes and not _confirmed(count):
            raise UsageError(f"refusing to clear {count} entries without --yes")
        removed = cache.clear(prefix)
    call.tell({"removed": removed}, f"removed {removed:,} entries")
    return Exit.DONE


def _confirmed(count: int) -> bool:
    """Ask on a terminal; nobody answers elsewhere."""
    return sys.stdin is not None and sys.stdin.isatty() and click.confirm(f"Remove {count:,} entries?", err=True)
