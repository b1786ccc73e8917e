"""What a search gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._verdicts import VerdictTable
from fanwise.workloads.modelsearch._verify import Verification

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Plan", "Problem", "Result"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A chunk that could not be assessed: its ids, and why."""

    first: int
    stop: int
    error: str


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a search found.

    Attributes
    ----------
    ranked : VerdictTable
        Those that passed, best first (the best 100,000 if more passed; ``ranked.csv`` has all).
    funnel : dict of str to int
        How many fell at each filter, in the order of the filters.
    tried, passed : int
        How many specifications were assessed, and how many of them passed.
    multiplicity : Multiplicity
        What chance alone would give.
    verification : Verification or None
        The second opinion, if one was asked for.
    report : RunReport or None
        Where the time went; None if every chunk was there already.
    same_fit : tuple of tuple of int
        Ids of different specifications with one and the same fit.
    near_misses : VerdictTable
        The specifications that came furthest and fell by least.
    problems : tuple of Problem
        Chunks that are missing from all of the above.
    files : tuple of Path
        What was written.
    run : mapping
        The content of ``run.json``: who computed what, and how long it took.
    by, rows : str and int
        What was ranked by, and how many rows ``ranked.csv`` has.
    excluded : tuple of (str, str)
        Items that left the pool, and why.
    """

    ranked: VerdictTable
    funnel: dict[str, int]
    tried: int
    passed: int
    multiplicity: Multiplicity
    verification: Verification | None
    report: RunReport | None
    same_fit: tuple[tuple[int, ...], ...]
    near_misses: VerdictTable
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    run: Mapping[str, Any] = field(default_factory=dict)
    by: str = "bic"
    rows: int = 0
    excluded: tuple[tuple[str, str], ...] = ()

    @property
    def best(self) -> tuple[str, float]:
        """What was ranked by, and its value for the first row."""
        return self.by, float(self.ranked[self.by][0])


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search would do."""

    frame: Frame
    count: int
    memory: int
    seconds: float
