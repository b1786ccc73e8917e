"""From a table and a configuration to the rows and columns that are regressed."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.modelsearch._config import Config, Instant, StationaryTest
from fanwise.workloads.modelsearch._items import Item, Season
from fanwise.workloads.modelsearch._space import pool_order
from fanwise.workloads.modelsearch._transforms import Floats, Recipe, season_columns, undefined, values
from fanwise.workloads.modelsearch._unitroot import is_stationary

if TYPE_CHECKING:
    from fanwise import Bundle

__all__ = ["Frame", "Table", "build", "constant", "digest"]

Positions = NDArray[np.int64]
NEAR = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A data file in memory: ``columns`` by the names a configuration uses, ``ordinals`` for comparing times."""

    name: str
    time: tuple[Instant, ...]
    ordinals: Positions
    months: Positions | None
    columns: Mapping[str, Floats]
    headings: Mapping[str, str]
    data_hash: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is regressed on what, row by row, with the recipe of every item.

    Attributes
    ----------
    y, y_test : ndarray of float64, shapes (n,) and (n_test,)
        The target on the training and the test rows.
    pool, pool_test : ndarray of float64, shapes (items, n) and (items, n_test), or None
        The free items, one a row; None when items are built as they are needed.
    fixed, fixed_test : ndarray of float64, shapes (forced + season columns, n) and (…, n_test)
        What every specification contains beside the constant.
    rows, rows_test : ndarray of int64
        Positions in the file.
    excluded : tuple of (str, str)
        Items that left the pool, and why.
    dropped : tuple
        Times between the first and the last training row that are not among them.
    """

    y: Floats
    y_test: Floats
    items: tuple[Item, ...]
    forced: tuple[Item, ...]
    seasons: tuple[Season, ...]
    pool: Floats | None
    pool_test: Floats | None
    fixed: Floats
    fixed_test: Floats
    rows: Positions
    rows_test: Positions
    time: tuple[Instant, ...]
    time_test: tuple[Instant, ...]
    sources: Mapping[str, Floats]
    recipes: tuple[Recipe, ...]
    excluded: tuple[tuple[str, str], ...] = ()
    undefined: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dropped: tuple[Instant, ...] = ()
    data_hash: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of ``X``: free items, forced items, season columns."""
        return (*map(str, self.items), *self.fixed_names)

    @property
    def fixed_names(self) -> tuple[str, ...]:
        return (*map(str, self.forced), *(label for season in self.seasons for label in season.labels))

    @property
    def X(self) -> Floats:  # noqa: N802 (the field's name for a design matrix)
        """All columns on the training rows, shape (n, columns); the constant is not among them."""
        return read_only(np.vstack([self.free(range(len(self.items)))[0], self.fixed])).T

    def free(self, indices: Sequence[int]) -> tuple[Floats, Floats]:
        """Free items on training and on test rows, one a row, as they were frozen or as their recipes say."""
        if self.pool is not None and self.pool_test is not None:
            return self.pool[list(indices)], self.pool_test[list(indices)]
        built = np.empty((len(indices), self.sources_length))
        for at, index in enumerate(indices):
            built[at] = values(self.items[index], self.sources[self.items[index].variable])
        return built[:, self.rows], built[:, self.rows_test]

    def freeze(self) -> Bundle:
        """Target, columns, Gram matrix, names and recipes as one read-only bundle; close it after use."""
        from fanwise.workloads.modelsearch.study import freeze_frame

        return freeze_frame(self)

    @property
    def sources_length(self) -> int:
        return len(next(iter(self.sources.values())))


A = TypeVar("A", Floats, Positions)


def read_only(array: A) -> A:
    array.setflags(write=False)
    return array


def digest(column: Floats) -> str:
    """BLAKE2b-128 of the float64 values of a column, hexadecimal."""
    return hashlib.blake2b(np.ascontiguousarray(column, "<f8").tobytes(), digest_size=16).hexdigest()


def constant(columns: Floats) -> NDArray[np.bool_]:
    """Which rows of ``columns`` do not vary: centred norm ≤ 1e-12·√n·max|x|."""
    centred = columns - columns.mean(axis=-1, keepdims=True)
    bound = 1e-12 * np.sqrt(columns.shape[-1]) * np.abs(columns).max(axis=-1)
    return np.asarray(np.linalg.norm(centred, axis=-1) <= bound)


