"""The forms of a grid in files: wide, long, and a pair in the layout of SPAM; recognised by their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError
from fanwise.workloads.envelope._cells import Pair
from fanwise.workloads.envelope._ids import Twice, blank, order_of, read_ids, twice
from fanwise.workloads.envelope._labels import Labels, clean, encode
from fanwise.workloads.envelope._sheets import Rows, Sheet
from fanwise.workloads.envelope._words import listed

__all__ = ["SPAM_IDS", "BadValue", "Read", "form_of", "kind_of", "read_long", "read_pair", "read_wide"]

LONG = ("cell", "country", "crop", "harvest_ha", "production_mt")
SPAM_IDS = ("grid_code", "cell5m")
SPAM_COUNTRIES = ("adm0_name", "name_cntr", "fips0", "iso3")
SPAM_REGIONS = ("adm1_name", "name_adm1")
ALIASES = ("fips0", "iso3", "fips", "iso_a3", "country_code")
BAD_SHOWN = 20
KINDS = {"a": "physical area", "y": "yield", "v": "value of production"}


@dataclass(frozen=True, slots=True)
class BadValue:
    """A negative or infinite value: row from 1."""

    file: str
    row: int
    column: str
    value: float

    def __str__(self) -> str:
        return f"{self.file} row {self.row}, column {self.column}: {self.value!r}; expected a number ≥ 0"


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A grid as it was read, in the order of the rows."""

    ids: NDArray[Any]
    labels: tuple[Labels, Labels]
    pairs: dict[str, Pair]
    bad: tuple[BadValue, ...] = ()
    unpaired: int = 0
    aliases: Mapping[str, str] | None = None


def form_of(sheet: Sheet) -> str:
    """``wide``, ``long`` or ``spam``.

    Raises
    ------
    InputError
        If it is none of them; columns that are missing are named.
    """
    if any(name in sheet.columns for name in SPAM_IDS):
        return "spam"
    missing = [name for name in ("cell", "country") if name not in sheet.columns]
    if missing:
        raise _lacks(sheet, missing)
    if "crop" in sheet.columns:
        missing = [name for name in LONG if name not in sheet.columns]
        if missing:
            raise _lacks(sheet, missing)
        return "long"
    return "wide"


def _lacks(sheet: Sheet, missing: Sequence[str]) -> InputError:
    found = ", ".join(list(sheet.columns.values())[:30])
    return InputError(f"{sheet.name}: no column {listed(missing)}; found {found}")


