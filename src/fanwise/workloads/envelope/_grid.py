"""`Grid`: cells with their countries and regions, and harvested area and production of each crop; never changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError, UsageError, UsageValueError
from fanwise.workloads.envelope._cells import Pair, Tally, tally
from fanwise.workloads.envelope._crops import default_kcal
from fanwise.workloads.envelope._digests import digest_of
from fanwise.workloads.envelope._ids import blank, order_of, read_ids, twice
from fanwise.workloads.envelope._labels import WORLD, Labels, clean, encode
from fanwise.workloads.envelope._words import did_you_mean

__all__ = ["Grid", "Notes", "column_of", "make_grid", "segments_of"]


@dataclass(frozen=True, slots=True)
class Notes:
    """What a reader found.

    Attributes
    ----------
    warnings : tuple of str
        What a user should know.
    bad : tuple of str
        The first negative or infinite values, with file, row and column.
    unpaired : int
        Ids that only one file of a pair has.
    aliases : mapping
        Codes of countries (ISO 3166 or FIPS columns of the input) to names.
    """

    warnings: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    unpaired: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells sorted by id, and a pair of columns for each crop. Arrays are copies of its own, and read-only.

    Made by `read_grid`, `generate_grid` and `Grid.from_arrays`.
    """

    cell: NDArray[Any]
    country: Labels
    region: Labels
    columns: Mapping[str, Pair]
    kcal_per_g: Mapping[str, float]
    notes: Notes = Notes()

    @classmethod
    def from_arrays(
        cls,
        *,
        cell: Any,
        country: Any,
        crops: Mapping[str, tuple[Any, Any]],
        region: Any = None,
        kcal_per_g: Mapping[str, float] | None = None,
    ) -> Self:
        """Make a grid from columns in any order of rows.

        Parameters
        ----------
        cell : array_like, shape (n,)
            Ids: integers or text, each once.
        country, region : array_like of str, shape (n,)
            Names; blank or None: none.
        crops : mapping of str to (harvest_ha, production_mt)
            Harvested area in ha and production in metric tons, float, shape (n,) each; NaN where missing.
        kcal_per_g : mapping of str to float, optional
            Goes before the values of the package's table.

        Returns
        -------
        Grid

        Raises
        ------
        InputError
            If an id is blank or occurs twice, or a name is World.
        UsageError
            If lengths differ.

        Examples
        --------
        >>> grid = Grid.from_arrays(cell=[2, 1], country=["A", "B"], crops={"WHEA": ([10.0, 20.0], [30.0, 50.0])})
        >>> grid.crops, grid.countries, grid.columns["WHEA"][0].tolist()
        (('WHEA',), ('A', 'B'), [20.0, 10.0])
        """
        ids = read_ids(cell)
        labels = encode(country, "country"), encode([None] * len(ids) if region is None else region, "region")
        pairs = {str(code): (column_of(ha), column_of(mt)) for code, (ha, mt) in crops.items()}
        _check_crops(pairs, kcal_per_g or {})
        lengths = {"country": len(labels[0].codes), "region": len(labels[1].codes)}
        lengths |= {
            f"{code} {what}": len(c) for code, p in pairs.items() for what, c in zip(("ha", "mt"), p, strict=True)
        }
        for what, length in lengths.items():
            if length != len(ids):
                raise UsageValueError(f"{what} has {length} values, cell has {len(ids)}")
        return cls(**vars(make_grid(ids, labels, pairs, kcal_per_g or {})))

    @property
    def crops(self) -> tuple[str, ...]:
        """Codes, in the order of the input."""
        return tuple(self.columns)

    @property
    def countries(self) -> tuple[str, ...]:
        """Names, sorted by code point."""
        return self.country.names

    @property
    def regions(self) -> tuple[str, ...]:
        """Names, sorted by code point."""
        return self.region.names

    @property
    def n_cells(self) -> int:
        return len(self.cell)

    @cached_property
    def tallies(self) -> Mapping[str, Tally]:
        """Cells dropped of each crop, by reason."""
        return {code: tally(pair) for code, pair in self.columns.items()}

    @property
    def dropped(self) -> dict[str, int]:
        """Values dropped over all crops, by reason, and ids that only one file of a pair has."""
        return self.dropped_of(self.crops)

    def dropped_of(self, codes: Iterable[str]) -> dict[str, int]:
        """The same for some crops."""
        found = [self.tallies[code] for code in codes]
        counts = {name: sum(getattr(one, name) for one in found) for name in ("missing", "zero", "bad")}
        return counts | {"unpaired": self.notes.unpaired}

    def labels(self, by: str) -> Labels:
        """Countries or regions; for ``none`` no cell has a label."""
        if by == "none":
            return Labels((), np.full(self.n_cells, -1, dtype=np.int32))
        return self.country if by == "country" else self.region

    def find(self, by: str, name: str) -> str:
        """A country or region by name, in any letter case, or by a code that the input gives.

        Raises
        ------
        UsageError
            If there is none; the three nearest are offered.
        """
        names = self.labels(by).names
        found = {known.casefold(): known for known in reversed(names)}
        found |= {name: name for name in names}
        if by == "country":
            found |= {code: known for code, known in self.notes.aliases.items() if code not in found}
        text = clean(name)
        if text in found or text.casefold() in found:
            return found.get(text) or found[text.casefold()]
        raise UsageError(f"no {by} {name!r} in the grid{did_you_mean(name, names)}")

    def with_kcal(self, kcal_per_g: Mapping[str, float]) -> Grid:
        """The same grid with other values of kcal per g; nothing is copied."""
        return replace(self, kcal_per_g={**self.kcal_per_g, **kcal_per_g})

    @cached_property
    def _cells_digest(self) -> str:
        country, region = self.country, self.region
        names = ["\0".join(country.names), "\0".join(region.names)]
        return digest_of(["cells", self.cell, *names, country.codes, region.codes])

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def digest(self, crop: str) -> str:
        """32 hexadecimal digits over ids, countries, regions and both columns of a crop: every byte of them.

        >>> one = {"cell": [1, 2], "country": ["A", "A"], "crops": {"WHEA": ([1.0, 2.0], [3.0, 4.0])}}
        >>> two = one | {"crops": {"WHEA": ([1.0, 2.0], [3.0, 4.5])}}
        >>> Grid.from_arrays(**one).digest("WHEA") == Grid.from_arrays(**two).digest("WHEA")
        False
        """
        if crop not in self._digests:
            if crop not in self.columns:
                raise UsageError(f"no crop {crop!r} in the grid{did_you_mean(crop, self.columns)}")
            self._digests[crop] = digest_of([self._cells_digest, crop, *self.columns[crop]])
        return self._digests[crop]


