"""Interpreter, cores, load, memory: as this process may use them, read below a root that tests lay out."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from fanwise._format import size
from fanwise.cli._doctor.finding import Finding
from fanwise.engine._resources import UNLIMITED, HostResources

__all__ = ["look"]

_BUSY = 0.5  # load per core from which timings are not to be trusted
_STEAL = 0.05
_LOW = 0.1


def look(root: Path, resources: HostResources) -> Iterator[Finding]:
    """Everything about the machine."""
    yield python()
    yield cores(resources)
    yield load(os.getloadavg()[0] if hasattr(os, "getloadavg") else None, resources)
    yield steal(_text(root / "proc" / "stat"))
    yield memory(resources)


def python() -> Finding:
    """Version, lock and interpreters of this Python."""
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    pools = sys.version_info >= (3, 14)
    found = f"{platform.python_implementation()} {platform.python_version()}, {'no ' if free else ''}global lock"
    facts = {"version": platform.python_version(), "free_threaded": free, "interpreter_pool": pools}
    if free:
        return Finding("python", found, "note", 'Threads share the work here too: try backend="thread".', facts)
    return Finding("python", found, facts=facts)


def cores(resources: HostResources) -> Finding:
    """Cores of the machine and those that may be used."""
    found = resources.cores()
    facts = {"machine": found.machine, "usable": found.usable, "quota": found.quota, "limit": found.limit}
    said = f"{found.usable} of {found.machine}"
    if found.usable < found.machine:
        said += f" ({found.limit}{'' if found.quota is None else f' {found.quota:g}'})"
    if found.usable < 2:
        advice = "One core: everything runs in the calling process. Give the process or container a second one."
        return Finding("cores", said, "note", advice, facts)
    if found.limit == "quota" and found.quota is not None and found.quota < found.usable:
        advice = f"The quota of {found.quota:g} is no whole number: one worker will be throttled."
        return Finding("cores", said, "note", advice, facts)
    return Finding("cores", said, facts=facts)


def load(average: float | None, resources: HostResources) -> Finding:
    """Whether others use the cores."""
    machine, busy = resources.cores().machine, resources.busy()
    facts = {"load": average, "running": busy}
    if average is None:
        return Finding("load", "not known here", facts=facts)
    said = f"{average:.2f} over the last minute, {busy} other tasks running now"
    if average > _BUSY * machine:
        advice = "Others use the cores: runs gain less, and timings taken now mislead."
        return Finding("load", said, "note", advice, facts)
    return Finding("load", said, facts=facts)


def steal(text: str) -> Finding:
    """Time that the hypervisor gave to other machines, of the first line of ``/proc/stat``."""
    fields = text.partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return Finding("steal", "not known here", facts={"steal": None})
    ticks = [int(field) for field in fields[1:9]]
    share = ticks[7] / max(1, sum(ticks))
    facts = {"steal": share}
    said = f"{share:.1%} of the time since boot went to other virtual machines"
    if share > _STEAL:
        return Finding("steal", said, "note", "The host is overbooked: cores are worth less than they seem.", facts)
    return Finding("steal", said, facts=facts)


def memory(resources: HostResources) -> Finding:
    """Memory still to be had of the machine's or the control group's."""
    found = resources.memory()
    if found.limit >= UNLIMITED >> 1:
        return Finding("memory", "not known here", facts={"available": None, "limit": None})
    facts = {"available": found.available, "limit": found.limit}
    said = f"{size(found.available)} free of {size(found.limit)}"
    if found.available < _LOW * found.limit:
        advice = "Little is left: fewer workers will be started. Close something, or freeze() what all items read."
        return Finding("memory", said, "note", advice, facts)
    return Finding("memory", said, facts=facts)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
