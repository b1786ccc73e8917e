"""Tables and columns of polars and pyarrow: one buffer, an uncompressed Arrow IPC stream, read where it lies.

Meta says what `describe` shows: ``shape`` and, for columns, ``dtype``. A column is a table of one column, whose name is
that of the series. What Arrow's Python library cannot express (polars' 128-bit integers) polars writes and reads
itself, with a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from fanwise.bundle._codecs.parts import Encoded, Part, Sink, Stream
from fanwise.errors import NotPicklableError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["decode", "encode_polars", "encode_pyarrow", "read_table", "table_stream"]

_SLACK = 1 << 20


def encode_pyarrow(value: Any) -> Encoded | None:
    """Take a table, record batch, array or chunked array apart; None for other things of pyarrow."""
    import pyarrow as pa

    if type(value) in {pa.Table, pa.RecordBatch}:
        return Encoded(f"pyarrow.{type(value).__name__}", {"shape": list(value.shape)}, (table_stream(value),))
    if not isinstance(value, pa.Array | pa.ChunkedArray):
        return None
    kind = "ChunkedArray" if isinstance(value, pa.ChunkedArray) else "Array"
    meta = {"shape": [len(value)], "dtype": str(value.type)}
    return Encoded(f"pyarrow.{kind}", meta, (table_stream(pa.table({"": value})),))


def encode_polars(value: Any) -> Encoded | None:
    """Take a frame or series apart; a lazy frame is collected. None for other things of polars."""
    import polars as pl

    if type(value) is pl.LazyFrame:
        value = value.collect()
    if type(value) is pl.Series:
        meta = {"shape": list(value.shape), "dtype": str(value.dtype)}
        return Encoded("polars.Series", meta, (_frame_stream(value.to_frame()),))
    if type(value) is pl.DataFrame:
        return Encoded("polars.DataFrame", {"shape": list(value.shape)}, (_frame_stream(value),))
    return None


def table_stream(table: Any) -> Stream:
    """The stream of a table or record batch; its size is found by writing to nowhere, which copies nothing."""
    import pyarrow as pa

    def send(sink: Any) -> None:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write(table)

    counter = pa.MockOutputStream()
    send(counter)
    return Stream(counter.size(), send)


def _frame_stream(frame: pl.DataFrame) -> Stream:
    _refuse_objects(frame)
    table = _arrow_of(frame)
    if table is not None:
        stream = table_stream(table)
        # A slice of a string column still refers to all text of the whole; polars' own writer leaves the rest out.
        if stream.nbytes <= 2 * frame.estimated_size() + 32 * frame.height * frame.width + _SLACK:
            return stream
    counter, send = _Counter(), cast(Callable[[Sink], object], frame.write_ipc_stream)
    send(counter)
    return Stream(counter.nbytes, send)


class _Counter:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.nbytes = 0

    def write(self, data: bytes | memoryview) -> int:
        self.nbytes += len(data)
        return len(data)

    def flush(self) -> None: ...


def _refuse_objects(frame: pl.DataFrame) -> None:
    """Polars would write the addresses of Python objects as if they were data."""
    import polars as pl

    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            raise NotPicklableError(f"column {name!r} of dtype Object can't be frozen: convert it, or leave it out")


def _arrow_of(frame: pl.DataFrame) -> Any:
    """The same memory as a pyarrow table; None if there is no pyarrow or no such type in it."""
    import polars as pl

    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        return frame.to_arrow(compat_level=pl.CompatLevel.newest())
    except pa.ArrowInvalid:
        return None


def decode(part: Part) -> Any:
    """A table or column over the one buffer."""
    family, _, name = part.kind.partition(".")
    if family == "polars":
        frame = _read_soundly(part)
        return frame.to_series() if name == "Series" else frame
    return _PYARROW[name](part)


def read_table(part: Part) -> Any:
    """A pyarrow table over a stream; one that nobody vouches for is checked to the last offset first."""
    return _checked(part, _reader(part).read_all())


def _reader(part: Part) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(part.buffer))


def _checked(part: Part, table: Any) -> Any:
    if not part.trust:
        table.validate(full=True)
    return table


def _read_array(part: Part) -> Any:
    column = read_table(part).column(0)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


_PYARROW: dict[str, Callable[[Part], Any]] = {
    "Table": read_table,
    "RecordBatch": lambda part: _checked(part, _reader(part).read_next_batch()),
    "ChunkedArray": lambda part: read_table(part).column(0),
    "Array": _read_array,
}


def _read_soundly(part: Part) -> pl.DataFrame:
    import polars as pl

    try:
        return _read_frame(part)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # neither is a ValueError of Python
        raise ValueError(str(error)) from error


def _read_frame(part: Part) -> pl.DataFrame:
    import polars as pl

    table = _table_of(part)
    if table is None:
        return pl.read_ipc_stream(bytes(part.buffer))
    names = table.column_names
    if not names:
        height = part.meta["shape"][0]
        return pl.DataFrame(height=height) if height else pl.DataFrame()
    # Polars gives a column without a name one of its own, so all go by number for a moment.
    frame: Any = pl.from_arrow(table.rename_columns([str(n) for n in range(len(names))]), rechunk=False)
    frame.columns = names
    return cast("pl.DataFrame", frame)


def _table_of(part: Part) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        return read_table(part)
    except pa.ArrowNotImplementedError:
        return None
