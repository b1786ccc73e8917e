"""One value for each thing a bundle can hold, and how to tell that it came back the same."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import json
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dateutil.tz
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

import fanwise
from fanwise.bundle._hashes import preferred

PADDED = np.dtype({"names": ["a", "b"], "formats": ["<i4", ">f8"], "offsets": [4, 16], "itemsize": 32})
OVERLAPPING = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 0]})
NESTED = np.dtype([(("a title", "n"), "<i2", (2, 3)), ("z", [("q", "S3"), ("r", ">M8[D]")])])


def records(dtype: np.dtype[Any], count: int = 4) -> np.ndarray:
    """Records whose gaps hold something too."""
    return np.resize(np.arange(251, dtype=np.uint8), count * dtype.itemsize).view(dtype)


def arrays() -> dict[str, np.ndarray]:
    table = np.arange(12.0).reshape(3, 4)
    return {
        "C order": table,
        "Fortran order": np.asfortranarray(table),
        "transposed": table.T,
        "every other column": table[:, ::2],
        "reversed": table[::-1, ::-1],
        "moved axes": np.moveaxis(np.arange(60).reshape(3, 4, 5), 0, 1),
        "broadcast": np.broadcast_to(np.arange(4, dtype="<i2"), (3, 4)),
        "0-d": np.array(7.5),
        "empty": np.zeros((0, 3), "<f4"),
        "empty in the middle": np.zeros((2, 0, 3)),
        "read-only": np.frombuffer(b"12345678", "<i4"),
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j, np.nan]),
        "long double": np.array([1, 2], np.longdouble),
        "half": np.array([1, np.inf], np.float16),
        "big endian": np.arange(4, dtype=">i8"),
        "dates": np.array(["2026-01-01", "NaT"], "M8[D]"),
        "dates of 25 s": np.array([1, 2], "M8[25s]"),
        "time spans": np.array([1, -2], ">m8[ns]"),
        "text": np.array(["é", "bc", ""]),
        "big-endian text": np.array(["é", "bc"]).astype(">U2"),
        "bytes": np.array([b"a", b"bc"]),
        "text of width 0": np.zeros(3, "<U0") if np.dtype("<U0").itemsize == 0 else np.zeros(0),
        "void": np.array([b"abc", b"def"], "V3"),
        "records": records(np.dtype([("a", "<i4"), ("b", "<f8")])),
        "padded records": records(PADDED),
        "padded records, strided": records(PADDED, 8)[::2],
        "nested records": records(NESTED),
        "overlapping fields": records(OVERLAPPING),
        "no fields": np.zeros(3, np.dtype([])),
        "objects": np.array([{"a": 1}, None, "x"], dtype=object),
        "objects in records": np.array([(1, "x"), (2, None)], dtype=[("n", int), ("o", object)]),
        "32 dimensions": np.zeros((1,) * 32),
    }


def subclasses() -> dict[str, np.ndarray]:
    return {
        "masked": np.ma.MaskedArray([1.0, 2.0, 3.0], mask=[0, 1, 0], fill_value=-1.0),
        "masked without mask": np.ma.MaskedArray([1, 2]),
        "hard mask": np.ma.MaskedArray([1, 2], mask=[1, 0], hard_mask=True),
        "masked records": np.ma.MaskedArray([(1, 2.0)], mask=[(0, 1)], dtype=[("a", int), ("b", float)]),
        "record array": np.rec.array([(1, 2.5), (3, 4.5)], dtype=[("a", int), ("b", float)]),
        "character array": np.char.array(["ab", "c"]),
    }


def raw() -> dict[str, Any]:
    return {
        "bytes": bytes(range(256)),
        "no bytes": b"",
        "bytearray": bytearray(b"abc"),
        "empty bytearray": bytearray(),
        "memoryview": memoryview(b"abcdef"),
        "view of shape": memoryview(bytes(48)).cast("d", [2, 3]),
        "view with steps": memoryview(b"abcdef")[::2],
        "array of doubles": array.array("d", [1.0, 2.0]),
        "empty array": array.array("h"),
    }


def _everything() -> pd.DataFrame:
    count = 4
    zone = "Europe/Berlin"
    return pd.DataFrame(
        {
            "i": np.arange(count),
            "f": np.linspace(0, 1, count),
            "g": np.linspace(1, 2, count),
            "small": np.arange(count, dtype=np.int8),
            "b": [True, False, True, False],
            "z": np.arange(count) * 1j,
            "s": ["x", None, "yé", ""],
            "naive": pd.date_range("2026-01-01", periods=count),
            "zoned": pd.date_range("2026-01-01", periods=count, tz=zone),
            "zoned too": pd.date_range("2026-02-01", periods=count, tz=zone),
            "utc": pd.date_range("2026-01-01", periods=count, tz="UTC", unit="s"),
            "offset": pd.date_range("2026-01-01", periods=count, tz=dt.timezone(dt.timedelta(hours=2))),
            "span": pd.to_timedelta([1, 2, None, 4], unit="s"),
            "period": pd.period_range("2026-01", periods=count, freq="M"),
            "interval": pd.interval_range(0, count),
            "when": pd.IntervalIndex.from_breaks(pd.date_range("2026-01-01", periods=count + 1, tz=zone)),
            "cat": pd.Categorical(["u", "v", None, "u"], categories=["v", "u", "w"], ordered=True),
            "bins": pd.cut(np.arange(count), 2),
            "Int64": pd.array([1, None, 3, 4], "Int64"),
            "UInt8": pd.array([1, None, 3, 4], "UInt8"),
            "Float32": pd.array([1.5, None, 3, 4], "Float32"),
            "boolean": pd.array([True, None, False, True], "boolean"),
            "string": pd.array(["a", None, "c", "d"], "string[pyarrow]"),
            "arrow ints": pd.array([1, None, 3, 4], pd.ArrowDtype(pa.int16())),
            "arrow bools": pd.array([True, None, False, True], pd.ArrowDtype(pa.bool_())),
            "arrow lists": pd.Series([[1], None, [], [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            "sparse": pd.arrays.SparseArray([0, 0, 1, 0]),
            "objects": [1, "x", None, {"k": [1]}],
            "decimals": [decimal.Decimal("1.5")] * count,
        }
    )


class OwnZone(dt.tzinfo):
    """A time zone that no name stands for."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=1)

    def dst(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    def tzname(self, when: dt.datetime | None) -> str:
        return "OWN"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnZone)

    __hash__ = dt.tzinfo.__hash__


