"""Crops by code, name and group, and what a gram of each gives in kcal."""

from __future__ import annotations

import csv
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from fanwise.errors import UsageError
from fanwise.workloads.envelope._words import did_you_mean

__all__ = ["ALLGRAIN", "Crop", "default_kcal", "facts", "find_crops", "known_names"]

ALLGRAIN = ("WHEA", "RICE", "MAIZ", "BARL", "PMIL", "SMIL", "MILL", "SORG", "OCER")
"""Members of the group ``allgrain`` in the order of summation."""

GRAMS_PER_TON = 1e6


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop by its code, or a group of crops by its name.

    Attributes
    ----------
    name : str
        What outputs call it.
    members : tuple of str
        Codes, in the order in which they are summed.
    kcal_per_g : tuple of float or None
        Of each member; None where it is not known.
    own_kcal_per_g : float or None
        Value of a group as a whole, for thresholds (``allgrain``: 3.45); None if it follows from its members.
    """

    name: str
    members: tuple[str, ...]
    kcal_per_g: tuple[float | None, ...]
    own_kcal_per_g: float | None = None

    def factors(self, unit: str) -> tuple[float, ...]:
        """Loss in ``unit`` per metric ton of each member (kcal per g times 10⁶ g, or 1).

        >>> Crop("WHEA", ("WHEA",), (3.34,)).factors("kcal")
        (3340000.0,)
        """
        if unit == "mt":
            return (1.0,) * len(self.members)
        return tuple(k * GRAMS_PER_TON for k in self.kcal_per_g if k is not None)

    def without_kcal(self) -> tuple[str, ...]:
        """Members whose kcal per g is not known."""
        return tuple(code for code, k in zip(self.members, self.kcal_per_g, strict=True) if k is None)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the table: names beside the code, kcal per g and where the figure is from."""

    code: str
    names: tuple[str, ...]
    kcal_per_g: float | None
    source: str


@functools.cache
def facts() -> Mapping[str, Fact]:
    """The package's table of crops, by code."""
    text = files("fanwise.workloads.envelope").joinpath("crops.csv").read_text("utf-8")
    return {
        row["code"]: Fact(
            row["code"],
            tuple(row["names"].split(";")),
            float(row["kcal_per_g"]) if row["kcal_per_g"] else None,
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    }


def default_kcal() -> dict[str, float]:
    """Kcal per g of every crop of the table that has a value."""
    return {code: fact.kcal_per_g for code, fact in facts().items() if fact.kcal_per_g is not None}


def known_names(codes: Iterable[str]) -> dict[str, str]:
    """Names in small letters to what they stand for: codes of a grid, and the names of the table for those."""
    names = {code.casefold(): code for code in codes}
    aliases = {alias: code for code, fact in facts().items() if code.casefold() in names for alias in fact.names}
    return {alias.casefold(): names[code.casefold()] for alias, code in aliases.items()} | names


def find_crops(wanted: Sequence[str], codes: Sequence[str], kcal: Mapping[str, float]) -> tuple[Crop, ...]:
    """Crops and groups by code, name or ``own=CODE+CODE``.

    Parameters
    ----------
    wanted : sequence of str
        Names as typed.
    codes : sequence of str
        Codes that the grid has.
    kcal : mapping
        Kcal per g by code.

    Returns
    -------
    tuple of Crop
        In the order of ``wanted``; the same crop once.

    Raises
    ------
    UsageError
        If a name is not known; the three nearest are offered.

    Examples
    --------
    >>> [crop.members for crop in find_crops(["wheat", "pair=RICE+corn"], ["WHEA", "RICE", "MAIZ"], {})]
    [('WHEA',), ('RICE', 'MAIZ')]
    """
    names = known_names(codes)
    found: dict[str, Crop] = {}
    for name in wanted:
        crop = _crop(name.strip(), names, kcal)
        if found.setdefault(crop.name, crop) != crop:
            raise UsageError(f"crop {crop.name}: two groups have this name")
    return tuple(found.values())


def _crop(name: str, names: Mapping[str, str], kcal: Mapping[str, float]) -> Crop:
    own, equals, members = name.partition("=")
    if equals:
        codes = tuple(_code(member.strip(), names) for member in members.split("+"))
        _check_group(own.strip(), codes, names)
        return Crop(own.strip(), codes, tuple(map(kcal.get, codes)))
    if name.casefold() in {"allgrain", "all-grain"} and name.casefold() not in names:
        codes = tuple(names[code.casefold()] for code in ALLGRAIN if code.casefold() in names)
        if not codes:
            raise UsageError("crop allgrain: the grid has none of its members")
        return Crop("allgrain", codes, tuple(map(kcal.get, codes)), facts()["allgrain"].kcal_per_g)
    code = _code(name, names)
    return Crop(code, (code,), (kcal.get(code),))


def _check_group(own: str, codes: Collection[str], names: Mapping[str, str]) -> None:
    if not own or own.casefold() in names or own.casefold() == "allgrain":
        raise UsageError(f"crop group {own!r}: expected a name of its own, such as cereals=WHEA+RICE")
    if len(set(codes)) < len(codes):
        raise UsageError(f"crop group {own!r} has a member twice")


def _code(name: str, names: Mapping[str, str]) -> str:
    code = names.get(name.casefold())
    if code is None:
        raise UsageError(f"no crop {name!r} in the grid{did_you_mean(name, [*names, *names.values(), 'allgrain'])}")
    return code
