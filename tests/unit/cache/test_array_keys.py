"""Keys of arrays, tables and columns: dtype, shape and content count; memory layout, chunks and slices do not."""

from __future__ import annotations

import mmap
import os

import pytest

from fanwise import Cache
from fanwise._owners import _recognisers, know_owner
from fanwise.cache._array_keys import is_frozen
from fanwise.cache._keys import Encoder, Unkeyable

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


def key(value: object) -> bytes:
    return Encoder().encode(value)


ARRAYS = [
    np.arange(6.0),
    np.arange(6.0).reshape(3, 2),
    np.arange(6.0).reshape(2, 3),
    np.arange(6),
    np.arange(6, dtype="i4"),
    np.arange(6.0, dtype=">f8"),
    np.zeros((0, 3)),
    np.zeros((3, 0)),
    np.array(1.0),
    np.array([1.0]),
    np.float64(1),
    np.float32(1),
    np.int64(1),
    np.bool_(True),
    np.str_("a"),
    np.str_("a\0"),
    np.bytes_(b"a"),
    np.array(["a", "b"]),
    np.array(["a", "b"], dtype="U2"),
    np.array(["a", "b"], dtype=object),
    np.array(["2026-01-01"], dtype="M8[s]"),
    np.array(["2026-01-01"], dtype="M8[ms]"),
    np.datetime64("2026-01-01", "s"),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("c", "f8")]),
    np.array([(1, 2.0)], dtype=np.dtype([("a", "i4"), ("b", "f8")], align=True)),
    np.ma.array([1, 2, 3], mask=[0, 0, 1]),
    np.ma.array([1, 2, 3], mask=[0, 1, 1]),
    np.ma.array([1, 2, 3], mask=[0, 0, 1], fill_value=7),
    np.dtype("f8"),
    np.dtype([("a", "i4")]),
    np.random.default_rng(1),
    np.random.default_rng(2),
    np.random.Generator(np.random.MT19937(1)),
    np.random.RandomState(1),
    np.array(["x", "yy"], dtype=np.dtypes.StringDType()),
    np.array(["x", "yy"], dtype=np.dtypes.StringDType(coerce=False)),
    np.array([[1, 2]]).view(np.matrix),
]

EQUAL_ARRAYS = [
    (np.arange(12)[::2], np.arange(0, 12, 2)),
    (np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(6).reshape(2, 3)),
    (np.broadcast_to(np.arange(3), (2, 3)), np.array([[0, 1, 2], [0, 1, 2]])),
    (np.float64(0.5), np.array([0.5])[0]),
    (np.ma.array([1, 99], mask=[0, 1]), np.ma.array([1, -5], mask=[0, 1])),
    (np.array([[1], [2, 3]], dtype=object), np.array([[1], [2, 3]], dtype=object)),
    (np.random.default_rng(3), np.random.default_rng(3)),
]


def test_arrays_of_other_dtype_shape_or_content_have_other_keys() -> None:
    keys = [key(array) for array in ARRAYS]
    assert len(set(keys)) == len(keys), [repr(a) for a, k in zip(ARRAYS, keys, strict=True) if keys.count(k) > 1]


@pytest.mark.parametrize("pair", EQUAL_ARRAYS, ids=lambda p: str(p[0].dtype if hasattr(p[0], "dtype") else "rng"))
def test_memory_order_does_not_count(pair: tuple[object, object]) -> None:
    assert key(pair[0]) == key(pair[1])


def test_padding_between_fields_does_not_count() -> None:
    dtype = np.dtype([("a", "i1"), ("b", "i8")], align=True)
    one, two = np.zeros(3, dtype), np.frombuffer(bytearray(b"\xff" * 3 * dtype.itemsize), dtype).copy()
    two["a"], two["b"] = 0, 0
    assert one.tobytes() != two.tobytes()
    assert key(one) == key(two)


def test_a_generator_that_was_used_has_another_key() -> None:
    rng = np.random.default_rng(1)
    before = key(rng)
    rng.random()
    assert key(rng) != before


def test_a_subclass_from_elsewhere_is_refused_since_it_may_hold_more() -> None:
    class Quantity(np.ndarray):
        pass

    for value in (np.zeros(2).view(Quantity), type("Frame", (pd.DataFrame,), {})({"a": [1]})):
        with pytest.raises(Unkeyable):
            key(value)


def test_functions_of_numpy_count_by_name_and_version() -> None:
    cache = Cache(disk=0)
    keys = [cache.key(f) for f in (np.sin, np.cos, np.linalg.svd, np.float32, np)]
    assert len(set(keys)) == 5


def test_only_an_array_that_nobody_can_write_is_frozen() -> None:
    own = np.arange(3)
    view = own[:]
    view.setflags(write=False)
    assert not is_frozen(own)
    assert not is_frozen(view)
    own.setflags(write=False)
    assert is_frozen(view)
    assert is_frozen(np.frombuffer(b"12345678"))
    assert not is_frozen(np.frombuffer(bytearray(8)))


def test_a_view_of_known_memory_is_its_place_there_and_the_owners_key() -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, 4096)
    memory = mmap.mmap(fd, 4096)
    os.close(fd)

    class Owner:
        def __fanwise_key__(self) -> str:
            return "digest"

    before = key(np.frombuffer(memory, "i8", 4))
    know_owner(lambda base: Owner() if base is memory else None)
    try:
        views = [np.frombuffer(memory, "i8", 4), np.frombuffer(memory, "i8", 4, 8), np.frombuffer(memory, "f8", 4)]
        keys = [key(view) for view in views]
        memory[0] = 1
        assert keys == [key(view) for view in views], "the bytes were looked at"
        assert len({before, *keys}) == 4
        assert key(views[0][1:3]) == key(views[1][0:2])
        assert key(np.arange(4)) == key(np.arange(4).copy())
    finally:
        _recognisers.pop()


