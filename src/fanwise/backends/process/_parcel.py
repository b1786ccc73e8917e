"""A function on its way: pickled once for a crew, sent once to each worker."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Lock
from typing import Any

from fanwise.backends.process._culprit import explain
from fanwise.backends.process._messages import FunctionOptions
from fanwise.backends.process._pickling import Packed, dumps, dumps_by_value
from fanwise.backends.process._sections import join
from fanwise.errors import NotPicklableError
from fanwise.records._record import record
from fanwise.typing import Work

__all__ = ["Numbering", "Parcel", "pack_function"]

_REMEMBERED = 64
_SMALL = 1 << 20


@record
class Parcel:
    """A pickled function, the number workers know it by, and how it is run."""

    number: int
    packed: Packed
    options: FunctionOptions

    def parts(self, state: bytes) -> list[bytes | memoryview]:
        """The payload that takes it to a worker, with the caller's state if that has changed."""
        options = replace(self.options, state=state)
        return join([Packed(pickle.dumps(options, 5)), self.packed])


class Numbering:
    """Gives equal functions the same number, so that a warm worker is sent a function once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next = count(1)
        self._numbers: OrderedDict[tuple[bytes, FunctionOptions], int] = OrderedDict()

    def reserve(self) -> int:
        """A number for a function that is inherited."""
        with self._lock:
            return next(self._next)

    def number(self, packed: Packed, options: FunctionOptions) -> int:
        """The number of a pickled function; a large one gets a new number each time, rather than be kept here."""
        with self._lock:
            if packed.buffers or packed.attachments or len(packed.data) > _SMALL:
                return next(self._next)
            key = packed.data, options
            if key not in self._numbers:
                self._numbers[key] = next(self._next)
            self._numbers.move_to_end(key)
            if len(self._numbers) > _REMEMBERED:
                self._numbers.popitem(last=False)
            return self._numbers[key]


def pack_function(work: Work, numbering: Numbering, *, isolate: bool, by_value: bool = False) -> Parcel:
    """Pickle the function of some work.

    Raises
    ------
    NotPicklableError
        Names the path to what cannot be pickled.
    """
    try:
        packed = _dump_with_module(work.fn) if by_value else dumps(work.fn, main_by_value=True)
    except NotPicklableError as error:
        raise explain(work.fn, "fn", error) from error.__cause__
    options = FunctionOptions(work.single, work.capture, work.seed, isolate, b"", work.stops)
    return Parcel(numbering.number(packed, options), packed, options)


def _dump_with_module(fn: Callable[..., Any]) -> Packed:
    """Pickle a function together with the module that defines it: workers could not import that."""
    module = sys.modules.get(getattr(fn, "__module__", None) or type(fn).__module__)
    if module is None:
        return dumps_by_value(fn)
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    try:
        return dumps_by_value(fn)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
