"""`pandas.DataFrame`, `Series` and `Index`, built over read-only blocks without a copy.

Meta of a frame: ``blocks``, each a node of its values with ``at``, the numbers of its columns (``[start, stop, step]``
or ``{"list": […]}``), where all Arrow-backed columns share one node, ``at`` then has one number a column; ``columns``
and ``index``: index nodes; ``attrs``: a label node; ``flags``: ``allows_duplicate_labels``; ``shape``.
Meta of a series: ``values``, ``index``, ``name``, ``attrs``, ``flags``, ``dtype``, ``shape``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fanwise.bundle._codecs import columns, indexes
from fanwise.bundle._codecs import pandas_private as private
from fanwise.bundle._codecs.parts import Encoded, Meta, Packing, Part, Unpacking

__all__ = ["decode", "encode"]

_FRAME, _SERIES = "pandas.DataFrame", "pandas.Series"


def encode(value: Any) -> Encoded | None:
    """Take a frame, series or index apart; None for subclasses and other things of pandas."""
    if type(value) is pd.DataFrame:
        return _encode_frame(value)
    if type(value) is pd.Series:
        return _encode_series(value)
    return indexes.encode(value) if isinstance(value, pd.Index) else None


def _encode_frame(frame: pd.DataFrame) -> Encoded:
    packing = Packing()
    meta = {
        "blocks": [packing.add(values) | {"at": at} for values, at in _blocks(frame)],
        "columns": packing.add(indexes.encode(frame.columns)),
        "index": packing.add(indexes.encode(frame.index)),
        "shape": list(frame.shape),
    }
    return packing.encoded(_FRAME, meta | _extras(frame, packing))


def _extras(value: Any, packing: Packing) -> Meta:
    return {
        "attrs": packing.add(indexes.encode_label(value.attrs)),
        "flags": {"allows_duplicate_labels": value.flags.allows_duplicate_labels},
    }


def _blocks(frame: Any) -> list[tuple[Encoded, Any]]:
    """Values and places of each block; those of Arrow-backed columns together."""
    found, texts, places = [], [], []
    for values, at in private.blocks_of(frame):
        if columns.is_arrow(values):
            texts.append(values)
            places.append(int(at[0]))
        else:
            found.append((columns.encode(values), _pack_places(at)))
    if texts:
        found.append((columns.encode_arrow(texts), {"list": places}))
    return found


def _pack_places(at: Any) -> Any:
    step = int(at[1] - at[0]) if len(at) > 1 else 1
    packed = [int(at[0]), int(at[0]) + step * len(at), step] if len(at) else [0, 0, 1]
    return packed if np.array_equal(at, np.arange(*packed)) else {"list": at.tolist()}


def _places(packed: Any) -> Any:
    return np.array(packed["list"], np.intp) if isinstance(packed, dict) else np.arange(*packed, dtype=np.intp)


def _encode_series(series: pd.Series[Any]) -> Encoded:
    packing = Packing()
    meta = {
        "values": packing.add(columns.encode(private.values_of(series))),
        "index": packing.add(indexes.encode(series.index)),
        "name": packing.add(indexes.encode_label(series.name)),
        "dtype": str(series.dtype),
        "shape": list(series.shape),
    }
    return packing.encoded(_SERIES, meta | _extras(series, packing))


def decode(part: Part) -> Any:
    """The frame, series or index over its buffers."""
    if part.kind not in {_FRAME, _SERIES}:
        return indexes.decode(part)
    parts = Unpacking(part, columns.decode_part)
    value = _decode_frame(parts) if part.kind == _FRAME else _decode_series(parts)
    value.attrs = parts.take(part.meta["attrs"])
    if not part.meta["flags"]["allows_duplicate_labels"]:
        value.flags.allows_duplicate_labels = False
    return value


def _decode_frame(parts: Unpacking) -> Any:
    meta, blocks = parts.meta, []
    for node in meta["blocks"]:
        values, at = parts.take(node), _places(node["at"])
        if isinstance(values, list):
            blocks += [(v, at[n : n + 1]) for n, v in enumerate(values)]
        else:
            blocks.append((values, at))
    labels = parts.take(meta["columns"])
    return private.frame_of(blocks, parts.take(meta["index"]), labels)


def _decode_series(parts: Unpacking) -> Any:
    meta = parts.meta
    values = parts.take(meta["values"])
    if isinstance(values, list):
        (values,) = values
    dtype: Any = object if values.dtype == object else None  # else pandas 3 makes text of it
    index = parts.take(meta["index"])
    return pd.Series(values, index=index, dtype=dtype, name=parts.take(meta["name"]), copy=False)
