"""How the built-in and standard-library types are written and read. Exact types only: a subclass is not flattened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from struct import Struct
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fanwise.cache._values import Reader, ReaderTable, Unstorable, Writer, WriterTable, damaged

__all__ = ["READERS", "WRITERS"]

_I64 = Struct("<q")
_F64 = Struct("<d")
_C128 = Struct("<dd")
_DATE = Struct("<HBB")
_TIME = Struct("<BBBIB")
_DATETIME = Struct("<HBBBBBIB")
_TIMEDELTA = Struct("<qII")
_PATHS: tuple[type[PurePath], ...] = (PosixPath, PurePosixPath, WindowsPath, PureWindowsPath)


def _constant(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, _value: Any) -> None:
        writer.out += tag

    return write


def _write_bool(writer: Writer, value: Any) -> None:
    writer.out += b"T" if value else b"F"


def _write_int(writer: Writer, value: int) -> None:
    if -(2**63) <= value < 2**63:
        writer.out += b"j" + _I64.pack(value)
    else:
        writer.out += b"i"
        writer.framed(value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _read_int(reader: Reader) -> int:
    return int.from_bytes(reader.framed(), "little", signed=True)


def _packed(tag: bytes, layout: Struct, fields: Callable[[Any], Iterable[Any]]) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        writer.out += tag + layout.pack(*fields(value))

    return write


def _unpacked(layout: Struct, make: Callable[..., Any]) -> Callable[[Reader], Any]:
    return lambda reader: make(*layout.unpack(reader.take(layout.size)))


def _write_str(writer: Writer, value: str) -> None:
    writer.out += b"s"
    writer.framed(value.encode("utf-8", "surrogatepass"))


def _write_bytes(writer: Writer, value: bytes) -> None:
    writer.out += b"b"
    writer.framed(value)


def _write_bytearray(writer: Writer, value: bytearray) -> None:
    if writer.begin(b"B", value):
        writer.framed(value)
        writer.end(value)


def _read_bytearray(reader: Reader) -> bytearray:
    place = reader.begin()
    result: bytearray = reader.end(place, bytearray(reader.framed()))
    return result


def _write_tuple(writer: Writer, value: tuple[Any, ...]) -> None:
    writer.out += b"t"
    _write_each(writer, value)


def _write_each(writer: Writer, values: Any) -> None:
    writer.number(len(values))
    for value in values:
        writer.value(value)


def _collection(tag: bytes) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        if writer.begin(tag, value):
            _write_each(writer, value)
            writer.end(value)

    return write


def _write_frozenset(writer: Writer, value: frozenset[Any]) -> None:
    writer.out += b"Z"
    _write_each(writer, value)


def _read_collection(make: Callable[[list[Any]], Any]) -> Callable[[Reader], Any]:
    def read(reader: Reader) -> Any:
        place = reader.begin()
        return reader.end(place, make([reader.value() for _ in range(reader.count())]))

    return read


def _write_dict(writer: Writer, value: dict[Any, Any]) -> None:
    if writer.begin(b"d", value):
        writer.number(len(value))
        for name, item in value.items():
            writer.value(name)
            writer.value(item)
        writer.end(value)


def _read_dict(reader: Reader) -> dict[Any, Any]:
    place = reader.begin()
    result: dict[Any, Any] = reader.end(place, {reader.value(): reader.value() for _ in range(reader.count())})
    return result


def _children(tag: bytes, parts: Callable[[Any], Iterable[Any]]) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        writer.out += tag
        for part in parts(value):
            writer.value(part)

    return write


def _from_children(count: int, make: Callable[..., Any]) -> Callable[[Reader], Any]:
    return lambda reader: make(*[reader.value() for _ in range(count)])


def _write_path(writer: Writer, value: PurePath) -> None:
    writer.out += b"p" + bytes([_PATHS.index(type(value))])
    writer.framed(str(value).encode("utf-8", "surrogatepass"))


def _read_path(reader: Reader) -> PurePath:
    which = reader.take(1)[0]
    if which >= len(_PATHS):
        raise damaged("no such kind of path")
    return _PATHS[which](reader.text())


def _write_zone(writer: Writer, value: ZoneInfo) -> None:
    if value.key is None:  # made from a file: cannot be found again
        raise Unstorable(value)
    writer.out += b"O"
    writer.framed(value.key.encode())


def _with_zone(tag: bytes, layout: Struct, fields: Callable[[Any], Iterable[Any]]) -> Callable[[Writer, Any], None]:
    def write(writer: Writer, value: Any) -> None:
        writer.out += tag + layout.pack(*fields(value), value.fold)
        writer.value(value.tzinfo)

    return write


def _read_with_zone(layout: Struct, make: Callable[..., Any]) -> Callable[[Reader], Any]:
    def read(reader: Reader) -> Any:
        *fields, fold = layout.unpack(reader.take(layout.size))
        return make(*fields, reader.value(), fold=fold)

    return read


def _read_timezone(reader: Reader) -> timezone:
    offset, name = reader.value(), reader.value()
    return timezone(offset) if name is None else timezone(offset, name)


def _timezone_parts(value: timezone) -> tuple[timedelta, str | None]:
    offset, name = value.utcoffset(None), value.tzname(None)
    return offset, None if name == timezone(offset).tzname(None) else name


def _clock_fields(value: Any) -> tuple[int, ...]:
    return value.hour, value.minute, value.second, value.microsecond


def _date_fields(value: date) -> tuple[int, ...]:
    return value.year, value.month, value.day


WRITERS: WriterTable = {
    type(None): _constant(b"N"),
    bool: _write_bool,
    int: _write_int,
    float: _packed(b"f", _F64, lambda v: (v,)),
    complex: _packed(b"c", _C128, lambda v: (v.real, v.imag)),
    str: _write_str,
    bytes: _write_bytes,
    bytearray: _write_bytearray,
    tuple: _write_tuple,
    list: _collection(b"l"),
    set: _collection(b"S"),
    frozenset: _write_frozenset,
    dict: _write_dict,
    range: _children(b"r", lambda v: (v.start, v.stop, v.step)),
    slice: _children(b"x", lambda v: (v.start, v.stop, v.step)),
    Decimal: _children(b"D", lambda v: v.as_tuple()),
    Fraction: _children(b"Q", lambda v: (v.numerator, v.denominator)),
    date: _packed(b"Y", _DATE, _date_fields),
    time: _with_zone(b"h", _TIME, _clock_fields),
    datetime: _with_zone(b"y", _DATETIME, lambda v: (*_date_fields(v), *_clock_fields(v))),
    timedelta: _packed(b"H", _TIMEDELTA, lambda v: (v.days, v.seconds, v.microseconds)),
    timezone: _children(b"z", _timezone_parts),
    ZoneInfo: _write_zone,
    UUID: lambda writer, value: writer.out.extend(b"U" + value.bytes),
    **dict.fromkeys(_PATHS, _write_path),
}

READERS: ReaderTable = {
    b"N": lambda _: None,
    b"T": lambda _: True,
    b"F": lambda _: False,
    b"j": _unpacked(_I64, int),
    b"i": _read_int,
    b"f": _unpacked(_F64, float),
    b"c": _unpacked(_C128, complex),
    b"s": Reader.text,
    b"b": Reader.framed,
    b"B": _read_bytearray,
    b"t": lambda reader: tuple([reader.value() for _ in range(reader.count())]),
    b"l": _read_collection(list),
    b"S": _read_collection(set),
    b"Z": lambda reader: frozenset([reader.value() for _ in range(reader.count())]),
    b"d": _read_dict,
    b"r": _from_children(3, range),
    b"x": _from_children(3, slice),
    b"D": _from_children(3, lambda *parts: Decimal(parts)),
    b"Q": _from_children(2, Fraction),
    b"Y": _unpacked(_DATE, date),
    b"h": _read_with_zone(_TIME, time),
    b"y": _read_with_zone(_DATETIME, datetime),
    b"H": _unpacked(_TIMEDELTA, timedelta),
    b"z": _read_timezone,
    b"O": lambda reader: ZoneInfo(reader.text()),
    b"U": lambda reader: UUID(bytes=reader.take(16)),
    b"p": _read_path,
}
