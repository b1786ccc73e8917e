"""Laws of keys and codecs: equal keys are equal values, copies are equal, and damage is only ever one error."""

from __future__ import annotations

import contextlib
import datetime as dt
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanwise.cache._codecs import VALUE, Codecs
from fanwise.cache._keys import Encoder
from fanwise.cache._records import BLOB, HEADER, Record, pack, unpack
from fanwise.errors import CacheError

KEY = b"0123456789abcdef"

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 2),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0]),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.complex_numbers(),
    st.decimals().filter(lambda d: not d.is_snan()),
    st.fractions(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
HASHABLE = st.deferred(lambda: ATOMS | st.tuples(ATOMS, ATOMS) | st.frozensets(ATOMS, max_size=3))
HOLDERS = st.deferred(
    lambda: (
        st.lists(VALUES, max_size=3)
        | st.dictionaries(HASHABLE, VALUES, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.tuples(VALUES, VALUES)
    )
)
VALUES: st.SearchStrategy[Any] = st.deferred(lambda: HASHABLE | HASHABLE | HOLDERS)


def strictly_equal(a: Any, b: Any) -> bool:
    """Equality as the keys mean it: types count, signs of zero count, all NaN are one."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a != a and b != b) or (a == b and str(a) == str(b))
    if isinstance(a, complex):
        return strictly_equal(a.real, b.real) and strictly_equal(a.imag, b.imag)
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dt.datetime | dt.time):
        return (a.replace(tzinfo=None), a.fold, a.utcoffset(), str(a.tzinfo)) == (
            b.replace(tzinfo=None),
            b.fold,
            b.utcoffset(),
            str(b.tzinfo),
        )
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(strictly_equal, a, b))
    if isinstance(a, set | frozenset):
        return matched(list(a), list(b))
    if isinstance(a, dict):
        return matched([list(pair) for pair in a.items()], [list(pair) for pair in b.items()])
    return bool(a == b)


def matched(one: list[Any], two: list[Any]) -> bool:
    """Whether each member of one has its equal in the other."""
    left = list(two)
    for value in one:
        found = next((i for i, other in enumerate(left) if strictly_equal(value, other)), None)
        if found is None:
            return False
        del left[found]
    return not left


@given(VALUES, VALUES)
@example({0.0: 1}, {-0.0: 1})
@example((1, 2), [1, 2])
@example({1: True}, {1: 1})
def test_two_values_have_one_key_just_when_they_are_strictly_equal(a: Any, b: Any) -> None:
    same = Encoder().encode(a) == Encoder().encode(b)
    assert same == strictly_equal(a, b)


@given(VALUES)
def test_a_copy_is_strictly_equal(value: Any) -> None:
    codecs = Codecs()
    encoded = codecs.encode(KEY, value)
    again = codecs.decode(KEY, encoded.codec, encoded.joined())
    assert strictly_equal(again, value)
    assert Encoder().encode(again) == Encoder().encode(value)


@given(VALUES)
def test_a_shuffled_dict_or_set_has_the_same_key(value: Any) -> None:
    assert Encoder().encode({"x": value, "y": 1}) == Encoder().encode({"y": 1, "x": value})


def damaged(data: bytes, seed: int, draw: Any) -> bytes:
    """Flip, cut, repeat or replace somewhere."""
    kind = seed % 4
    at = draw(st.integers(0, max(0, len(data) - 1)))
    if kind == 0 and data:
        return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + draw(st.binary(max_size=9)) + data[at:]
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


@settings(max_examples=300)
@given(st.data(), VALUES, st.integers(0, 3))
def test_reading_damaged_bytes_gives_a_value_or_one_kind_of_error(data: st.DataObject, value: Any, kind: int) -> None:
    codecs = Codecs()
    payload = damaged(codecs.encode(KEY, [value]).joined(), kind, data.draw)
    with contextlib.suppress(CacheError):
        codecs.decode(KEY, VALUE, payload)


@settings(max_examples=150)
@given(st.data(), st.integers(0, 3))
def test_reading_damaged_arrays_gives_a_value_or_one_kind_of_error(data: st.DataObject, kind: int) -> None:
    np = pytest.importorskip("numpy")
    codecs = Codecs()
    value = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros(2, [("x", "i4"), ("y", "U2", (2,))]), "c": np.float32(1)}
    payload = damaged(codecs.encode(KEY, value).joined(), kind, data.draw)
    with contextlib.suppress(CacheError):
        codecs.decode(KEY, VALUE, payload)


@given(st.binary(max_size=200))
def test_reading_anything_at_all_gives_a_value_or_one_kind_of_error(payload: bytes) -> None:
    for codec in (1, 2, VALUE, 4, 5):
        try:
            Codecs().decode(KEY, codec, payload)
        except CacheError:
            continue


@pytest.mark.parametrize("tag", [b"l", b"t", b"d", b"S", b"Z", b"s", b"b", b"B", b"i"])
def test_a_length_that_lies_takes_no_memory(tag: bytes) -> None:
    structure = tag + (2**62).to_bytes(8, "little")
    payload = len(structure).to_bytes(4, "little") + structure
    tracemalloc.start()
    try:
        with pytest.raises(CacheError):
            Codecs().decode(KEY, VALUE, payload)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_nesting_that_lies_is_an_error_and_no_overflow() -> None:
    structure = b"l\1\0\0\0\0\0\0\0" * 100_000 + b"N"
    with pytest.raises(CacheError, match="too deep"):
        Codecs().decode(KEY, VALUE, len(structure).to_bytes(4, "little") + structure)


RECORDS = st.builds(
    Record,
    key=st.binary(min_size=16, max_size=16),
    created=st.floats(0, 1e10),
    expires=st.floats(0, 1e10) | st.just(float("inf")),
    flags=st.integers(0, 31),
    codec=st.integers(0, 9),
    name=st.text("abc:é", max_size=20),
    meta=st.binary(max_size=40),
    payload=st.binary(max_size=100),
)


@given(RECORDS)
def test_a_record_comes_back_and_knows_its_end(record: Record) -> None:
    data = pack(record)
    for tail in (b"", b"\0" * 7, b"FWR1"):
        again = unpack(data + tail)
        assert again is not None
        assert again._replace(payload=bytes(again.payload)) == record
    assert len(data) == HEADER + len(record.name.encode()) + len(record.meta) + len(record.payload)


@given(RECORDS, st.data())
def test_any_flipped_bit_of_a_record_is_found(record: Record, data: st.DataObject) -> None:
    packed = bytearray(pack(record))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert unpack(packed) is None


@given(RECORDS, st.data())
def test_a_cut_record_is_found(record: Record, data: st.DataObject) -> None:
    packed = pack(record._replace(flags=record.flags | BLOB))
    assert unpack(packed[: data.draw(st.integers(0, len(packed) - 1))]) is None


@given(st.fractions(), st.fractions())
def test_numbers_of_other_types_never_share_a_key(a: Fraction, b: Fraction) -> None:
    kinds = [a, float(a), str(a), (a.numerator, a.denominator), Decimal(a.numerator)]
    assert len({Encoder().encode(kind) for kind in kinds}) == len(kinds)