def _ids(rows: Rows, column: str, *, unique: bool = True) -> NDArray[Any]:
    """Ids of the rows, none of them blank; each once if that is asked for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = rows.column(column)
    if pa.types.is_nested(values.type):
        raise InputError(f"{rows.sheet.name}, column {rows.sheet.columns[column]}: {values.type}; expected ids")
    try:
        if pa.types.is_string(values.type) and pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py():
            raise pa.ArrowInvalid("0x10 is a text, not the number 16")
        ids = np.array(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        ids = read_ids(values.to_pylist())
    if values.null_count or ids.dtype.kind == "f":
        ids = read_ids(values.to_pylist())
    gap = blank(ids)
    if gap is not None:
        raise InputError(f"{rows.sheet.name} row {gap + 1}, column {rows.sheet.columns[column]}: the cell id is blank")
    again = twice(ids, order_of(ids)) if unique else None
    if again is not None:
        raise InputError(_said_twice(rows.sheet.name, f"cell {again.id}", again))
    return ids


def _said_twice(file: str, what: str, again: Twice) -> str:
    return f"{file}: {what} occurs twice, in rows {again.first + 1} and {again.second + 1}; keep one of them"


def _labels(rows: Rows, country: str, region: str | None) -> tuple[Labels, Labels]:
    blanks: Any = np.full(len(rows), None, dtype=object)
    return encode(rows.column(country), "country"), encode(blanks if region is None else rows.column(region), "region")


def _aliases(rows: Rows, country: str, codes: Sequence[str]) -> dict[str, str]:
    """Codes of countries in small letters to names, where a code stands for one name only."""
    found: dict[str, set[str]] = {}
    for column in codes:
        pairs = {(clean(a), clean(b)) for a, b in zip(*_columns_of(rows, column, country), strict=True)}
        for code, name in pairs:
            found.setdefault(code.casefold(), set()).add(name)
    return {code: min(names) for code, names in found.items() if code and len(names) == 1}


def _columns_of(rows: Rows, *names: str) -> list[list[Any]]:
    import pyarrow as pa

    table = pa.table([rows.column(name) for name in names], names=list(names))
    distinct = table.group_by(list(names)).aggregate([])
    return [distinct.column(name).to_pylist() for name in names]


def _bad_values(rows: Rows, numbers: Mapping[str, NDArray[np.float64]]) -> tuple[BadValue, ...]:
    """The first negative or infinite values in file order; ``numbers`` by name as written."""
    return tuple(sorted(_each_bad(rows.sheet.name, numbers), key=lambda bad: bad.row)[:BAD_SHOWN])


def _each_bad(file: str, numbers: Mapping[str, NDArray[np.float64]]) -> Iterator[BadValue]:
    for column, values in numbers.items():
        for at in np.flatnonzero((values < 0) | (values == np.inf))[:BAD_SHOWN].tolist():
            yield BadValue(file, at + 1, column, float(values[at]))


def read_wide(sheet: Sheet) -> Read:
    """``cell``, ``country``, [``region``], and ``CODE_H``, ``CODE_P`` for each crop."""
    codes = _wide_codes(sheet)
    numbers = [f"{code}_{kind}" for code in codes for kind in "hp"]
    region = "region" if "region" in sheet.columns else None
    codes_of = [name for name in ALIASES if name in sheet.columns]
    rows = sheet.table(numbers, ["cell", "country", *([region] if region else []), *codes_of])
    values = {name: rows.numbers(name) for name in numbers}
    return Read(
        _ids(rows, "cell"),
        _labels(rows, "country", region),
        {code.upper(): (values[f"{code}_h"], values[f"{code}_p"]) for code in codes},
        _bad_values(rows, {sheet.columns[name]: column for name, column in values.items()}),
        aliases=_aliases(rows, "country", codes_of),
    )


def _wide_codes(sheet: Sheet) -> list[str]:
    halves = [match.groups() for name in sheet.columns if (match := re.fullmatch(r"(.+)_([hp])", name))]
    codes = list(dict.fromkeys(code for code, _ in halves))
    for code in codes:
        missing = [kind for kind in "hp" if f"{code}_{kind}" not in sheet.columns]
        if missing:
            raise _lacks(sheet, [f"{code}_{missing[0]}".upper()])
    if not codes:
        raise _lacks(sheet, ["CODE_H and CODE_P of any crop"])
    return codes


def read_long(sheet: Sheet) -> Read:
    """``cell``, ``country``, [``region``], ``crop``, ``harvest_ha``, ``production_mt``: a row for each cell and crop."""
    region = "region" if "region" in sheet.columns else None
    codes_of = [name for name in ALIASES if name in sheet.columns]
    rows = sheet.table(LONG[3:], ["cell", "country", "crop", *([region] if region else []), *codes_of])
    ids = _ids(rows, "cell", unique=False)
    crops = _codes(rows)
    if (crops.codes < 0).any():
        raise InputError(f"{sheet.name} row {int(np.argmin(crops.codes)) + 1}, column crop: the code is blank")
    cells, first, place = np.unique(ids, return_index=True, return_inverse=True)
    spot = crops.codes.astype(np.int64) * len(cells) + place
    again = twice(spot, order_of(spot))
    if again is not None:
        what = f"cell {ids[again.first]} with crop {crops.names[crops.codes[again.first]]}"
        raise InputError(_said_twice(sheet.name, what, again))
    labels = _labels(rows, "country", region)
    for label, what in zip(labels, ("country", "region"), strict=True):
        _check_one_label(sheet, label, first[place], what)
    values = {name: rows.numbers(name) for name in LONG[3:]}
    pairs = {
        code: (_spread(values[LONG[3]], spot, at, len(cells)), _spread(values[LONG[4]], spot, at, len(cells)))
        for at, code in sorted(enumerate(crops.names), key=lambda one: int(np.argmax(crops.codes == one[0])))
    }
    return Read(
        cells,
        (labels[0].take(first), labels[1].take(first)),
        pairs,
        _bad_values(rows, {sheet.columns[name]: column for name, column in values.items()}),
        aliases=_aliases(rows, "country", codes_of),
    )


def _codes(rows: Rows) -> Labels:
    """Codes of crops in capital letters."""
    written = encode(rows.column("crop"), "crop")
    names = tuple(sorted({name.upper() for name in written.names}))
    table = np.array([*(names.index(name.upper()) for name in written.names), -1], dtype=np.int32)
    return Labels(names, table[written.codes])


def _spread(values: NDArray[np.float64], spot: NDArray[np.int64], crop: int, cells: int) -> NDArray[np.float64]:
    """One crop's column: cells without a row are missing."""
    column = np.full(cells, np.nan)
    mine = spot // cells == crop
    column[spot[mine] % cells] = values[mine]
    return column