def build(config: Config, table: Table) -> Frame:
    """Transform, choose rows, drop what cannot be used, and say what was dropped.

    Raises
    ------
    InputError
        If a column is unknown, a forced item cannot be used, the target is an identity, or too few rows are left.
    """
    draft = _Draft(config, table)
    chosen, excluded = draft.usable()
    train, test = draft.complete_rows(chosen)
    draft.check_size(len(train), chosen)
    chosen, constants = draft.varying(chosen, train)
    excluded += constants
    chosen, moving = _stationary(config.pretest.items_stationary, draft, chosen, train)
    excluded += moving
    frame = draft.frame(chosen, (train, test), _in_pool_order(excluded, draft.pool))
    _check_identity(frame, config)
    return frame


def _in_pool_order(excluded: Iterable[tuple[Item, str]], pool: Sequence[Item]) -> tuple[tuple[str, str], ...]:
    place = {item: at for at, item in enumerate(pool)}
    return tuple((str(item), why) for item, why in sorted(excluded, key=lambda pair: place[pair[0]]))


class _Draft:
    """The table seen through one configuration."""

    def __init__(self, config: Config, table: Table) -> None:
        self.config, self.table = config, table
        self.pool = pool_order(config.search.groups)
        self.target = self.column(config.data.target)
        self.forced = [self.column(item) for item in config.search.forced]
        self.in_train = self.between(config.data.train)
        self.in_test = self.between(config.data.test)

    def column(self, item: Item) -> Floats:
        return values(item, self.table.columns[item.variable])

    def between(self, bounds: tuple[Instant, Instant] | None) -> NDArray[np.bool_]:
        if bounds is None:
            return np.zeros(len(self.table.time), dtype=bool)
        first, last = _ordinals(bounds, self.table)
        return (self.table.ordinals >= first) & (self.table.ordinals <= last)

    def usable(self) -> tuple[list[Item], list[tuple[Item, str]]]:
        """The free items that have values and vary; with ``drop-items`` only those without a gap in training."""
        base = self.in_train & np.isfinite(self.target)
        for item, column in zip(self.config.search.forced, self.forced, strict=True):
            if _why_not(column[self.in_train], gaps_allowed=True):
                raise InputError(f"{self.config.path.name}: [search] forced: {item} is constant or missing in train")
            base &= np.isfinite(column)
        allowed = self.config.data.missing == "common"
        judged = [(item, _why_not(self.column(item)[base], gaps_allowed=allowed)) for item in self.pool]
        return [item for item, why in judged if not why], [(item, why) for item, why in judged if why]

    def complete_rows(self, chosen: Iterable[Item]) -> tuple[Positions, Positions]:
        """Positions of the training and test rows at which nothing is missing."""
        whole = np.isfinite(self.target)
        for column in (*self.forced, *map(self.column, chosen)):
            whole &= np.isfinite(column)
        return np.flatnonzero(whole & self.in_train), np.flatnonzero(whole & self.in_test)

    def varying(self, chosen: list[Item], train: Positions) -> tuple[list[Item], list[tuple[Item, str]]]:
        """Leave out what became constant when rows were dropped."""
        still = [item for item in chosen if constant(self.column(item)[train][None])[0]]
        return [item for item in chosen if item not in set(still)], [(item, "constant") for item in still]

    def check_size(self, n: int, chosen: Sequence[Item]) -> None:
        search = self.config.search
        fixed = len(search.forced) + sum(len(season.chosen) for season in search.seasons)
        largest = 1 + fixed + min(search.max_terms, len(chosen))
        if n <= largest:
            raise InputError(
                f"{self.config.path.name}: [data] train: {n} complete rows are left for up to k = {largest} columns"
                f'{self.costliest(chosen)}; use a longer train, drop items, or set missing = "drop-items"'
            )

    def costliest(self, chosen: Sequence[Item]) -> str:
        """Which items are missing in most training rows."""
        base = self.in_train & np.isfinite(self.target)
        every = [*self.config.search.forced, *chosen]
        costs = sorted(((int(np.count_nonzero(base & np.isnan(self.column(i)))), str(i)) for i in every), reverse=True)
        worst = [f"{name} {cost}" for cost, name in costs[:3] if cost]
        return f" (rows missing most: {', '.join(worst)})" if worst else ""

    def frame(
        self, chosen: list[Item], rows: tuple[Positions, Positions], excluded: tuple[tuple[str, str], ...]
    ) -> Frame:
        train, test = rows
        search = self.config.search
        blocks = [season_columns(season, self.table.months, self.table.ordinals) for season in search.seasons]
        fixed = np.vstack([np.empty((0, len(self.table.time))), *(c[None] for c in self.forced), *blocks])
        self.check_fixed(fixed[:, train])
        pool = pool_test = None
        if self.config.run.prefetch == "all":
            pool, pool_test = np.empty((len(chosen), len(train))), np.empty((len(chosen), len(test)))
            for at, item in enumerate(chosen):
                column = self.column(item)
                pool[at], pool_test[at] = column[train], column[test]
            pool, pool_test = read_only(pool), read_only(pool_test)
        return Frame(
            y=read_only(self.target[train]),
            y_test=read_only(self.target[test]),
            items=tuple(chosen),
            forced=search.forced,
            seasons=search.seasons,
            pool=pool,
            pool_test=pool_test,
            fixed=read_only(fixed[:, train]),
            fixed_test=read_only(fixed[:, test]),
            rows=read_only(train),
            rows_test=read_only(test),
            time=tuple(self.table.time[t] for t in train),
            time_test=tuple(self.table.time[t] for t in test),
            sources=self.table.columns,
            recipes=tuple(self.recipes([*chosen, *search.forced])),
            excluded=excluded,
            undefined={str(i): lost for i in [*self.pool, *search.forced] if (lost := self.undefined(i))},
            notes=tuple(self.notes(train)),
            dropped=tuple(self.table.time[t] for t in sorted(set(range(train[0], train[-1])) - set(train.tolist()))),
            data_hash=self.table.data_hash,
        )

    def undefined(self, item: Item) -> int:
        return undefined(item, self.table.columns[item.variable])

    def check_fixed(self, fixed: Floats) -> None:
        names = [*map(str, self.config.search.forced), *(x for s in self.config.search.seasons for x in s.labels)]
        for name, flat in zip(names, constant(fixed), strict=True):
            if flat:
                raise InputError(f"{self.config.path.name}: [search] forced: {name} is constant on the training rows")

    def recipes(self, items: Iterable[Item]) -> Iterator[Recipe]:
        hashes = {name: digest(column) for name, column in self.table.columns.items()}
        for item in items:
            yield Recipe(item, self.table.headings[item.variable], hashes[item.variable])

    def notes(self, train: Positions) -> Iterator[str]:
        """What a user should know: gaps inside the training rows, a target that is not stationary."""
        jumps = np.flatnonzero(np.diff(train) > 1)
        if len(jumps):
            shown = ", ".join(f"{self.table.time[train[j]]} to {self.table.time[train[j + 1]]}" for j in jumps[:5])
            more = f" and {len(jumps) - 5} more" if len(jumps) > 5 else ""
            says = "time-series tests treat the rest as consecutive"
            gaps = "1 gap" if len(jumps) == 1 else f"{len(jumps)} gaps"
            yield f"{gaps} in the training rows ({shown}{more}): {says}"
        test = self.config.pretest.target_stationary
        if test is not None and not is_stationary(self.target[train], test.test, test.p):
            yield f"the target {self.config.data.target} is not stationary by {test.test} at p < {test.p:g}"