def frames() -> dict[str, Any]:
    two = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", None])
    duplicated = pd.DataFrame([[1, 2.0, "x"]], columns=["same", "same", "other"])
    with_attrs = pd.DataFrame({"x": [1.0]})
    with_attrs.attrs = {"source": "a file", "version": (1, 2)}
    strange_attrs = pd.DataFrame({"x": [1.0]})
    strange_attrs.attrs = {"when": dt.date(2026, 1, 1)}
    return {
        "one of everything": _everything(),
        "no rows": _everything().iloc[:0],
        "no columns": pd.DataFrame(index=range(5)),
        "nothing": pd.DataFrame(),
        "MultiIndex rows": pd.DataFrame({"x": np.arange(4.0)}, index=two),
        "MultiIndex columns": pd.DataFrame(np.arange(8.0).reshape(2, 4), columns=two),
        "duplicate columns": duplicated,
        "numbers as columns": pd.DataFrame(np.arange(6).reshape(2, 3)),
        "mixed columns": pd.DataFrame([[1, 2, 3, 4]], columns=["a", 1, None, ("t", 2.5)]),
        "objects as columns": pd.DataFrame([[1, 2]], columns=[dt.date(2026, 1, 1), "b"]),
        "dates as index": pd.DataFrame({"x": range(3)}, index=pd.date_range("2026", periods=3, freq="B", name="day")),
        "quarters as index": pd.DataFrame({"x": range(3)}, index=pd.period_range("2026", periods=3, freq="Q")),
        "text as index": pd.DataFrame({"x": range(3)}, index=["a", "b", "c"]),
        "attrs": with_attrs,
        "attrs of other types": strange_attrs,
        "no duplicates allowed": pd.DataFrame({"x": [1]}).set_flags(allows_duplicate_labels=False),
        "from rows": pd.DataFrame(np.arange(12.0).reshape(3, 4).T.copy().T),
        "alternating types": pd.DataFrame({n: [n if n % 2 else float(n)] for n in range(9)}),
        "sliced": pd.DataFrame(np.arange(20.0).reshape(5, 4)).iloc[::2, 1:3],
    }


