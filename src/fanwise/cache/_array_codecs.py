"""How NumPy arrays and scalars are written and read: dtype by a checked grammar, then raw bytes in memory order."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np

from fanwise.cache._array_keys import raw_bytes
from fanwise.cache._values import Reader, Unstorable, Writer, WriterTable, damaged

__all__ = ["WRITERS", "read_array", "read_scalar", "read_text_scalar"]

_SIMPLE = re.compile(r"[<>|=][?bBiufcmMSUV]\d{1,12}(\[(\d{0,9}(generic|[YMWDhms]|[munpfa]s))\])?")
_MAX_DIMENSIONS = 64


def _write_array(writer: Writer, value: np.ndarray[Any, Any]) -> None:
    if not writer.begin(b"A", value):
        return
    axes = _memory_order(value)
    _write_dtype(writer, value.dtype)
    writer.out += bytes([value.flags.writeable, value.ndim, *axes])
    for length in value.shape:
        writer.number(length)
    writer.buffer(raw_bytes(value.transpose(axes)))
    writer.end(value)


def _memory_order(value: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The axes from the slowest to the fastest, so that a copy keeps C, Fortran or any transposed order."""
    axes = range(value.ndim)
    if value.flags.c_contiguous:
        return tuple(axes)
    if value.flags.f_contiguous:
        return tuple(reversed(axes))
    return tuple(sorted(axes, key=lambda axis: -abs(value.strides[axis])))


def read_array(reader: Reader) -> np.ndarray[Any, Any]:
    """An array over the payload if that is writable, else one of its own."""
    place = reader.begin()
    dtype = _read_dtype(reader)
    writeable, ndim = reader.take(2)
    axes = tuple(reader.take(ndim))
    shape = tuple(reader.number() for _ in range(ndim))
    content = reader.buffer()
    if ndim > _MAX_DIMENSIONS or sorted(axes) != list(range(ndim)):
        raise damaged("impossible axes")
    if prod(shape) * dtype.itemsize != len(content):
        raise damaged("an array whose shape does not fit its bytes")
    stored = tuple(shape[axis] for axis in axes)
    flat = np.ndarray(stored, dtype, content) if len(content) else np.empty(stored, dtype)
    if content.readonly:
        flat = flat.copy()
    array = flat.transpose([axes.index(axis) for axis in range(ndim)])
    array.setflags(write=bool(writeable))
    reader.end(place, array)
    return array


def _write_dtype(writer: Writer, dtype: np.dtype[Any]) -> None:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        writer.out += b"["
        writer.value(shape)
        _write_dtype(writer, base)
    elif dtype.names is not None:
        _write_record(writer, dtype)
    else:
        if not _SIMPLE.fullmatch(dtype.str) or np.dtype(dtype.str) != dtype:
            raise Unstorable(np.empty(0, dtype).dtype)
        writer.out += b"."
        writer.framed(dtype.str.encode())


def _write_record(writer: Writer, dtype: np.dtype[Any]) -> None:
    fields: Any = dtype.fields or {}
    names = dtype.names or ()
    if len(fields) != len(names):  # titles: second names for fields
        raise Unstorable(dtype)
    writer.out += b"{"
    writer.value((dtype.itemsize, dtype.isalignedstruct, names, tuple(int(fields[name][1]) for name in names)))
    for name in names:
        _write_dtype(writer, fields[name][0])


def _read_dtype(reader: Reader, depth: int = 0) -> np.dtype[Any]:
    tag = reader.take(1)
    if depth > _MAX_DIMENSIONS:
        raise damaged("a dtype nested too deep")
    if tag == b".":
        text = reader.framed().decode("ascii")
        if not _SIMPLE.fullmatch(text):
            raise damaged(f"dtype {text!r}")
        return np.dtype(text)
    if tag == b"[":
        shape = reader.value()
        return np.dtype((_read_dtype(reader, depth + 1), shape))
    if tag != b"{":
        raise damaged("unknown kind of dtype")
    itemsize, aligned, names, offsets = reader.value()
    formats = [_read_dtype(reader, depth + 1) for _ in names]
    layout = {"names": list(names), "formats": formats, "offsets": list(offsets), "itemsize": itemsize}
    made: np.dtype[Any] = np.dtype(layout, align=bool(aligned))  # type: ignore[call-overload]  # a dict is what it takes
    return made


def _write_scalar(writer: Writer, value: np.generic) -> None:
    if np.dtype(value.dtype.str).type is not type(value):
        raise Unstorable(value)
    writer.out += b"G"
    _write_dtype(writer, value.dtype)
    writer.framed(value.tobytes())


def read_scalar(reader: Reader) -> Any:
    dtype = _read_dtype(reader)
    content = reader.framed()
    if len(content) != dtype.itemsize or not content:
        raise damaged("a scalar of another size")
    return np.ndarray((), dtype, bytearray(content))[()]


def _write_text_scalar(writer: Writer, value: np.str_ | np.bytes_) -> None:
    """Arrays drop trailing zeros, so these go as what they are in Python."""
    writer.out += b"g"
    writer.value(str.__str__(value) if isinstance(value, np.str_) else bytes.__getitem__(value, slice(None)))


def read_text_scalar(reader: Reader) -> np.str_ | np.bytes_:
    value = reader.value()
    if type(value) not in {str, bytes}:
        raise damaged("a text scalar of another type")
    return np.str_(value) if isinstance(value, str) else np.bytes_(value)


def _refuse(_writer: Writer, value: Any) -> None:
    raise Unstorable(value)


WRITERS: WriterTable = {
    np.ndarray: _write_array,
    **dict.fromkeys(np.sctypeDict.values(), _write_scalar),
    np.object_: _refuse,
    np.str_: _write_text_scalar,
    np.bytes_: _write_text_scalar,
}
