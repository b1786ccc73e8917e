"""`scipy.sparse` matrices and arrays in CSR, CSC and COO form: the arrays they are made of.

Meta: ``shape``, ``dtype`` and ``parts``, the nodes of the arrays: data, then indices and indptr, or one array of
coordinates an axis; for these also ``canonical``.
"""

from __future__ import annotations

from typing import Any

from fanwise.bundle._codecs import arrays
from fanwise.bundle._codecs.parts import Encoded, Packing, Part, Unpacking

__all__ = ["decode", "encode"]

_COMPRESSED = ("csr_matrix", "csc_matrix", "csr_array", "csc_array")
_COORDINATES = ("coo_matrix", "coo_array")


def encode(matrix: Any) -> Encoded | None:
    """Take a sparse matrix apart; None for other forms, which are pickled."""
    name = type(matrix).__name__
    if name in _COMPRESSED:
        members = [matrix.data, matrix.indices, matrix.indptr]
    elif name in _COORDINATES:
        members = [matrix.data, *matrix.coords]
    else:
        return None
    parts = [arrays.encode(m) for m in members]
    packing = Packing()
    nodes = [packing.add(p) for p in parts if p is not None]
    meta = {"shape": list(matrix.shape), "dtype": matrix.dtype.str, "parts": nodes}
    if name in _COORDINATES:
        meta["canonical"] = matrix.has_canonical_format
    return packing.encoded(f"scipy.{name}", meta) if len(nodes) == len(parts) else None


def decode(part: Part) -> Any:
    """The same class over the arrays as they are."""
    import scipy.sparse

    meta, name, shape = part.meta, part.kind.partition(".")[2], tuple(part.meta["shape"])
    unpacking = Unpacking(part, arrays.decode)
    data, *places = [unpacking.take(node) for node in meta["parts"]]
    if name in _COORDINATES:
        matrix = getattr(scipy.sparse, name)((data, places), shape=shape)
        matrix.coords, matrix.has_canonical_format = tuple(places), meta["canonical"]
    elif name in _COMPRESSED:
        matrix = getattr(scipy.sparse, name)((data, *places), shape=shape)
        matrix.indices, matrix.indptr = places  # the constructor may have copied them into a narrower type
        if not part.trust:
            _check(matrix)
    else:
        raise ValueError(f"{part.kind!r} is no sparse matrix")
    matrix.data = data
    return matrix


def _check(matrix: Any) -> None:
    """Refuse indices that point outside: compiled code follows them without looking."""
    width = matrix.shape[-1] if matrix.format == "csr" else matrix.shape[0]
    steps = matrix.indptr[1:] < matrix.indptr[:-1]
    if steps.any() or (matrix.indices.size and not 0 <= matrix.indices.min() <= matrix.indices.max() < width):
        raise ValueError("an index points outside the matrix")
