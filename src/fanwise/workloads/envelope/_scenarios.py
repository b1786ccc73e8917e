"""Scenarios: what is done to the values of a grid before a plain run."""

from __future__ import annotations

import math
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError, UsageError
from fanwise.workloads.envelope._cells import Pair
from fanwise.workloads.envelope._crops import known_names
from fanwise.workloads.envelope._digests import digest_of
from fanwise.workloads.envelope._grid import Grid
from fanwise.workloads.envelope._labels import Labels
from fanwise.workloads.envelope._words import did_you_mean

__all__ = ["BASELINE", "Draw", "Scenario", "Shock", "factors_of", "key_of", "log_normal", "read_scenarios", "shocked"]

SHOCK_KEYS = ("crops", "countries", "regions", "yield_factor", "area_factor")
GENERATE_KEYS = ("name", "count", "seed", "yield_cv", "by")
Factors = tuple[str, NDArray[np.float64], NDArray[np.float64]]
"""Whose labels, and yield and area factors by label code; the last one is for cells without a label."""


@dataclass(frozen=True, slots=True)
class Shock:
    """Factors on the cells of some countries or regions; ``names`` None: of all cells, ``crops`` None: every crop."""

    by: str
    crops: tuple[str, ...] | None
    names: tuple[str, ...] | None
    yield_factor: float
    area_factor: float

    def factors(self, crop: str, labels: Labels) -> Factors | None:
        """Factors by code, or None if the crop is not shocked."""
        if self.crops is not None and crop not in self.crops:
            return None
        mine = np.array([*(self.names is None or name in self.names for name in labels.names), self.names is None])
        return self.by, np.where(mine, self.yield_factor, 1.0), np.where(mine, self.area_factor, 1.0)


