"""`EnvelopeEngine`: the tiers of one crop, with a switch for each of cache and parallel work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fanwise.errors import BackendError, UsageError
from fanwise.workloads.envelope._curves import Curve
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._labels import WORLD
from fanwise.workloads.envelope._question import make_question
from fanwise.workloads.envelope._store import PREFIX, Store
from fanwise.workloads.envelope._sweep import Sweep
from fanwise.workloads.envelope.io import frames_to_grid, warn
from fanwise.workloads.envelope.study import cache_or_none, sweep

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CachedEntry", "EnvelopeEngine", "TierCurves"]

COUNTS = ("hits", "misses", "expired", "corrupt")


@dataclass(frozen=True, slots=True)
class CachedEntry:
    """What an entry of the cache says of itself; ``created`` in seconds since 1970."""

    crop: str
    scenario: str
    segments: int
    tiers: tuple[str, ...]
    data_digest: str
    created: float
    bytes: int


class TierCurves(Mapping[str, Curve]):
    """The curves of one crop and segment, by tier."""

    def __init__(self, result: Sweep, crop: str, segment: str) -> None:
        self._result, self._crop, self._segment = result, crop, segment

    def __getitem__(self, tier: str) -> Curve:
        if tier not in self._result.tiers:
            raise KeyError(tier)
        return self._result.curve(self._crop, self._segment, tier)

    def __iter__(self) -> Iterator[str]:
        return iter(self._result.tiers)

    def __len__(self) -> int:
        return len(self._result.tiers)

    def width_reduction_pct(self, tier: str) -> float:
        """By how much a tier is narrower than comprehensive, in percent; NaN if that cannot be told."""
        table = self.summary()
        return float(table.loc[table["tier"] == tier, "width_reduction_pct"].iloc[0])

    def summary(self) -> pd.DataFrame:
        """One row a tier, with the columns of `Sweep.summary`."""
        table = self._result.summary()
        return table[(table["crop"] == self._crop) & (table["segment"] == self._segment)].reset_index(drop=True)


@dataclass(slots=True)
class _Done:
    """What an engine has done so far."""

    calculations: int = 0
    seconds: float = 0.0
    workers: int = 0
    backend: str = ""
    fallback: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    def add(self, result: Sweep, seconds: float) -> None:
        """Count one calculation."""
        self.calculations += 1
        self.seconds += seconds
        self.workers = max(1, result.report.workers if result.report is not None else 0)
        self.backend = result.report.backend if result.report is not None else ""
        for name in COUNTS:
            self.counts[name] += result.cache["envelopes"][name]


class EnvelopeEngine:
    """Envelopes of the tiers of one crop, calculation after calculation.

    Parameters
    ----------
    crop : str
        Code, name, group or own group.
    tiers, method, points, filter, unit
        As for `sweep`.
    enable_caching : bool
        False: nothing is read or written.
    enable_parallel : bool
        False: everything in the calling process. True: where it pays.
    workers, backend
        As in `fanwise.run`.
    cache_dir : path, optional
        Default: the user's cache.
    max_age : float, optional
        Seconds after which an entry is computed again.

    Examples
    --------
    >>> grid = Grid.from_arrays(cell=[1, 2], country=["A", "B"], crops={"WHEA": ([100.0, 300.0], [200.0, 900.0])})
    >>> with EnvelopeEngine("wheat", unit="mt", points="at:2", enable_caching=False) as engine:
    ...     tiers = engine.calculate(grid)
    >>> list(tiers), tiers["comprehensive"].upper.tolist()
    (['comprehensive', 'commercial'], [600.0, 1100.0])
    """

    def __init__(
        self,
        crop: str = "wheat",
        *,
        tiers: Sequence[Any] | str = ("comprehensive", "commercial"),
        method: str = "interp",
        points: Any = None,
        filter: str = "standard",
        unit: str = "kcal",
        enable_caching: bool = True,
        enable_parallel: bool = True,
        workers: int | None = None,
        backend: Any = "auto",
        cache_dir: Any = None,
        max_age: float | None = None,
    ) -> None:
        make_question(tiers, method, points, filter, unit)
        self._crop = crop
        self._asked = {"tiers": tiers, "method": method, "points": points, "filter": filter, "unit": unit}
        self._caching, self._parallel = enable_caching, enable_parallel
        self._places = {"workers": workers, "backend": backend} if enable_parallel else {"workers": 1}
        self._cache_dir, self._max_age = cache_dir, max_age
        self._cache: Any = None
        self._done = _Done()

    def calculate(
        self, production: Any, harvest: Any = None, *, country: str | None = None, force_recalculate: bool = False
    ) -> TierCurves:
        """The curves of every tier, of the world or of one country.

        Parameters
        ----------
        production, harvest : DataFrame
            In the layout of SPAM; or a `Grid` as the only argument.
        country : str, optional
        force_recalculate : bool
            Do not read the cache, but replace what it holds.

        Returns
        -------
        TierCurves
            A mapping from tier to `Curve`.

        Raises
        ------
        InputError, UsageError
            If the data or the country is wrong.
        """
        began = time.perf_counter()
        grid = self._grid(production, harvest)
        options = {
            "crops": [self._crop],
            "countries": None if country is None else [country],
            "cache": self._opened(),
            "max_age": self._max_age,
            "recalculate": force_recalculate,
            "progress": "none",
        }
        result = self._swept(grid, options)
        if result.failed:
            raise RuntimeError(f"crop {result.failed[0].crop}: {result.failed[0].reason}")
        self._done.add(result, time.perf_counter() - began)
        return TierCurves(result, result.crops[0], WORLD if country is None else result.segments[1])

    def _grid(self, production: Any, harvest: Any) -> Grid:
        if isinstance(production, Grid):
            if harvest is not None:
                raise UsageError("a Grid holds both production and harvest; give it alone")
            return production
        if harvest is None:
            raise UsageError("give production and harvest, or a Grid")
        grid = frames_to_grid(production, harvest)
        warn(grid)
        return grid

    def _swept(self, grid: Grid, options: dict[str, Any]) -> Sweep:
        """In workers, or in the calling process if they cannot be started."""
        try:
            result = sweep(grid, **self._asked, **options, **self._places)
        except BackendError as error:
            self._done.fallback = str(error)
            return sweep(grid, **self._asked, **options, workers=1)
        self._done.fallback = None
        return result

    def _opened(self) -> Any:
        if self._caching and self._cache is None:
            self._cache = cache_or_none(self._cache_dir)
        return self._cache

    def get_performance_statistics(self) -> dict[str, Any]:
        """What was done: switches, workers, fallback, calculations, seconds, and the cache's counts."""
        done = self._done
        return {
            "caching_enabled": self._caching,
            "parallel_enabled": self._parallel,
            "parallel_workers": done.workers or self._places["workers"] or 1,
            "backend": done.backend or ("serial" if not self._parallel else str(self._places["backend"])),
            "fallback": done.fallback,
            "calculations": done.calculations,
            "seconds": done.seconds,
            "cache_statistics": self._cache_statistics(),
        }

    def _cache_statistics(self) -> dict[str, Any] | None:
        cache = self._opened()
        if cache is None:
            return None
        entries = list(cache.list(PREFIX))
        counts = self._done.counts
        looked = counts["hits"] + counts["misses"]
        return {
            "cache_entries": len(entries),
            "cache_hits": counts["hits"],
            "cache_misses": counts["misses"],
            "hit_rate": counts["hits"] / looked if looked else 0.0,
            "total_size_mb": sum(entry.bytes for entry in entries) / 1e6,
            "expired": counts["expired"],
            "corrupt": counts["corrupt"],
            "cache_directory": cache.path,
        }

    def clear_cache(self, older_than: float | None = None) -> int:
        """Remove this workload's entries, or those older than so many seconds; returns how many."""
        cache = self._opened()
        if cache is None:
            return 0
        return int(cache.clear(PREFIX)) if older_than is None else Store(cache).clear_older(older_than)

    def cached(self) -> tuple[CachedEntry, ...]:
        """What the entries of the cache say of themselves."""
        cache = self._opened()
        found = [] if cache is None else Store(cache).headers()
        return tuple(CachedEntry(**{**header, "tiers": tuple(header["tiers"])}, bytes=size) for header, size in found)

    def close(self) -> None:
        """Give back descriptors and memory; the next calculation opens the cache again."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
