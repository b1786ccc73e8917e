"""`freeze`: copy values into a segment once, and make it unchangeable."""

from __future__ import annotations

import errno
import functools
import os
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fanwise.bundle import _codecs, _hashes
from fanwise.bundle._bundle import SEALED_BIT, TRUST_BIT, Bundle
from fanwise.bundle._codecs.parts import Encoded
from fanwise.bundle._codecs.pickles import UNPICKLABLE
from fanwise.bundle._reader import Reader
from fanwise.bundle._segments import Segment, Writer
from fanwise.bundle._transports import Draft, Transport, usual
from fanwise.bundle._words import called, readable
from fanwise.errors import BundleError, NotPicklableError, UsageTypeError

__all__ = ["freeze", "freeze_over"]

_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_ASK_FROM = 1 << 24  # bytes; below, asking for the room (0.1 ms) would cost as much as copying
_NO_ROOM = frozenset({errno.ENOMEM, errno.ENOSPC, errno.EFBIG, errno.EDQUOT})


def freeze(mapping: Mapping[str, Any], /, *, name: str | None = None) -> Bundle:
    """Copy values once into memory that every process can read and none can change.

    Parameters
    ----------
    mapping : mapping of str to object
        NumPy arrays, tables and columns of pandas, polars and pyarrow, sparse matrices, bytes, other bundles, and
        whatever can be pickled. A function that can be called without arguments is called when its turn comes, so
        that large values need not exist at the same time.
    name : str, optional
        What messages call the bundle.

    Returns
    -------
    Bundle
        The values by name, in the same order. Later changes of the originals do not reach it.

    Raises
    ------
    UsageError
        If ``mapping`` is no mapping or a name is not text.
    NotPicklableError
        If a value has no other form and cannot be pickled.
    BundleError
        If there is no memory for the copy.

    Examples
    --------
    >>> import numpy as np
    >>> import fanwise
    >>> with fanwise.freeze({"prices": np.arange(6.0).reshape(2, 3)}, name="market") as bundle:
    ...     print(bundle, bundle["prices"].shape)
    <Bundle 'market' 1 entry, 48 B, memfd> (2, 3)
    """
    return freeze_over(usual(), mapping, name)


def freeze_over(transport: Transport, mapping: Mapping[str, Any], name: str | None = None) -> Bundle:
    """Freeze by a given transport."""
    _check(mapping, name)
    with _no_segment():
        draft = transport.create(name or "")
    try:
        filling = _Filling(draft, transport)
        for key in mapping:
            filling.put(key, _called(mapping[key]))
        with _no_segment():
            total = filling.finish()
        fd = transport.settle(draft)
    except BaseException:
        draft.discard()
        raise
    with _no_segment():
        segment = Segment.map(fd, total, keep=True)
    reader = Reader(segment, called(name), trust=True, verify=False)
    return Bundle(reader, transport, name=name, companions=filling.inner)


@contextmanager
def _no_segment() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(f"no memory for a bundle can be had: {error.strerror}") from error


class _Filling:
    """A segment that values are copied into, one after the other."""

    def __init__(self, draft: Draft, transport: Transport) -> None:
        self.inner: list[Bundle] = []
        self._draft = draft
        self._transport = transport
        self._writer = Writer(draft.writer, _hashes.preferred(), checked=False)

    def put(self, name: str, value: object) -> None:
        """Copy one value, if there is room for it."""
        encoded = _encode(name, value)
        room = self._transport.room(self._draft) if encoded.nbytes >= _ASK_FROM else None
        if room is not None and room < encoded.nbytes:
            raise _no_room(name, encoded.nbytes, room)
        try:
            self._writer.put(name, encoded)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise _no_room(name, encoded.nbytes, self._transport.room(self._draft)) from error
        if isinstance(value, Bundle):
            self.inner.append(value)

    def finish(self) -> int:
        """Write the rest; returns the length of the segment in bytes."""
        options = TRUST_BIT | self._transport.is_sealed * SEALED_BIT
        return self._writer.finish(os.urandom(15) + bytes([options]))


def _check(mapping: object, name: object) -> None:
    if not isinstance(mapping, Mapping):
        kind = type(mapping).__name__
        hint = ': freeze({"frame": frame})' if kind in {"DataFrame", "LazyFrame", "Table"} else ""
        raise UsageTypeError(f"freeze() takes a mapping of names to values, not {kind}{hint}")
    for key in mapping:
        if not isinstance(key, str):
            raise UsageTypeError(f"bundle names are text; got {type(key).__name__} {key!r}")
    if name is not None and not isinstance(name, str):
        raise UsageTypeError(f"the name of a bundle is text; got {type(name).__name__} {name!r}")


def _no_room(name: str, needed: int, room: int | None) -> BundleError:
    have = "more than is" if room is None or room >= needed else f"{readable(room)} are"
    return BundleError(
        f"freezing {name!r} needs {readable(needed)}, {have} available; "
        "Bundle.save() it in pieces or open it from a file"
    )


def _called(value: object) -> object:
    """The value, or what it returns if it is a function for that."""
    return value() if callable(value) and _is_supplier(value) else value


def _is_supplier(value: Any) -> bool:
    """Whether a value is a function without arguments.

    Classes are values; of built-in functions and other objects only those whose call takes nothing at all are meant:
    ``print`` and many models can be called with optional arguments.
    """
    import inspect

    if isinstance(value, type):
        return False
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    if not isinstance(value, _FUNCTIONS):
        return not parameters
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in optional for p in parameters)


def _encode(name: str, value: object) -> Encoded:
    try:
        return _codecs.encode(value)
    except NotPicklableError as error:
        raise NotPicklableError(f"entry {name!r}: {error}") from error
    except UNPICKLABLE as error:
        raise NotPicklableError(f"entry {name!r} of type {type(value).__name__} can't be pickled: {error}") from error
