"""Keys of tables and columns: pandas, polars and pyarrow.

Names, order of columns, index and dtypes matter; memory layout, chunks and slices do not. Nothing is imported here but
the package that the value came from.
"""

from __future__ import annotations

import io
from typing import Any

from fanwise.cache._hashing import Buffer
from fanwise.cache._keys import Encoded, Handler, Node, extension, framed, name_of

__all__ = ["frame_handler"]


def frame_handler(package: str, cls: type) -> Handler | None:
    """The function for a class of one of the three packages."""
    return {"pandas": _of_pandas, "polars": _of_polars, "pyarrow": _of_pyarrow}[package](cls)


def _of_pandas(cls: type) -> Handler | None:
    import pandas as pd

    if cls is pd.DataFrame:
        return _frame
    if cls is pd.Series:
        return _series
    if issubclass(cls, pd.MultiIndex):
        return _multi_index
    for base, handler in (
        (pd.RangeIndex, _range_index),
        (pd.Index, _index),
        (pd.api.extensions.ExtensionArray, _column),
    ):
        if issubclass(cls, base):
            return handler
    return _pandas_scalar(cls)


def _pandas_scalar(cls: type) -> Handler | None:
    import pandas as pd

    if issubclass(cls, pd.Timestamp):
        return lambda v: Node(extension("Timestamp", v.unit), (v.asm8, v.fold, v.tzinfo))
    if issubclass(cls, pd.Timedelta):
        return lambda v: Node(extension("Timedelta", v.unit), (v.asm8,))
    if issubclass(cls, pd.Period):
        return lambda v: Node(extension("Period", v.freqstr), (v.ordinal,))
    if issubclass(cls, pd.Interval):
        return lambda v: Node(extension("Interval", v.closed), (v.left, v.right))
    if cls in (type(pd.NaT), type(pd.NA)):
        return lambda _: extension("missing", cls.__name__)
    if issubclass(cls, pd.api.extensions.ExtensionDtype):
        return _pandas_dtype
    return None


def _frame(value: Any) -> Node:
    columns = [value.iloc[:, place].array for place in range(value.shape[1])]
    return Node(extension("DataFrame"), (value.columns, value.index, dict(value.attrs), *columns))


def _series(value: Any) -> Node:
    return Node(extension("Series"), (value.name, value.index, dict(value.attrs), value.array))


def _index(value: Any) -> Node:
    head = extension("Index", type(value).__name__, getattr(value, "freqstr", None) or "")
    return Node(head, (value.name, value.array))


def _range_index(value: Any) -> Node:
    return Node(extension("RangeIndex"), (value.name, value.start, value.stop, value.step))


def _multi_index(value: Any) -> Node:
    levels = [value.get_level_values(place).array for place in range(value.nlevels)]
    return Node(extension("MultiIndex"), (list(value.names), *levels))


def _column(value: Any) -> Encoded:
    """One extension array: its dtype, then its values in a form that does not depend on memory layout."""
    import pandas as pd

    dtype = value.dtype
    head = extension("column", str(dtype), type(dtype).__name__)
    if isinstance(value, pd.arrays.NumpyExtensionArray):
        return Node(head, (value.to_numpy(),))
    if isinstance(dtype, pd.CategoricalDtype):
        return Node(head, (dtype.categories, dtype.ordered, value.codes))
    if isinstance(dtype, pd.DatetimeTZDtype) or isinstance(value, pd.arrays.DatetimeArray | pd.arrays.TimedeltaArray):
        return Node(head, (value.asi8,))
    if isinstance(dtype, pd.ArrowDtype):
        return Node(head, (value.__arrow_array__(),))
    missing = value.isna()
    if isinstance(dtype, pd.StringDtype):
        return Node(head, (dtype.storage, dtype.na_value, missing, value[~missing].astype(object)))
    if type(value).__module__.endswith(("masked", "integer", "floating", "boolean")):
        return Node(head, (missing, value[~missing].to_numpy(dtype.numpy_dtype)))
    return Node(head, (value.astype(object),))


