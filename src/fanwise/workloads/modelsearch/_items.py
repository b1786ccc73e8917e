"""Items (variable, transform, lag), season blocks, and the short notation a pool is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from fanwise.errors import InputError

__all__ = ["NEEDS_NONE", "TRANSFORMS", "Item", "Season", "parse_item", "parse_items", "parse_season"]

TRANSFORMS = ("LV", "DF", "GR", "ABSGR", "LOG", "DLOG", "AVG", "DEV")
NEEDS_NONE = frozenset({"LV", "LOG"})
_NEEDS_ONE = frozenset({"AVG", "DEV"})
_DEFAULT_STEP = 1

_ENTRY = re.compile(r"(?P<variable>[A-Za-z_][A-Za-z0-9_.]*)(?::(?P<transforms>[^@]*))?(?:@(?P<lags>.*))?")
_TRANSFORM = re.compile(r"(?P<name>[A-Za-z]+)(?:\((?P<numbers>[0-9,]{1,99})\))?(?:,|$)")
_LAGS = re.compile(r"(?P<first>N)\.\.(?P<last>N)|(?P<list>N(?:,N)*)".replace("N", "[0-9]{1,9}"))
_SEASON = re.compile(r"season\((?P<period>N)(?:;(?P<chosen>N(?:,N)*))?\)".replace("N", "[0-9]{1,9}"))
MOST = 100_000  # lags of an entry, or parts of a season: what stands for more is a slip of the pen


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """A driver: a column, what is done to it, and by how many rows it is delayed.

    Parameters
    ----------
    variable : str
        Column of the data file, or an alias of one.
    transform : str
        One of ``LV DF GR ABSGR LOG DLOG AVG DEV``.
    parameter : int or None
        Step or window in rows; None where the transform has none.
    lag : int
        Delay in rows, at least 0.

    Examples
    --------
    >>> str(Item("unemp", "DF", 3, 2))
    'unemp:DF(3)@2'
    """

    variable: str
    transform: str
    parameter: int | None
    lag: int

    def __str__(self) -> str:
        parameter = "" if self.parameter is None else f"({self.parameter})"
        delay = f"@{self.lag}" if self.lag else ""
        return f"{self.variable}:{self.transform}{parameter}{delay}"


@dataclass(frozen=True, slots=True)
class Season:
    """A block of 0/1 columns, one for each of the ``chosen`` of ``period`` seasons; season 1 is the base."""

    period: int
    chosen: tuple[int, ...]

    def __str__(self) -> str:
        every = self.chosen == tuple(range(2, self.period + 1))
        return f"season({self.period}" + ("" if every else ";" + ",".join(map(str, self.chosen))) + ")"

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"season({self.period}).{s}" for s in self.chosen)


def parse_items(entry: str) -> tuple[Item, ...]:
    """Expand an entry into items: transforms outermost, their parameters next, lags innermost, as written.

    Parameters
    ----------
    entry : str
        ``variable[:transform[(n,…)],…][@lags]`` with lags ``2``, ``0..4`` or ``0,3``.

    Returns
    -------
    tuple of Item

    Raises
    ------
    InputError
        If the entry is malformed; the message quotes it.

    Examples
    --------
    >>> [str(i) for i in parse_items("unemp:LV,DF(1)@0..1")]
    ['unemp:LV', 'unemp:LV@1', 'unemp:DF(1)', 'unemp:DF(1)@1']
    """
    found = _ENTRY.fullmatch(entry.replace(" ", ""))
    if found is None:
        raise InputError(f'"{entry}": expected variable[:transform,…][@lags], such as "unemp:LV,DF(1)@0..4"')
    transforms = _transforms(entry, found["transforms"])
    lags = _lags(entry, found["lags"])
    return tuple(Item(found["variable"], name, number, lag) for name, number in transforms for lag in lags)


def parse_item(entry: str) -> Item:
    """Return the one item that ``entry`` stands for."""
    items = parse_items(entry)
    if len(items) != 1:
        raise InputError(f'"{entry}": expected one item, but it stands for {len(items)}')
    return items[0]


def _transforms(entry: str, text: str | None) -> list[tuple[str, int | None]]:
    if text is None:
        return [("LV", None)]
    pairs: list[tuple[str, int | None]] = []
    end = 0
    while end < len(text) or not text:
        found = _TRANSFORM.match(text, end)
        if found is None or (found.end() == len(text) and text.endswith(",")):
            raise InputError(f'"{entry}": cannot read the transforms "{text}"')
        pairs += [(found["name"], number) for number in _parameters(entry, found["name"], found["numbers"])]
        end = found.end()
    return pairs


def _parameters(entry: str, name: str, numbers: str | None) -> Iterator[int | None]:
    if name not in TRANSFORMS:
        near = get_close_matches(name.upper(), TRANSFORMS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f'"{entry}": unknown transform {name}; known: {" ".join(TRANSFORMS)}{hint}')
    if name in NEEDS_NONE:
        if numbers is not None:
            raise InputError(f'"{entry}": {name} takes no parameter')
        yield None
    elif numbers is None:
        if name in _NEEDS_ONE:
            raise InputError(f'"{entry}": {name} needs the number of rows, such as {name}(4)')
        yield _DEFAULT_STEP
    else:
        yield from _steps(entry, name, numbers)


def _steps(entry: str, name: str, numbers: str) -> Iterator[int]:
    for number in numbers.split(","):
        if not number or int(number) < 1:
            raise InputError(f'"{entry}": {name}({numbers}): a parameter is a whole number of at least 1')
        yield int(number)


def _lags(entry: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return (0,)
    found = _LAGS.fullmatch(text)
    if found is None:
        raise InputError(f'"{entry}": cannot read the lags "@{text}"; expected @2, @0..4 or @0,3')
    if found["list"] is not None:
        return tuple(int(lag) for lag in found["list"].split(","))
    first, last = int(found["first"]), int(found["last"])
    if last < first:
        raise InputError(f'"{entry}": the lags {first}..{last} run backwards')
    if last - first >= MOST:
        raise InputError(f'"{entry}": the lags {first}..{last} are more than {MOST:,}')
    return tuple(range(first, last + 1))


def parse_season(entry: str) -> Season | None:
    """Return the season block that ``season(12)`` or ``season(12;2,3,10)`` stands for; None for any other entry."""
    found = _SEASON.fullmatch(entry.replace(" ", ""))
    if found is None:
        return None
    period = int(found["period"])
    if not 2 <= period <= MOST:
        raise InputError(f'"{entry}": a season has from 2 to {MOST:,} parts')
    if found["chosen"] is None:
        return Season(period, tuple(range(2, period + 1)))
    chosen = tuple(int(part) for part in found["chosen"].split(","))
    if sorted(set(chosen)) != list(chosen) or chosen[0] < 1 or chosen[-1] > period:
        raise InputError(f'"{entry}": expected increasing seasons between 1 and {period}')
    return Season(period, chosen)
