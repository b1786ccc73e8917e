"""Row and column labels of pandas.

=====================  ============================================================================
kind                   meta
=====================  ============================================================================
``pandas.RangeIndex``  ``start``, ``stop``, ``step``, ``name``
``pandas.MultiIndex``  ``levels``: index nodes; ``codes``: array nodes; ``names``; ``sortorder``
``pandas.Index``       ``values``: array or ``pandas.labels`` node; ``name``; ``dtype``; ``freq`` or null
``pandas.labels``      none; one buffer, a JSON list of plain labels, an array of objects in memory
``pandas.label``       ``value``: a name that is plain; other names are ``pickle`` nodes
=====================  ============================================================================

``name`` and ``names`` are nodes. Each index has a ``shape``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from fanwise.bundle._codecs import columns, labels, pickles
from fanwise.bundle._codecs import pandas_private as private
from fanwise.bundle._codecs.parts import Encoded, Packing, Part, Span, Unpacking

__all__ = ["KINDS", "decode", "encode", "encode_label"]

_RANGE, _MULTI, _ANY = "pandas.RangeIndex", "pandas.MultiIndex", "pandas.Index"
_LABELS, _LABEL = "pandas.labels", "pandas.label"
KINDS = frozenset({_RANGE, _MULTI, _ANY, _LABELS, _LABEL})
_BY_VALUES = frozenset({"CategoricalIndex", "DatetimeIndex", "Index", "IntervalIndex", "PeriodIndex", "TimedeltaIndex"})


def encode(index: Any) -> Encoded:
    """Take an index apart; one of a class of its own, or with a frequency that has no name, is pickled."""
    if type(index) is pd.RangeIndex:
        return _encode_range(index)
    if type(index) is pd.MultiIndex:
        return _encode_multi(index)
    if type(index).__name__ in _BY_VALUES and _has_plain_freq(index):
        return _encode_by_values(index)
    return pickles.encode(index)


def encode_label(value: object) -> Encoded:
    """A name, or the attributes of a frame: plain JSON if it can be, else a pickle."""
    try:
        return Encoded(_LABEL, {"value": labels.pack(value)})
    except (labels.NotPlainError, RecursionError):
        return pickles.encode(value)


def _encode_range(index: pd.RangeIndex) -> Encoded:
    packing = Packing()
    meta = {"start": index.start, "stop": index.stop, "step": index.step, "shape": [len(index)]}
    return packing.encoded(_RANGE, meta | {"name": packing.add(encode_label(index.name))})


def _encode_multi(index: pd.MultiIndex) -> Encoded:
    packing = Packing()
    meta = {
        "levels": [packing.add(encode(level)) for level in index.levels],
        "codes": [packing.add(columns.encode(np.asarray(codes))) for codes in index.codes],
        "names": packing.add(encode_label(list(index.names))),
        "sortorder": getattr(index, "sortorder", None),
        "shape": [len(index)],
    }
    return packing.encoded(_MULTI, meta)


def _has_plain_freq(index: Any) -> bool:
    freq = getattr(index, "freq", None)
    if freq is None or isinstance(index, pd.PeriodIndex):
        return True
    try:
        return bool(pd.tseries.frequencies.to_offset(index.freqstr) == freq)
    except ValueError:
        return False


def _encode_by_values(index: Any) -> Encoded:
    packing = Packing()
    is_period = isinstance(index, pd.PeriodIndex)
    meta = {
        "values": packing.add(_encode_values(index)),
        "name": packing.add(encode_label(index.name)),
        "freq": None if is_period else getattr(index, "freqstr", None),
        "dtype": str(index.dtype),
        "shape": [len(index)],
    }
    return packing.encoded(_ANY, meta)


def _encode_values(index: Any) -> Encoded:
    """Plain labels of objects go as JSON, so that a table with such columns can be read without trust."""
    values = private.values_of(index)
    if str(index.dtype) not in {"object", "str"} or columns.is_arrow(values):
        return columns.encode(values)
    try:
        text = json.dumps([labels.pack(label) for label in index], allow_nan=False).encode()
    except labels.NotPlainError:
        return columns.encode(values)
    return Encoded(_LABELS, {}, (Span(memoryview(text)),))


def decode(part: Part) -> Any:
    """An index over its buffers, or a label."""
    meta = part.meta
    if part.kind == _LABEL:
        return labels.unpack(meta["value"])
    if part.kind == _LABELS:
        return _objects([labels.unpack(packed) for packed in json.loads(bytes(part.buffer))])
    parts = Unpacking(part, columns.decode_part)
    if part.kind == _RANGE:
        return pd.RangeIndex(meta["start"], meta["stop"], meta["step"], name=parts.take(meta["name"]))
    return _decode_multi(parts) if part.kind == _MULTI else _decode_any(parts)


def _objects(values: list[Any]) -> Any:
    """An array of these objects; `numpy.array` would make tuples a second dimension."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _decode_multi(parts: Unpacking) -> pd.MultiIndex:
    meta = parts.meta
    levels = [parts.take(node) for node in meta["levels"]]
    codes = [parts.take(node) for node in meta["codes"]]
    return pd.MultiIndex(
        levels=levels,
        codes=codes,
        names=parts.take(meta["names"]),
        sortorder=meta["sortorder"],
        verify_integrity=not parts.whole.trust,
    )


def _decode_any(parts: Unpacking) -> Any:
    meta = parts.meta
    values = parts.take(meta["values"])
    if isinstance(values, list):  # columns that share an Arrow stream, here one
        (values,) = values
    dtype: Any = meta["dtype"] if isinstance(values, np.ndarray) and values.dtype == object else None
    index = pd.Index(values, dtype=dtype, name=parts.take(meta["name"]), copy=False, tupleize_cols=False)
    if meta["freq"] is not None:
        index.freq = meta["freq"]
    return index
