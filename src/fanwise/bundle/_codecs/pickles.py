"""Everything else: pickle 5, arrays out of band, so that they are views of the segment when loaded.

Buffer 0 is the pickle, the others are its out-of-band buffers in order. NumPy keeps the bytes of subclasses, masked
arrays and strided arrays inside the pickle; here they too travel outside. Files hold the names of the functions that
put them together again, so those names are for ever: `masked_array`, `array_of_class`.

The bytes should not depend on the hash seed (the content digest is taken over them), so a value that holds a set is
pickled again with the members in order, by the pickler written in Python. That is 15 times slower, hence only where
the pickle is at most 1 MiB: the digest of a larger one may differ between processes, and a cache misses.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fanwise.bundle._codecs.parts import Encoded, Part, Span, UntrustedPickleError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["UNPICKLABLE", "array_of_class", "decode", "encode", "masked_array"]

UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError, RecursionError)
_BY_REFERENCE = b"\x8c\x08__main__"  # a worker that is no fork of this process does not have it
_ORDER_UP_TO = 1 << 20
_RANKED = frozenset({str, bytes, int, float, complex, bool, type(None)})
_RANKED_MODULES = frozenset({"datetime", "decimal", "fractions", "uuid"})
_ARRAY_HOOKS = ("__reduce__", "__reduce_ex__", "__setstate__")
_SETS = (b"\x8f\x94(", b"\x91\x94")  # EMPTY_SET MEMOIZE MARK; FROZENSET MEMOIZE


def encode(value: object) -> Encoded:
    """Pickle a value, by cloudpickle if plain pickle fails or would only write a name of ``__main__``.

    Raises
    ------
    pickle.PicklingError, TypeError, AttributeError, RecursionError
        If neither can.
    """
    stream, buffers = _dump(value)
    sources = [Span(memoryview(stream)), *(Span(b.raw()) for b in buffers)]
    return Encoded("pickle", {}, tuple(sources), is_pickled=True)


def decode(part: Part) -> Any:
    """Load the pickle in buffer 0 over the other buffers."""
    if not part.trust:
        raise UntrustedPickleError
    return pickle.loads(part.buffers[0], buffers=part.buffers[1:])


def _dump(value: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    try:
        stream, buffers = _dump_by(_Plain, value)
    except UNPICKLABLE:
        return _dump_by_value(value)
    if _BY_REFERENCE in stream:
        return _dump_by_value(value)
    if len(stream) <= _ORDER_UP_TO and any(mark in stream for mark in _SETS) and _holds_a_set(value):
        return _dump_by(_Ordered, value)
    return stream, buffers


def _dump_by(pickler: Callable[..., Any], value: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    pickler(file, 5, buffer_callback=buffers.append).dump(value)
    return file.getvalue(), buffers


def _dump_by_value(value: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    import cloudpickle

    class ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        def reducer_override(self, obj: object) -> Any:
            reduced = _reduce_array(obj)
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return _dump_by(ByValue, value)


class _Plain(pickle.Pickler):
    def reducer_override(self, obj: object) -> Any:
        return _reduce_array(obj)


class _SetWatch(_Plain):
    """Notes whether a set of two or more was pickled; `persistent_id` sees every object."""

    found = False

    def persistent_id(self, obj: object) -> None:
        if isinstance(obj, set | frozenset) and len(obj) > 1:
            self.found = True


def _holds_a_set(value: object) -> bool:
    watch = _SetWatch(io.BytesIO(), 5, buffer_callback=lambda _: None)
    watch.dump(value)
    return watch.found


_PYTHON_PICKLER: Any = pickle._Pickler  # noqa: SLF001  # the C pickler does not let sets be handled otherwise


class _Ordered(_PYTHON_PICKLER):  # type: ignore[misc]  # typeshed takes it for another class
    """Writes the members of a set in order wherever they have one that every process sees."""

    dispatch = _PYTHON_PICKLER.dispatch.copy()

    def reducer_override(self, obj: object) -> Any:
        return _reduce_array(obj)

    def save_in_order(self, obj: set[Any] | frozenset[Any]) -> None:
        try:
            members = sorted(obj, key=_rank)
        except _NoRankError:
            _PYTHON_PICKLER.dispatch[type(obj)](self, obj)
        else:
            self.save_reduce(type(obj), (members,), obj=obj)

    dispatch[set] = dispatch[frozenset] = save_in_order


class _NoRankError(Exception):
    """A member of a set whose place among the others depends on the process."""


def _rank(member: object) -> tuple[str, Any]:
    kind = type(member)
    if kind in _RANKED or kind.__module__ in _RANKED_MODULES:
        return kind.__name__, repr(member)
    if isinstance(member, tuple | frozenset):
        ranks = [_rank(m) for m in member]
        return kind.__name__, ranks if isinstance(member, tuple) else sorted(ranks)
    raise _NoRankError


def _reduce_array(obj: object) -> Any:
    """How to pickle an array with its bytes outside; NotImplemented for all that NumPy or others do themselves."""
    np = sys.modules.get("numpy")
    if np is None or not isinstance(obj, np.ndarray) or obj.dtype.hasobject or not obj.nbytes:
        return NotImplemented
    kind = type(obj)
    if kind is np.ndarray:
        if obj.flags.c_contiguous or obj.flags.f_contiguous:
            return NotImplemented
        return np.array(obj, order="C").__reduce_ex__(5)
    if kind is np.ma.MaskedArray:
        fill_value = obj._fill_value  # noqa: SLF001  # None if it is the default, which the property hides
        return masked_array, (obj.data, np.ma.getmask(obj), fill_value, obj.hardmask)
    if all(getattr(kind, name) is getattr(np.ndarray, name) for name in _ARRAY_HOOKS):
        return array_of_class, (kind, obj.view(np.ndarray))
    return NotImplemented


def masked_array(data: Array, mask: Any, fill_value: Any, hard_mask: bool) -> Any:  # noqa: FBT001  # by position in files
    """A masked array over data and mask as they are."""
    import numpy as np

    return np.ma.MaskedArray(data, mask=mask, fill_value=fill_value, hard_mask=hard_mask, copy=False)


def array_of_class(kind: type[Array], array: Array) -> Array:
    """The array as an instance of a subclass."""
    return array.view(kind)
