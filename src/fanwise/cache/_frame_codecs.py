"""How tables and columns are written and read: Arrow IPC streams, read without running anything.

Arrow does not know everything that pandas does, so a pandas object is read back when it is stored, and is stored only
if the copy is equal to it in values, dtypes, index, names and attributes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from fanwise.cache._hashing import Buffer
from fanwise.cache._immutable import ATOMS
from fanwise.cache._values import Reader, Unstorable, Writer, WriterTable, damaged

__all__ = ["PACKAGES", "read_frame", "writers_of"]

PACKAGES = ("pandas", "polars", "pyarrow")


def writers_of(package: str) -> WriterTable:
    """The types of one package, which is imported already, that can be stored."""
    return {"pandas": _pandas_writers, "polars": _polars_writers, "pyarrow": _arrow_writers}[package]()


def read_frame(reader: Reader) -> Any:
    """A table or column: its kind, what Arrow does not hold, and the stream."""
    place = reader.begin()
    kind = reader.text()
    extra = reader.value()
    content = reader.buffer()
    read = _READERS.get(kind)
    if read is None:
        raise damaged(f"unknown kind of table {kind!r}")
    return reader.end(place, read(content, extra))


def _write(writer: Writer, value: Any, kind: str, extra: Any, content: Buffer) -> None:
    if writer.begin(b"P", value):
        writer.framed(kind.encode())
        writer.value(extra)
        writer.buffer(content)
        writer.end(value)


def _to_stream(table: Any) -> Buffer:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def _from_stream(content: memoryview) -> Any:
    """A copy unless the memory is this process's own: a read-only map would follow changes of the file."""
    import pyarrow as pa

    table = pa.ipc.open_stream(pa.py_buffer(bytes(content) if content.readonly else content)).read_all()
    table.validate(full=True)
    return table


def _arrow_writers() -> WriterTable:
    import pyarrow as pa

    def table(writer: Writer, value: Any) -> None:
        _write(writer, value, "pyarrow.Table", None, _to_stream(value))

    def batch(writer: Writer, value: Any) -> None:
        _write(writer, value, "pyarrow.RecordBatch", None, _to_stream(pa.Table.from_batches([value])))

    def column(writer: Writer, value: Any) -> None:
        kind = "pyarrow.ChunkedArray" if isinstance(value, pa.ChunkedArray) else "pyarrow.Array"
        _write(writer, value, kind, None, _to_stream(pa.table({"": value})))

    arrays = {each for each in vars(pa).values() if isinstance(each, type) and issubclass(each, pa.Array)}
    return {pa.Table: table, pa.RecordBatch: batch, pa.ChunkedArray: column, **dict.fromkeys(arrays, column)}


def _polars_writers() -> WriterTable:
    import polars as pl

    def frame(writer: Writer, value: Any) -> None:
        if any("Object" in repr(dtype) for dtype in value.dtypes):
            raise Unstorable(value)
        stream = io.BytesIO()
        value.write_ipc_stream(stream)
        _write(writer, value, "polars.DataFrame", None, stream.getbuffer())

    def series(writer: Writer, value: Any) -> None:
        if "Object" in repr(value.dtype):
            raise Unstorable(value)
        stream = io.BytesIO()
        value.alias("").to_frame().write_ipc_stream(stream)
        _write(writer, value, "polars.Series", value.name, stream.getbuffer())

    return {pl.DataFrame: frame, pl.Series: series}


def _pandas_writers() -> WriterTable:
    import pandas as pd

    if not _has_pyarrow():
        return {}

    def frame(writer: Writer, value: Any) -> None:
        _write(writer, value, "pandas.DataFrame", *_pandas_parts(value, value))

    def series(writer: Writer, value: Any) -> None:
        _write(writer, value, "pandas.Series", *_pandas_parts(value, value.to_frame("")))

    return {pd.DataFrame: frame, pd.Series: series}


def _has_pyarrow() -> bool:
    from importlib.util import find_spec

    return sys.modules.get("pyarrow") is not None if "pyarrow" in sys.modules else find_spec("pyarrow") is not None


