"""What is refused before anything is computed: an empty space, a Gram that does not fit, a search without an end."""

from __future__ import annotations

import os
from pathlib import Path

from fanwise.errors import InputError
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._space import Space

__all__ = ["MOST_SPECIFICATIONS", "available_memory", "check_count", "check_memory", "duration", "gram_bytes"]

MOST_SPECIFICATIONS = 10**10
GRAM_SHARE = 0.25


def check_count(config: Config, frame: Frame, space: Space) -> None:
    """Refuse a space without a specification; say what makes it empty."""
    if space.count():
        return
    place = f"{config.path.name}: no specification"
    left: dict[str, int] = dict.fromkeys((group.name for group in config.search.groups), 0)
    for group in config.search.groups:
        variables = [item.variable for item in group.items if item in set(frame.items)]
        cap = config.search.per_variable or len(variables)
        left[group.name] = sum(min(cap, variables.count(name)) for name in dict.fromkeys(variables))
    for group in config.search.groups:
        if group.pick[0] > left[group.name]:
            raise InputError(f'{place}: group "{group.name}" needs {group.pick[0]} of {left[group.name]} items')
    least = sum(group.pick[0] for group in config.search.groups)
    most = sum(min(group.pick[1], left[group.name]) for group in config.search.groups)
    raise InputError(
        f"{place}: the picks allow {least} to {most} items, "
        f"[search] asks for {config.search.min_terms} to {config.search.max_terms}"
    )


def gram_bytes(frame: Frame) -> int:
    """Memory of a pool's Gram matrix."""
    return 8 * len(frame.items) ** 2


def check_memory(config: Config, frame: Frame) -> None:
    """Refuse a Gram of more than a quarter of the memory that is free."""
    if frame.pool is None:
        return
    needed, free = gram_bytes(frame), available_memory()
    if needed > GRAM_SHARE * free:
        raise InputError(
            f"{config.path.name}: the Gram matrix of {len(frame.items):,} items needs {needed / 1e9:.1f} GB, "
            f'{free / 1e9:.1f} GB are free; set [run] prefetch = "lazy", which needs none'
        )


def available_memory() -> int:
    """Bytes that can be had without swapping."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s"
