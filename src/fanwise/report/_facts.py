"""What a report says and no event does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["RunFacts"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a report says and no event does. Everything has a default, so a run pays only for what it knows.

    Attributes
    ----------
    function : str
        ``module.qualname`` of what was called.
    id : str
        32 hex digits that name the run; "" makes a random one.
    started_at : float
        Seconds since 1970, UTC, when the run began (``clock.time()``).
    pid : int or None
        Process id of the calling process; None is this one.
    backend : str
        ``serial``, ``thread``, ``process``, ``dask``, ``ray`` or ``fallback``; "" is read from the decisions.
    workers : int or None
        Workers the plan asked for, which counts if one was started; None counts those that were alive together.
    chunk_size : int or None
        Items per chunk; None is what the plan decided last.
    options : Mapping
        Options of the call as the user gave them. Values that JSON does not know are written as their type's name.
    resumed_from : str or None
        The journal of the run; the report names it if an item came out of it.
    host : callable
        Asked when the report is filled in, for fields of its ``host`` that the caller knows better than the operating
        system: ``cores_usable``, ``quota_cores``, ``memory_limit_bytes``, ``load_at_start``, ``start_method``,
        ``blas_threads``.
    cache : sequence of Mapping
        One a level, with the fields of the report's ``cache``.
    bundles : sequence of Mapping
        One a bundle, with the fields of the report's ``bundles``.
    """

    function: str = ""
    id: str = ""
    started_at: float = 0.0
    backend: str = ""
    workers: int | None = None
    chunk_size: int | None = None
    resumed_from: str | None = None
    pid: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    host: Callable[[], Mapping[str, Any]] = dict
    cache: Sequence[Mapping[str, Any]] = ()
    bundles: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    serial_measured_s: float | None = None