class _Beyond(NamedTuple):
    """What Arrow does not hold of a pandas object."""

    name: Any  # of a series
    freq: str | None  # of the index
    attrs: dict[Any, Any]
    columns: tuple[int, int, int, Any] | None  # start, stop, step and name, if they are numbered
    objects: tuple[int, ...]  # the columns of Python objects


def _beyond(value: Any, frame: Any) -> _Beyond:
    import pandas as pd

    numbered = isinstance(frame.columns, pd.RangeIndex) and value.ndim == 2
    columns = frame.columns
    return _Beyond(
        name=value.name if value.ndim == 1 else None,
        freq=getattr(frame.index, "freqstr", None),
        attrs=dict(value.attrs),
        columns=(columns.start, columns.stop, columns.step, columns.name) if numbered else None,
        objects=tuple(place for place, dtype in enumerate(frame.dtypes) if dtype.name == "object"),
    )


def _pandas_parts(value: Any, frame: Any) -> tuple[Any, Buffer]:
    import pyarrow as pa

    beyond = _beyond(value, frame)
    if not all(type(item) in ATOMS for place in beyond.objects for item in frame.iloc[:, place]):
        raise Unstorable(value)
    try:
        content = _to_stream(pa.Table.from_pandas(frame))
        copy = _read_pandas(content, beyond)
        same = _same(value, copy if value.ndim == 2 else _as_series(copy, beyond))
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError, KeyError):  # what Arrow cannot hold
        raise Unstorable(value) from None
    if not same:
        raise Unstorable(value)
    return tuple(beyond), content


def _read_pandas(content: memoryview, extra: Any) -> Any:
    import pandas as pd

    beyond = _Beyond(*extra)
    table = _from_stream(content)
    frame = table.to_pandas()
    for place in beyond.objects:  # to_pandas would make text of them
        frame.isetitem(place, pd.Series(table.column(place).to_pylist(), index=frame.index, dtype=object))
    if beyond.columns is not None:
        start, stop, step, name = beyond.columns
        frame.columns = pd.RangeIndex(start, stop, step, name=name)
    if beyond.freq is not None:
        frame.index.freq = beyond.freq
    frame.attrs = dict(beyond.attrs)
    return frame


def _as_series(frame: Any, extra: Any) -> Any:
    column = frame.iloc[:, 0].rename(extra[0])
    column.attrs = dict(extra[2])
    return column


def _same(value: Any, copy: Any) -> bool:
    """Equal, of the same dtypes, and with the same kind of index and columns; ``equals`` takes None for NaN."""
    one, two = (value, copy) if value.ndim == 2 else (value.to_frame(""), copy.to_frame(""))
    indexes = ((one.index, two.index), (one.columns, two.columns))
    objects = [place for place, dtype in enumerate(one.dtypes) if dtype.name == "object"]
    return bool(
        one.equals(two)
        and list(one.dtypes) == list(two.dtypes)
        and all(type(a) is type(b) and a.dtype == b.dtype and a.names == b.names and a.equals(b) for a, b in indexes)
        and all(list(map(type, one.iloc[:, place])) == list(map(type, two.iloc[:, place])) for place in objects)
        and getattr(one.index, "freq", None) == getattr(two.index, "freq", None)
        and value.attrs == copy.attrs
    )


def _read_batch(content: memoryview, _extra: Any) -> Any:
    import pyarrow as pa

    table = _from_stream(content)
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _read_array(content: memoryview, _extra: Any) -> Any:
    column = _from_stream(content).column(0)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _read_polars(content: memoryview) -> Any:
    import polars as pl

    return pl.read_ipc_stream(io.BytesIO(content))


_READERS: dict[str, Callable[[memoryview, Any], Any]] = {
    "pyarrow.Table": lambda content, _extra: _from_stream(content),
    "pyarrow.RecordBatch": _read_batch,
    "pyarrow.ChunkedArray": lambda content, _extra: _from_stream(content).column(0),
    "pyarrow.Array": _read_array,
    "polars.DataFrame": lambda content, _extra: _read_polars(content),
    "polars.Series": lambda content, extra: _read_polars(content).to_series(0).alias(extra),
    "pandas.DataFrame": _read_pandas,
    "pandas.Series": lambda content, extra: _as_series(_read_pandas(content, extra), extra),
}
