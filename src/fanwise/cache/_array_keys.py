"""Keys of NumPy arrays, scalars, dtypes and random generators.

An array is its dtype, shape and bytes in C order: strides do not matter. A view out of frozen memory is known by that
memory's own key and its place in it, so that gigabytes are not hashed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fanwise._owners import owner_of
from fanwise.cache._hashing import Buffer
from fanwise.cache._keys import Code, Encoded, Handler, Node, Unkeyable, extension, name_of, u64
from fanwise.cache._plain_keys import BASES, is_code, is_wrapper

__all__ = ["array_handler", "frozen_owner", "is_frozen", "raw_bytes"]


def array_handler(cls: type) -> Handler | None:
    """The function for a class of NumPy."""
    if issubclass(cls, np.ma.MaskedArray):
        return _masked if cls is np.ma.MaskedArray else None
    for base, handler in _HANDLERS:
        if issubclass(cls, base):
            return handler
    return _code if is_code(cls) or callable(getattr(cls, "__call__", None)) else None  # noqa: B004 - of its instances


def _code(value: Any) -> Code:
    if isinstance(value, np.ufunc) or is_wrapper(value) or hasattr(value, "__name__"):
        return Code(value)
    raise Unkeyable(value)


def dtype_name(dtype: np.dtype[Any]) -> str:
    """``dtype.str``, and the class where that does not say everything (types of other packages)."""
    scalar = dtype.type
    return dtype.str if scalar.__module__ == "numpy" else f"{dtype.str} {name_of(scalar)}"


def _array(value: np.ndarray[Any, Any]) -> Encoded:
    frozen = frozen_owner(value)
    if frozen is not None:
        return _view(value, *frozen)
    head = extension("ndarray", _subclass(value), dtype_name(value.dtype)) + _shape(value.shape)
    if value.dtype.names is not None:
        return _structured(head, value)
    if value.dtype.kind in "OT":
        return Node(head + u64(value.size), [*_string_options(value.dtype), *value.ravel().tolist()])
    return [head, u64(value.nbytes), raw_bytes(value)]


def _subclass(value: np.ndarray[Any, Any]) -> str:
    return "" if type(value) is np.ndarray else name_of(type(value))


def _shape(shape: Sequence[int]) -> bytes:
    return b"".join(map(u64, (len(shape), *shape)))


def _structured(head: bytes, value: np.ndarray[Any, Any]) -> Node:
    """Field by field: padding between fields holds whatever was in memory."""
    fields = value.dtype.fields or {}
    plan = tuple((name, int(fields[name][1])) for name in value.dtype.names or ())
    return Node(head, [plan, value.dtype.itemsize, *(np.asarray(value[name]) for name, _ in plan)])


def _string_options(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    return (getattr(dtype, "na_object", None), getattr(dtype, "coerce", True)) if dtype.kind == "T" else ()


def raw_bytes(value: np.ndarray[Any, Any]) -> Buffer:
    """The bytes in C order, copied only if they lie in another order."""
    if not value.nbytes:
        return b""
    flat = np.ascontiguousarray(value).reshape(-1)
    return flat.view(np.uint8).data


def frozen_owner(value: np.ndarray[Any, Any]) -> tuple[Any, Any] | None:
    """The buffer that an array is a view of, and what stands for it; None for ordinary memory."""
    base: Any = value.base
    while isinstance(base, np.ndarray | memoryview):
        base = base.obj if isinstance(base, memoryview) else base.base
    if base is None or isinstance(base, bytes):
        return None
    owner = owner_of(base)
    return None if owner is None else (base, owner)


def _view(value: np.ndarray[Any, Any], memory: Any, owner: Any) -> Node:
    whole = np.frombuffer(memory, dtype=np.uint8)
    offset = value.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    layout = (_subclass(value), dtype_name(value.dtype), value.shape, value.strides, offset)
    return Node(extension("frozen view"), (layout, owner))


def is_frozen(value: np.ndarray[Any, Any]) -> bool:
    """Whether nobody can change the array: it and every array it is a view of are read-only."""
    base: Any = value
    while isinstance(base, np.ndarray):
        if base.flags.writeable or base.dtype.hasobject:
            return False
        base = base.base
    return base is None or isinstance(base, bytes) or (isinstance(base, memoryview) and base.readonly)


def _masked(value: np.ma.MaskedArray[Any, Any]) -> Node:
    mask = np.ma.getmaskarray(value)
    filled = np.asarray(value.filled())
    return Node(extension("masked"), (filled, mask, np.asarray(value.fill_value)))


def _scalar(value: np.generic) -> Encoded:
    head = extension("scalar", name_of(type(value)))
    for base in (str, bytes):  # arrays drop trailing zeros
        if isinstance(value, base):
            return Node(head, (BASES[base](value),))
    return Node(head, (np.asarray(value),))


def _dtype(value: np.dtype[Any]) -> Node:
    return Node(extension("dtype", dtype_name(value)), (np.empty(0, value),))


def _generator(value: np.random.Generator) -> Node:
    return Node(extension("generator", name_of(type(value))), (value.bit_generator,))


def _bit_generator(value: np.random.BitGenerator) -> Node:
    return Node(extension("bit generator", name_of(type(value))), (dict(value.state),))


def _random_state(value: np.random.RandomState) -> Node:
    return Node(extension("random state"), (value.get_state(legacy=False),))


_HANDLERS: tuple[tuple[type, Handler], ...] = (
    (np.ndarray, _array),
    (np.generic, _scalar),
    (np.dtype, _dtype),
    (np.random.Generator, _generator),
    (np.random.BitGenerator, _bit_generator),
    (np.random.RandomState, _random_state),
)
