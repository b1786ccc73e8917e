"""Cell ids: integers if every one is, else text by code point; their order; ids that occur twice."""

from __future__ import annotations

import math
import unicodedata
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Twice", "blank", "order_of", "read_ids", "twice"]


class Twice(NamedTuple):
    """An id that occurs twice, and its first two rows, from 0."""

    id: str
    first: int
    second: int


def read_ids(values: Any) -> NDArray[Any]:
    """Ids as int64 if every one is an integer of that size, else as text. They never pass through float.

    >>> read_ids(["9007199254740993", "7"]).tolist(), read_ids(["b", "10"]).tolist()
    ([9007199254740993, 7], ['b', '10'])
    """
    array = np.asarray(values)
    if array.dtype.kind == "f":
        wanted = values if isinstance(values, list) else array.tolist()  # integers of 64 bits and more came as floats
        array = np.array([int(v) if _is_whole(v) else v for v in wanted], dtype=object)
    if array.dtype.kind == "O" and array.size and all(type(v) is int and abs(v) < 2**63 for v in array.tolist()):
        array = array.astype(np.int64)
    if array.dtype.kind in "iu" and (not array.size or array.max() <= np.iinfo(np.int64).max):
        return np.array(array, dtype=np.int64)
    texts = np.array([_text(value) for value in array.tolist()], dtype=np.str_)
    if any("_" in text for text in texts.tolist()):
        return texts  # int("1_0") is 10, the id is not
    try:
        return texts.astype(np.int64)
    except (ValueError, OverflowError):
        return texts


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (math.isfinite(value) and value == math.floor(value))


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return unicodedata.normalize("NFC", str(value)).strip()


def blank(ids: NDArray[Any]) -> int | None:
    """Row of the first blank id, from 0."""
    if ids.dtype.kind != "U":
        return None
    found = np.flatnonzero(ids == "")
    return int(found[0]) if len(found) else None


def order_of(ids: NDArray[Any]) -> NDArray[np.intp]:
    """Places of the ids in ascending order; integers too large for 64 bits compare as integers too.

    >>> order_of(np.array(["100000000000000000000", "20000000000000000000"])).tolist()
    [1, 0]
    """
    if ids.dtype.kind == "U" and len(ids) and all(text.removeprefix("-").isdecimal() for text in ids.tolist()):
        numbers = list(map(int, ids.tolist()))
        return np.array(sorted(range(len(numbers)), key=numbers.__getitem__), dtype=np.intp)
    return np.argsort(ids, kind="stable")


def twice(ids: NDArray[Any], order: NDArray[np.intp]) -> Twice | None:
    """The id whose second row comes first among those that occur twice; ``order`` is a stable order of the ids.

    >>> ids = np.array([5, 7, 5, 7])
    >>> twice(ids, order_of(ids))
    Twice(id='5', first=0, second=2)
    """
    ranked = ids[order]
    same = np.flatnonzero(ranked[1:] == ranked[:-1])
    if not len(same):
        return None
    at = int(same[np.argmin(order[same + 1])])
    return Twice(str(ranked[at]), int(order[at]), int(order[at + 1]))
