"""Counts: what is one, what is wrong with one that is not, in text, in objects and in arrays."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fanwise.errors import UsageError
from fanwise.workloads.exactci._records import Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CELLS", "EXPECTED", "LARGEST", "count_of", "count_of_text", "read_cells", "read_counts", "settle"]

LARGEST = 10**9
CELLS = "abcd"
EXPECTED = f"a whole number from 0 to {LARGEST:,}"
MISSING = frozenset({"", "na", "nan", "null", "none"})
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)


def count_of_text(text: str) -> tuple[int, Status]:
    """Read a count; one that is not a count comes back as 0 and what is wrong with it."""
    word = text.strip()
    if word.lower() in MISSING:
        return 0, Status.MISSING
    if not NUMBER.fullmatch(word):
        return 0, Status.NOT_A_NUMBER
    return _count_of_decimal(Decimal(word))


def _count_of_decimal(number: Decimal) -> tuple[int, Status]:
    if number < 0:
        return 0, Status.NEGATIVE
    if number > LARGEST:
        whole = number.adjusted() > 30 or number == number.to_integral_value()
        return 0, Status.TOO_LARGE if whole else Status.NOT_INTEGER
    if number != number.to_integral_value():
        return 0, Status.NOT_INTEGER
    return int(number), Status.OK


def count_of(value: Any) -> tuple[int, Status]:
    """Read a count given as any object."""
    if value is None:
        return 0, Status.MISSING
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return count_of_text(text if isinstance(text, str) else str(text))


def read_counts(tables: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Counts and status of each row; bad rows come back as zeros.

    Parameters
    ----------
    tables : array_like, shape (N, 4)
        Integers, floats with whole values, text or objects.

    Returns
    -------
    counts : ndarray of int64, shape (N, 4)
    status : ndarray of uint8, shape (N,)
        Values of `Status`; that of the first bad cell of the row.

    Raises
    ------
    UsageError
        If the shape is another one or the elements are neither numbers nor text.
    """
    import numpy as np

    array = _array_of(tables)
    if array.shape in {(0,), (0, 4)}:
        return np.zeros((0, 4), np.int64), np.zeros(0, np.uint8)
    if array.ndim != 2 or array.shape[1] != 4:
        raise UsageError(f"tables have the shape {array.shape}; expected (N, 4): one row a, b, c, d for each table")
    return settle(*read_cells(array))


def _array_of(tables: Any) -> NDArray[Any]:
    """An array of whatever was given; what is masked is missing."""
    import numpy as np

    if isinstance(tables, np.ma.MaskedArray):
        cells = np.array(tables.data, dtype=object)
        cells[np.ma.getmaskarray(tables)] = None
        return cells
    try:
        return np.asarray(tables)
    except ValueError as error:
        raise UsageError(f"tables are no array ({error}); expected (N, 4): one row a, b, c, d for each table") from None


def read_cells(array: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Counts in an array of any shape, and what is wrong with those that are not counts (these are 0)."""
    import numpy as np

    if array.dtype.kind in "OUS":
        pairs = np.array([count_of(value) for value in array.ravel().tolist()], np.int64).reshape(*array.shape, 2)
        return pairs[..., 0], pairs[..., 1].astype(np.uint8)
    if array.dtype.kind not in "biuf":
        raise UsageError(f"tables hold {array.dtype}; expected whole numbers")
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        array = array.astype(np.float64)  # a half cannot be compared with the largest count
    status = _status_of_numbers(array)
    return np.where(status == 0, array, 0).astype(np.int64), status


def _status_of_numbers(array: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    status = np.zeros(array.shape, np.uint8)
    status[array > LARGEST] = Status.TOO_LARGE
    if array.dtype.kind == "f":
        status[array != np.floor(array)] = Status.NOT_INTEGER
    status[array < 0] = Status.NEGATIVE
    if array.dtype.kind == "f":
        status[np.isinf(array)] = Status.NOT_A_NUMBER
        status[np.isnan(array)] = Status.MISSING
    return status


def settle(counts: NDArray[np.int64], cell_status: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Give each row the status of its first bad cell, or of its margins; rows with a bad cell become zeros."""
    import numpy as np

    bad = cell_status != 0
    status = cell_status[np.arange(len(counts)), bad.argmax(axis=1)]
    a, b, c, d = counts.T
    empty = (a + b == 0) | (c + d == 0) | (a + c == 0) | (b + d == 0)
    status[(status == 0) & empty] = Status.EMPTY_MARGIN
    settled = np.ascontiguousarray(counts)
    settled[bad.any(axis=1)] = 0
    return settled, status
