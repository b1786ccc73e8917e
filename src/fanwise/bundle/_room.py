"""How much memory there is, asked before anything is copied: a full control group kills, it does not refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["available"]

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def available(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Bytes that can still be allocated: the least of the machine and of each control group above this process.

    File pages that the kernel can drop count as free. None where the system does not say (no ``/proc``).
    """
    machine = _fields(proc / "meminfo")
    rooms = list(_group_rooms(proc / "self" / "cgroup", cgroups))
    if "MemAvailable:" in machine:
        rooms.append((machine["MemAvailable:"] + machine.get("SwapFree:", 0)) * 1024)
    return min(rooms, default=None)


def _group_rooms(membership: Path, cgroups: Path) -> Iterator[int]:
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, names = cgroups, ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            root, names = cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(root):
                yield from _room(group, *names)


def _room(group: Path, limit_name: str, usage_name: str, prefix: str) -> Iterator[int]:
    limit, usage = _text(group / limit_name).strip(), _text(group / usage_name).strip()
    if limit.isdecimal() and usage.isdecimal():
        stat = _fields(group / "memory.stat")
        files = stat.get(f"{prefix}active_file", 0) + stat.get(f"{prefix}inactive_file", 0)
        yield max(0, int(limit) - int(usage) + files)


def _fields(path: Path) -> dict[str, int]:
    """Lines ``name value [unit]``."""
    words = [line.split() for line in _text(path).splitlines()]
    return {w[0]: int(w[1]) for w in words if len(w) > 1 and w[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:  # not Linux, or a group that ends here
        return ""
