"""Keys and codecs of tables: content counts and layout does not, and what comes back is what was stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fanwise import Cache
from fanwise.cache._codecs import VALUE, Codecs
from fanwise.cache._values import Unstorable
from fanwise.errors import CacheError

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")
pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

KEY = bytes(16)


def key(value: Any) -> bytes:
    with Cache(disk=0) as cache:
        return cache.key(value)


def frame(**changes: Any) -> Any:
    found = pd.DataFrame({"a": [1, 2, 3], "b": [1.5, None, 3.0], "c": ["x", "y", None]}, index=[10, 20, 30])
    for name, value in changes.items():
        found[name] = value
    return found


def with_attrs(value: Any) -> Any:
    value.attrs["source"] = "trial"
    return value


FRAMES: dict[str, Callable[[], Any]] = {
    "plain": frame,
    "another value": lambda: frame(a=[1, 2, 4]),
    "another dtype": lambda: frame().astype({"a": "int32"}),
    "floats for integers": lambda: frame().astype({"a": "float64"}),
    "nullable integers": lambda: frame().astype({"a": "Int64"}),
    "another order of columns": lambda: frame()[["b", "a", "c"]],
    "another order of rows": lambda: frame().iloc[[1, 0, 2]],
    "another index": lambda: frame().reset_index(drop=True),
    "a named index": lambda: frame().rename_axis("id"),
    "named columns": lambda: frame().rename_axis(columns="field"),
    "a renamed column": lambda: frame().rename(columns={"a": "A"}),
    "a column less": lambda: frame()[["a", "b"]],
    "no rows": lambda: frame().iloc[:0],
    "categories": lambda: frame().astype({"c": "category"}),
    "ordered categories": lambda: frame().astype({"c": pd.CategoricalDtype(["x", "y"], ordered=True)}),
    "attributes": lambda: with_attrs(frame()),
    "dates": lambda: frame(d=pd.to_datetime(["2024-01-01", None, "2024-03-01"])),
    "dates of a zone": lambda: frame(d=pd.to_datetime(["2024-01-01", None, "2024-03-01"]).tz_localize("UTC")),
    "two levels": lambda: frame().set_index("a", append=True),
}
SAME: dict[str, Callable[[], tuple[Any, Any]]] = {
    "a slice and its copy": lambda: (frame().iloc[1:], frame().iloc[1:].copy()),
    "columns added one by one": lambda: (frame(), frame()[["a"]].assign(b=frame()["b"], c=frame()["c"])),
    "rows put together": lambda: (frame(), pd.concat([frame().iloc[:1], frame().iloc[1:]])),
    "chunks of polars": lambda: (
        pl.Series("a", [1, 2, 3]),
        pl.concat([pl.Series("a", [1]), pl.Series("a", [2, 3])], rechunk=False),
    ),
    "a slice of polars": lambda: (pl.Series("a", [2, 3]), pl.Series("a", [1, 2, 3])[1:]),
    "chunks of Arrow": lambda: (pa.chunked_array([[1, 2, 3]]), pa.chunked_array([[1], [2, 3]])),
    "a slice of Arrow": lambda: (pa.array(["b", "c"]), pa.array(["a", "b", "c"])[1:]),
    "a table of chunks": lambda: (
        pa.table({"a": [1, 2]}),
        pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})]),
    ),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "series": lambda: frame()["b"],
    "polars frame": lambda: pl.DataFrame({"a": [1, None], "b": ["x", "y"], "l": [[1], []]}),
    "polars series": lambda: pl.Series("name", [1.5, None]),
    "Arrow table": lambda: pa.table({"a": [1, None], "b": ["x", "y"]}),
    "Arrow batch": lambda: pa.RecordBatch.from_pydict({"a": [1, 2]}),
    "empty batch": lambda: pa.RecordBatch.from_pydict({"a": pa.array([], pa.int8())}),
    "Arrow array": lambda: pa.array([1, None, 3], pa.int16()),
    "Arrow chunks": lambda: pa.chunked_array([[1], [2, 3]]),
    "Arrow without chunks": lambda: pa.chunked_array([], pa.int8()),
}


def round_trip(value: Any) -> Any:
    codecs = Codecs()
    encoded = codecs.encode(KEY, value)
    assert encoded.codec == VALUE
    return codecs.decode(KEY, encoded.codec, bytearray(encoded.joined()), encoded.meta)


def test_every_difference_of_content_is_another_key() -> None:
    keys = {name: key(make()) for name, make in FRAMES.items()}
    assert len(set(keys.values())) == len(FRAMES)


@pytest.mark.parametrize("name", [*FRAMES, *OTHERS])
def test_the_same_table_made_twice_is_one_key(name: str) -> None:
    make = {**FRAMES, **OTHERS}[name]
    assert key(make()) == key(make())


@pytest.mark.parametrize("make", SAME.values(), ids=SAME.keys())
def test_layout_in_memory_does_not_count(make: Callable[[], tuple[Any, Any]]) -> None:
    one, two = make()
    assert key(one) == key(two)


def test_kinds_of_table_with_the_same_content_are_other_keys() -> None:
    content = {"a": [1, 2]}
    kinds = [
        pd.DataFrame(content),
        pl.DataFrame(content),
        pa.table(content),
        pa.RecordBatch.from_pydict(content),
        content,
    ]
    assert len({key(each) for each in kinds}) == len(kinds)


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES.keys())
def test_a_frame_comes_back_with_dtypes_index_names_and_attributes(make: Callable[[], Any]) -> None:
    value = make()
    copy = round_trip(value)
    pd.testing.assert_frame_equal(copy, value, check_freq=True, check_index_type="exact", check_column_type="exact")
    assert copy.attrs == value.attrs
    assert key(copy) == key(value)


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS.keys())
def test_another_table_comes_back_as_what_it_was(make: Callable[[], Any]) -> None:
    value = make()
    copy = round_trip(value)
    assert type(copy) is type(value)
    assert copy.equals(value)
    assert key(copy) == key(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: frame(o=[object(), None, 1]),
        lambda: frame(o=[[1], [2], [3]]),
        lambda: pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}),
        lambda: pl.Series("o", [object()], dtype=pl.Object),
    ],
    ids=["objects", "lists", "objects of polars", "a series of objects"],
)
def test_what_would_come_back_otherwise_is_not_stored(make: Callable[[], Any]) -> None:
    with pytest.raises(Unstorable):
        Codecs().encode(KEY, make())


def test_a_copy_is_the_readers_own() -> None:
    codecs = Codecs()
    encoded = codecs.encode(KEY, frame())
    payload = encoded.joined()
    first = codecs.decode(KEY, encoded.codec, bytearray(payload), encoded.meta)
    first.loc[10, "a"] = 99
    pd.testing.assert_frame_equal(codecs.decode(KEY, encoded.codec, bytearray(payload), encoded.meta), frame())


@pytest.mark.parametrize(
    "make", [frame, OTHERS["polars frame"], OTHERS["Arrow table"]], ids=["pandas", "polars", "Arrow"]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_payload_that_is_cut_is_damaged(make: Callable[[], Any], share: float) -> None:
    codecs = Codecs()
    encoded = codecs.encode(KEY, make())
    payload = encoded.joined()
    with pytest.raises(CacheError):
        codecs.decode(KEY, encoded.codec, payload[: int(len(payload) * share)], encoded.meta)


def test_frames_nest_in_other_values() -> None:
    value = {"tables": [frame(), pl.DataFrame({"a": [1]})], "array": np.arange(3)}
    copy = round_trip(value)
    pd.testing.assert_frame_equal(copy["tables"][0], value["tables"][0])
    assert copy["tables"][1].equals(value["tables"][1])
    assert np.array_equal(copy["array"], value["array"])
