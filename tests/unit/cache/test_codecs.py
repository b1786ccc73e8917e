"""Values as bytes and back: equal, of the same types, fresh, and nothing runs."""

from __future__ import annotations

import datetime as dt
import enum
import math
import pickle
import uuid
from collections import Counter, OrderedDict, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import pytest

from fanwise.cache import Codec
from fanwise.cache._codecs import BYTES, PICKLE, TEXT, VALUE, Codecs, Encoded, Refused
from fanwise.cache._keys import Encoder
from fanwise.cache._signed import Signer
from fanwise.cache._values import DEPTH, Unstorable
from fanwise.errors import CacheError, UsageError

KEY = b"0123456789abcdef"


def copy(value: Any, codecs: Codecs | None = None) -> Any:
    """What comes back from bytes; from memory of its own the same."""
    codecs = codecs or Codecs()
    encoded = codecs.encode(KEY, value)
    data = encoded.joined()
    assert len(data) == encoded.size
    one = codecs.decode(KEY, encoded.codec, data, encoded.meta)
    two = codecs.decode(KEY, encoded.codec, bytearray(data), encoded.meta)
    assert Encoder().encode(one) == Encoder().encode(two)
    return one


VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    10**50,
    0.0,
    -0.0,
    1.5,
    math.inf,
    1j,
    -0j,
    "",
    "größe\ud800",
    b"",
    b"\0",
    bytearray(b"x"),
    (),
    (1, (2,)),
    [],
    [1, [2, [3]]],
    {},
    {1: "a", (2,): [3]},
    set(),
    {1, "a"},
    frozenset({1, (2, 3)}),
    Decimal("1.50"),
    Decimal("-Infinity"),
    Fraction(-1, 3),
    dt.date(2026, 1, 2),
    dt.time(1, 2, 3, 4, fold=1),
    dt.time(1, tzinfo=dt.UTC),
    dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    dt.datetime(2026, 10, 25, 2, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    dt.timedelta(-1, 2, 3),
    dt.timezone(dt.timedelta(hours=1), "X"),
    dt.timezone(dt.timedelta(hours=1)),
    ZoneInfo("UTC"),
    uuid.UUID(int=5),
    Path("/a/b"),
    PurePosixPath("x"),
    PureWindowsPath("c:/x"),
    range(1, 9, 2),
    slice(None, 3),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_and_of_the_same_type(value: object) -> None:
    again = copy(value)
    assert type(again) is type(value)
    assert Encoder().encode(again) == Encoder().encode(value)
    assert Encoder().encode(copy([value, {"k": value}])) == Encoder().encode([value, {"k": value}])


def test_nan_keeps_its_bits() -> None:
    assert math.isnan(copy(math.nan))


def test_a_dict_keeps_its_order() -> None:
    assert list(copy({"b": 1, "a": 2})) == ["b", "a"]


def test_an_object_that_is_held_twice_is_held_twice_in_the_copy() -> None:
    inner: list[int] = [1]
    again = copy({"a": inner, "b": (inner, [inner])})
    again["a"].append(2)
    assert again == {"a": [1, 2], "b": ([1, 2], [[1, 2]])}


def test_text_and_bytes_are_stored_as_they_are() -> None:
    codecs = Codecs()
    assert codecs.encode(KEY, b"ab") == Encoded(BYTES, [b"ab"], 2)
    assert codecs.encode(KEY, "ä") == Encoded(TEXT, ["ä".encode()], 2)
    assert codecs.encode(KEY, [1]).codec == VALUE


Pair = namedtuple("Pair", "x y")


class Colour(enum.Enum):
    RED = 1


class Typed(NamedTuple):
    x: int


@dataclass
class Point:
    x: int
    y: list[int]

    def __post_init__(self) -> None:
        if self.x < 0:
            raise AssertionError("reading ran code")


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int


@attrs.define
class Attrs:
    x: int


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


class Sub(list):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    "value",
    [
        Pair(1, 2),
        Colour.RED,
        Point(1, []),
        Plain(1),
        Sub([1]),
        Counter("a"),
        OrderedDict(a=1),
        object(),
        iter([]),
        print,
        [1, {"a": Pair(1, 2)}],
        dt.time(0, tzinfo=type("Zone", (dt.tzinfo,), {"utcoffset": lambda s, d: None})()),
        Ellipsis,
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_no_safe_codec_takes_exactly_is_not_stored(value: object) -> None:
    with pytest.raises(Unstorable):
        Codecs().encode(KEY, value)


def test_what_contains_itself_or_is_too_deep_is_not_stored() -> None:
    ring: list[Any] = []
    ring.append({"me": ring})
    deep: list[Any] = []
    for _ in range(DEPTH + 5):
        deep = [deep]
    for value in (ring, deep):
        with pytest.raises(Unstorable):
            Codecs().encode(KEY, value)


@pytest.mark.parametrize("value", [Pair(1, [2]), Typed(3), Colour.RED, Point(1, [2]), Frozen(4), Attrs(5)], ids=repr)
def test_classes_that_say_what_their_fields_are_need_no_functions(value: Any) -> None:
    codecs = Codecs([type(value)])
    again = copy([value], codecs)[0]
    assert again == value
    assert type(again) is type(value)
    with pytest.raises(Refused):
        Codecs().decode(KEY, VALUE, codecs.encode(KEY, value).joined())


def test_reading_a_registered_class_runs_none_of_its_methods() -> None:
    codecs = Codecs([Point])
    point = Point(1, [])
    point.x = -5
    assert copy(point, codecs).x == -5


def test_more_than_the_fields_is_not_stored_and_other_fields_are_refused() -> None:
    codecs = Codecs([Point])
    point = Point(1, [])
    point.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(Unstorable):
        codecs.encode(KEY, point)
    renamed = dataclass(type("Point", (), {"__annotations__": {"z": int}, "__module__": __name__}))
    with pytest.raises(Refused, match="other fields"):
        Codecs([renamed]).decode(KEY, VALUE, codecs.encode(KEY, Point(1, [])).joined())


def test_a_codec_of_ones_own() -> None:
    codec = Codec("plain", Plain, lambda value: {"x": value.x}, lambda state: Plain(state["x"]))
    codecs = Codecs([codec])
    assert codecs.decode(KEY, VALUE, codecs.encode(KEY, (Plain(3), Plain(4))).joined())[1].x == 4


def test_what_cannot_be_a_codec_is_refused() -> None:
    for bad in (Plain, "Plain", 3):
        with pytest.raises(UsageError, match="codecs"):
            Codecs([bad])  # type: ignore[list-item]


class Evil:
    ran = False

    def __reduce__(self) -> Any:
        return (setattr, (Evil, "ran", True))


def test_a_pickle_is_read_only_with_the_right_mac() -> None:
    signing = Codecs(signer=Signer(b"s" * 32))
    encoded = signing.encode(KEY, Plain(7))
    assert encoded.codec == PICKLE
    assert len(encoded.meta) == 32
    assert signing.decode(KEY, PICKLE, encoded.joined(), encoded.meta).x == 7
    evil = pickle.dumps(Evil())
    attempts = [
        (Codecs(), KEY, evil, b""),
        (Codecs(), KEY, encoded.joined(), encoded.meta),
        (signing, KEY, evil, b""),
        (signing, KEY, evil, encoded.meta),
        (signing, b"another key 1234", encoded.joined(), encoded.meta),
        (Codecs(signer=Signer(b"t" * 32)), KEY, encoded.joined(), encoded.meta),
    ]
    for codecs, key, payload, meta in attempts:
        with pytest.raises(Refused):
            codecs.decode(key, PICKLE, payload, meta)
    assert not Evil.ran


def test_safe_codecs_are_preferred_and_what_has_no_pickle_is_not_stored() -> None:
    signing = Codecs(signer=Signer(b"s" * 32))
    assert signing.encode(KEY, {"a": [1]}).codec == VALUE
    with pytest.raises(Unstorable):
        signing.encode(KEY, (i for i in ()))


def test_a_pickle_whose_class_is_gone_is_an_error_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    signing = Codecs(signer=Signer(b"s" * 32))
    encoded = signing.encode(KEY, Plain(1))
    monkeypatch.delitem(globals(), "Plain")
    with pytest.raises(CacheError, match="cannot be read any more"):
        signing.decode(KEY, PICKLE, encoded.joined(), encoded.meta)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(Refused, match="unknown codec 77"):
        Codecs().decode(KEY, 77, b"")
