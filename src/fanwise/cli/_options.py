"""The options that every workload has, read once into one record."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fanwise._folders import cache_folder
from fanwise.cli._errors import JSON
from fanwise.cli._streams import tell
from fanwise.errors import CacheError, FanwiseWarning

if TYPE_CHECKING:
    from fanwise import Cache
    from fanwise.typing import Progress

__all__ = ["RunOptions", "cache_dir_option", "epilog", "workload_options"]

EXIT_CODES = "0 done · 2 usage or bad input · 3 finished, some items failed or were skipped · 130 interrupted"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the common options of a workload said.

    Attributes
    ----------
    parallel : int or None
        Number of workers; None: fanwise decides.
    cache_dir : Path
        Where the cache and the journals are: the option, else the environment, else the user's cache directory.
    """

    parallel: int | None
    backend: str
    cache_dir: Path
    no_cache: bool
    resume: bool
    progress: str
    report: Path | None
    trace: Path | None
    json: bool
    quiet: bool
    verbose: int
    force: bool

    def note(self, text: str) -> None:
        """Say something on stderr, unless ``-q`` was given."""
        if not self.quiet:
            tell(text)

    @contextmanager
    def warnings_as_notes(self, command: str) -> Iterator[None]:
        """Say warnings in a line of the command, without the place in the code they come from."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", FanwiseWarning)  # a note under any filter, and never an error
            warnings.showwarning = lambda message, *_: self.note(f"{command}: {message}.")
            yield

    def cache(self) -> Cache | None:
        """The cache of this command, closed with it; None with ``--no-cache``, or where the user's own cannot be."""
        if self.no_cache:
            return None
        from fanwise import Cache

        context = click.get_current_context()
        try:
            cache = Cache(self.cache_dir, memory=0)
        except CacheError as error:
            if context.get_parameter_source("cache_dir") is ParameterSource.COMMANDLINE:
                raise
            self.note(f"fanwise: no cache: {error}.")
            return None
        context.call_on_close(cache.close)
        return cache

    def bar(self, label: str, parts: int = 1) -> Progress:
        """The progress display of ``parts`` runs: ``-q`` beats ``--progress``, that beats the environment."""
        from fanwise import progress

        if self.quiet or self.progress == "none":
            return progress.none()
        display: Progress = getattr(progress, self.progress)(label, parts=parts, command=True)
        return display


def parallel(context: click.Context, _: click.Parameter, value: str) -> int | None:
    """Number of workers; None for ``auto``."""
    if value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.UsageError(f'-p expects a number ≥ 1 or "auto", not "{value}".', context.find_root())
    return int(value)


def remember(context: click.Context, _: click.Parameter, value: bool) -> bool:
    """Tell the end of the command that a machine listens, whatever is wrong with the options after this one."""
    context.meta[JSON] = value
    return value


def default_cache_dir() -> Path:
    """Where the cache is unless an option says so."""
    return Path(cache_folder())


def cache_dir_option(help: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The option ``--cache-dir``, whatever the command does there."""
    kind = click.Path(path_type=Path, readable=False)
    return click.option("--cache-dir", type=kind, default=default_cache_dir, show_default="the user's cache", help=help)


DISPLAYS = ["auto", "rich", "plain", "none"]
_FILE = click.Path(path_type=Path, dir_okay=False, readable=False)
_OPTIONS = (
    click.option(
        "-p", "--parallel", default="auto", callback=parallel, metavar="N|auto", help="Workers; 1: no workers."
    ),
    click.option("--backend", default="auto", metavar="NAME|URL", help="auto, serial, thread, process, ray or a URL."),
    cache_dir_option("Where cache and journals are kept."),
    click.option("--no-cache", is_flag=True, help="Neither read nor fill the cache."),
    click.option("--resume", is_flag=True, help="Go on where an interrupted run ended."),
    click.option("--progress", type=click.Choice(DISPLAYS), default="auto", help="What is shown on stderr."),
    click.option("--report", type=_FILE, metavar="FILE.html", help="Where the time went, as a page (and FILE.json)."),
    click.option("--trace", type=_FILE, metavar="FILE.json", help="A trace for Perfetto or chrome://tracing."),
    click.option("--json", is_flag=True, is_eager=True, callback=remember, help="A summary for machines on stdout."),
    click.option("-q", "--quiet", is_flag=True, help="Errors only."),
    click.option(
        "-v",
        "--verbose",
        count=True,
        show_default=False,
        help="More on stderr; lines of items in workers begin with [item N]; -vv: everything, with stack traces.",
    ),
    click.option("--force", is_flag=True, help="Overwrite outputs and start afresh."),
)


def workload_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the common options; it receives them as one `RunOptions`, its first argument."""

    @functools.wraps(command)
    def gathered(**values: Any) -> int:
        options = RunOptions(**{f.name: values.pop(f.name) for f in fields(RunOptions)})
        if options.verbose or "FANWISE_LOG" in os.environ:
            from fanwise.cli._logs import configure

            click.get_current_context().call_on_close(configure(options.verbose, os.environ, f"{os.getpid():x}"))
        if options.verbose:
            from fanwise._api._options import LABEL_ITEMS

            click.get_current_context().call_on_close(functools.partial(LABEL_ITEMS.reset, LABEL_ITEMS.set(True)))
        return command(options, **values)

    return functools.reduce(lambda function, option: option(function), reversed(_OPTIONS), gathered)


def epilog(*examples: str) -> str:
    """Examples and exit codes, for the end of a help page."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{lines}\n\n\b\nExit codes: {EXIT_CODES}"