def _check_one_label(sheet: Sheet, label: Labels, first: NDArray[np.intp], what: str) -> None:
    other = np.flatnonzero(label.codes != label.codes[first])
    if len(other):
        row = int(other[0])
        names = [label.names[label.codes[at]] if label.codes[at] >= 0 else "" for at in (row, int(first[row]))]
        raise InputError(
            f"{sheet.name} row {row + 1}, column {what}: {names[0]!r}, but row {int(first[row]) + 1} "
            f"has {names[1]!r} for the same cell"
        )


def read_pair(harvest: Sheet, production: Sheet, technology: str) -> Read:
    """Two files in the layout of SPAM, paired by id; an id in only one of them is dropped and counted."""
    crops = [_spam_crops(sheet, technology) for sheet in (harvest, production)]
    alone = set(crops[0]) ^ set(crops[1])
    if alone:
        code = min(alone)
        lacking = production if code in crops[0] else harvest
        raise _lacks(lacking, [f"{code}_{technology}".upper()])
    (rows_h, ids_h), (rows_p, ids_p) = (_spam_rows(s, list(crops[0].values())) for s in (harvest, production))
    if ids_h.dtype.kind != ids_p.dtype.kind:
        ids_h, ids_p = ids_h.astype(np.str_), ids_p.astype(np.str_)
    common, at_h, at_p = np.intersect1d(ids_h, ids_p, assume_unique=True, return_indices=True)
    values = [{name: rows.numbers(name) for name in crops[0].values()} for rows in (rows_h, rows_p)]
    bad = [
        _bad_values(rows, {rows.sheet.columns[name]: column for name, column in found.items()})
        for rows, found in zip((rows_h, rows_p), values, strict=True)
    ]
    country, region = _spam_places(harvest)
    labels = _labels(rows_h, country, region)
    codes_of = [name for name in ALIASES if name in harvest.columns and name != country]
    return Read(
        common,
        (labels[0].take(at_h), labels[1].take(at_h)),
        {code.upper(): (values[0][name][at_h], values[1][name][at_p]) for code, name in crops[0].items()},
        (*bad[0], *bad[1])[:BAD_SHOWN],
        len(ids_h) + len(ids_p) - 2 * len(common),
        _aliases(rows_h, country, codes_of),
    )


def _spam_crops(sheet: Sheet, technology: str) -> dict[str, str]:
    """Codes in small letters to columns of this technology."""
    suffix = f"_{technology.casefold()}"
    crops = {name.removesuffix(suffix): name for name in sheet.columns if name.endswith(suffix)}
    if not crops:
        found = sorted({name[-1].upper() for name in sheet.columns if re.fullmatch(r"[a-z]{4}_[airhls]", name)})
        raise InputError(f"{sheet.name}: no column for technology {technology}; there are columns for {listed(found)}")
    return crops


def _spam_rows(sheet: Sheet, numbers: Sequence[str]) -> tuple[Rows, NDArray[Any]]:
    country, region = _spam_places(sheet)
    key = next(name for name in SPAM_IDS if name in sheet.columns)
    codes_of = [name for name in ALIASES if name in sheet.columns]
    texts = dict.fromkeys([key, country, *([region] if region else []), *codes_of])
    rows = sheet.table(numbers, list(texts))
    return rows, _ids(rows, key)


def _spam_places(sheet: Sheet) -> tuple[str, str | None]:
    """Columns of country and region."""
    country = next((name for name in SPAM_COUNTRIES if name in sheet.columns), None)
    if country is None:
        raise _lacks(sheet, ["ADM0_NAME"])
    return country, next((name for name in SPAM_REGIONS if name in sheet.columns), None)


def kind_of(sheet: Sheet) -> str | None:
    """``h`` or ``p`` by ``rec_type``, else by the file's name; None if neither tells.

    Raises
    ------
    InputError
        If the file holds physical area, yield or value.
    """
    kind: str | None = None
    if "rec_type" in sheet.columns:
        values = {clean(v).casefold() for v in _columns_of(sheet.table([], ["rec_type"]), "rec_type")[0]} - {""}
        if len(values) > 1:
            raise InputError(f"{sheet.name}, column rec_type: {listed(sorted(values))}; expected one kind in a file")
        kind = next(iter(values), None)
    else:
        match = re.search(r"_([hpayv])_", sheet.name.casefold())
        kind = match.group(1) if match else None
    if kind in KINDS:
        raise InputError(
            f"{sheet.name} holds {KINDS[kind]} ({kind.upper()}); harvested area (H) and production (P) are needed"
        )
    return kind if kind in {"h", "p"} else None
