"""Canonical keys: what must differ, what must be equal, and what has none."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import re
import sqlite3
import sys
import threading
import time
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from tests.cache_kit import python

from fanwise import Cache
from fanwise.cache import Key
from fanwise.cache._keys import Encoder, Unkeyable
from fanwise.errors import UsageError

pytest.importorskip("numpy")


class Colour(Enum):
    RED = 1
    BLUE = 2


class Level(IntEnum):
    LOW = 1


class Mode(Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: object
    y: object


@dataclass
class Other:
    x: object
    y: object


@dataclass(frozen=True)
class Frozen:
    x: object


@attrs.define
class Attrs:
    x: object


Pair = namedtuple("Pair", "x y")


class MyInt(int):
    pass


class Tagged(list):
    def __init__(self, values: Any, tag: str) -> None:
        super().__init__(values)
        self.tag = tag


class Slotted(dict):
    __slots__ = ("note",)


class OwnKey:
    def __init__(self, value: object) -> None:
        self.value = value

    def __fanwise_key__(self) -> object:
        return self.value


def key(value: object) -> str:
    return Encoder().encode(value).hex()


DISTINCT = {
    "numbers": [
        1,
        True,
        1.0,
        1 + 0j,
        -1,
        2**64,
        -(2**64),
        256,
        Decimal(1),
        Fraction(1),
        Level.LOW,
        MyInt(1),
        "1",
        b"1",
    ],
    "nothing": [None, False, 0, 0.0, -0.0, "", b"", (), [], {}, set(), frozenset(), Ellipsis, NotImplemented, range(0)],
    "text": ["ab", b"ab", bytearray(b"ab"), memoryview(b"ab"), ["ab"], ("a", "b"), "é", "e\u0301", "\ud800"],
    "nesting": [("ab", "c"), ("a", "bc"), (("ab",), "c"), ("ab", ("c",)), [["ab"], "c"], [[], ["ab", "c"]]],
    "mappings": [
        {"a": 1, "b": 2},
        {"a": 1, "b": 2.0},
        OrderedDict(a=1, b=2),
        OrderedDict(b=2, a=1),
        defaultdict(None, a=1, b=2),
        Counter(a=1, b=2),
        MappingProxyType({"a": 1, "b": 2}),
        [("a", 1), ("b", 2)],
        {("a", 1), ("b", 2)},
    ],
    "nan": [float("nan"), float("inf"), -float("inf"), complex("nan"), Decimal("NaN"), Decimal("sNaN")],
    "decimals": [Decimal("1.0"), Decimal("1.00"), Decimal("-1.0"), Decimal("1E+1"), Decimal(10)],
    "times": [
        dt.datetime(2026, 1, 1),
        dt.datetime(2026, 1, 1, fold=1),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "Z")),
        dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/London")),
        dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Africa/Abidjan")),
        dt.date(2026, 1, 1),
        dt.time(0),
        dt.time(0, tzinfo=dt.UTC),
        dt.timedelta(0),
    ],
    "classes": [
        Point(1, 2),
        Other(1, 2),
        Pair(1, 2),
        Frozen(1),
        Attrs(1),
        (1, 2),
        {"x": 1, "y": 2},
        OwnKey(1),
        OwnKey((1, 2)),
    ],
    "enums": [Colour.RED, Colour.BLUE, 1, "RED", Mode.READ, Mode.READ | Mode.WRITE, Mode(0)],
    "subclasses": [Tagged([1], "a"), Tagged([1], "b"), [1], (1,)],
    "paths": [Path("/a/b"), PurePosixPath("/a/b"), "/a/b", Path("a/b")],
    "others": [
        range(3),
        range(0, 6, 2),
        slice(3),
        slice(0, 3),
        (0, 3, 1),
        uuid.UUID(int=1),
        re.compile("a"),
        re.compile("a", re.IGNORECASE),
    ],
    "loggers": [logging.getLogger("a"), logging.getLogger("b"), "a"],
}

EQUAL = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"q", "w", "e"}, {"e", "w", "q"}),
    ([[1], [1]], (lambda a: [a, a])([1])),
    (float("nan"), -float("nan")),
    ("abc", "".join(map(chr, (97, 98, 99)))),
    (dt.timedelta(hours=24), dt.timedelta(days=1)),
    (Fraction(2, 4), Fraction(1, 2)),
    (Point(1, 2), Point(y=2, x=1)),
    (range(3), range(3)),
    (MappingProxyType({1: 2}), MappingProxyType({1: 2})),
    ({(1, frozenset({2, 3})): "a", (0,): "b"}, {(0,): "b", (1, frozenset({3, 2})): "a"}),
    (10**40, int("1" + "0" * 40)),
]


@pytest.mark.parametrize("group", DISTINCT)
def test_different_values_have_different_keys(group: str) -> None:
    values = DISTINCT[group]
    keys = [key(value) for value in values]
    assert len(set(keys)) == len(values), [v for v, k in zip(values, keys, strict=True) if keys.count(k) > 1]


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: type(pair[0]).__name__)
def test_equal_values_have_one_key(pair: tuple[object, object]) -> None:
    assert key(pair[0]) == key(pair[1])


def test_what_a_subclass_instance_holds_besides_the_plain_value_counts() -> None:
    one, two = Slotted(a=1), Slotted(a=1)
    one.note, two.note = "x", "y"
    assert key(one) != key(two)


def test_a_default_factory_counts() -> None:
    cache = Cache(disk=0)
    assert cache.key(defaultdict(list, a=1)) != cache.key(defaultdict(int, a=1))


def test_depth_is_limited_by_memory_only() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    members: Any = frozenset()
    pairs: Any = 0
    for _ in range(500):
        members, pairs = frozenset([members]), {(1, pairs): 0} if not isinstance(pairs, dict) else {1: pairs}
    assert len({key(deep), key(members), key(pairs)}) == 3


@pytest.mark.parametrize("make", [list, dict], ids=["list", "dict"])
def test_a_container_that_contains_itself_is_refused(make: type) -> None:
    value = make()
    value.append(value) if make is list else value.update(me=value)
    with pytest.raises(Unkeyable, match="contains itself"):
        key(value)


def test_a_temporary_that_takes_the_place_of_another_in_memory_is_no_cycle() -> None:
    value = [Point([i], (i, [i])) for i in range(200)]
    assert key(value) == key([Point([i], (i, [i])) for i in range(200)])


UNKEYABLE = [
    threading.Lock(),
    sqlite3.connect(":memory:"),
    (i for i in ()),
    object(),
    sys.stdout,
    deque([1]),
    threading.local(),
    iter([]),
]


@pytest.mark.parametrize("value", UNKEYABLE, ids=lambda v: type(v).__name__)
def test_a_value_without_a_stable_key_is_refused_with_its_type(value: object) -> None:
    cache = Cache(disk=0)
    with pytest.raises(UsageError, match=f"has type .*{type(value).__name__}, which has no stable key"):
        cache.key(value)
    with pytest.raises(UsageError, match=f"holds a .*{type(value).__name__}, which has no stable key"):
        cache.key({"x": [value]})
    with pytest.raises(TypeError):
        cache.get(value)


def test_a_dataclass_with_a_field_that_was_never_set_is_refused() -> None:
    @dataclass
    class Late:
        x: int = field(init=False)

    with pytest.raises(Unkeyable, match="never set"):
        key(Late())


def test_parts_are_one_tuple_and_a_key_is_itself() -> None:
    cache = Cache(disk=0)
    whole = cache.key("table", 12, 5)
    assert whole == cache.key(("table", 12, 5))
    assert cache.key(whole) is whole
    assert isinstance(whole, Key)
    assert len(whole) == 16
    assert repr(whole) == f"Key('{whole.hex()}')"
    assert Key.fromhex(whole.hex()) == whole
    assert cache.key([whole]) != cache.key([bytes(whole)])


def golden_values() -> dict[str, object]:
    """Thirty values whose encoding must never change: stored keys would not be found again."""
    return {
        "None": None,
        "True": True,
        "Ellipsis": Ellipsis,
        "0": 0,
        "-300": -300,
        "2**70": 2**70,
        "0.1": 0.1,
        "-0.0": -0.0,
        "nan": float("nan"),
        "1j": 1j,
        "str": "größe",
        "bytes": b"\0\1",
        "bytearray": bytearray(b"x"),
        "tuple": (1, "a"),
        "list": [1, [2, 3]],
        "dict": {"b": 1, "a": [2]},
        "set": {1, "a", None},
        "frozenset": frozenset({1.5, 2}),
        "OrderedDict": OrderedDict(b=1, a=2),
        "range": range(1, 9, 2),
        "slice": slice(1, None),
        "Decimal": Decimal("1.50"),
        "Fraction": Fraction(-1, 3),
        "date": dt.date(2026, 2, 3),
        "datetime": dt.datetime(2026, 2, 3, 4, 5, 6, 7, dt.UTC),
        "time": dt.time(1, 2, 3),
        "timedelta": dt.timedelta(-1, 2, 3),
        "UUID": uuid.UUID(int=7),
        "path": PurePosixPath("/a/b"),
        "memoryview": memoryview(b"ab"),
    }


def test_encodings_do_not_change() -> None:
    expected = json.loads((Path(__file__).with_name("goldens.json")).read_text())
    found = {name: hashlib.sha256(Encoder().encode(v)).hexdigest()[:16] for name, v in golden_values().items()}
    assert found == expected
    assert len(found) == 30


TSV = """
    import sys, datetime as dt
    import numpy as np, pandas as pd, polars as pl, pyarrow as pa
    from collections import OrderedDict as OD, namedtuple
    from dataclasses import dataclass
    from decimal import Decimal as D
    from enum import Enum
    from fractions import Fraction as F
    from pathlib import PurePosixPath as P
    from uuid import UUID
    from fanwise import Cache
    L1 = [1, 2]
    class E(Enum): A = 1; B = 2
    @dataclass
    class DC: x: object; y: object
    @dataclass(frozen=True)
    class DC2: x: object; y: object
    NT = namedtuple("NT", "x y")
    class MyInt(int): pass
    class MyStr(str): pass
    class MyList(list): pass
    cache = Cache(disk=0)
    for line in open(sys.argv[1], encoding="utf-8"):
        kind, *cells = line.rstrip("\\n").split("\\t")
        if kind == "group":
            cells = cells[1:]
        print(kind, *[cache.key(eval(cell)).hex() for cell in cells])
