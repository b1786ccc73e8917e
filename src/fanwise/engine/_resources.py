"""What this process may use: processor cores, load and memory, from /proc and control groups (v1 and v2).

Every file is read below one root, so that tests lay out a machine in a folder. Where nothing can be read (macOS) the
answers are those of the standard library, and memory is taken as unlimited.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from fanwise.errors import UsageValueError
from fanwise.records._record import record

__all__ = ["Budget", "Cores", "HostResources", "Memory", "Resources", "budget"]

T = TypeVar("T")

UNLIMITED = 1 << 62
_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""For each version of control groups the files of limit and use, and what of the use can be had back, in memory.stat."""


@record
class Cores:
    """How many cores this process may use, and of how many; ``limit`` says by what: affinity, quota or environment."""

    usable: int
    machine: int
    limit: str
    quota: float | None = None


@record
class Memory:
    """Bytes still to be had, and the limit that they are counted against."""

    available: int
    limit: int


@record
class Budget:
    """How many workers a run may have, and why: ``cores``, ``affinity``, ``quota``, ``load``, ``nested`` or ``user``."""

    workers: int
    cores: int
    why: str


class Resources(Protocol):
    """What the plan needs to know of the machine."""

    def cores(self) -> Cores:
        """Cores that this process may use."""

    def busy(self) -> int:
        """Tasks of others that run right now."""

    def memory(self) -> Memory:
        """Memory still to be had."""

    def rss(self) -> int:
        """Resident bytes of this process."""


