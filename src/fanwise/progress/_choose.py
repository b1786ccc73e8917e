"""Which progress ``auto`` means here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fanwise.errors import UsageValueError

__all__ = ["NAMES", "Surroundings", "choose"]

NAMES = ("auto", "rich", "plain", "none", "json")
_FALSE = {"", "0", "false", "no"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a run takes place: inside an item of another, in a notebook, on a terminal that is ours, as a command."""

    nested: bool = False
    notebook: bool = False
    terminal: bool = False
    foreground: bool = True
    command: bool = False


def choose(environ: Mapping[str, str], here: Surroundings) -> str:
    """``rich``, ``plain``, ``json``, ``notebook``, ``log`` or ``none``: the first rule that fits decides."""
    if here.nested:
        return "none"
    told = environ.get("FANWISE_PROGRESS", "")
    if told not in {"", "auto"}:
        if told not in NAMES:
            raise UsageValueError(f"FANWISE_PROGRESS is {told!r}; expected one of {', '.join(NAMES)}")
        return told
    if environ.get("FANWISE_LOG") == "json":  # lines of JSON and a moving bar exclude each other
        return "none"
    if here.notebook:
        return "notebook"
    watched = here.terminal and here.foreground
    if watched and environ.get("TERM") != "dumb" and environ.get("CI", "").lower() in _FALSE:
        return "rich"
    return "plain" if here.command else "log"
