"""Whom a call hires: which backend, how many workers, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from fanwise._api._planning import budget_of
from fanwise.engine._sentences import Decision, decide
from fanwise.errors import UsageError
from fanwise.records._record import record

if TYPE_CHECKING:
    from fanwise._api._options import Options
    from fanwise.typing import Backend

__all__ = [
    "Places",
    "asked",
    "begins_here",
    "crew_size",
    "may_fan_out",
    "places_for",
    "prepare_bundles",
    "unplanned",
    "uses_threads",
]


@record
class Places:
    """A backend, and whether it was made for this call and ends with it."""

    backend: Backend
    owned: bool


def begins_here(options: Options) -> bool:
    """Whether items run in the calling process first: not if a process or another place was asked for by name."""
    if options.in_workers_only or not isinstance(options.backend, str) or options.backend == "thread":
        return False
    return options.executor is None or options.executor.backend in {"auto", "serial"}


def may_fan_out(options: Options, total: int | None) -> bool:
    """Whether a call that begins here may go on elsewhere."""
    if options.executor is not None and options.executor.backend == "serial":
        return False
    return options.backend == "auto" and options.workers != 1 and (total is None or total > 1)


def prepare_bundles() -> None:
    """Let bundles travel as descriptors, those too that were not made by the public names."""
    if "fanwise.bundle" in sys.modules:
        import fanwise._api._bundles  # noqa: F401  # registers itself


def places_for(options: Options) -> Places:
    """The backend of a call that needs workers."""
    prepare_bundles()
    if options.executor is not None:
        return Places(options.executor.places(), owned=False)
    if options.is_remote:
        from fanwise.backends._clusters import cluster

        return Places(cluster(options.backend, workers=options.workers), owned=True)
    if not isinstance(options.backend, str):
        return Places(options.backend, owned=False)
    if options.backend == "thread":
        from fanwise.backends.thread import ThreadBackend

        return Places(ThreadBackend(), owned=True)
    if options.backend == "serial":
        raise UsageError("the serial backend has no workers")
    from fanwise.backends.process import ProcessBackend

    return Places(ProcessBackend(), owned=True)


def crew_size(options: Options, backend: Backend) -> int:
    """Workers of a call that begins with them: what a cluster has, else what this machine allows."""
    from fanwise.engine._resources import HostResources

    slots: Callable[[], int] | None = getattr(backend, "slots", None)
    return slots() if slots is not None else budget_of(options, HostResources())[0]


def uses_threads(options: Options) -> bool:
    """Whether workers are threads of this process."""
    return options.backend == "thread" or (options.executor is not None and options.executor.backend == "thread")


def unplanned(options: Options, total: int | None) -> Decision:
    """The decision of a call that ran here and had nothing to plan."""
    if options.workers == 1:
        return decide("serial.asked", {})
    if options.backend == "serial" or options.executor is not None:
        return Decision("serial.asked", "Ran in this process because the serial backend was asked for.", {})
    return decide("serial.few-items", n=total or 0)


def asked(options: Options, total: int | None, workers: int) -> Decision:
    """The decision of a call that was told where to run."""
    if uses_threads(options):
        return decide("threads.asked", {"workers": workers})
    why = (
        "timeout was given"
        if options.timeout is not None
        else 'backend="process" was asked for'
        if options.backend == "process"
        else "the executor or backend was named"
    )
    count = "the" if total is None else total
    return decide("process.asked", {"n": total, "workers": workers}, n=count, workers=workers, why=why)
