"""One item of a sweep, a crop in a scenario: where its columns come from, and what a worker does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.envelope._bounds import Polyline
from fanwise.workloads.envelope._cells import Pair
from fanwise.workloads.envelope._crops import Crop
from fanwise.workloads.envelope._envelopes import Envelopes, compute, segment_cells
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._labels import Labels
from fanwise.workloads.envelope._question import Question, Tier
from fanwise.workloads.envelope._scenarios import Scenario, factors_of, shocked
from fanwise.workloads.envelope._store import FORMAT, Answer, Store
from fanwise.workloads.envelope._tiers import keep, tier_slice

__all__ = [
    "Columns",
    "Item",
    "Line",
    "Plan",
    "SweepTask",
    "columns_of",
    "envelope",
    "envelopes_of",
    "lines_of",
    "pairs_of",
]


class Item(NamedTuple):
    """A scenario and a crop by their places; ``key`` stands for everything that the result depends on, if it is needed."""

    scenario: int
    crop: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep asks: the same for every item.

    Attributes
    ----------
    segments : tuple of str
        World first.
    sizes : tuple of int
        Cells of the grid in each.
    """

    question: Question
    crops: tuple[Crop, ...]
    scenarios: tuple[Scenario, ...]
    by: str
    segments: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def curves(self) -> int:
        """Curves of an item."""
        return len(self.segments) * len(self.question.tiers)

    def cost_s(self, items: Sequence[Item]) -> float:
        """Estimated seconds for these items on one core: 0.4 µs a cell (the sort by yield), 0.1 ms a curve; measured."""
        cells = sum(self.sizes[0] * len(self.crops[item.crop].members) for item in items)
        return 4e-7 * cells + 1e-4 * self.curves * len(items)

    def with_tier(self, tier: Tier) -> Plan:
        """The same plan with one more tier behind the others."""
        return replace(self, question=replace(self.question, tiers=(*self.question.tiers, tier)))

    def header(self, item: Item, digests: Sequence[str], created: float) -> dict[str, Any]:
        """What an entry of the cache says of itself."""
        return {
            "crop": self.crops[item.crop].name,
            "scenario": self.scenarios[item.scenario].name,
            "segments": len(self.segments),
            "tiers": [tier.name for tier in self.question.tiers],
            "data_digest": "+".join(digests),
            "created": created,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What items read: segment codes, labels for scenarios, and the columns of each crop."""

    codes: NDArray[np.int32]
    labels: Mapping[str, Labels]
    pairs: Mapping[str, Pair]
    digests: Mapping[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """Arrays by name, as a bundle takes them."""
        arrays: dict[str, Any] = {"codes": self.codes, "digests": dict(self.digests)}
        for by, labels in self.labels.items():
            arrays |= {f"names {by}": labels.names, f"codes {by}": labels.codes}
        for code, pair in self.pairs.items():
            arrays |= {f"ha {code}": pair[0], f"mt {code}": pair[1]}
        return arrays

    @classmethod
    def from_mapping(cls, arrays: Mapping[str, Any]) -> Columns:
        """The columns of a bundle; nothing is copied."""
        bys = [name.removeprefix("names ") for name in arrays if name.startswith("names ")]
        crops = [name.removeprefix("ha ") for name in arrays if name.startswith("ha ")]
        return cls(
            arrays["codes"],
            {by: Labels(arrays[f"names {by}"], arrays[f"codes {by}"]) for by in bys},
            {code: (arrays[f"ha {code}"], arrays[f"mt {code}"]) for code in crops},
            arrays["digests"],
        )


def columns_of(grid: Grid, codes: NDArray[np.int32], crops: Sequence[Crop], *, keyed: bool) -> Columns:
    """The part of a grid that a sweep reads."""
    members = list(dict.fromkeys(code for crop in crops for code in crop.members))
    return Columns(
        codes,
        {"country": grid.country, "region": grid.region, "world": grid.labels("none")},
        {code: grid.columns[code] for code in members},
        {code: grid.digest(code) for code in members} if keyed else {},
    )


def envelopes_of(plan: Plan, columns: Columns, item: Item) -> Envelopes:
    """Every curve of one crop in one scenario."""
    factors = plan.crops[item.crop].factors(plan.question.unit)
    return compute(pairs_of(plan, columns, item), factors, columns.codes, plan.sizes, plan.question)


def pairs_of(plan: Plan, columns: Columns, item: Item) -> list[Pair]:
    """The columns of each member of a crop, as a scenario has them."""
    scenario, labels = plan.scenarios[item.scenario], columns.labels
    codes = plan.crops[item.crop].members
    return [shocked(columns.pairs[code], factors_of(scenario, code, labels), labels) for code in codes]


class Line(NamedTuple):
    """Both bounds of a curve as polylines, by the places of its segment and tier."""

    segment: int
    tier: int
    lower: Polyline
    upper: Polyline


def lines_of(plan: Plan, columns: Columns, item: Item, pairs: Sequence[Pair] | None = None) -> Iterator[Line]:
    """The bounds of every tier of every segment that is not empty; ``pairs`` instead of the grid's columns."""
    pairs = pairs_of(plan, columns, item) if pairs is None else pairs
    factors = plan.crops[item.crop].factors(plan.question.unit)
    for at, cells in enumerate(segment_cells(pairs, factors, columns.codes, len(plan.segments) - 1)):
        kept = keep(cells, plan.question.filter)
        for tier, found in enumerate(tier_slice(kept.yields, tier) for tier in plan.question.tiers):
            if found is not None:
                part = kept.cut(*found)
                lower = Polyline.of(part.area_ha, part.loss)
                yield Line(at, tier, lower, Polyline.of(part.area_ha[::-1], part.loss[::-1]))


class SweepTask:
    """What a worker is sent once; called with an item.

    ``freeze`` makes a bundle of the columns when the task first travels, so a sweep that stays in one process copies
    nothing.
    """

    def __init__(self, plan: Plan, columns: Columns, store: Store | None, freeze: Callable[[Columns], Any]) -> None:
        self.plan, self.columns, self.store, self._freeze = plan, columns, store, freeze

    def __fanwise_key__(self) -> tuple[str, int]:
        """What a journal knows this function by; what results depend on is in the items."""
        return "envelope", FORMAT

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.plan, self._freeze(self.columns), self.store)

    def __call__(self, item: Item) -> Answer:
        if self.store is None:
            return Answer(envelopes_of(self.plan, self.columns, item))
        members = self.plan.crops[item.crop].members
        digests = [self.columns.digests[code] for code in members]
        return self.store.answer(
            item.key,
            self.plan.curves,
            lambda: envelopes_of(self.plan, self.columns, item),
            lambda created: self.plan.header(item, digests, created),
        )


def envelope(task: SweepTask, item: Item) -> Answer:
    """One item; a plain function, so that reports have a name and a journal knows it by `SweepTask.__fanwise_key__`."""
    return task(item)


def _arrived(plan: Plan, bundle: Mapping[str, Any], store: Store | None) -> SweepTask:
    return SweepTask(plan, Columns.from_mapping(bundle), store, _refuse)


def _refuse(_: Columns) -> Any:
    raise TypeError("a task that has travelled does not travel on")
