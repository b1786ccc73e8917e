"""Names of countries and regions as codes: NFC, stripped, sorted by code point; a blank one belongs to World only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.errors import InputError

__all__ = ["WORLD", "Labels", "clean", "encode"]

WORLD = "World"


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Names sorted by code point, and the place of each cell's name among them; -1: blank."""

    names: tuple[str, ...]
    codes: NDArray[np.int32]

    def take(self, order: NDArray[np.intp]) -> Labels:
        """The labels of some cells; names stay."""
        return Labels(self.names, _frozen(self.codes[order]))


def clean(text: Any) -> str:
    r"""A name as it is compared: NFC, without spaces around it; missing ones are blank.

    >>> clean(" Cafe\u0301 ") == "Café", clean(None)
    (True, '')
    """
    return unicodedata.normalize("NFC", text).strip() if isinstance(text, str) else ""


def encode(values: Sequence[Any], kind: str) -> Labels:
    """Codes of a column of names; each different spelling is looked at once.

    Parameters
    ----------
    values : sequence of str or None
        A column: list, array, pandas or pyarrow.
    kind : str
        ``country`` or ``region``, for messages.

    Raises
    ------
    InputError
        If a name is World.

    Examples
    --------
    >>> labels = encode(["Utopia", " Erewhon", "", "Utopia"], "country")
    >>> labels.names, labels.codes.tolist()
    (('Erewhon', 'Utopia'), [1, 0, -1, 1])
    """
    spellings, places = _distinct(values)
    cleaned = [clean(text) for text in spellings]
    names = tuple(sorted(set(cleaned) - {""}))
    if WORLD in names:
        raise InputError(f"a {kind} is called World, which is what all cells together are called; rename it")
    code = {name: place for place, name in enumerate(names)} | {"": -1}
    table = np.array([code[text] for text in cleaned], dtype=np.int32)
    return Labels(names, _frozen(table[places]))


def _distinct(values: Any) -> tuple[list[Any], NDArray[np.int64]]:
    import pyarrow as pa

    column = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else _as_arrow(values)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = _as_text(column)  # such as codes of countries that are numbers
    encoded = column.dictionary_encode("encode")  # a missing name is a spelling too
    places = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    return encoded.dictionary.to_pylist(), places


def _as_arrow(values: Any) -> Any:
    import pyarrow as pa

    listed = np.asarray(values, dtype=object).tolist()
    try:
        return pa.array(listed, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"a column of names holds values of more than one kind ({error})") from error


def _as_text(column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"a column of names holds {column.type}; expected text") from error


def _frozen(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    codes.flags.writeable = False
    return codes
