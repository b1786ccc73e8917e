"""Keys of the built-in and standard-library types, of dataclasses, and how a type finds its function.

A handler takes a value and returns its bytes, a list of buffers, a `Node` with children, or says that it is `Code`.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import PurePath
from struct import Struct
from typing import Any, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

from fanwise.cache._keys import Code, Done, Encoded, Handler, Node, Unkeyable, extension, framed, name_of, text, u64

__all__ = ["BASES", "HANDLERS", "handler_of", "is_code", "is_wrapper"]

_F64 = Struct("<d").pack
_NAN = _F64(float("nan"))
_DATE = Struct("<cHBB").pack
_TIME = Struct("<cBBBIB").pack
_DATETIME = Struct("<cHBBBBBIB").pack
_TIMEDELTA = Struct("<cqII").pack


def _tag(tag: bytes) -> Handler:
    return lambda _: tag


def _int(value: int) -> bytes:
    magnitude = abs(value).to_bytes((value.bit_length() + 7) // 8, "little")
    return framed(b"i", (b"-" if value < 0 else b"+") + magnitude)


def float_bytes(value: float) -> bytes:
    return _F64(value) if value == value else _NAN  # noqa: PLR0124 - the test for NaN


def _float(value: float) -> bytes:
    return b"f" + float_bytes(value)


def _complex(value: complex) -> bytes:
    return b"c" + float_bytes(value.real) + float_bytes(value.imag)


def _str(value: str) -> bytes:
    return framed(b"s", text(value))


def _bytes(value: bytes) -> bytes:
    return framed(b"b", value)


def _bytearray(value: bytearray) -> bytes:
    return framed(b"B", value)


def _memoryview(value: memoryview) -> Node:
    return Node(b"m", (value.format, value.shape, value.tobytes()))


def _sequence(tag: bytes) -> Handler:
    return lambda value: Node(tag + u64(len(value)), value)


def _members(tag: bytes) -> Handler:
    return lambda value: Node(tag + u64(len(value)), list(value), "members")


def _dict(value: dict[Any, Any]) -> Node:
    return Node(b"d" + u64(len(value)), list(value.items()), "pairs")


def _ordered_dict(value: OrderedDict[Any, Any]) -> Node:
    return Node(b"o" + u64(len(value)), [part for pair in value.items() for part in pair])


def _defaultdict(value: defaultdict[Any, Any]) -> Node:
    return Node(extension("defaultdict"), (value.default_factory, dict(value)))


def _mapping_proxy(value: types.MappingProxyType[Any, Any]) -> Node:
    return Node(extension("mappingproxy"), (dict(value),))


def _range(value: range) -> Node:
    return Node(b"r", (value.start, value.stop, value.step))


def _slice(value: slice) -> Node:
    return Node(b"x", (value.start, value.stop, value.step))


def _decimal(value: Decimal) -> Node:
    return Node(b"D", tuple(value.as_tuple()))


def _fraction(value: Fraction) -> Node:
    return Node(b"Q", (value.numerator, value.denominator))


def _date(value: date) -> bytes:
    return _DATE(b"Y", value.year, value.month, value.day)


def _time(value: time) -> Node:
    head = _TIME(b"h", value.hour, value.minute, value.second, value.microsecond, value.fold)
    return Node(head, (value.utcoffset(), value.tzinfo))


def _datetime(value: datetime) -> Node:
    day = value.year, value.month, value.day
    head = _DATETIME(b"y", *day, value.hour, value.minute, value.second, value.microsecond, value.fold)
    return Node(head, (value.utcoffset(), value.tzinfo))


def _timedelta(value: timedelta) -> bytes:
    return _TIMEDELTA(b"H", value.days, value.seconds, value.microseconds)


def _timezone(value: timezone) -> Node:
    return Node(extension("timezone"), (value.utcoffset(None), value.tzname(None)))


def _other_zone(value: tzinfo) -> bytes:
    """Zones with a name of the tz database; of others only offsets are known, and those are shared by many zones."""
    zone = value.key if isinstance(value, ZoneInfo) else getattr(value, "zone", None)
    if not isinstance(zone, str):
        raise Unkeyable(value)
    return extension("tzinfo", name_of(type(value)), zone)


def _path(value: PurePath) -> Node:
    cls = type(value)
    name = cls.__name__ if cls.__module__.startswith("pathlib") else name_of(cls)  # moved between modules in 3.13
    return Node(b"p", (name, value.__fspath__(), getattr(value, "__dict__", None) or None))


def _uuid(value: UUID) -> bytes:
    return b"U" + value.bytes


def _enum(value: Enum) -> Node:
    """Class and name; a plain value too, so that editing it in the source is another key."""
    plain = value._value_ if type(value._value_) in _ENUM_VALUES else None
    return Node(b"e", (name_of(type(value)), value._name_, plain), of=type(value))


def _named_tuple(value: Any) -> Node:
    return _fields(b"k", value, type(value)._fields)


def _dataclass(value: Any) -> Node:
    return _fields(b"C", value, [f.name for f in dataclasses.fields(value)])


def _attrs(value: Any) -> Node:
    return _fields(b"C", value, [a.name for a in type(value).__attrs_attrs__])


def _fields(tag: bytes, value: Any, names: Sequence[str]) -> Node:
    if not all(hasattr(value, name) for name in names):
        raise Unkeyable(value, "has fields that were never set")
    pairs = [part for name in names for part in (name, getattr(value, name))]
    return Node(tag + u64(len(names)), [name_of(type(value)), *pairs], of=type(value))


def _own_key(value: Any) -> Node:
    return Node(extension("key", name_of(type(value))), (value.__fanwise_key__(),), of=type(value))


def _pattern(value: re.Pattern[Any]) -> Node:
    return Node(extension("pattern"), (value.pattern, value.flags))


def _logger(value: logging.Logger) -> bytes:
    return extension("logger", value.name)


def _generic_alias(value: Any) -> Node:
    return Node(extension("alias"), (get_origin(value), get_args(value)))


def _code(value: Any) -> Code:
    return Code(value)


def _last_resort(value: Any) -> Encoded:
    """Callable objects that name what they wrap (``lru_cache``, compiled functions) are code; the rest has no key."""
    if is_wrapper(value):
        return Code(value)
    raise Unkeyable(value)


HANDLERS: dict[type, Handler] = {
    type(None): _tag(b"N"),
    type(Ellipsis): _tag(b"E"),
    type(NotImplemented): _tag(b"n"),
    bool: lambda value: b"T" if value else b"F",
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: _bytes,
    Done: bytes,
    bytearray: _bytearray,
    memoryview: _memoryview,
    tuple: _sequence(b"t"),
    list: _sequence(b"l"),
    dict: _dict,
    OrderedDict: _ordered_dict,
    defaultdict: _defaultdict,
    types.MappingProxyType: _mapping_proxy,
    set: _members(b"S"),
    frozenset: _members(b"Z"),
    range: _range,
    slice: _slice,
    Decimal: _decimal,
    Fraction: _fraction,
    date: _date,
    time: _time,
    datetime: _datetime,
    timedelta: _timedelta,
    timezone: _timezone,
    UUID: _uuid,
    re.Pattern: _pattern,
    logging.Logger: _logger,
    types.GenericAlias: _generic_alias,
    types.UnionType: _generic_alias,
}
_ENUM_VALUES = {type(None), bool, int, float, str, bytes, tuple}

BASES: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    bytearray: lambda value: bytearray.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    list: lambda value: list.__getitem__(value, slice(None)),
    OrderedDict: lambda value: OrderedDict(OrderedDict.items(value)),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    datetime: lambda value: datetime.combine(datetime.date(value), datetime.timetz(value)),
    date: lambda value: date(value.year, value.month, value.day),
    Decimal: Decimal,
}

_CODE_TYPES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.ModuleType,
    partial,
    type,
)


def is_code(cls: type) -> bool:
    """Whether instances of ``cls`` are functions, classes, modules or wrappers around them."""
    return issubclass(cls, _CODE_TYPES) or any("__wrapped__" in vars(base) for base in cls.__mro__)


def is_wrapper(value: object) -> bool:
    """Whether this very object says which function it wraps."""
    own = getattr(value, "__dict__", {})
    return callable(value) and ("__wrapped__" in own or "py_func" in own)


@lru_cache(maxsize=1024)
def handler_of(cls: type) -> Handler:
    """The function that encodes instances of a class; one that refuses if there is none."""
    if cls in HANDLERS:
        return HANDLERS[cls]
    for claims, handler in _RULES:
        if claims(cls):
            return handler
    return _of_package(cls) or _of_base(cls) or _last_resort


_RULES: tuple[tuple[Callable[[type], bool], Handler], ...] = (
    (lambda cls: hasattr(cls, "__fanwise_key__"), _own_key),
    (lambda cls: issubclass(cls, Enum), _enum),
    (lambda cls: issubclass(cls, tuple) and hasattr(cls, "_fields"), _named_tuple),
    (dataclasses.is_dataclass, _dataclass),
    (lambda cls: hasattr(cls, "__attrs_attrs__"), _attrs),
    (lambda cls: cls.__module__ == "typing" and cls.__name__.endswith("GenericAlias"), _generic_alias),
    (is_code, _code),
    (lambda cls: issubclass(cls, PurePath), _path),
    (lambda cls: issubclass(cls, tzinfo), _other_zone),
)


def _of_package(cls: type) -> Handler | None:
    """Array and frame packages are looked at only where they are imported already."""
    package = cls.__module__.partition(".")[0]
    if package == "numpy":
        from fanwise.cache._array_keys import array_handler

        return array_handler(cls)
    if package in {"pandas", "polars", "pyarrow"} and sys.modules.get(package) is not None:
        from fanwise.cache._frame_keys import frame_handler

        return frame_handler(package, cls)
    return None


def _of_base(cls: type) -> Handler | None:
    """A subclass of a built-in type: its name, the plain value, and what its instances hold besides."""
    base = next((b for b in cls.__mro__ if b in BASES), None)
    if base is None or cls.__module__.partition(".")[0] in {"numpy", "pandas"}:
        return None
    plain = BASES[base]
    own = cls.__mro__[: cls.__mro__.index(base)]
    slots = tuple(n for c in own for n in _slots(c))

    def encode(value: Any) -> Node:
        state = {**getattr(value, "__dict__", {}), **{n: getattr(value, n, None) for n in slots}}
        if hasattr(cls, "n_sequence_fields"):  # structseq: os.stat_result has fields beyond the tuple
            state = value.__reduce__()[1][1]
        return Node(extension("subclass", name_of(cls)), (plain(value), state), of=cls)

    return encode


def _slots(cls: type) -> tuple[str, ...]:
    names = vars(cls).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(n for n in names if n not in {"__dict__", "__weakref__"})
