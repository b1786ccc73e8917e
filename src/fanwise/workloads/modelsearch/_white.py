"""White's (1980) test: squared residuals on every product of two columns, on as many directions as those span.

With season columns most products are zeros or duplicates, and a specification shares them with all others. So the
products of fixed columns are brought to an orthonormal basis once, the products of each free item with the fixed
columns and itself once per item, and only the products of two free items are made per specification. The joint basis
is then a Cholesky factor of some tens of rows. Wherever that is not clearly of full rank, and where the rank of a part
is not clear, the singular values of all products decide, as the definition says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement

import numpy as np
from scipy.special import chdtrc

from fanwise.workloads.modelsearch._fits import Fits
from fanwise.workloads.modelsearch._project import Base, Pool
from fanwise.workloads.modelsearch._space import Indices
from fanwise.workloads.modelsearch._transforms import Floats

__all__ = ["White"]

RANK = 1e-10
CLEAR = 1e-6  # a direction is clearly there above this, clearly not there below RANK
SPAN_BYTES = 32 << 20  # of bases kept; a pool of thousands of items would fill hundreds of megabytes
SAFE_PIVOT = 1e-3  # smallest pivot of the joint Gram that still gives 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """An orthonormal basis (one vector a row) and whether its rank is beyond doubt."""

    basis: Floats
    clear: bool


class White:
    """White's test for batches of one base and pool; keeps the bases of the items it has met."""

    def __init__(self, base: Base, pool: Pool) -> None:
        self._base, self._pool = base, pool
        self._of_item: dict[int, Span] = {}
        self._most = max(64, SPAN_BYTES // (8 * base.n * (len(base.q) + 2)))

    @cached_property
    def _of_fixed(self) -> Span:
        """Every product of the constant and fixed columns."""
        fixed = self._base.fixed * np.sqrt(self._base.n)
        pairs = [fixed[i] * fixed[j] for i, j in combinations_with_replacement(range(len(fixed)), 2)]
        return _span(np.vstack([fixed, *pairs]) if pairs else fixed)

    def _span_of(self, item: int) -> Span:
        """Products of an item with the constant, the fixed columns and itself, off those of the fixed columns."""
        if item not in self._of_item:
            if len(self._of_item) >= self._most:
                self._of_item.clear()
            x, fixed = self._unit(item), self._base.fixed * np.sqrt(self._base.n)
            self._of_item[item] = _span(np.vstack([x, x * x, x * fixed]), self._of_fixed.basis)
        return self._of_item[item]

    def _unit(self, item: int) -> Floats:
        """The column with mean 0 and variance 1."""
        return np.asarray(self._pool.x[item] * np.sqrt(self._base.n))

    def p_values(self, fits: Fits) -> Floats:
        """P-values of LM = n·R² ~ χ²(rank of the products); NaN for the constant alone."""
        found = np.full(len(fits), np.nan)
        if fits.k == 1:
            return found
        squares = fits.e**2
        squares -= squares.mean(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            squares /= np.linalg.norm(squares, axis=1, keepdims=True)
        groups: dict[int, list[int]] = {}
        for at, items in enumerate(fits.indices.tolist()):
            groups.setdefault(self._width(items), []).append(at)
        for width, members in groups.items():
            found[members] = self._group(fits.indices[members], squares[members], width)
        return found

    def _width(self, items: list[int]) -> int:
        """Size of the joint basis beyond the fixed products; −1 sends the specification to the singular values."""
        spans = [self._span_of(item) for item in items]
        pairs = len(items) * (len(items) - 1) // 2
        width = sum(len(span.basis) for span in spans) + pairs
        clear = self._of_fixed.clear and all(span.clear for span in spans)
        return width if clear and len(self._of_fixed.basis) + width < self._base.n - 1 else -1

    def _group(self, indices: Indices, squares: Floats, width: int) -> Floats:
        if width < 0:
            return np.array([self._by_singular_values(i, s) for i, s in zip(indices, squares, strict=True)])
        on_fixed = squares @ self._of_fixed.basis.T
        shared = np.einsum("bf,bf->b", on_fixed, on_fixed)
        rank = len(self._of_fixed.basis) + width
        if not width:
            return np.asarray(chdtrc(rank, self._base.n * shared))
        explained = _explained(self._joint(indices, width), squares)
        p = np.asarray(chdtrc(rank, self._base.n * (shared + explained)))
        for at in np.flatnonzero(np.isnan(explained)):
            p[at] = self._by_singular_values(indices[at], squares[at])
        return p

    def _joint(self, indices: Indices, width: int) -> Floats:
        """Rows (batch, width, n) that, with the fixed products, span all products of each specification."""
        joint = np.empty((len(indices), width, self._base.n))
        pairs = list(combinations(range(indices.shape[1]), 2))
        for at, items in enumerate(indices.tolist()):
            row = len(pairs)
            for item in items:
                basis = self._span_of(item).basis
                joint[at, row : row + len(basis)] = basis
                row += len(basis)
        x = self._pool.x[indices] * np.sqrt(self._base.n)
        for at, (i, j) in enumerate(pairs):
            np.multiply(x[:, i], x[:, j], out=joint[:, at])
        products = joint[:, : len(pairs)]
        products -= products.mean(axis=2, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            products /= np.linalg.norm(products, axis=2, keepdims=True)
        products[:] = _off(products, self._of_fixed.basis)
        return joint

    def _by_singular_values(self, items: Indices, square: Floats) -> float:
        """The definition: all products, centred, zeros dropped, norm 1; the directions above 1e-10 of the largest."""
        columns = np.vstack([self._pool.x[items], self._base.fixed]) * np.sqrt(self._base.n)
        pairs = [columns[i] * columns[j] for i, j in combinations_with_replacement(range(len(columns)), 2)]
        rows = _normalised(np.vstack([columns, *pairs]))
        _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
        kept = directions[sizes > RANK * sizes[0]]
        return float(chdtrc(len(kept), self._base.n * np.sum((kept @ square) ** 2)))


def _normalised(rows: Floats) -> Floats:
    """Rows centred, those of no size dropped, norm 1."""
    top = np.abs(rows).max(axis=1, initial=0.0)
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1)
    kept = norm > 1e-12 * np.sqrt(rows.shape[1]) * top
    return np.asarray(centred[kept] / norm[kept, None])


def _off(rows: Floats, basis: Floats) -> Floats:
    once = rows - (rows @ basis.T) @ basis
    return np.asarray(once - (once @ basis.T) @ basis)


def _span(rows: Floats, beyond: Floats | None = None) -> Span:
    """Orthonormal basis of rows (centred and normalised first), off the basis ``beyond`` if there is one."""
    normal = _normalised(rows)
    if beyond is not None:
        normal = _off(normal, beyond)
    if not len(normal):
        return Span(normal, clear=True)
    _, sizes, directions = np.linalg.svd(normal, full_matrices=False)
    largest = max(1.0, sizes[0])
    kept = sizes > CLEAR * largest
    return Span(np.ascontiguousarray(directions[kept]), clear=bool((kept | (sizes < RANK * largest)).all()))


def _explained(joint: Floats, squares: Floats) -> Floats:
    """Share of each square that the rows of its joint basis explain; NaN where their rank is in doubt."""
    gram = np.matmul(joint, joint.transpose(0, 2, 1))
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        if len(joint) == 1:
            return np.array([np.nan])
        return np.concatenate([_explained(joint[at : at + 1], squares[at : at + 1]) for at in range(len(joint))])
    sums = np.einsum("bwn,bn->bw", joint, squares)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.linalg.solve(lower, sums[:, :, None])[:, :, 0]
    explained = np.einsum("bw,bw->b", scores, scores)
    doubtful = lower.diagonal(axis1=1, axis2=2).min(axis=1) < SAFE_PIVOT
    return np.where(doubtful, np.nan, explained)