class HostResources:
    """The resources of this machine, or of the one laid out below ``root``.

    Parameters
    ----------
    root : path
        Where ``proc`` and ``sys`` are.
    environ : Mapping
        The environment.
    remember_s : float
        How long what was read is believed, in seconds. All of it takes 0.1 ms, and a multiple where caches are cold.
    """

    def __init__(
        self, root: str | os.PathLike[str] = "/", environ: Mapping[str, str] = os.environ, *, remember_s: float = 0.0
    ) -> None:
        self._root = os.path.join(root, "")
        self._environ = environ
        self._remember_s = remember_s
        self._seen: dict[str, tuple[float, Any]] = {}
        self._groups: dict[str, tuple[tuple[int, str], ...]] = {}

    def __repr__(self) -> str:
        return f"<HostResources {self._root}>"

    def cores(self) -> Cores:
        """The smallest of affinity, control-group quota and ``FANWISE_WORKERS``, at least 1."""
        machine = self._recent("machine", lambda: os.cpu_count() or 1)
        found = Cores(_affinity(machine), machine, "affinity")
        quota = self._recent("quota", lambda: min(self._quotas(), default=None))
        if quota is not None and math.ceil(quota) < found.usable:
            found = Cores(max(1, math.ceil(quota)), machine, "quota", quota)
        told = self._told()
        if told is not None and told < found.usable:
            found = Cores(told, machine, "environment", quota)
        return found

    def _told(self) -> int | None:
        text = self._environ.get("FANWISE_WORKERS")
        if not text:
            return None
        if not text.isdecimal() or int(text) < 1:
            raise UsageValueError(f"FANWISE_WORKERS must be an integer of at least 1, got {text!r}; unset or mend it")
        return int(text)

    def busy(self) -> int:
        """Running tasks besides this one: the fourth field of loadavg, the smaller of two readings."""
        return self._recent("busy", lambda: max(0, min(self._running(), self._running()) - 1))

    def _running(self) -> int:
        text = self._read("proc/loadavg")
        return int(text.split()[3].split("/")[0]) if text else 1

    def memory(self) -> Memory:
        """The smallest of the machine's free memory and what each control group on the path leaves."""
        return self._recent("memory", self._memory)

    def _recent(self, name: str, look: Callable[[], T]) -> T:
        """What was seen a moment ago, else what is seen now."""
        now = monotonic()
        at, value = self._seen.get(name, (-inf, None))
        if now - at >= self._remember_s:
            value = look()
            self._seen[name] = now, value
        return cast(T, value)

    def _memory(self) -> Memory:
        facts = _pairs(self._read("proc/meminfo"))
        total = facts.get("MemTotal:", UNLIMITED >> 10) << 10
        found = Memory(facts.get("MemAvailable:", total >> 10) << 10, total)
        for limited in self._memory_groups():
            if limited.available < found.available:
                found = limited
        return found

    def rss(self) -> int:
        """Resident bytes of this process, 0 where that cannot be read."""
        return self._recent("rss", self._resident)

    def _resident(self) -> int:
        text = self._read("proc/self/statm")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") if text else 0

    def _quotas(self) -> Iterator[float]:
        for version, folder in self._folders("cpu"):
            if version == 1:
                told = [self._read(f"{folder}/cpu.cfs_quota_us"), self._read(f"{folder}/cpu.cfs_period_us")]
            else:
                told = self._read(f"{folder}/cpu.max").split()[:2]
            match list(map(_number, told)):
                case [int(quota), int(period)] if quota > 0 and period:
                    yield quota / period

    def _memory_groups(self) -> Iterator[Memory]:
        for version, folder in self._folders("memory"):
            limit_name, used_name, cached_name = _MEMORY_FILES[version]
            limit = _number(self._read(f"{folder}/{limit_name}"))
            used = _number(self._read(f"{folder}/{used_name}")) if limit is not None and limit < UNLIMITED else None
            if limit is not None and used is not None:
                cached = _pairs(self._read(f"{folder}/memory.stat")).get(cached_name, 0)
                yield Memory(max(0, limit - used + cached), limit)

    def _folders(self, controller: str) -> tuple[tuple[int, str], ...]:
        """Version and folder of the control groups of this process, from its own up to the root; it stays in its own."""
        if controller not in self._groups:
            self._groups[controller] = tuple(self._look_up(controller))
        return self._groups[controller]

    def _look_up(self, controller: str) -> Iterator[tuple[int, str]]:
        for line in self._read("proc/self/cgroup").splitlines():
            number, controllers, inside = line.split(":", 2)
            version, folder = 2 if number == "0" else 1, "sys/fs/cgroup"
            if version == 1:
                if controller not in controllers.split(","):
                    continue
                is_joint = os.path.isdir(f"{self._root}{folder}/{controllers}")
                folder = f"{folder}/{controllers if is_joint else controller}"
            parts = [part for part in inside.split("/") if part]
            for depth in range(len(parts), -1, -1):
                group = "/".join((folder, *parts[:depth]))
                if os.path.isdir(self._root + group):  # those above the root of a container cannot be seen
                    yield version, group

    def _read(self, path: str) -> str:
        """The text of a small file; empty if it cannot be read."""
        found = b""
        with suppress(OSError):
            file = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                while block := os.read(file, 1 << 16):
                    found += block
            finally:
                os.close(file)
        return found.decode("ascii", "replace")


def _affinity(machine: int) -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine


def _number(text: str) -> int | None:
    """A whole number; None for anything else, such as ``max``."""
    return int(text) if text.strip().lstrip("-").isdecimal() else None


def _pairs(text: str) -> dict[str, int]:
    """The first two words of each line, where the second is a number."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def budget(resources: Resources, *, wanted: int | None, nested: bool) -> Budget:
    """How many workers a run may have.

    A number wished for is kept. Else every core that others leave free, never below two of those that may be used;
    in a worker of another pool one.
    """
    cores = resources.cores()
    if wanted is not None:
        return Budget(wanted, cores.usable, "user")
    if nested:
        return Budget(1, cores.usable, "nested")
    free = cores.machine - resources.busy()
    workers = max(min(2, cores.usable), min(cores.usable, free))
    limited = cores.limit if cores.usable < cores.machine and cores.limit != "environment" else "cores"
    why = "load" if workers < cores.usable else limited
    return Budget(workers, cores.usable, why)


def is_nested() -> bool:
    """Whether this process is a worker of `multiprocessing` or of a pool built on it."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None
