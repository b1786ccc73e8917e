"""NumPy arrays of fixed dtype, as raw bytes in C or Fortran order.

Meta: ``dtype`` (`numpy.dtype.str`), or ``descr`` and ``itemsize`` for records (`numpy.dtype.descr` in JSON: fields are
``[name or [title, name], dtype or list of fields, shape if any]``, gaps are fields without a name); ``shape``;
``order`` ``"C"`` or ``"F"``. A dtype that this does not describe exactly (overlapping fields, dtypes of other packages)
is left to the pickle codec.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from fanwise.bundle._codecs.parts import Encoded, Meta, Part, Sink, Source, Span

__all__ = ["decode", "encode"]

Array = np.ndarray[Any, np.dtype[Any]]

_KINDS = "biufcmMSUV"
_MAX_DIMS = 64
_PIECE = 1 << 16  # elements copied at once from arrays that are not contiguous
_UNITS = r"(\[([1-9]\d*)?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
_DTYPE = re.compile(rf"[<>|](b1|[iu][1248]|f(2|4|8|12|16)|c(8|16|24|32)|[mM]8{_UNITS}|[SUV]\d+)")


@dataclass(frozen=True, slots=True)
class _Strided:
    """An array that is not contiguous, written in C order piece by piece."""

    array: Array

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def write(self, sink: Sink) -> None:
        raw = self.array
        if raw.dtype.names is not None:  # NumPy copies the fields of a record only: what lies between would be chance
            raw = raw.view(np.dtype((np.void, raw.itemsize)))
        contiguous: Any = [["readonly", "contig"]]
        pieces = np.nditer([raw], ["external_loop", "buffered"], contiguous, order="C", buffersize=_PIECE)
        for piece in pieces:
            sink.write(_bytes_of(cast(Array, piece)))


def _bytes_of(array: Array) -> memoryview:
    return memoryview(cast(Any, array.reshape(-1).view(np.uint8)))


def encode(array: Any) -> Encoded | None:
    """Take an array apart; None for other types, subclasses, and dtypes that need a pickle."""
    described = _describe(array.dtype) if type(array) is np.ndarray else None
    if described is None:
        return None
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    meta = described | {"shape": list(array.shape), "order": order}
    return Encoded("ndarray", meta, (_source(array),))


def _source(array: Array) -> Source:
    if not array.nbytes:
        return Span(memoryview(b""))
    if array.flags.c_contiguous:
        return Span(_bytes_of(array))
    return Span(_bytes_of(array.T)) if array.flags.f_contiguous else _Strided(array)


def _describe(dtype: np.dtype[Any]) -> Meta | None:
    if dtype.hasobject or dtype.kind not in _KINDS:
        return None
    try:
        meta: Meta = {"dtype": dtype.str}
        if dtype.names is not None:
            if dtype.type is not np.void:  # numpy.record and the like
                return None
            meta = {"descr": json.loads(json.dumps(dtype.descr)), "itemsize": dtype.itemsize}
        return meta if _dtype(meta) == dtype else None
    except (TypeError, ValueError):
        return None


def decode(part: Part) -> Array:
    """An array over the one buffer; it is as writable as the buffer is."""
    dtype, shape, order, buffer = _dtype(part.meta), part.meta["shape"], part.meta["order"], part.buffer
    if order not in {"C", "F"} or len(shape) > _MAX_DIMS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"no array has shape {shape} and order {order!r}")
    size = math.prod(shape) * dtype.itemsize
    if size != buffer.nbytes:
        raise ValueError(f"shape {shape} of {dtype.itemsize} bytes each needs {size:,} bytes, not {buffer.nbytes:,}")
    if not size:
        return np.ndarray(tuple(shape), dtype, buffer=buffer, order=cast(Any, order))
    # `frombuffer` keeps the buffer exported; `ndarray(buffer=…)` only refers to its owner, which could be unmapped.
    return np.frombuffer(buffer, dtype).reshape(shape, order=cast(Any, order))


def _dtype(meta: Meta) -> np.dtype[Any]:
    if "descr" in meta:
        return _record(meta["descr"], meta["itemsize"])
    return _plain(meta["dtype"])


def _plain(text: object) -> np.dtype[Any]:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ValueError(f"{text!r} is no dtype of an array")
    return np.dtype(text)


def _record(fields: object, itemsize: int | None = None) -> np.dtype[Any]:
    """A dtype of named fields at their offsets; `numpy.dtype` itself would name the gaps."""
    if not isinstance(fields, list):
        raise TypeError(f"{fields!r} is no list of fields")
    layout: dict[str, Any] = {"names": [], "titles": [], "formats": [], "offsets": [], "itemsize": 0}
    for field in fields:
        title, name, format = _field(field)
        if name:
            for key, value in zip(layout, (name, title, format, layout["itemsize"]), strict=False):
                layout[key].append(value)
        layout["itemsize"] += format.itemsize
    if itemsize is not None and itemsize != layout["itemsize"]:
        raise ValueError(f"fields of {layout['itemsize']:,} bytes do not fill {itemsize:,}")
    dtype: np.dtype[Any] = np.dtype(cast(Any, layout))
    return dtype


def _field(field: object) -> tuple[str | None, str, np.dtype[Any]]:
    if not isinstance(field, list) or not 2 <= len(field) <= 3:
        raise ValueError(f"{field!r} is no field of a record")
    title, name = field[0] if isinstance(field[0], list) else (None, field[0])
    dtype = _plain(field[1]) if isinstance(field[1], str) else _record(field[1])
    if len(field) == 3:
        dtype = np.dtype((dtype, tuple(field[2])))
    return title, name, dtype