def _ordinals(bounds: tuple[Instant, Instant], table: Table) -> list[int]:
    if table.months is None:
        return [int(bound) for bound in bounds]
    try:
        return [dt.date.fromisoformat(str(bound)).toordinal() for bound in bounds]
    except ValueError:
        raise InputError(
            f"[data] train, test: expected ISO dates such as 2004-03-31, not {bounds[0]!r} and {bounds[1]!r}"
        ) from None


def _why_not(column: Floats, *, gaps_allowed: bool) -> str:
    """Why a column cannot be used: ``missing``, ``constant``, or nothing."""
    known = column[np.isfinite(column)]
    if not len(known) or (not gaps_allowed and len(known) < len(column)):
        return "missing"
    return "constant" if constant(known[None])[0] else ""


def _stationary(
    test: StationaryTest | None, draft: _Draft, chosen: list[Item], train: Positions
) -> tuple[list[Item], list[tuple[Item, str]]]:
    if test is None:
        return chosen, []
    good = [item for item in chosen if is_stationary(draft.column(item)[train], test.test, test.p)]
    return good, [(item, "not stationary") for item in chosen if item not in set(good)]


def _check_identity(frame: Frame, config: Config) -> None:
    """The target may be neither constant nor one of the items."""
    place = f"{config.path.name}: [data] target"
    if constant(frame.y[None])[0]:
        raise InputError(f"{place}: {config.data.target} is constant on the training rows")
    near = NEAR * np.abs(frame.y).max()
    free = ((item, frame.free([at])[0][0]) for at, item in enumerate(frame.items))
    for item, column in (*zip(frame.forced, frame.fixed, strict=False), *free):
        if np.abs(column - frame.y).max() <= near:
            raise InputError(f"{place}: {config.data.target} equals the item {item}: an identity, not a driver")
