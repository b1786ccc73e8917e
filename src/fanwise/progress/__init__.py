"""Ways to show how far a run is: pass one as ``progress=``, or its name.

Each is an object with ``start(total, label)``, ``on(event)`` and ``finish(report)`` (`fanwise.typing.Progress`); one
that also has ``tick(at)`` is told that time has passed. Your own object with these methods can feed a metrics system.

Everything is written to stderr: stdout belongs to results.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from fanwise.errors import UsageValueError
from fanwise.progress._auto import Shown
from fanwise.progress._choose import NAMES
from fanwise.progress._guard import Guard, Tee
from fanwise.progress._none import Nothing
from fanwise.typing import Clock, Progress

if TYPE_CHECKING:
    from fanwise.progress._logs import JsonLogFormatter

logging.getLogger("fanwise").addHandler(logging.NullHandler())  # records go nowhere unless the caller says where

__all__ = ["Guard", "JsonLogFormatter", "auto", "by_name", "json", "none", "plain", "rich", "tee"]


def auto(
    label: str | None = None,
    *,
    parts: int = 1,
    command: bool = False,
    stream: TextIO | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> Progress:
    """What suits the place: a bar on a terminal, a line in a notebook, log records elsewhere.

    Parameters
    ----------
    label : str, optional
        The description before the bar; by default the name of the function.
    parts : int
        Number of runs that are shown, one after the other, as parts of one: ``study 2/4 · sweep``.
    command : bool
        The manners of the command line: plain lines instead of log records where there is no terminal, and a closing
        line also for a run shorter than a second.
    stream : text stream, optional
        Where to write; by default ``sys.stderr`` when the run starts.
    clock : Clock, optional
        Used only to limit how often the line is redrawn after prints.
    environ : Mapping, optional
        By default ``os.environ``: ``FANWISE_PROGRESS``, ``FANWISE_LOG``, ``NO_COLOR``, ``FORCE_COLOR``, ``TERM``,
        ``CI``, ``COLUMNS``.

    Returns
    -------
    Progress

    Examples
    --------
    >>> import fanwise
    >>> fanwise.map(abs, [-1, 2], progress=fanwise.progress.auto("Scanning"))
    [1, 2]
    """
    return Shown("auto", label, parts, command=command, stream=stream, clock=clock, environ=environ)


def rich(
    label: str | None = None,
    *,
    parts: int = 1,
    command: bool = False,
    stream: TextIO | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
) -> Progress:
    """A bar that moves in place; plain lines if the stream is not a terminal. Parameters as of `auto`."""
    return Shown("rich", label, parts, command=command, stream=stream, clock=clock, environ=environ)


def plain(
    label: str | None = None,
    *,
    parts: int = 1,
    command: bool = False,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> Progress:
    """A whole sentence every ten seconds, for screen readers and logs. Parameters as of `auto`."""
    return Shown("plain", label, parts, command=command, stream=stream, clock=None, environ=environ)


def json(
    label: str | None = None,
    *,
    parts: int = 1,
    command: bool = False,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> Progress:
    """One JSON object a line, each second and at the end, for programs that watch. Parameters as of `auto`."""
    return Shown("json", label, parts, command=command, stream=stream, clock=None, environ=environ)


def none(label: str | None = None) -> Progress:
    """Nothing. ``label`` is accepted, so that all of these can be called alike."""
    del label
    return Nothing()


def tee(*progresses: Progress, label: str | None = None) -> Progress:
    """Several at once; one that raises is dropped and the others go on.

    Parameters
    ----------
    *progresses : Progress
        Told everything, in this order.
    label : str, optional
        Passed on instead of the name of the function.

    Examples
    --------
    >>> from fanwise import progress
    >>> from fanwise.testing import RecordingProgress
    >>> both = progress.tee(progress.auto(), RecordingProgress())
    """
    return Tee(progresses, label)


def by_name(name: str, label: str | None = None, *, command: bool = False) -> Progress:
    """The progress of that name, as ``progress="plain"`` and ``--progress plain`` mean it.

    Raises
    ------
    UsageError
        If there is none of that name; the message lists them and offers the nearest.
    """
    if name not in NAMES:
        from difflib import get_close_matches

        near = get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageValueError(f"no progress is called {name!r}; there are {', '.join(NAMES)}.{hint}")
    if name == "none":
        return none()
    return Shown(name, label, 1, command=command, stream=None, clock=None, environ=None)


def __getattr__(name: str) -> Any:
    if name != "JsonLogFormatter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fanwise.progress._logs import JsonLogFormatter

    return JsonLogFormatter