def _check_crops(codes: Iterable[str], kcal_per_g: Mapping[str, float]) -> None:
    seen: dict[str, str] = {}
    for code in codes:
        other = seen.setdefault(code.casefold(), code)
        if other != code:
            raise UsageValueError(f"crops {other} and {code} differ only in letter case; rename one")
    for code, value in kcal_per_g.items():
        if not 0 < value < math.inf:
            raise UsageValueError(f"kcal_per_g of {code} is {value!r}; expected a finite number > 0")


def column_of(values: Any) -> NDArray[np.float64]:
    """A copy as float64, one value a cell; masked ones are missing."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(values), np.nan, np.ma.getdata(values))
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageValueError(f"a column does not hold numbers: {error}") from error
    if array.ndim != 1:
        raise UsageValueError(f"a column has shape {array.shape}; expected one value a cell")
    return array


def make_grid(
    ids: NDArray[Any],
    labels: tuple[Labels, Labels],
    pairs: Mapping[str, Pair],
    kcal_per_g: Mapping[str, float],
    notes: Notes | None = None,
) -> Grid:
    """Sort everything by id and freeze it; the arrays of ``pairs`` become the grid's own."""
    gap = blank(ids)
    if gap is not None:
        raise InputError(f"row {gap + 1}: the cell id is blank")
    order = order_of(ids)
    again = twice(ids, order)
    if again is not None:
        raise InputError(f"cell {again.id} occurs twice: rows {again.first + 1} and {again.second + 1}")
    sorted_already = bool((order[1:] > order[:-1]).all())
    columns = {code: tuple(_own(c if sorted_already else c[order]) for c in pair) for code, pair in pairs.items()}
    return Grid(
        cell=_own(ids[order]),
        country=labels[0].take(order),
        region=labels[1].take(order),
        columns={code: (ha, mt) for code, (ha, mt) in columns.items()},
        kcal_per_g={**default_kcal(), **kcal_per_g},
        notes=notes or Notes(),
    )


def _own(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def segments_of(grid: Grid, by: str, named: Iterable[str] | None) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """World and the segments asked for, and the code of each cell's segment from 0; -1: none of them.

    >>> grid = Grid.from_arrays(cell=[1, 2], country=["B", "A"], crops={})
    >>> segments_of(grid, "country", None)
    (('World', 'A', 'B'), array([1, 0], dtype=int32))
    """
    labels = grid.labels(by)
    if named is None:
        return (WORLD, *labels.names), labels.codes
    wanted = sorted({grid.find(by, name) for name in named if clean(name) != WORLD})
    place = {name: at for at, name in enumerate(wanted)}
    table = np.array([*(place.get(name, -1) for name in labels.names), -1], dtype=np.int32)
    return (WORLD, *wanted), table[labels.codes]
