"""What a report says of the machine, as this call was allowed to use it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fanwise.errors import UsageError

if TYPE_CHECKING:
    from fanwise.engine._resources import Resources

__all__ = ["host_facts", "load_now"]


def load_now() -> float | None:
    """Load of the last minute (1 µs), where the system keeps it."""
    with suppress(AttributeError, OSError):  # not known here: the report says null
        return os.getloadavg()[0]
    return None


def host_facts(load: float | None, workers: int | None, resources: Resources | None = None) -> Mapping[str, Any]:
    """Fields of a report's ``host`` (0.2 ms of reading, so only for a report that is read).

    Parameters
    ----------
    load : float or None
        Load of the machine when the call began.
    workers : int or None
        Processes that items were sent to; None if there were none.
    """
    from fanwise.backends.process._blas import share
    from fanwise.engine._resources import HostResources

    resources = resources or HostResources()
    facts: dict[str, Any] = {"load_at_start": load, "memory_limit_bytes": resources.memory().limit}
    with suppress(UsageError):  # FANWISE_WORKERS is no number; a run that asks for it has said so
        cores = resources.cores()
        usable = cores.usable if cores.quota is None else min(cores.usable, cores.quota)
        facts |= {"cores_machine": cores.machine, "cores_usable": float(usable), "quota_cores": cores.quota}
        facts["blas_threads"] = None if workers is None else share(cores.usable, workers) or _told()
    return facts


def _told() -> int | None:
    """Threads of linear algebra that the environment asks for."""
    text = os.environ.get("OMP_NUM_THREADS") or os.environ.get("OPENBLAS_NUM_THREADS") or ""
    return int(text) if text.isdecimal() else None