@dataclass(frozen=True, slots=True)
class Draw:
    """One random yield factor for each crop and segment, from a generator of its own."""

    by: str
    crops: tuple[str, ...]
    seed: int
    index: int
    cv: float

    def factors(self, crop: str, labels: Labels) -> Factors:
        """Factors by code; crops are drawn in grid order, segments by code point."""
        columns = 1 if self.by == "world" else len(labels.names)
        z = np.random.default_rng([self.seed, self.index]).standard_normal((len(self.crops), columns))
        drawn = log_normal(z[self.crops.index(crop)], self.cv)
        values = np.full(1, drawn[0]) if self.by == "world" else np.append(drawn, 1.0)
        return self.by, values, np.ones(len(values))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name and what is done, in order."""

    name: str
    shocks: tuple[Shock | Draw, ...] = ()


BASELINE = Scenario("baseline")


def log_normal(z: NDArray[np.float64], cv: float) -> NDArray[np.float64]:
    """Factors of mean 1 and this coefficient of variation from standard normal values; exactly 1 for a variation of 0."""
    s2 = math.log1p(cv * cv)
    return np.exp(math.sqrt(s2) * z - s2 / 2)


def factors_of(scenario: Scenario, crop: str, labels: Mapping[str, Labels]) -> list[Factors]:
    """The factors of every shock that touches a crop."""
    found = (shock.factors(crop, labels[shock.by]) for shock in scenario.shocks)
    return [factors for factors in found if factors is not None]


def shocked(pair: Pair, factors: Sequence[Factors], labels: Mapping[str, Labels]) -> Pair:
    """The shocked values: ``ha ← ha·area``, ``mt ← (mt·yield)·area``, each product rounded.

    >>> labels = {"world": Labels((), np.array([-1], np.int32))}
    >>> shocked((np.array([2.0]), np.array([10.0])), [("world", np.array([0.5]), np.array([3.0]))], labels)
    (array([6.]), array([15.]))
    """
    ha, mt = pair
    with np.errstate(invalid="ignore", over="ignore"):  # 0 · ∞ is missing, as if it stood in the file
        for by, yields, areas in factors:
            codes = labels[by].codes
            ha, mt = ha * areas[codes], mt * yields[codes] * areas[codes]
    return ha, mt


def key_of(factors: Sequence[Factors]) -> list[list[str]]:
    """What a cache key says of shocks."""
    return [[by, digest_of([yields]), digest_of([areas])] for by, yields, areas in factors]


def read_scenarios(sources: Any, grid: Grid) -> tuple[Scenario, ...]:
    """Scenarios of files or parsed tables, behind the baseline.

    Parameters
    ----------
    sources : None, path, mapping, or a sequence of paths and mappings
        TOML files, or what ``tomllib`` makes of one.
    grid : Grid

    Raises
    ------
    InputError
        If something is wrong; file, scenario and key are named.
    """
    if sources is None:
        return (BASELINE,)
    one = isinstance(sources, (str, os.PathLike, Mapping))
    found = [BASELINE]
    names = {BASELINE.name}
    for source in [sources] if one else sources:
        where, table = _table(source)
        for scenario in _scenarios(where, table, grid):
            if scenario.name in names:
                what = "is reserved" if scenario.name == BASELINE.name else "occurs twice"
                raise InputError(f"{where}: the scenario name {scenario.name!r} {what}")
            names.add(scenario.name)
            found.append(scenario)
    return tuple(found)


def _table(source: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, Mapping):
        return "scenarios", source
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            return path, tomllib.load(file)
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def _scenarios(where: str, table: Mapping[str, Any], grid: Grid) -> Iterator[Scenario]:
    _check_keys(where, table, ("scenario", "generate"))
    for at, entry in enumerate(_tables(where, "scenario", table.get("scenario", [])), 1):
        name = _name(f"{where}: scenario {at}", entry)
        place = f"{where}: scenario {name!r}"
        _check_keys(place, entry, ("name", "shock"))
        shocks = _tables(place, "shock", entry.get("shock", []))
        yield Scenario(name, tuple(_shock(place, shock, grid) for shock in shocks))
    for at, entry in enumerate(_tables(where, "generate", table.get("generate", [])), 1):
        name = _name(f"{where}: generate {at}", entry)
        yield from _generated(f"{where}: generate {name!r}", name, entry, grid)


def _tables(where: str, key: str, value: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise InputError(f"{where}: key {key!r} is not a list of tables; expected [[{key}]]")
    return value


def _name(where: str, entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}: key 'name' is {name!r}; expected a text")
    return name


def _check_keys(where: str, entry: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in entry:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}")


def _shock(where: str, entry: Mapping[str, Any], grid: Grid) -> Shock:
    _check_keys(where, entry, SHOCK_KEYS)
    if "countries" in entry and "regions" in entry:
        raise InputError(f"{where}: a shock has countries or regions, not both")
    by, key = ("region", "regions") if "regions" in entry else ("country", "countries")
    names = tuple(_segment(where, key, grid, by, name) for name in _texts(where, key, entry)) if key in entry else None
    known = known_names(grid.crops)
    crops = tuple(_crop(where, known, name) for name in _texts(where, "crops", entry)) if "crops" in entry else None
    return Shock(
        "world" if names is None else by,
        crops,
        names,
        _number(where, entry, "yield_factor"),
        _number(where, entry, "area_factor"),
    )


def _segment(where: str, key: str, grid: Grid, by: str, name: str) -> str:
    try:
        return grid.find(by, name)
    except UsageError as error:
        raise InputError(f"{where}: key {key!r}: {error}") from error


def _texts(where: str, key: str, entry: Mapping[str, Any]) -> Sequence[str]:
    value = entry[key]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InputError(f"{where}: key {key!r} is {value!r}; expected a list of texts")
    return value


def _crop(where: str, known: Mapping[str, str], name: str) -> str:
    code = known.get(name.casefold())
    if code is None:
        raise InputError(f"{where}: key 'crops': no crop {name!r} in the grid{did_you_mean(name, known)}")
    return code


def _number(where: str, entry: Mapping[str, Any], key: str, default: float = 1.0) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 <= value <= sys.float_info.max):
        raise InputError(f"{where}: key {key!r} is {value!r}; expected a finite number ≥ 0")
    return float(value)


def _whole(where: str, entry: Mapping[str, Any], key: str, least: int) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{where}: key {key!r} is {value!r}; expected a whole number ≥ {least}")
    return value


def _generated(where: str, name: str, entry: Mapping[str, Any], grid: Grid) -> Iterator[Scenario]:
    _check_keys(where, entry, GENERATE_KEYS)
    count, seed = _whole(where, entry, "count", 1), _whole(where, entry, "seed", 0)
    by = entry.get("by", "country")
    if by not in {"country", "region", "world"}:
        raise InputError(f"{where}: key 'by' is {by!r}; expected country, region or world")
    cv = _number(where, entry, "yield_cv", math.nan)
    digits = max(4, len(str(count - 1)))
    for index in range(count):
        yield Scenario(f"{name}-{index:0{digits}d}", (Draw(by, grid.crops, seed, index, cv),))
