"""Messages and exit codes: what happened, where, what was expected, what to do. No stack trace unless asked for."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

import click

from fanwise.cli._streams import abandon, tell

__all__ = ["Exit", "Guard", "MissingExtraError", "as_sentence", "ending", "nearest", "require"]

JSON = "fanwise.json"
"""Key in click's ``Context.meta`` that holds True once ``--json`` was read."""

_NO_COMMAND = re.compile(r"No such command (['\"])(.*)\1\.", re.DOTALL)  # click quotes the name as repr does


class Exit(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    DEFECT = 1
    USAGE = 2
    PARTIAL = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class MissingExtraError(Exception):
    """A command needs packages that are not installed; the message is the whole line."""


def require(command: str, packages: Sequence[str], extra: str) -> None:
    """Raise if one of these packages is not installed. Nothing is imported."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        *others, last = missing
        named = f"{', '.join(others)} and {last}" if others else last
        raise MissingExtraError(f"{command}: needs {named}: pip install 'fanwise[{extra}]'")


def nearest(word: str, known: Sequence[str]) -> str:
    """``Did you mean …?`` with a leading space, or nothing."""
    close = difflib.get_close_matches(word, known, 1)
    return f" Did you mean {close[0]}?" if close else ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended that did not return."""

    code: Exit
    message: str


def _of_click(error: click.ClickException) -> str:
    """Click's error in our words."""
    if isinstance(error, click.NoSuchOption):
        return f"no option {error.option_name}." + nearest(error.option_name, _options(error.ctx))
    return as_sentence(" ".join(error.format_message().split()))  # a list of choices comes in lines


def as_sentence(message: str) -> str:
    """A message as a sentence; a list of several stays as it is."""
    return message if message.endswith((".", "?", ")")) or "\n" in message else message + "."


def _options(context: click.Context | None) -> list[str]:
    return [name for p in context.command.get_params(context) for name in p.opts] if context else []


def _no_such_command(error: click.UsageError) -> str | None:
    """Message for a command that does not exist, with the nearest one that does."""
    group = error.ctx.command if error.ctx else None
    found = _NO_COMMAND.fullmatch(error.message)
    if found is None or not isinstance(group, click.Group) or error.ctx is None:
        return None
    return f"no command {found[2]}." + nearest(found[2], group.list_commands(error.ctx))


def _interrupted(error: BaseException, arguments: Sequence[str]) -> str:
    """Say what is kept and how to go on; a command may put its own words into the first argument."""
    run: Any = getattr(error, "run", None)
    kept = ""
    if error.args and isinstance(error.args[0], str) and error.args[0].endswith("."):
        kept = f" {error.args[0]}"
    elif run is not None:
        total = len(run.outcomes) + len(run.missing)
        kept = f" {len(run.outcomes):,} of {total:,} items are kept."
    return f"Interrupted:{kept} Continue with: fanwise {shlex.join(_resuming(arguments))}" if kept else "Interrupted."


def _resuming(arguments: Sequence[str]) -> list[str]:
    """What was typed, with ``--resume``; what follows ``--`` is no option."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = [word for word in arguments[:end] if word not in {"--force", "--resume"}]
    return [*options, "--resume", *arguments[end:]]


def ending(error: BaseException, command: str, arguments: Sequence[str]) -> Ending:
    """Decide what a command that raised ``error`` says and which code it ends with."""
    from fanwise.errors import BackendError, BundleError, CacheError, InputError, NotPicklableError, UsageError

    if isinstance(error, MissingExtraError):
        return Ending(Exit.USAGE, str(error))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Ending(Exit.USAGE, error.format_message())
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else command
        return Ending(Exit.USAGE, f"{where}: {_no_such_command(error) or _of_click(error)}")
    if isinstance(error, click.ClickException):
        return Ending(Exit.USAGE, f"{command}: {_of_click(error)}")
    if isinstance(error, KeyboardInterrupt):
        return Ending(Exit.INTERRUPTED, _interrupted(error, arguments))
    if isinstance(error, (UsageError, InputError, CacheError, BundleError, BackendError, NotPicklableError)):
        return Ending(Exit.USAGE, f"{command}: {as_sentence(str(error))}")
    if isinstance(error, MemoryError) or str(error) == "can't start new thread":
        return Ending(
            Exit.USAGE, f"{command}: out of memory; try fewer workers (-p 1), a smaller input, or more memory."
        )
    if isinstance(error, OSError) and (
        error.filename is not None or error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    ):
        name = "" if error.filename is None else f" {_name(error.filename)}"
        return Ending(Exit.USAGE, f"{command}: cannot write{name}: {reason(error)}.")
    return Ending(Exit.DEFECT, "This is a defect in fanwise, not in your input.")


def _name(filename: object) -> str:
    return os.fsdecode(filename) if isinstance(filename, (str, bytes, os.PathLike)) else str(filename)


def reason(error: OSError) -> str:
    """Why the operating system refused, in lower case: ``no such file``."""
    if error.errno == errno.ENOENT:
        return "no such file"
    return (error.strerror or str(error) or type(error).__name__).lower()


@dataclass(slots=True)
class Guard:
    """Turns what a command raises into a message on stderr and an exit code.

    Attributes
    ----------
    arguments : sequence of str
        What was typed, for the line that says how to go on after an interrupt.
    code : int
        The exit code: set by the caller if the command returned, else here.
    meta : mapping
        Click's ``Context.meta``; with `JSON` in it, an object for machines is printed for a bad ending too.
    """

    arguments: Sequence[str]
    code: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, click.exceptions.Exit):
            self.code = error.exit_code
        elif isinstance(error, SystemExit):
            return False
        elif isinstance(error, BrokenPipeError):
            abandon(sys.stdout)
            self.code = Exit.BROKEN_PIPE  # as a program killed by SIGPIPE
        else:
            self.code = self._say(error)
        return True

    def _say(self, error: BaseException) -> int:
        words = [word for word in self.arguments if not word.startswith("-")]
        end = ending(error, " ".join(["fanwise", *words[:1]]), self.arguments)
        message = end.message
        if end.code is Exit.DEFECT:
            message += f" Please report it with the file {_crash_file(error, self.arguments)}."
        if end.code is Exit.DEFECT or {"-vv", "-vvv"} & set(self.arguments):
            traceback.print_exception(error)
        tell(message)
        if isinstance(error, OSError) and error.filename is None:
            abandon(sys.stdout)  # it may have been what could not be written
        if self.meta.get(JSON) or _asked_for_json(error, self.arguments):
            from fanwise.cli._summary import Summary, print_json

            with contextlib.suppress(OSError, ValueError):  # the exit code says it too
                report = getattr(getattr(error, "run", None), "report", None)
                seconds = 0.0 if report is None else report.wall
                print_json(
                    Summary(" ".join(words[:1]), end.code, report=report, wall_s=seconds, problems=[("", message)])
                )
        return end.code


def _asked_for_json(error: BaseException, arguments: Sequence[str]) -> bool:
    """Whether a command whose options could not be read was to answer a machine."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    switches = [p for p in context.command.params if "--json" in p.opts] if context else []
    return "--json" in arguments and any(getattr(p, "is_flag", False) for p in switches)


def _crash_file(error: BaseException, arguments: Sequence[str]) -> str:
    """Write what a report of the defect needs into the current directory, or into the temporary one."""
    from fanwise import __version__

    text = f"fanwise {__version__}, Python {sys.version}, {sys.platform}\nfanwise {shlex.join(arguments)}\n\n"
    text += "".join(traceback.format_exception(error))
    where = "." if os.access(".", os.W_OK) else tempfile.gettempdir()
    handle, name = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=where)
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:  # names of files may be no text
        file.write(text)
    return os.path.relpath(name) if where == "." else name
