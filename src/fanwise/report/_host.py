"""What the operating system says about this host. Read when a report is filled in, never during a run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fanwise.report._record import Host

__all__ = ["peak_resident_bytes", "read_host"]


def read_host(known: Mapping[str, Any]) -> Host:
    """The host; ``known`` are fields that the caller knows better."""
    cores = os.cpu_count() or 1
    found: dict[str, Any] = {
        "name": platform.node(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "python": platform.python_version(),
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "cores_machine": cores,
        "cores_usable": float(_usable(cores)),
        "quota_cores": None,
        "memory_bytes": _memory(),
        "memory_limit_bytes": None,
        "load_at_start": None,
        "start_method": "none",
    }
    names = {field.name for field in fields(Host)}
    found |= {name: value for name, value in known.items() if name in names}
    if found["memory_limit_bytes"] is not None and 0 < found["memory_bytes"] <= found["memory_limit_bytes"]:
        found["memory_limit_bytes"] = None  # no more of a limit than the machine is
    return Host(**found)


def _usable(cores: int) -> int:
    """Cores this process may run on; not every system can say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def peak_resident_bytes() -> int | None:
    """High water of this process since it began; None where the system does not keep it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