def series() -> dict[str, Any]:
    whole = _everything()
    cases = {f"series {name}": whole[name] for name in whole}
    elsewhere = dateutil.tz.gettz("Europe/Berlin")
    cases["zone of another package"] = pd.Series(pd.date_range("2026-01-01", periods=3, tz=elsewhere))
    cases["zone of one's own"] = pd.Series(pd.date_range("2026-01-01", periods=3, tz=OwnZone()))
    cases["nameless"] = pd.Series([1.0, np.nan])
    cases["tuple for a name"] = pd.Series([1], name=("a", 1))
    cases["date for a name"] = pd.Series([1], name=dt.date(2026, 1, 1))
    cases["text in objects"] = pd.Series(["a", "b"], dtype=object)
    return cases


def indexes() -> dict[str, Any]:
    whole = _everything()
    cases: dict[str, Any] = {f"index {n}": pd.Index(whole[n]) for n in whole if n not in {"objects", "sparse"}}
    cases |= {
        "range": pd.RangeIndex(3, 30, 4, name="r"),
        "objects": pd.Index([("a", 1), None, float("nan"), True, 2**70], dtype=object, tupleize_cols=False),
        "levels": pd.MultiIndex.from_arrays([whole["zoned"], whole["cat"], whole["s"]]),
        "no levels' values": pd.MultiIndex.from_arrays([[], []]),
        "business days": pd.date_range("2026", periods=5, freq="B"),
        "own holidays": pd.date_range("2026", periods=5, freq=pd.offsets.CustomBusinessDay(holidays=["2026-01-02"])),
        "weeks of a fiscal year": pd.date_range(
            "2026", periods=3, freq=pd.offsets.FY5253(weekday=1, startingMonth=1, variation="last")
        ),
        "hours": pd.timedelta_range(0, periods=3, freq="h"),
    }
    return cases


def polars_values() -> dict[str, Any]:
    columns = {
        "i": [1, None],
        "s": ["x", "a text that does not fit in twelve bytes"],
        "c": pl.Series(["u", "v"], dtype=pl.Categorical),
        "e": pl.Series(["u", "v"], dtype=pl.Enum(["v", "u"])),
        "l": [[1], None],
        "n": [None, None],
        "d": [decimal.Decimal("1.23"), None],
        "t": pl.Series([dt.datetime(2026, 1, 1), None], dtype=pl.Datetime("ns", "Europe/Berlin")),
        "u": pl.Series([dt.timedelta(1), None], dtype=pl.Duration("ms")),
        "st": [{"a": 1, "b": "x"}, None],
        "a": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)),
        "bin": [b"a", None],
        "bool": [True, None],
    }
    frame = pl.DataFrame(columns)
    return {
        "frame": frame,
        "no rows": frame.clear(),
        "nothing": pl.DataFrame(),
        "rows only": pl.DataFrame(height=3),
        "several chunks": pl.concat([frame, frame], rechunk=False),
        "128 bits": pl.DataFrame({"x": pl.Series([1, None, 2**100], dtype=pl.Int128)}),
        "nameless column": pl.DataFrame({"": [1], "0": [2]}),
        "series": pl.Series("x", [1, None]),
        "nameless series": pl.Series([1.5]),
        "slice of text": pl.DataFrame({"s": [f"{n} is a number of many letters" for n in range(50_000)]})[10:12],
    }


