"""What is needed of pandas that it does not promise to keep, in one place, for pandas 2.2 and 3."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["blocks_of", "data_and_mask", "datetimes_of", "frame_of", "values_of"]

Array = np.ndarray[Any, np.dtype[Any]]


def values_of(labelled: Any) -> Any:
    """The array behind a series or index, without a copy."""
    array = labelled.array
    is_numpy = type(array).__name__ in {"NumpyExtensionArray", "PandasArray"}
    return array.to_numpy(copy=False) if is_numpy else array


def blocks_of(frame: Any) -> list[tuple[Any, Array]]:
    """Pairs of an array of columns (a row each) and the numbers of these columns."""
    blocks = frame._mgr.blocks  # noqa: SLF001  # as pyarrow does; every public way copies
    return [(b.values, b.mgr_locs.as_array) for b in blocks]  # noqa: PD011  # a block is no frame


def frame_of(blocks: list[tuple[Any, Array]], index: Any, columns: Any) -> Any:
    """A frame over such blocks as they are."""
    try:
        api: Any = import_module("pandas.api.internals")
    except ImportError:
        return _frame_of_pandas_2(blocks, index, columns)
    return api.create_dataframe_from_blocks(blocks, index=index, columns=columns)


def _frame_of_pandas_2(blocks: list[tuple[Any, Array]], index: Any, columns: Any) -> Any:
    internals: Any = import_module("pandas.core.internals")
    make_block = import_module("pandas.core.internals.api").make_block
    manager = internals.BlockManager(tuple(make_block(v, at, ndim=2) for v, at in blocks), [columns, index])
    frame: Any = pd.DataFrame
    return frame._from_mgr(manager, manager.axes)  # noqa: SLF001  # what pandas 3 offers as a function


def data_and_mask(array: Any) -> tuple[Array, Array]:
    """The two halves of an integer, floating or boolean array that can have missing values."""
    return array._data, array._mask  # noqa: SLF001  # every public way copies


def datetimes_of(array: Any) -> Array:
    """Dates (in UTC) or time spans as NumPy has them, without a copy."""
    kind = "m8" if isinstance(array.dtype, np.dtype) and array.dtype.kind == "m" else "M8"
    values: Array = array.asi8.view(f"{kind}[{array.unit}]")
    return values
