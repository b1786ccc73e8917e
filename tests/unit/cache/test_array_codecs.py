"""Arrays and tables as bytes and back: same dtype, shape, order and writability."""

from __future__ import annotations

import pytest

from fanwise.cache._codecs import Codecs
from fanwise.cache._keys import Encoder
from fanwise.cache._values import Unstorable

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

KEY = b"0123456789abcdef"


def both_copies(value: object) -> list[object]:
    """From shared bytes, and from memory of one's own."""
    codecs = Codecs()
    encoded = codecs.encode(KEY, value)
    data = encoded.joined()
    return [codecs.decode(KEY, encoded.codec, buffer, encoded.meta) for buffer in (data, bytearray(data))]


READ_ONLY = np.arange(3)
READ_ONLY.setflags(write=False)
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.array(5),
    np.zeros((3, 0)),
    np.zeros((0, 3), order="F"),
    np.arange(10)[::2],
    np.broadcast_to(np.arange(3), (2, 3)).copy(),
    np.array(["ab", "c"]),
    np.array([b"x"]),
    np.array(["2026-01-01", "NaT"], "M8[D]"),
    np.array([1], "m8[ms]"),
    np.array([1.0], ">f8"),
    np.array([(1, [2.0, 3.0])], dtype=[("a", "i4"), ("b", "f8", (2,))]),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "i8")], align=True)),
    np.array([True]),
    np.array([1 + 2j]),
    np.array([1], np.longdouble),
    np.array([b"\0\1"], "V2"),
    READ_ONLY,
    np.array([((1,),)], dtype=[("o", [("i", "u2")])]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype} {a.shape}")
def test_an_array_comes_back_with_dtype_shape_order_and_writability(array: np.ndarray) -> None:
    for again in both_copies(array):
        assert type(again) is np.ndarray
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert repr(again) == repr(array)
        assert again.flags.writeable == array.flags.writeable
        assert again.flags.aligned
        if array.flags.c_contiguous or array.flags.f_contiguous:
            assert again.flags.c_contiguous == array.flags.c_contiguous
            assert again.flags.f_contiguous == array.flags.f_contiguous


def test_a_transposed_array_keeps_its_strides() -> None:
    array = np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)
    assert [again.strides for again in both_copies(array)] == [array.strides] * 2


def test_arrays_of_one_value_do_not_share_memory_with_each_other() -> None:
    for again in both_copies({"a": np.zeros(3), "b": [np.zeros(3)]}):
        again["a"][0] = 1
        assert again["b"][0][0] == 0


def test_an_array_held_twice_is_held_twice() -> None:
    array = np.zeros(2)
    for again in both_copies([array, array]):
        again[0][0] = 5
        assert again[1][0] == 5


SCALARS = [
    np.float64(1.5),
    np.float32(1.5),
    np.int8(-1),
    np.bool_(True),
    np.complex64(1j),
    np.datetime64("2026-01-01"),
    np.timedelta64(1, "s"),
    np.str_("a\0"),
    np.bytes_(b"a\0"),
    np.longdouble(1),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_a_scalar_comes_back_as_itself(scalar: object) -> None:
    for again in both_copies(scalar):
        assert type(again) is type(scalar)
        assert Encoder().encode(again) == Encoder().encode(scalar)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a"], dtype=object),
        np.ma.array([1], mask=[1]),
        np.array(["a"], dtype=np.dtypes.StringDType()),
        np.zeros(2).view(np.recarray),
        np.longlong(1) if np.dtype("q").type is not np.longlong else np.array([object()]),
        np.dtype({"names": ["a"], "formats": [object]}).type,
    ],
    ids=["object", "masked", "string", "subclass", "alias", "class"],
)
def test_what_cannot_be_restored_exactly_is_not_stored(value: object) -> None:
    with pytest.raises(Unstorable):
        Codecs().encode(KEY, value)


FRAMES = [
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    pd.DataFrame({"a": [1.0, None]}),
    pd.DataFrame({0: [1, 2], 1: [3, 4]}),
    pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    pd.DataFrame({"a": pd.array([1, None], "Int64")}),
    pd.DataFrame({("a", "b"): [1]}),
    pd.DataFrame({"o": ["a", None, 1.5, 3]}, dtype=object)
    if False
    else pd.DataFrame({"o": pd.Series(["a", None], dtype=object)}),
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6], name="i")),
    pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026", periods=2, tz="UTC")),
    pd.Series([1.0, 2.0], name="z"),
    pd.Series([1, 2], index=pd.date_range("2026", periods=2, freq="D")),
    pd.Series(["a"], name=("t", 1)),
    pd.DataFrame({"a": []}),
    pd.DataFrame(),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: repr(f)[:30])
def test_a_pandas_object_comes_back_equal_in_all_it_has(frame: pd.DataFrame) -> None:
    frame.attrs["unit"] = "kg"
    for again in both_copies(frame):
        assert type(again) is type(frame)
        assert Encoder().encode(again) == Encoder().encode(frame)
        assert again.attrs == {"unit": "kg"}
        assert getattr(again.index, "freq", None) == getattr(frame.index, "freq", None)


def test_a_frame_that_comes_back_can_be_changed() -> None:
    frame = pd.DataFrame({"a": np.arange(3.0), "b": np.arange(3.0)})
    for again in both_copies(frame):
        again.iloc[0, 0] = 9.0
        again["c"] = 1
        assert frame.iloc[0, 0] == 0.0


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"o": [[1], [2]]}),
        pd.DataFrame({"o": [1, "a"]}, dtype=object),
        pd.Series([1, np.nan], dtype=object),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.Series([1j]),
    ],
    ids=lambda f: repr(f)[:20],
)
def test_what_arrow_would_change_is_not_stored(frame: object) -> None:
    with pytest.raises(Unstorable):
        Codecs().encode(KEY, frame)


COLUMNS = [
    pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []]}),
    pl.DataFrame(),
    pl.Series("q", ["x"], dtype=pl.Categorical),
    pl.Series("q", [1.5]),
    pa.table({"a": [1, None], "s": ["x", "y"]}),
    pa.array([1, None]),
    pa.chunked_array([[1], [2, 3]]),
    pa.record_batch({"a": [1]}),
    pa.table({"a": pa.array([], pa.int8())}),
    pa.array(["a"]).dictionary_encode(),
    pa.record_batch({"a": pa.array([], pa.int8())}),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_polars_and_arrow_come_back_equal(column: object) -> None:
    for again in both_copies(column):
        assert type(again) is type(column)
        assert again.equals(column)
        assert Encoder().encode(again) == Encoder().encode(column)


def test_polars_objects_are_not_stored() -> None:
    for value in (pl.Series("a", [object()], dtype=pl.Object), pl.DataFrame({"a": pl.Series([()], dtype=pl.Object)})):
        with pytest.raises(Unstorable):
            Codecs().encode(KEY, value)
