"""From the tables of a TOML document to a `Config`; every complaint names its key."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fanwise.errors import InputError
from fanwise.workloads.modelsearch import _config as c
from fanwise.workloads.modelsearch._items import Item, Season, parse_item, parse_items, parse_season
from fanwise.workloads.modelsearch._unitroot import MOST_SERIES

__all__ = ["RANK_KEYS", "config_from"]

Convert = Callable[[Any], Any]
STATIONARY = ("adf", "pp", "adf-or-pp", "adf-and-pp")
LONGEST = 200  # characters of a value that a message shows
RANK_KEYS = ("aic", "bic", "r2", "adj_r2", "rmse", "oos_rmse", "wf_rmse", "composite")


class Expected(ValueError):
    """A value is not what its key asks for; the text says what is."""


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        raise Expected("a number")
    try:
        return float(value)
    except OverflowError:
        raise Expected("a number below 1e308") from None


def whole(least: int) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise Expected(f"a whole number of at least {least}")
        return value

    return convert


def probability(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise Expected("a number above 0 and at most 1")
    return float(value)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Expected("text")
    return value


def one_of(*allowed: str) -> Convert:
    def convert(value: Any) -> str:
        if value not in allowed:
            raise Expected("one of " + ", ".join(f'"{a}"' for a in allowed))
        return str(value)

    return convert


def or_false(convert: Convert) -> Convert:
    """A key that ``false`` switches off."""

    def either(value: Any) -> Any:
        if value is False:
            return None
        try:
            return convert(value)
        except Expected as expected:
            raise Expected(f"{expected} or false") from None

    return either


def several(convert: Convert, count: int) -> Convert:
    def each(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise Expected(f"a list of {count} values")
        return tuple(convert(v) for v in value)

    return each


def interval(convert: Convert) -> Convert:
    def ordered(value: Any) -> tuple[Any, Any]:
        low, high = several(convert, 2)(value)
        if type(low) is not type(high) or low > high:
            raise Expected("two values, the first not above the second")
        return low, high

    return ordered


def instant(value: Any) -> c.Instant:
    if isinstance(value, dt.date):
        return value.isoformat()[:10]
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Expected("ISO dates or whole numbers")
    return value


def covariance(value: Any) -> str:
    if value in ("auto", "nonrobust", "HC1"):
        return str(value)
    if isinstance(value, str) and value.startswith("HAC(") and value.endswith(")") and value[4:-1].isdecimal():
        return f"HAC({int(value[4:-1])})"
    raise Expected('"auto", "nonrobust", "HC1" or "HAC(L)" with a whole number L')


def weights(value: Any) -> tuple[float, ...]:
    three: tuple[float, ...] = several(number, 3)(value)
    if min(three) < 0 or not sum(three):
        raise Expected("three numbers of at least 0, not all 0")
    return three


def entries(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Expected("a list of entries")
    return tuple(value)


def items(value: Any) -> tuple[Item, ...]:
    return tuple(item for entry in entries(value) for item in parse_items(entry))


def target(value: Any) -> Item:
    return parse_item(text(value))


def signs(value: Any) -> Mapping[str, str]:
    """Keys are variables, or items in canonical text."""
    if not isinstance(value, dict) or not all(sign in ("+", "-") for sign in value.values()):
        raise Expected('"+" or "-" for a variable or an item')
    return {k if ":" not in k and "@" not in k else str(parse_item(k)): s for k, s in value.items()}


def aliases(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise Expected("a column name for each alias")
    return dict(value)


class Section:
    """One table of the document; ``place`` is how messages call it."""

    def __init__(self, place: str, table: Any) -> None:
        self.place = place
        if not isinstance(table, dict):
            raise InputError(f"{place}: expected a table")
        self.table = table

    def fail(self, key: str, says: str) -> InputError:
        return InputError(f"{self.place} {key}: {says}")

    def read(self, fields: Mapping[str, Convert], needed: Sequence[str] = ()) -> dict[str, Any]:
        """Convert what is given; what is left out keeps its default."""
        for key in self.table:
            if key not in fields:
                near = get_close_matches(key, fields, 1)
                raise self.fail(key, "unknown key" + (f"; did you mean {near[0]}?" if near else ""))
        for key in needed:
            if key not in self.table:
                raise self.fail(key, "is missing")
        return {key: self.value(key, fields[key]) for key in self.table}

    def value(self, key: str, convert: Convert) -> Any:
        given = self.table[key]
        try:
            return convert(given)
        except Expected as expected:
            raise self.fail(key, f"expected {expected}, not {_shown(given)}") from None
        except InputError as error:
            raise InputError(f"{self.place} {error}") from None

    def inner(self, key: str, make: Callable[..., Any], fields: Mapping[str, Convert]) -> Convert:
        """An inline table that may be partial, or false."""

        def convert(value: Any) -> Any:
            if value is False:
                return None
            if not isinstance(value, dict):
                raise Expected("a table or false")
            return make(**Section(f"{self.place} {key}", value).read(fields))

        return convert


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = repr(value).replace("'", '"')
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def config_from(document: Mapping[str, Any], path: Path) -> c.Config:
    """Check a parsed TOML document and return the configuration it stands for.

    Raises
    ------
    InputError
        Names file, section, key, the offending value and what is expected.
    """
    top = Section(f"{path.name}:", dict(document))
    parts = ("data", "search", "filters", "pretest", "rank", "multiplicity", "run")
    top.read(dict.fromkeys(parts, lambda table: table), needed=("data", "search"))
    sections = {name: Section(f"{path.name}: [{name}]", document.get(name, {})) for name in parts}
    config = c.Config(
        path=path,
        data=_data(sections["data"], path.parent),
        search=_search(sections["search"], path.name),
        filters=_filters(sections["filters"]),
        pretest=_pretest(sections["pretest"]),
        rank=_rank(sections["rank"]),
        multiplicity=c.Multiplicity(**sections["multiplicity"].read(_MULTIPLICITY)),
        run=c.Run(**sections["run"].read(_RUN)),
    )
    _check_together(config, path.name)
    return config


_MULTIPLICITY: Mapping[str, Convert] = {
    "method": one_of("reality-check", "spa", "none"),
    "bootstrap": whole(1),
    "block": number,
    "seed": whole(0),
}
_RUN: Mapping[str, Convert] = {"chunk": whole(1), "prefetch": one_of("all", "lazy")}


def _data(section: Section, folder: Path) -> c.Data:
    fields: dict[str, Convert] = {
        "file": lambda value: folder / text(value),
        "time": text,
        "target": target,
        "train": interval(instant),
        "test": interval(instant),
        "missing": one_of("common", "drop-items"),
        "alias": aliases,
    }
    data = c.Data(**section.read(fields, needed=("file", "time", "target", "train")))
    if data.test is not None and not _after(data.test[0], data.train[1]):
        raise section.fail(
            "test", f"starts at {data.test[0]}; it must start after train, which ends at {data.train[1]}"
        )
    return data


def _after(start: c.Instant, end: c.Instant) -> bool:
    """Whether test rows start after training rows end, both given in one way."""
    if isinstance(start, str) and isinstance(end, str):
        return start > end
    return isinstance(start, int) and isinstance(end, int) and start > end


def _search(section: Section, file: str) -> c.Search:
    fields: dict[str, Convert] = {
        "forced": entries,
        "min_terms": whole(0),
        "max_terms": whole(0),
        "per_variable": whole(0),
        "group": lambda value: value,
    }
    given = section.read(fields)
    written = given.pop("group", None)
    if not isinstance(written, list) or not written:
        raise section.fail("group", "at least one [[search.group]] is needed")
    forced, seasons = _forced(section, given.pop("forced", ()))
    max_terms = given.get("max_terms", 3)
    if given.get("min_terms", 1) > max_terms:
        raise section.fail("min_terms", f"{given.get('min_terms', 1)} is above max_terms, {max_terms}")
    groups = tuple(_group(f"{file}: [search.group {n}]", table, max_terms) for n, table in enumerate(written, 1))
    _check_unique(file, groups, forced)
    return c.Search(groups=groups, forced=forced, seasons=seasons, **given)


def _forced(section: Section, written: Sequence[str]) -> tuple[tuple[Item, ...], tuple[Season, ...]]:
    forced: list[Item] = []
    seasons: list[Season] = []
    for entry in written:
        try:
            season = parse_season(entry)
            if season is None:
                forced += parse_items(entry)
            else:
                seasons.append(season)
        except InputError as error:
            raise InputError(f"{section.place} forced {error}") from None
    return tuple(forced), tuple(seasons)


def _group(place: str, table: Any, max_terms: int) -> c.Group:
    section = Section(place, table)
    fields = {"name": text, "items": items, "pick": interval(whole(0))}
    given = section.read(fields, needed=("name", "items"))
    if not given["items"]:
        raise section.fail("items", "is empty")
    return c.Group(given["name"], given["items"], given.get("pick", (0, max_terms)))


def _check_unique(file: str, groups: Sequence[c.Group], forced: Sequence[Item]) -> None:
    """No item twice, no variable in two groups, no group name twice."""
    home: dict[str, str] = {}
    seen: set[Item] = set()
    for item in forced:
        if item in seen:
            raise InputError(f"{file}: [search] forced: {item} is given twice")
        seen.add(item)
    names: set[str] = set()
    for group in groups:
        if group.name in names:
            raise InputError(f'{file}: [search.group] name: two groups are called "{group.name}"')
        names.add(group.name)
        for item in group.items:
            if item in seen:
                also = "is forced and also in" if item in forced else "is given twice in"
                raise InputError(f'{file}: [search.group] items: {item} {also} group "{group.name}"')
            seen.add(item)
            if home.setdefault(item.variable, group.name) != group.name:
                both = f'"{home[item.variable]}" and "{group.name}"'
                raise InputError(f"{file}: [search.group] items: {item.variable} is in two groups, {both}; choose one")


def _filters(section: Section) -> c.Filters:
    sides = one_of("both", "either")
    fields: dict[str, Convert] = {
        "r2_min": or_false(number),
        "adj_r2_min": or_false(number),
        "vif_max": or_false(number),
        "p_max": or_false(probability),
        "p_exempt": items,
        "season": one_of("group", "each", "ignore"),
        "group_p_max": or_false(probability),
        "cov": covariance,
        "autocorrelation": section.inner(
            "autocorrelation",
            c.Autocorrelation,
            {"dw": interval(number), "bg_lags": whole(1), "bg_p": number, "fail": sides},
        ),
        "heteroscedasticity": section.inner(
            "heteroscedasticity", c.Heteroscedasticity, {"bp_p": number, "white_p": number, "fail": sides}
        ),
        "stationary": or_false(one_of(*STATIONARY)),
        "stationary_p": probability,
        "cointegration": or_false(probability),
        "oos_ratio_max": or_false(number),
        "sign_stability_min": or_false(number),
        "sign": signs,
    }
    return c.Filters(**section.read(fields))


def _pretest(section: Section) -> c.Pretest:
    fields: dict[str, Convert] = {"test": one_of(*STATIONARY), "p": probability}
    keys = ("items_stationary", "target_stationary")
    return c.Pretest(**section.read({key: section.inner(key, c.StationaryTest, fields) for key in keys}))


def _rank(section: Section) -> c.Rank:
    fields: dict[str, Convert] = {
        "by": one_of(*RANK_KEYS),
        "top": whole(0),
        "walk_forward": section.inner("walk_forward", c.WalkForward, {"min_train": whole(1), "step": whole(1)}),
        "windows": whole(1),
        "weights": weights,
    }
    return c.Rank(**section.read(fields))


def _check_together(config: c.Config, file: str) -> None:
    """What one section asks of another."""
    search, filters, by = config.search, config.filters, config.rank.by
    if config.multiplicity.block < 1:
        raise InputError(f"{file}: [multiplicity] block: expected a mean block length of at least 1")
    if config.data.test is None and (filters.oos_ratio_max is not None or by == "oos_rmse"):
        key = "[rank] by" if by == "oos_rmse" else "[filters] oos_ratio_max"
        raise InputError(f"{file}: {key}: needs test rows; give [data] test")
    if by == "wf_rmse" and config.rank.walk_forward is None:
        raise InputError(f"{file}: [rank] by: wf_rmse needs walk_forward, which is switched off")
    series = 1 + search.max_terms + len(search.forced)
    if filters.cointegration is not None and series > MOST_SERIES:
        raise InputError(
            f"{file}: [filters] cointegration: the p-values are published for up to {MOST_SERIES} series; "
            f"here are up to {series} (target, {search.max_terms} free and {len(search.forced)} forced items): "
            f"lower max_terms or switch it off"
        )
    _check_named(config, file)


def _check_named(config: c.Config, file: str) -> None:
    every = [*config.search.forced, *(item for group in config.search.groups for item in group.items)]
    known = {item.variable for item in every} | {str(item) for item in every}
    for key, names in (("sign", config.filters.sign), ("p_exempt", [str(i) for i in config.filters.p_exempt])):
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise InputError(f"{file}: [filters] {key}: {name} is not an item of the search{hint}")