"""


@pytest.mark.slow
def test_reference_groups_differ_and_pairs_agree_whatever_the_hash_seed_is(shared_data: Path) -> None:
    for package in ("pandas", "polars", "pyarrow"):
        pytest.importorskip(package)
    runs = [python(TSV, str(shared_data / "cache" / "keys.tsv"), PYTHONHASHSEED=seed) for seed in ("1", "4242")]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    pairs = 0
    for line in runs[0].stdout.splitlines():
        kind, *keys = line.split()
        assert len(set(keys)) == (len(keys) if kind == "group" else 1), line
        pairs += len(keys) * (len(keys) - 1) // 2
    assert pairs >= 200


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    cache = Cache(disk=0)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    content = Cache.file(one)
    before = cache.key(content)
    assert before == cache.key(Cache.file(two)) == cache.key(content)
    assert before != cache.key(one)
    with open(content) as file:
        assert file.read() == "same"
    one.write_bytes(b"else")
    assert cache.key(content) != before
    assert repr(content) == f"Cache.file({str(one)!r})"


def test_a_settled_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * 100)
    content = Cache.file(path)
    deadline = time.monotonic() + 5
    while content._stamp is None and time.monotonic() < deadline:  # a change within one tick would go unseen
        content.__fanwise_key__()
    known, content._digest = content._digest, b"remembered"
    assert content.__fanwise_key__() == b"remembered"
    assert known != b"remembered"


def test_a_missing_file_is_the_error_of_open(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Cache(disk=0).key(Cache.file(tmp_path / "none"))


def test_keys_of_another_hash_are_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from fanwise import Cache; import sys; print(Cache(disk=0).key('a').hex())"
    blocked = "import sys; sys.modules['xxhash'] = None; " + code
    first, second = python(code), python(blocked)
    assert first.returncode == second.returncode == 0, second.stderr
    if "xxhash" in sys.modules:
        assert first.stdout != second.stdout
