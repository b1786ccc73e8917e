"""The root command: a table of commands, each imported when it is called and not before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

from fanwise import __version__
from fanwise.cli._errors import Guard, require
from fanwise.cli._streams import fit_streams

__all__ = ["COMMANDS", "Entry", "run"]


class Entry(NamedTuple):
    """Where a command lives, what it does in one line, and the packages it cannot do without."""

    home: str
    summary: str
    needs: tuple[str, ...] = ()
    extra: str = "cli"


_SEARCH = ("numpy", "scipy")
_ENVELOPE = ("numpy", "pandas", "pyarrow")
COMMANDS: dict[str, Entry] = {
    "ci": Entry("ci:ci", "Exact confidence intervals for many 2×2 tables.", ("numpy",), "ci"),
    "ci coverage": Entry("ci_coverage:coverage", "Exact coverage of interval methods over a grid.", ("numpy",), "ci"),
    "search": Entry("search:search", "Every allowed regression, tested, ranked, explained.", _SEARCH, "search"),
    "search plan": Entry("search:plan", "Count the specifications and measure how long they take.", _SEARCH, "search"),
    "search run": Entry("search:run", "Assess every specification and rank those that pass.", _SEARCH, "search"),
    "search show": Entry("search_show:show", "Show what a search found, and why one fell.", _SEARCH, "search"),
    "search export": Entry("search_show:export", "One specification as CSV, JSON or script.", _SEARCH, "search"),
    "search forecast": Entry("search_show:forecast", "Predictions for rows to come.", _SEARCH, "search"),
    "scan": Entry("scan:scan", "Search audit files with a rule set.", ("yaml",), "scan"),
    "scan rules check": Entry("scan_rules:check", "Check a rule set.", ("yaml",), "scan"),
    "scan rules list": Entry("scan_rules:list_rules", "List the rules of a set.", ("yaml",), "scan"),
    "scan rules explain": Entry("scan_rules:explain", "Show what a rule does, and why.", ("yaml",), "scan"),
    "scan diff": Entry("scan_diff:diff", "Show what changed between two scans.", (), "scan"),
    "envelope": Entry("envelope:envelope", "Production loss of every crop, tier and scenario.", _ENVELOPE, "envelope"),
    "envelope run": Entry("envelope:run", "Compute the envelopes of a grid.", _ENVELOPE, "envelope"),
    "envelope show": Entry("envelope_show:show", "Show results, or what a grid holds.", _ENVELOPE, "envelope"),
    "envelope diff": Entry("envelope_show:diff", "Show what changed between two runs.", _ENVELOPE, "envelope"),
    "envelope generate": Entry("envelope_show:generate", "Make up a grid for trials.", _ENVELOPE, "envelope"),
    "demo": Entry("demo:demo", "The main jobs on real input, as a loop and with fanwise.", ("numpy",), "ci"),
    "report": Entry("report:report", "A run's report again: as text, page or trace, or beside another."),
    "doctor": Entry("doctor:doctor", "What this machine offers to fanwise, and what stands in its way."),
    "bench": Entry("bench:bench", "fanwise, the loop and other libraries on this machine."),
    "cache info": Entry("cache:info", "How full the cache is, and of what."),
    "cache list": Entry("cache:list_entries", "Entries by age, size or name."),
    "cache verify": Entry("cache:verify", "Check every record and blob."),
    "cache prune": Entry("cache:prune", "Remove expired, old and surplus entries."),
    "cache clear": Entry("cache:clear", "Remove all entries, or those of some functions."),
    "help": Entry("help:topic", "Pages on environment, exit-codes, files and backends."),
    "completion": Entry("completion:completion", "Print the completion script of a shell."),
}
"""Every command by its name as typed; two words for a command under another one."""

GROUPS = {
    "cache": "What is kept between runs: info, list, verify, prune, clear.",
    "scan rules": "Check, list and explain rules.",
}
"""Names that are no commands and only begin some."""

WORKLOADS = ("ci", "search", "scan", "envelope")
_WORDS = max(len(name.split()) for name in COMMANDS)


def load(name: str) -> click.Command:
    """Import a command, or say which package it misses."""
    entry = COMMANDS[name]
    require(f"fanwise {name.split(maxsplit=1)[0]}", entry.needs, entry.extra)
    module, attribute = entry.home.split(":")
    command: click.Command = getattr(import_module(f"fanwise.cli.{module}"), attribute)
    return command


class Commands(click.Group):
    """The commands of `COMMANDS` whose names begin with ``prefix``, loaded when called."""

    def __init__(self, prefix: tuple[str, ...] = (), **options: object) -> None:
        super().__init__(name=prefix[-1] if prefix else "fanwise", **options)  # type: ignore[arg-type] # click's own
        self.prefix = prefix

    def _full(self, *words: str) -> str:
        return " ".join((*self.prefix, *words))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names one word longer than the prefix, workloads first."""
        start = len(self.prefix)
        words = [name.split() for name in COMMANDS]
        names = dict.fromkeys(w[start] for w in words if len(w) > start and tuple(w[:start]) == self.prefix)
        return sorted(names, key=lambda n: (WORKLOADS.index(n) if n in WORKLOADS else len(WORKLOADS), n))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command, or make the group for a name that only begins other names."""
        if self._full(cmd_name) in COMMANDS:
            return load(self._full(cmd_name))
        return Commands((*self.prefix, cmd_name)) if cmd_name in self.list_commands(ctx) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take the longest name that the arguments begin with."""
        for count in range(min(_WORDS, len(args)), 1, -1):
            if self._full(*args[:count]) in COMMANDS:
                return " ".join(args[:count]), load(self._full(*args[:count])), args[count:]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with the summaries of the table; nothing is imported."""
        names = self.list_commands(ctx)
        rows = [
            (n, COMMANDS[self._full(n)].summary if self._full(n) in COMMANDS else GROUPS.get(self._full(n), "…"))
            for n in names
        ]
        for title, chosen in (("Workloads", True), ("Commands", False)):
            if part := [row for row in rows if (row[0] in WORKLOADS) is chosen]:
                with formatter.section(title):
                    formatter.write_dl(part)


def root() -> Commands:
    """Make the command ``fanwise``."""
    group = Commands(
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help="Run one function over many inputs: never slower than the loop, nothing lost, work done once.",
        epilog="Pages: fanwise help environment | exit-codes | files | backends",
        no_args_is_help=True,
    )
    return click.version_option(__version__, prog_name="fanwise", message="%(prog)s %(version)s")(group)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; every ending, good or bad, becomes an exit code and at most one message."""
    command = root()
    if "_FANWISE_COMPLETE" in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(command, {}, "fanwise", "_FANWISE_COMPLETE", os.environ["_FANWISE_COMPLETE"])
    guard = Guard(arguments)
    with fit_streams(), guard, command.make_context("fanwise", list(arguments)) as context:
        guard.meta = context.meta
        guard.code = int(command.invoke(context) or 0)
    return guard.code
