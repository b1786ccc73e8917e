"""Whatever array or table goes in comes out bit for bit, from memory and from a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra import pandas as hpd
from tests.contract.bundle_values import assert_same

from fanwise import Bundle, freeze

scalar_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(endianness="?"),
)
dtypes = st.one_of(scalar_dtypes, hnp.array_dtypes(scalar_dtypes, max_size=3), hnp.nested_dtypes(scalar_dtypes))


@st.composite
def array_views(draw: st.DrawFn) -> np.ndarray:
    """Arrays of any dtype, in any memory order, cut with any step."""
    array = draw(hnp.arrays(draw(dtypes), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)))
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    steps = draw(st.tuples(*[st.sampled_from([1, 2, -1]) for _ in range(array.ndim)]))
    array = array[(*(slice(None, None, s) for s in steps), ...)]
    if draw(st.booleans()):
        array = np.asfortranarray(array) if array.ndim else array
    return np.broadcast_to(array, (3, *array.shape)) if draw(st.booleans()) else array


def both_ways(value: Any) -> None:
    with freeze({"x": value}) as bundle, tempfile.TemporaryDirectory() as folder:
        assert_same(bundle["x"], value)
        bundle.save(Path(folder, "f"))
        with Bundle.open(Path(folder, "f"), trust=True) as opened:
            assert_same(opened["x"], value)
            assert opened.digest == bundle.digest


@given(array_views())
def test_arrays_come_back_bit_for_bit(array: np.ndarray) -> None:
    with freeze({"x": array}) as bundle:
        seen = bundle["x"]
        assert_same(seen, array)
        assert not seen.flags.writeable
        assert_same(bundle.thaw("x"), array)


@settings(max_examples=25)
@given(array_views())
def test_arrays_come_back_from_files(array: np.ndarray) -> None:
    both_ways(array)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(0, 4))
    columns = draw(st.lists(st.sampled_from(sorted(COLUMNS)), max_size=5))
    values = [COLUMNS[kind](draw, count) for kind in columns]
    labels = draw(st.lists(st.sampled_from(["a", "b", "größe", ""]), min_size=len(values), max_size=len(values)))
    index = draw(hpd.range_indexes(min_size=count, max_size=count)) if draw(st.booleans()) else index_of(draw, count)
    frame = pd.concat([pd.Series(v, index=index) for v in values], axis=1) if values else pd.DataFrame(index=index)
    frame.columns = pd.Index(labels if values else [])
    return frame


def index_of(draw: st.DrawFn, count: int) -> pd.Index:
    letters = draw(st.lists(st.sampled_from("xyz"), min_size=count, max_size=count))
    if draw(st.booleans()):
        return pd.Index(letters, name="letter")
    return pd.MultiIndex.from_arrays([letters, range(count)], names=["letter", None])


def nullable(draw: st.DrawFn, count: int, values: st.SearchStrategy[Any]) -> list[Any]:
    return draw(st.lists(st.none() | values, min_size=count, max_size=count))


ZONES = ["UTC", "Europe/Berlin", "America/St_Johns"]
dates = st.datetimes(pd.Timestamp(1700, 1, 1).to_pydatetime(), pd.Timestamp(2200, 1, 1).to_pydatetime())
COLUMNS: dict[str, Any] = {
    "float": lambda draw, n: draw(hnp.arrays("f8", n)),
    "integer": lambda draw, n: draw(hnp.arrays(draw(hnp.integer_dtypes(endianness="=")), n)),
    "bool": lambda draw, n: draw(hnp.arrays(bool, n)),
    "text": lambda draw, n: pd.array(nullable(draw, n, st.text(st.characters(codec="utf-8"))), "str"),
    "Int64": lambda draw, n: pd.array(nullable(draw, n, st.integers(-(2**63), 2**63 - 1)), "Int64"),
    "boolean": lambda draw, n: pd.array(nullable(draw, n, st.booleans()), "boolean"),
    "category": lambda draw, n: pd.Categorical(nullable(draw, n, st.sampled_from("uvw")), ordered=draw(st.booleans())),
    "zoned": lambda draw, n: pd.to_datetime(pd.Series(nullable(draw, n, dates), dtype="M8[us]"))
    .dt.tz_localize("UTC").dt.tz_convert(draw(st.sampled_from(ZONES))).array,
    "naive": lambda draw, n: np.array(nullable(draw, n, dates), f"M8[{draw(st.sampled_from(['s', 'ms', 'us']))}]"),
    "arrow": lambda draw, n: pd.array(nullable(draw, n, st.integers(-9, 9)), pd.ArrowDtype(pa.int8())),
    "objects": lambda draw, n: np.array([*nullable(draw, n, st.integers() | st.text()), None], dtype=object)[:-1],
}  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60)
@given(frames())
def test_frames_of_any_columns_come_back(frame: pd.DataFrame) -> None:
    both_ways(frame)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    hpd.data_frames(
        [hpd.column("a", dtype="f4"), hpd.column("b", dtype="M8[ns]"), hpd.column("c", dtype="c8")],
        index=hpd.indexes(dtype="i8", unique=False, max_size=6),
    )
)
def test_frames_of_plain_columns_come_back(frame: pd.DataFrame) -> None:
    both_ways(frame)


arrow_columns = st.one_of(
    st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=6),
    st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=6),
    st.lists(st.none() | st.booleans(), max_size=20),
    st.lists(st.none() | st.lists(st.none() | st.floats(allow_nan=False)), max_size=6),
    st.lists(st.none() | st.binary(), max_size=6),
)


@settings(max_examples=40)
@given(arrow_columns, st.integers(0, 5), st.booleans())
def test_arrow_columns_come_back_however_they_are_cut(values: list[Any], start: int, split: bool) -> None:
    array = pa.array(values).slice(start)
    both_ways(pa.chunked_array([array, array]) if split else array)
    both_ways(pa.table({"x": array}))


@settings(max_examples=40)
@given(arrow_columns, st.integers(0, 5), st.booleans())
def test_polars_columns_come_back_however_they_are_cut(values: list[Any], start: int, split: bool) -> None:
    series = pl.Series("x", values)[start:]
    both_ways(series.append(series.clone()) if split else series)
    both_ways(pl.DataFrame([series]))
