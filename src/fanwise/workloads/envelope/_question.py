"""What is asked of every crop and segment: tiers, method, target areas, filter, unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from fanwise.errors import UsageError, UsageValueError
from fanwise.workloads.envelope._words import did_you_mean

__all__ = [
    "FILTERS",
    "METHODS",
    "TIERS",
    "Filter",
    "Points",
    "Question",
    "Tier",
    "make_question",
    "make_tier",
    "make_tiers",
    "parse_points",
]

METHODS = ("interp", "step")
UNITS = ("kcal", "mt")
TIERS = {"comprehensive": ("0", "100"), "commercial": ("20", "100")}
DEFAULT_POINTS = {"interp": "spaced:200", "step": "paper"}
POINTS_EXPECTED = "expected paper, compact, spaced:N with N ≥ 2, at:1,10,250.5 or file:PATH"
TIERS_EXPECTED = "expected comprehensive, commercial or NAME:LO-HI with 0 ≤ LO < HI ≤ 100, such as prime:50-100"
MOST_POINTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Tier:
    """A slice of a segment by yield percentile, as decimal text so that it is exact."""

    name: str
    lo: str
    hi: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cells of a segment count: area of at least ``least_ha``, yield of at most ``factor`` times the 99th percentile."""

    name: str
    least_ha: float
    factor: float


FILTERS = {
    f.name: f
    for f in (
        Filter("none", 0.0, math.inf),
        Filter("conservative", 0.2, 3.0),
        Filter("standard", 1.0, 2.0),
        Filter("aggressive", 10.0, 1.5),
    )
}


@dataclass(frozen=True, slots=True)
class Points:
    """Target areas: a kind, and the values of ``at`` (km², sorted, each once) or the count of ``spaced``."""

    kind: str
    values: tuple[float, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What every (scenario, crop) is asked."""

    tiers: tuple[Tier, ...]
    method: str
    points: Points
    filter: Filter
    unit: str


def make_question(
    tiers: Sequence[str | Tier] | str, method: str, points: str | Points | None, filter: str, unit: str
) -> Question:
    """Check every option of a question.

    Raises
    ------
    UsageError
        If one is wrong; the message says what is accepted.
    """
    if method not in METHODS:
        raise UsageValueError(f"method {method!r}: expected interp or step")
    if filter not in FILTERS:
        raise UsageValueError(f"filter {filter!r}: expected {', '.join(FILTERS)}{did_you_mean(filter, FILTERS)}")
    if unit not in UNITS:
        raise UsageValueError(f"unit {unit!r}: expected kcal or mt")
    chosen = (
        points if isinstance(points, Points) else parse_points(DEFAULT_POINTS[method] if points is None else points)
    )
    return Question(make_tiers(tiers), method, chosen, FILTERS[filter], unit)


def make_tiers(tiers: Sequence[str | Tier] | str) -> tuple[Tier, ...]:
    """Tiers by name or as ``NAME:LO-HI``.

    >>> [tier.name for tier in make_tiers("comprehensive,prime:50-100")]
    ['comprehensive', 'prime']
    """
    parts = tiers.split(",") if isinstance(tiers, str) else tiers
    made = tuple(part if isinstance(part, Tier) else _named_tier(part) for part in parts)
    if not made:
        raise UsageValueError(f"no tiers: {TIERS_EXPECTED}")
    if len({tier.name for tier in made}) < len(made):
        raise UsageValueError("two tiers have the same name")
    return made


def _named_tier(given: object) -> Tier:
    text = given.strip() if isinstance(given, str) else repr(given)
    if text in TIERS:
        return Tier(text, *TIERS[text])
    match = re.fullmatch(r"([^:,=]+):([0-9.]+)-([0-9.]+)", text)
    if match is None:
        raise UsageValueError(f"tier {text!r}: {TIERS_EXPECTED}")
    name, lo, hi = match.groups()
    if name in TIERS:
        raise UsageValueError(f"tier {text!r}: {name} is {'-'.join(TIERS[name])}; choose another name")
    return make_tier(name, lo, hi)


def make_tier(name: str, lo: object, hi: object) -> Tier:
    """A tier from two percentiles: numbers, or decimal text.

    >>> make_tier("own", 12.50, "87.5")
    Tier(name='own', lo='12.5', hi='87.5')
    """
    try:
        low, high = Decimal(str(lo)), Decimal(str(hi))
    except InvalidOperation:
        raise UsageValueError(f"tier {name}:{lo}-{hi}: {TIERS_EXPECTED}") from None
    if not (low.is_finite() and high.is_finite() and 0 <= low < high <= 100):
        raise UsageValueError(f"tier {name}:{lo}-{hi}: {TIERS_EXPECTED}")
    return Tier(name, _plain(low), _plain(high))


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def parse_points(text: str) -> Points:
    """Target areas as typed; a file is read.

    >>> parse_points("at:10,1,10").values
    (1.0, 10.0)
    """
    if not isinstance(text, str):
        raise UsageValueError(f"points {text!r}: {POINTS_EXPECTED}")
    kind, colon, rest = text.partition(":")
    if text in {"paper", "compact"}:
        return Points(text)
    if kind == "spaced" and rest.isdecimal() and 2 <= int(rest) <= MOST_POINTS:
        return Points(kind, count=int(rest))
    if kind == "at" and colon:
        return Points("at", _areas(rest.split(","), text))
    if kind == "file" and rest:
        return Points("at", _areas(_lines(rest), text))
    raise UsageValueError(f"points {text!r}: {POINTS_EXPECTED}")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return [line for line in lines if line]


def _areas(texts: Sequence[str], given: str) -> tuple[float, ...]:
    values = set()
    for text in texts:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value > 0 and math.isfinite(value)):
            raise UsageValueError(f"points {given!r}: {text.strip()!r} is not an area in km² > 0; {POINTS_EXPECTED}")
        values.add(value)
    if not values:
        raise UsageValueError(f"points {given!r} has no areas; {POINTS_EXPECTED}")
    return tuple(sorted(values))