def arrow_values() -> dict[str, Any]:
    table = pa.table({"a": [1, None], "s": ["x", "yy"], "d": pa.array(["u", "v"]).dictionary_encode()})
    return {
        "table": table.replace_schema_metadata({"k": "v"}),
        "no rows": table.slice(0, 0),
        "sliced": pa.table({"a": np.arange(100)}).slice(90),
        "several chunks": pa.concat_tables([table, table]),
        "no columns": pa.table({}),
        "batch": pa.record_batch({"a": [1, 2], "b": [[1], None]}),
        "empty batch": pa.record_batch({"a": pa.array([], pa.int8())}),
        "array": pa.array([1.5, None]),
        "array of structs": pa.array([{"a": 1}, None]),
        "dictionary": pa.array(["x", "y", "x"]).dictionary_encode(),
        "sliced bools": pa.array([True, None, False, True]).slice(1),
        "empty array": pa.array([], pa.string()),
        "nulls": pa.nulls(3),
        "views of text": pa.array(["a", "a text that does not fit in twelve bytes"], pa.string_view()),
        "chunked": pa.chunked_array([[1, 2], [3]]),
        "no chunks": pa.chunked_array([], pa.int32()),
    }


def sparse_values() -> dict[str, Any]:
    matrix = sp.random(6, 4, 0.4, rng=np.random.default_rng(0))
    cases: dict[str, Any] = {
        kind.__name__: kind(matrix)
        for kind in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array, sp.csc_array, sp.coo_array)
    }
    wide = sp.csr_matrix(matrix)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    tidy = sp.coo_array(matrix)
    tidy.sum_duplicates()
    return cases | {
        "64-bit indices": wide,
        "canonical": tidy,
        "no entries": sp.csr_array((3, 5)),
        "one dimension": sp.coo_array(np.array([0, 1, 0, 2])),
        "diagonals": sp.dia_array(np.eye(3)),
    }


def plain() -> dict[str, Any]:
    return {
        "None": None,
        "text": "grüße",
        "number": 3,
        "NumPy scalar": np.float32(1.5),
        "containers": {"a": [1, (2, 3)], "s": {"x", "y"}},
        "arrays inside": {"table": np.arange(6.0).reshape(2, 3), "strided": np.arange(10)[::3], "none": np.zeros(0)},
        "frame inside": [pd.DataFrame({"x": [1.0, 2.0]})],
        "record of ours": fanwise.Ok(index=3, value="x"),
        "zone": zoneinfo.ZoneInfo("Europe/Berlin"),
        "Arrow buffer": pa.py_buffer(b"abc"),
        "Arrow type": pa.list_(pa.int8()),
        "array of letters": array.array("u", "ab"),
    }


FAMILIES: dict[str, Callable[[], dict[str, Any]]] = {
    "array": arrays,
    "subclass": subclasses,
    "raw": raw,
    "frame": frames,
    "series": series,
    "index": indexes,
    "polars": polars_values,
    "arrow": arrow_values,
    "sparse": sparse_values,
    "plain": plain,
}


def assert_same(seen: Any, wanted: Any) -> None:
    """Equal in type, dtype, shape, order and every bit that is data."""
    if isinstance(wanted, pd.DataFrame):
        _same_frame(seen, wanted)
    elif isinstance(wanted, pd.Series):
        pd.testing.assert_series_equal(seen, wanted, check_exact=True, check_freq=True)
        assert seen.attrs == wanted.attrs
    elif isinstance(wanted, pd.Index):
        pd.testing.assert_index_equal(seen, wanted, exact=True)
        assert getattr(seen, "freq", None) == getattr(wanted, "freq", None)
    elif isinstance(wanted, pl.DataFrame | pl.Series):
        _same_polars(seen, wanted)
    elif isinstance(wanted, np.ndarray):
        _same_array(seen, wanted)
    elif sp.issparse(wanted):
        _same_sparse(seen, wanted)
    else:
        _same_other(seen, wanted)


