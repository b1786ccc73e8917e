"""From seconds to ratios: medians of rounds, with an interval that says how far to trust them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanwise.cli._bench.contestants import LOOP, OURS, PEERS
from fanwise.cli._bench.grid import Cell
from fanwise.cli._bench.rounds import Measured

__all__ = ["Figures", "Ratio", "Times", "figures", "ratio", "times"]

_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one contestant in one cell; ``iqr_s`` is the distance of the quartiles."""

    min_s: float
    median_s: float
    iqr_s: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median over rounds of one time over another, and its 90 % bootstrap interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out of a cell. ``vs_best`` is None without peers; ``best`` is the peer that was most often fastest;
    ``out`` says who has no time, and why.
    """

    cell: Cell
    times: Mapping[str, Times]
    vs_loop: Mapping[str, Ratio]
    vs_best: Ratio | None
    best: str | None
    out: Mapping[str, str]

    @property
    def extra_s(self) -> float:
        """Seconds that fanwise takes beyond the loop."""
        return self.times[OURS].median_s - self.times[LOOP].median_s if OURS in self.times else float("inf")


def figures(measured: Measured) -> Figures:
    """Times and ratios of a cell; ratios are taken within rounds, so that what disturbs a round disturbs both sides."""
    seconds = measured.seconds
    peers = [name for name in seconds if name in PEERS]
    ours = seconds.get(OURS)
    best = [min(seconds[name][turn] for name in peers) for turn in range(len(seconds[LOOP]))] if peers else None
    wins = [min(peers, key=lambda name: seconds[name][turn]) for turn in range(len(best or ()))]
    return Figures(
        cell=measured.cell,
        times={name: times(each) for name, each in seconds.items()},
        vs_loop={name: ratio(each, seconds[LOOP]) for name, each in seconds.items() if name != LOOP},
        vs_best=ratio(ours, best) if ours and best else None,
        best=statistics.mode(wins) if wins else None,
        out=measured.out,
    )


def times(seconds: Sequence[float]) -> Times:
    """Minimum, median and distance of quartiles."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 3
    return Times(min(seconds), middle, high - low)


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Median of the ratios of paired times; the resampling is seeded, so equal samples give equal intervals."""
    pairs = [first / second for first, second in zip(above, below, strict=True)]
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return Ratio(statistics.median(pairs), medians[_RESAMPLES // 20], medians[-_RESAMPLES // 20])