FRAMES = [
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}),
    pd.DataFrame({"b": [3, 4], "a": [1, 2]}),
    pd.DataFrame({"a": [1, 2], "b": [3.0, 4]}),
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=[1, 2]),
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=[0, 1]),
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}).rename_axis("i"),
    pd.Series([1, 2]),
    pd.Series([1, 2], name="a"),
    pd.Series([1, 2], dtype="Int64"),
    pd.Series([1, None], dtype="Int64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series([1.0, float("nan")]),
    pd.Series(["x", "y"]),
    pd.Series(["x", "y"], dtype=object),
    pd.Series(["x", None], dtype="string"),
    pd.Series(["x", "y"]).astype("category"),
    pd.Series(["x", "y"]).astype(pd.CategoricalDtype(["y", "x"])),
    pd.Series(["x", "y"]).astype(pd.CategoricalDtype(["x", "y"], ordered=True)),
    pd.Series(pd.date_range("2026", periods=2)),
    pd.Series(pd.date_range("2026", periods=2, tz="UTC")),
    pd.Series(pd.timedelta_range("1s", periods=2)),
    pd.Series(pd.period_range("2026", periods=2, freq="M")),
    pd.Series(pd.interval_range(0, 2)),
    pd.Series(pd.arrays.SparseArray([0, 1])),
    pd.Series([1, 2], dtype="int64[pyarrow]"),
    pd.Index([0, 1]),
    pd.RangeIndex(2),
    pd.date_range("2026", periods=2),
    pd.DatetimeIndex(["2026-01-01", "2026-01-02"]),
    pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
    pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["x", "y"]),
    pd.Timestamp("2026"),
    pd.Timestamp("2026", tz="UTC"),
    pd.Timedelta("1s"),
    pd.NaT,
    pd.NA,
    pd.CategoricalDtype(["a"]),
    pl.DataFrame({"a": [1, 2]}),
    pl.DataFrame({"a": [1, None]}),
    pl.DataFrame({"a": [1.0, 2]}),
    pl.DataFrame({"b": [1, 2]}),
    pl.DataFrame(),
    pl.Series("a", [1, 2]),
    pl.Series("a", ["x", "y"]),
    pl.Series("a", ["x", "y"], dtype=pl.Categorical),
    pl.Series("a", ["x", "y"], dtype=pl.Enum(["x", "y"])),
    pl.Series("a", ["x", "y"], dtype=pl.Enum(["y", "x"])),
    pl.Series("a", [[1], [2]]),
    pl.Series("a", [[1, 2], []]),
    pl.Series("a", [[1, 2], None]),
    pl.Series("a", [[1], [2]], dtype=pl.Array(pl.Int64, 1)),
    pl.Series("a", [{"x": 1}, {"x": 2}]),
    pl.Series("a", [(1,), (2,)], dtype=pl.Object),
    pl.Int64(),
    pl.List(pl.Int64),
    pa.table({"a": [1, 2]}),
    pa.table({"a": [1, None]}),
    pa.table({"a": pa.array([1, 2], pa.int32())}),
    pa.table({"a": ["x", "y"]}),
    pa.table({"a": pa.array(["x", "y"], pa.string_view())}),
    pa.table({"a": pa.array(["x", "y"]).dictionary_encode()}),
    pa.record_batch({"a": [1, 2]}),
    pa.array([1, 2]),
    pa.chunked_array([[1, 2]]),
    pa.scalar(1),
    pa.scalar("x"),
    pa.int64(),
    pa.field("a", pa.int64()),
    pa.schema([("a", pa.int64())]),
]


def test_tables_of_other_names_index_dtype_or_content_have_other_keys() -> None:
    keys = [key(frame) for frame in FRAMES]
    assert len(set(keys)) == len(keys), [repr(f) for f, k in zip(FRAMES, keys, strict=True) if keys.count(k) > 1]


def test_attributes_of_a_frame_count() -> None:
    one, two = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]})
    two.attrs["unit"] = "kg"
    assert key(one) != key(two)


COLUMNS = {
    "numbers": [0, 1, None, 3, 4] * 3,
    "flags": [True, False, None, True, True] * 3,
    "text": ["x", "yy", None, "", "zzz"] * 3,
    "lists": [["aa", "b"], None, [None], [], ["c"]] * 3,
    "records": [{"p": 1}, {"p": 2}, None, {"p": None}, {"p": 5}] * 3,
}


@pytest.mark.parametrize("name", COLUMNS)
def test_chunks_and_slices_do_not_count(name: str) -> None:
    arrow = pa.table({name: COLUMNS[name]})
    parts = pa.concat_tables([arrow.slice(3, 2), arrow.slice(5, 5)])
    assert (
        key(arrow.slice(3, 7))
        == key(parts)
        == key(pa.table({name: pa.array(parts[name].to_pylist(), arrow[name].type)}))
    )
    frame = pl.DataFrame({name: COLUMNS[name]})
    pieces = pl.concat([frame.slice(3, 2), frame.slice(5, 5)], rechunk=False)
    assert key(frame.slice(3, 7)) == key(pieces)
    assert key(pieces) == key(pl.DataFrame({name: pl.Series(pieces[name].to_list(), dtype=frame[name].dtype)}))


def test_the_numbering_of_categories_does_not_count_in_arrow() -> None:
    one = pa.DictionaryArray.from_arrays([0, 1], ["a", "b"])
    two = pa.DictionaryArray.from_arrays([1, 0], ["b", "a"])
    assert key(pa.table({"x": one})) == key(pa.table({"x": two}))