def _same_frame(seen: Any, wanted: pd.DataFrame) -> None:
    assert type(seen) is pd.DataFrame
    pd.testing.assert_frame_equal(seen, wanted, check_exact=True, check_freq=True, check_column_type="exact")
    assert seen.attrs == wanted.attrs
    assert seen.flags.allows_duplicate_labels == wanted.flags.allows_duplicate_labels
    assert [type(t) for t in seen.dtypes] == [type(t) for t in wanted.dtypes]


def _same_polars(seen: Any, wanted: Any) -> None:
    assert type(seen) is type(wanted)
    assert seen.equals(wanted, null_equal=True)
    assert seen.shape == wanted.shape
    if isinstance(wanted, pl.DataFrame):
        assert seen.schema == wanted.schema
    else:
        assert (seen.name, seen.dtype) == (wanted.name, wanted.dtype)


def _same_array(seen: Any, wanted: np.ndarray) -> None:
    assert type(seen) is type(wanted)
    assert seen.dtype == wanted.dtype
    assert seen.dtype.str == wanted.dtype.str
    assert seen.shape == wanted.shape
    contiguous = wanted.flags.c_contiguous or wanted.flags.f_contiguous
    assert seen.flags.f_contiguous == wanted.flags.f_contiguous or not contiguous
    if wanted.dtype.hasobject:
        assert seen.tolist() == wanted.tolist()
    elif isinstance(wanted, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(seen), np.ma.getmaskarray(wanted))
        assert seen.filled().tobytes() == wanted.filled().tobytes()
        assert (seen.fill_value, seen.hardmask) == (wanted.fill_value, wanted.hardmask)
    elif wanted.nbytes:
        raw_bytes = np.dtype((np.void, wanted.itemsize))
        assert np.asarray(seen).view(raw_bytes).tobytes() == np.asarray(wanted).view(raw_bytes).tobytes()


def _same_sparse(seen: Any, wanted: Any) -> None:
    assert type(seen) is type(wanted)
    assert (seen.shape, seen.dtype, seen.nnz) == (wanted.shape, wanted.dtype, wanted.nnz)
    np.testing.assert_array_equal(seen.toarray(), wanted.toarray())
    if hasattr(wanted, "indices"):
        assert (seen.indices.dtype, seen.indptr.dtype) == (wanted.indices.dtype, wanted.indptr.dtype)
    if wanted.format == "coo":
        assert seen.has_canonical_format == wanted.has_canonical_format


def _same_other(seen: Any, wanted: Any) -> None:
    if isinstance(wanted, bytearray | memoryview) or (isinstance(wanted, array.array) and wanted.typecode != "u"):
        assert isinstance(seen, memoryview)
        assert (seen.tolist(), seen.format, seen.shape) == _as_view(wanted)
        return
    assert type(seen) is type(wanted)
    if isinstance(wanted, pa.Table | pa.RecordBatch):
        assert seen.schema.equals(wanted.schema, check_metadata=True)
        seen.validate(full=True)
    if isinstance(wanted, dict):
        assert seen.keys() == wanted.keys()
        for key in wanted:
            assert_same(seen[key], wanted[key])
    elif isinstance(wanted, list):
        for one, other in zip(seen, wanted, strict=True):
            assert_same(one, other)
    else:
        assert seen == wanted or seen.equals(wanted)


def _as_view(wanted: Any) -> tuple[Any, str, tuple[int, ...]]:
    view = memoryview(wanted)
    return view.tolist(), view.format, view.shape


def rewrite_meta(path: Path, name: str, meta: dict[str, Any]) -> None:
    """What a hostile writer can do: another description, all checksums good."""
    content = path.read_bytes()
    at, length = (int.from_bytes(content[n : n + 8], "little") for n in (40, 48))
    lines = json.loads(content[at : at + length])
    for line in lines:
        if line["name"] == name:
            line["meta"] = meta
    directory = json.dumps(lines).encode()
    header = content[:32] + (at + len(directory)).to_bytes(8, "little") + content[40:48]
    header += len(directory).to_bytes(8, "little") + preferred().sum64(directory).to_bytes(8, "little")
    header += preferred().sum64(header).to_bytes(8, "little")
    path.write_bytes(header + content[72:at] + directory)