def _pandas_dtype(value: Any) -> Node:
    import pandas as pd

    return Node(extension("dtype", name_of(type(value)), str(value)), (pd.array([], dtype=value),))


def _of_polars(cls: type) -> Handler | None:
    import polars as pl

    if cls is pl.DataFrame:
        return lambda v: Node(extension("polars.DataFrame"), (v.height, *v.get_columns()))
    if cls is pl.Series:
        return _polars_series
    if issubclass(cls, pl.DataType):
        return lambda v: Node(extension("polars.DataType"), (pl.Series("", [], dtype=v),))
    return None


def _polars_series(value: Any) -> Encoded:
    """Nested columns as lengths and inner values: what lies under nulls and between slices stays out."""
    import polars as pl

    dtype = value.dtype
    head = extension("polars.Series", value.name, repr(dtype))
    if dtype == pl.Object:
        return Node(head, value.to_list())
    if isinstance(dtype, pl.Array):
        value = value.cast(pl.List(dtype.inner))
    if isinstance(value.dtype, pl.List):
        lengths = value.list.len()
        return Node(head, (lengths, value.filter((lengths > 0).fill_null(value=False)).explode()))
    if isinstance(dtype, pl.Struct):
        return Node(head, (value.is_null(), *value.struct.unnest().get_columns()))
    flat = value.cast(pl.String) if dtype == pl.Categorical else value
    return [head, framed(b"b", _polars_stream(flat.gather(pl.int_range(len(flat), eager=True))))]


def _polars_stream(value: Any) -> Buffer:
    import polars as pl

    stream = io.BytesIO()
    value.alias("").to_frame().write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getbuffer()


def _of_pyarrow(cls: type) -> Handler | None:
    import pyarrow as pa

    if issubclass(cls, pa.Table):
        return _arrow_table
    if issubclass(cls, pa.RecordBatch):
        return lambda v: Node(extension("pyarrow.RecordBatch"), (pa.Table.from_batches([v]),))
    if issubclass(cls, pa.Array | pa.ChunkedArray):
        name = "pyarrow.ChunkedArray" if cls is pa.ChunkedArray else "pyarrow.Array"
        return lambda v: Node(extension(name), (pa.table({"": v}),))
    if issubclass(cls, pa.Scalar):
        return lambda v: Node(extension("pyarrow.Scalar"), (pa.table({"": pa.repeat(v, 1)}),))
    if issubclass(cls, pa.Schema | pa.DataType | pa.Field):
        return lambda v: Node(extension(f"pyarrow.{cls.__name__}"), (_schema(v).serialize().to_pybytes(),))
    return None


def _schema(value: Any) -> Any:
    import pyarrow as pa

    if isinstance(value, pa.Schema):
        return value
    return pa.schema([value if isinstance(value, pa.Field) else pa.field("", value)])


def _arrow_table(value: Any) -> Encoded:
    """Taking every row rewrites each column from offset 0, without what lies around a slice and under nulls."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = value.cast(pa.schema([field.with_type(_plain_type(field.type)) for field in value.schema]))
    rows = pc.indices_nonzero(pa.repeat(pa.scalar(value=True), value.num_rows))
    fresh = flat.combine_chunks().take(rows).combine_chunks()
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, fresh.schema) as writer:
        writer.write_table(fresh)
    schema = value.schema.serialize().to_pybytes()
    return [extension("pyarrow.Table"), framed(b"b", schema), framed(b"b", memoryview(stream.getvalue()))]


def _plain_type(dtype: Any) -> Any:
    """Dictionaries as their values (equal columns may number them differently), views as strings with offsets."""
    import pyarrow as pa

    if pa.types.is_dictionary(dtype):
        return _plain_type(dtype.value_type)
    if pa.types.is_string_view(dtype):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(dtype) else dtype
