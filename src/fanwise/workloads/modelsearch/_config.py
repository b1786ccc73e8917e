"""What a configuration says, as frozen values, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fanwise.workloads.modelsearch._items import Item, Season

__all__ = [
    "Autocorrelation",
    "Config",
    "Data",
    "Filters",
    "Group",
    "Heteroscedasticity",
    "Multiplicity",
    "Pretest",
    "Rank",
    "Run",
    "Search",
    "StationaryTest",
    "WalkForward",
]

Instant = str | int


@dataclass(frozen=True, slots=True)
class Data:
    """Where the numbers are and which rows fit and judge. ``train`` and ``test`` are inclusive."""

    file: Path
    time: str
    target: Item
    train: tuple[Instant, Instant]
    test: tuple[Instant, Instant] | None = None
    missing: str = "common"
    alias: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Items of which a specification takes between ``pick[0]`` and ``pick[1]``."""

    name: str
    items: tuple[Item, ...]
    pick: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Search:
    """The space: what is in every specification, and what may be."""

    groups: tuple[Group, ...]
    forced: tuple[Item, ...] = ()
    seasons: tuple[Season, ...] = ()
    min_terms: int = 1
    max_terms: int = 3
    per_variable: int = 1


@dataclass(frozen=True, slots=True)
class Autocorrelation:
    """When residuals count as autocorrelated: Durbin–Watson outside ``dw``, Breusch–Godfrey p ≤ ``bg_p``."""

    dw: tuple[float, float] = (1.5, 2.5)
    bg_lags: int = 1
    bg_p: float = 0.10
    fail: str = "both"


@dataclass(frozen=True, slots=True)
class Heteroscedasticity:
    """When residuals count as heteroscedastic: Breusch–Pagan p ≤ ``bp_p``, White p ≤ ``white_p``."""

    bp_p: float = 0.05
    white_p: float = 0.05
    fail: str = "both"


@dataclass(frozen=True, slots=True)
class Filters:
    """Thresholds; None is a filter that is switched off."""

    r2_min: float | None = 0.30
    adj_r2_min: float | None = None
    vif_max: float | None = 10.0
    p_max: float | None = 0.10
    p_exempt: tuple[Item, ...] = ()
    season: str = "group"
    group_p_max: float | None = 0.10
    cov: str = "auto"
    autocorrelation: Autocorrelation | None = Autocorrelation()
    heteroscedasticity: Heteroscedasticity | None = Heteroscedasticity()
    stationary: str | None = "adf-or-pp"
    stationary_p: float = 0.05
    cointegration: float | None = None
    oos_ratio_max: float | None = None
    sign_stability_min: float | None = None
    sign: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StationaryTest:
    """Which unit-root test a series must pass, and at what p."""

    test: str = "adf-or-pp"
    p: float = 0.05


@dataclass(frozen=True, slots=True)
class Pretest:
    """Tests of the series themselves, before anything is counted."""

    items_stationary: StationaryTest | None = None
    target_stationary: StationaryTest | None = None


@dataclass(frozen=True, slots=True)
class WalkForward:
    """First origin and distance of origins, in rows."""

    min_train: int = 60
    step: int = 4


@dataclass(frozen=True, slots=True)
class Rank:
    """What is best, and how many rows are kept (0: all)."""

    by: str = "bic"
    top: int = 0
    walk_forward: WalkForward | None = WalkForward()
    windows: int = 4
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Multiplicity:
    """The test that the best of many is better than none: reality check or SPA by the stationary bootstrap."""

    method: str = "reality-check"
    bootstrap: int = 1000
    block: float = 8
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Run:
    """``chunk`` specifications at a time; items are built ahead (``all``) or when they are needed (``lazy``)."""

    chunk: int = 4096
    prefetch: str = "all"


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration; ``path`` is the file it was read from."""

    path: Path
    data: Data
    search: Search
    filters: Filters = field(default_factory=Filters)
    pretest: Pretest = field(default_factory=Pretest)
    rank: Rank = field(default_factory=Rank)
    multiplicity: Multiplicity = field(default_factory=Multiplicity)
    run: Run = field(default_factory=Run)
