"""The arrays that pandas keeps columns in. They are parts of frames, series and indexes, never entries of their own.

====================  =====================================================  ==============================
kind                  meta                                                   buffers
====================  =====================================================  ==============================
``ndarray``           as for arrays                                          one
``pandas.datetimes``  ``values``: node of datetime64; ``tz``: name or null   one
``pandas.periods``    ``values``: node of int64; ``freq``                    one
``pandas.intervals``  ``left``, ``right``: nodes; ``closed``                 theirs
``pandas.category``   ``codes``: node; ``categories``: index; ``ordered``    theirs
``pandas.masked``     ``values``, ``mask``: nodes                            two
``pandas.arrow``      ``dtypes``: one a column, null or ``{"na": "nan"}``    one Arrow stream, a column each
``pickle``            objects, and whatever is not above                     pickle and its buffers
====================  =====================================================  ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from fanwise.bundle._codecs import arrays, arrow, pickles
from fanwise.bundle._codecs import pandas_private as private
from fanwise.bundle._codecs.parts import Encoded, Meta, Packing, Part, Unpacking

__all__ = ["decode", "decode_part", "encode", "encode_arrow", "is_arrow"]


def encode(values: Any) -> Encoded:
    """Take the array behind a column, a block or an index apart."""
    if isinstance(values, np.ndarray):
        return arrays.encode(values) or pickles.encode(values)
    if is_arrow(values):
        return encode_arrow([values])
    how = _ENCODERS.get(type(values).__name__)
    return (how(values) if how is not None else None) or pickles.encode(values)


def decode(part: Part) -> Any:
    """The array over its buffers; a list of arrays for ``pandas.arrow``."""
    if part.kind == "ndarray":
        return arrays.decode(part)
    if part.kind == "pickle":
        return pickles.decode(part)
    return _DECODERS[part.kind](Unpacking(part, decode_part))


def decode_part(part: Part) -> Any:
    """Any part of a frame: an array, an index or a label."""
    from fanwise.bundle._codecs import indexes

    return (indexes.decode if part.kind in indexes.KINDS else decode)(part)


def is_arrow(values: object) -> bool:
    """Whether a column is Arrow memory, so that several can share a stream."""
    return type(values).__name__ in {"ArrowExtensionArray", "ArrowStringArray"}


def encode_arrow(columns: Iterable[Any]) -> Encoded:
    """Arrow-backed columns as one table, each named by its number."""
    import pyarrow as pa

    columns = list(columns)
    table = pa.table({str(n): c.__arrow_array__() for n, c in enumerate(columns)})
    meta = {"dtypes": [_arrow_dtype(c.dtype) for c in columns]}
    return Encoded("pandas.arrow", meta, (arrow.table_stream(table),))


def _arrow_dtype(dtype: Any) -> Meta | None:
    """What the stream does not say: whether text counts a missing value as NaN or NA."""
    if not isinstance(dtype, pd.StringDtype):
        return None
    return {"na": "NA" if dtype.na_value is pd.NA else "nan"}


def _decode_arrow(parts: Unpacking) -> list[Any]:
    table = arrow.read_table(parts.whole)
    return [_column(c, d) for c, d in zip(table.columns, parts.meta["dtypes"], strict=True)]


def _column(column: Any, dtype: Meta | None) -> Any:
    if dtype is None:
        return pd.arrays.ArrowExtensionArray(column)
    return _string_dtype(dtype["na"]).__from_arrow__(column)


def _string_dtype(na: str) -> Any:
    try:
        return pd.StringDtype("pyarrow", na_value=pd.NA if na == "NA" else np.nan)
    except TypeError:  # pandas 2
        return pd.StringDtype("pyarrow" if na == "NA" else "pyarrow_numpy")


def _encode_datetimes(values: Any) -> Encoded | None:
    zone = getattr(values.dtype, "tz", None)
    if zone is not None and not _is_named(values.dtype):
        return None
    packing = Packing()
    node = packing.add(_exactly(private.datetimes_of(values)))
    return packing.encoded("pandas.datetimes", {"values": node, "tz": None if zone is None else str(zone)})


def _exactly(array: Any) -> Encoded:
    return arrays.encode(array) or pickles.encode(array)


def _is_named(dtype: Any) -> bool:
    """Whether pandas makes the same time zone of its name."""
    try:
        again = pd.DatetimeTZDtype(dtype.unit, tz=str(dtype.tz))
    except (KeyError, TypeError, ValueError):
        return False
    return type(again.tz) is type(dtype.tz) and again == dtype


def _decode_datetimes(parts: Unpacking) -> Any:
    values = parts.take(parts.meta["values"])
    index: Any = pd.DatetimeIndex if values.dtype.kind == "M" else pd.TimedeltaIndex
    array = index(values.reshape(-1), copy=False).array
    if parts.meta["tz"] is not None:
        unit: Any = np.datetime_data(values.dtype)[0]
        array = array.view(pd.DatetimeTZDtype(unit, tz=parts.meta["tz"]))
    return array.reshape(values.shape)


def _encode_periods(values: Any) -> Encoded | None:
    freq = values.freqstr
    if pd.PeriodDtype(freq) != values.dtype:
        return None
    packing = Packing()
    return packing.encoded("pandas.periods", {"values": packing.add(_exactly(values.asi8)), "freq": freq})


def _decode_periods(parts: Unpacking) -> Any:
    ordinals = parts.take(parts.meta["values"])
    index: Any = pd.PeriodIndex
    return index.from_ordinals(ordinals.reshape(-1), freq=parts.meta["freq"]).array.reshape(ordinals.shape)


def _encode_intervals(values: Any) -> Encoded:
    packing = Packing()
    left, right = (packing.add(encode(private.values_of(side))) for side in (values.left, values.right))
    return packing.encoded("pandas.intervals", {"left": left, "right": right, "closed": values.closed})


def _decode_intervals(parts: Unpacking) -> Any:
    left, right = parts.take(parts.meta["left"]), parts.take(parts.meta["right"])
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=parts.meta["closed"], copy=False)


def _encode_category(values: Any) -> Encoded:
    from fanwise.bundle._codecs import indexes

    packing = Packing()
    codes, categories = packing.add(_exactly(values.codes)), packing.add(indexes.encode(values.categories))
    return packing.encoded(
        "pandas.category", {"codes": codes, "categories": categories, "ordered": bool(values.ordered)}
    )


def _decode_category(parts: Unpacking) -> Any:
    codes, categories = parts.take(parts.meta["codes"]), parts.take(parts.meta["categories"])
    dtype = pd.CategoricalDtype(categories, ordered=parts.meta["ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)  # checks that each code has a category


def _encode_masked(values: Any) -> Encoded:
    packing = Packing()
    data, mask = (packing.add(_exactly(a)) for a in private.data_and_mask(values))
    return packing.encoded("pandas.masked", {"values": data, "mask": mask})


def _decode_masked(parts: Unpacking) -> Any:
    data, mask = parts.take(parts.meta["values"]), parts.take(parts.meta["mask"])
    kind: Any = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}.get(data.dtype.kind, pd.arrays.IntegerArray)
    return kind(data, mask)


_ENCODERS: dict[str, Callable[[Any], Encoded | None]] = {
    "BooleanArray": _encode_masked,
    "Categorical": _encode_category,
    "DatetimeArray": _encode_datetimes,
    "FloatingArray": _encode_masked,
    "IntegerArray": _encode_masked,
    "IntervalArray": _encode_intervals,
    "PeriodArray": _encode_periods,
    "TimedeltaArray": _encode_datetimes,
}

_DECODERS: dict[str, Callable[[Unpacking], Any]] = {
    "pandas.arrow": _decode_arrow,
    "pandas.category": _decode_category,
    "pandas.datetimes": _decode_datetimes,
    "pandas.intervals": _decode_intervals,
    "pandas.masked": _decode_masked,
    "pandas.periods": _decode_periods,
}
