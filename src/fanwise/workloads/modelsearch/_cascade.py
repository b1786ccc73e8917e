"""Verdicts of many specifications: screened first, then settled stage by stage, each stage for what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch import _gram
from fanwise.workloads.modelsearch._context import SearchContext
from fanwise.workloads.modelsearch._filters import FILTERS, PASSED, first_failure, rules
from fanwise.workloads.modelsearch._fits import Fits, estimate
from fanwise.workloads.modelsearch._multiplicity import Maxima, combined, maxima
from fanwise.workloads.modelsearch._project import Pool
from fanwise.workloads.modelsearch._screen import NEAREST, OPEN, screen, trusted
from fanwise.workloads.modelsearch._space import Block, Indices
from fanwise.workloads.modelsearch._statistics import (
    Columns,
    basics,
    covariance_labels,
    errors_in_and_out,
    inference,
    predictive,
    residual_tests,
    unit_roots,
)
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._verdicts import LISTS, STATISTICS, VerdictTable, concatenate
from fanwise.workloads.modelsearch._white import White

__all__ = ["Assessment", "assess", "merge_nearest", "verdicts"]

LAZY_BATCH = 512  # specifications that share a pool of their own when items are built as needed
SETTLE_BYTES = 24 << 20
SETTLE_MOST = 128
FAR = 1e6  # a gap beyond which one miss is as far as another
_CHEAP = FILTERS[: FILTERS.index("pvalue")]
_EXTRA = ("in_max", "in_mean", "out_max", "out_mean")
_EMPTY_COLUMN: Columns = {
    "k": np.empty(0, dtype=np.int64),
    "cov": np.empty(0, dtype="<U9"),
    **{name: np.empty((0, 0)) for name in LISTS},
}


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """What became of a chunk.

    Attributes
    ----------
    tried : int
        Specifications looked at.
    fell : tuple of int
        How many fell at each filter.
    table : VerdictTable
        Those that passed, or all with ``full``.
    nearest : ndarray, shape (m, 3)
        Near misses: filter, gap, id; the latest filter first, then the smallest gap.
    best : Maxima or None
        For the multiplicity test.
    redone : int
        Specifications too ill-conditioned for the normal equations.
    failed : ndarray of int8
        Position in `FILTERS` of the filter at which each fell; their number if it passed.
    used : ndarray of int64
        Items that the chunk needed.
    """

    tried: int
    fell: tuple[int, ...]
    table: VerdictTable
    nearest: NDArray[np.float64]
    best: Maxima | None
    redone: int
    failed: NDArray[np.int8]
    used: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def assess(context: SearchContext, first: int, stop: int, *, full: bool = False) -> Assessment:
    """Give every specification of ids ``first … stop-1`` its verdict.

    Parameters
    ----------
    full : bool
        Compute every statistic of every specification instead of stopping at the first filter that fails.
    """
    size = stop - first if context.whole is not None else LAZY_BATCH
    parts = [_assess_block(context, block, full=full) for block in context.space.blocks(first, stop, max(size, 1))]
    return merged(parts)


def merged(parts: list[Assessment]) -> Assessment:
    """Assessments of disjoint ids as one."""
    best: Maxima | None = None
    for part in parts:
        if part.best is not None:
            best = part.best if best is None else combined(best, part.best)
    tables = [part.table for part in parts if len(part.table)]
    used = [part.used for part in parts] or [np.empty(0, dtype=np.int64)]
    return Assessment(
        tried=sum(part.tried for part in parts),
        fell=tuple(sum(falls) for falls in zip(*(part.fell for part in parts), strict=True)) or (0,) * PASSED,
        table=concatenate(tables),
        nearest=merge_nearest([part.nearest for part in parts]),
        best=best,
        redone=sum(part.redone for part in parts),
        failed=np.concatenate([np.empty(0, dtype=np.int8), *(part.failed for part in parts)]),
        used=np.unique(np.concatenate(used)),
    )


def merge_nearest(lists: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The nearest misses of several lists: latest filter, smallest gap, smallest id."""
    every = np.concatenate([np.empty((0, 3)), *lists])
    return every[np.lexsort((every[:, 2], every[:, 1], -every[:, 0]))][:NEAREST]


def _assess_block(context: SearchContext, block: Block, *, full: bool) -> Assessment:
    pool, indices = context.local(block.indices)
    ids = block.ids
    if context.base.reason or context.base.n - 1 - len(context.base.q) - indices.shape[1] < 1:
        failed, gap, sure = np.full(len(ids), OPEN, dtype=np.int8), np.full(len(ids), np.nan), np.zeros(len(ids), bool)
        gains = np.empty((0, len(context.frame.y_test)))
    else:
        fit = _gram.fit(pool, indices, float(context.base.y @ context.base.y))
        sure = trusted(fit)
        screened = screen(context, pool, fit)
        failed, gap = screened.failed, screened.gap
        gains = _gains(context, pool, indices[sure], fit.beta[:, sure])
    chosen = np.arange(len(ids)) if full else np.flatnonzero(failed == OPEN)
    settled = _Settled(context, pool, full=full)
    for at in _slices(context, chosen, indices.shape[1]):
        settled.settle(ids[at], indices[at], sure[at])
    failed[chosen], gap[chosen] = settled.failed, settled.gap
    best = None
    if context.weights is not None:
        best = maxima(context.weights, np.concatenate([gains, *settled.gains]))
    return Assessment(
        tried=len(ids),
        fell=tuple(np.bincount(failed, minlength=PASSED + 1)[:PASSED].tolist()),
        table=concatenate(settled.tables),
        nearest=_nearest_of(ids, failed, gap),
        best=best,
        redone=int(np.count_nonzero(~sure)),
        failed=failed,
        used=np.unique(block.indices),
    )


def _gains(context: SearchContext, pool: Pool, indices: Indices, beta: Floats) -> Floats:
    """Squared test errors of the forced-only model minus those of each specification."""
    if context.weights is None:
        return np.empty((0, len(context.frame.y_test)))
    errors = np.repeat(context.base.y_ahead[None], len(indices), axis=0)
    for i in range(indices.shape[1]):
        errors -= pool.z_ahead[indices[:, i]] * beta[i][:, None]
    return np.asarray(context.forced_only - (errors * context.base.y_norm) ** 2)


def _slices(context: SearchContext, chosen: Indices, r: int) -> Iterator[Indices]:
    """Batches that keep the scratch of one within bounds; their size depends on the shape of the problem only."""
    columns = r + len(context.base.fixed)
    per_row = 8 * context.base.n * (4 * columns + 3 * (r * (len(context.base.fixed) + 2) + r * r) + 8)
    size = max(1, min(SETTLE_MOST, SETTLE_BYTES // per_row))
    for first in range(0, len(chosen), size):
        yield chosen[first : first + size]


def _nearest_of(ids: Indices, failed: NDArray[np.int8], gap: Floats) -> NDArray[np.float64]:
    fell = np.flatnonzero((failed < PASSED) & np.isfinite(gap))
    if len(fell) > NEAREST:
        # one number for filter and gap, so that a partition finds the nearest without sorting thousands
        distance = np.minimum(gap[fell], FAR) - failed[fell] * (2.0 * FAR)
        fell = fell[np.argpartition(distance, NEAREST)[:NEAREST]]
    return merge_nearest([np.column_stack([failed[fell], gap[fell], ids[fell]]).astype(np.float64)])


class _Settled:
    """The exact half for one block: verdicts, tables and gains pile up batch by batch."""

    def __init__(self, context: SearchContext, pool: Pool, *, full: bool) -> None:
        self.context, self.pool, self.full = context, pool, full
        self.white = White(context.base, pool)
        self.failed = np.empty(0, dtype=np.int8)
        self.gap = np.empty(0)
        self.tables: list[VerdictTable] = []
        self.gains: list[Floats] = []

    def settle(self, ids: Indices, indices: Indices, counted: NDArray[np.bool_]) -> None:
        """Settle one batch; ``counted`` specifications have had their say in the multiplicity test."""
        fits, reasons = estimate(self.context.base, self.pool, indices)
        estimable = np.flatnonzero((reasons == "") | (reasons == "perfect-fit"))
        failed = np.zeros(len(ids), dtype=np.int8)
        gap = np.full(len(ids), np.nan)
        run = _Stages(self.context, fits, reasons[estimable], self.white, full=self.full)
        failed[estimable], gap[estimable] = run.failed, run.gap
        self.failed, self.gap = np.append(self.failed, failed), np.append(self.gap, gap)
        late = ~counted[estimable] & (reasons[estimable] == "")
        if self.context.weights is not None and late.any():
            self.gains.append(self.context.forced_only - (fits.e_ahead[late] * self.context.base.y_norm) ** 2)
        rows = estimable[run.kept]
        block = Block(ids, self.pool.items[indices])
        table = VerdictTable({"id": ids[rows], "indices": block.indices[rows], **run.columns})
        if self.full:
            table = _all_rows(self.context, block, table, failed, reasons)
        if len(table):
            self.tables.append(table)


def _all_rows(
    context: SearchContext,
    block: Block,
    table: VerdictTable,
    failed: NDArray[np.int8],
    reasons: NDArray[np.str_] | None = None,
) -> VerdictTable:
    """Every row of a block, those that ``table`` lacks without statistics."""
    rows = np.flatnonzero(np.isin(block.ids, table["id"])) if len(table) else np.empty(0, dtype=np.int64)
    columns: Columns = {}
    for name in (*STATISTICS, *_EXTRA):
        given = table[name] if len(table) else _EMPTY_COLUMN.get(name, np.empty(0))
        fill = np.nan if given.dtype.kind == "f" else given.dtype.type()
        columns[name] = np.full((len(block), *given.shape[1:]), fill, dtype=given.dtype)
        columns[name][rows] = given
    columns["k"] = np.full(len(block), 1 + len(context.frame.fixed) + block.indices.shape[1])
    return VerdictTable(
        {
            "id": block.ids,
            "indices": block.indices,
            "passed": (failed == PASSED).astype(np.int64),
            "failed_at": np.array([*FILTERS, ""])[failed],
            "reason": np.full(len(block), "", dtype="<U16") if reasons is None else reasons,
            **columns,
        }
    )


class _Stages:
    """Statistics of one batch, computed for what is left after each filter; with ``full`` for all."""

    def __init__(
        self, context: SearchContext, fits: Fits, reasons: NDArray[np.str_], white: White, *, full: bool
    ) -> None:
        self.context, self.white, self.full = context, white, full
        self.filters = context.config.filters
        self.failed = np.full(len(fits), PASSED, dtype=np.int8)
        self.gap = np.full(len(fits), np.nan)
        self.kept = np.arange(len(fits))
        self.fits = fits
        self.columns: Columns = {"reason": reasons}
        self._drop(basics(context, fits), _CHEAP)
        self._drop(self._errors_and_covariance(), ("pvalue", "group_f"))
        self._drop(unit_roots(context, self.fits), ("stationary", "cointegration"))
        self._drop(predictive(context, self.fits), ("oos", "stability"))
        self._complete()

    def _drop(self, columns: Columns, filters: tuple[str, ...]) -> None:
        """Add columns, judge by some filters, and go on without what falls."""
        self.columns |= columns
        failed = first_failure(self.filters, self.columns, filters)
        first = (failed < PASSED) & (self.failed[self.kept] == PASSED)
        self.failed[self.kept[first]] = failed[first]
        self.gap[self.kept[first]] = self._gaps(failed)[first]
        if not self.full:
            left = np.flatnonzero(failed == PASSED)
            self.kept, self.fits = self.kept[left], self.fits.take(left)
            self.columns = {name: column[left] for name, column in self.columns.items()}

    def _gaps(self, failed: NDArray[np.int8]) -> Floats:
        """How far from its threshold each specification fell, relative to the threshold."""
        gaps = np.full(len(failed), np.nan)
        for name, rule in rules(self.filters).items():
            if rule.column in self.columns and rule.bound:
                beyond = (self.columns[rule.column] - rule.bound) / abs(rule.bound)
                at = failed == FILTERS.index(name)
                gaps[at] = (-beyond if rule.sense == ">=" else beyond)[at]
        at = failed == FILTERS.index("sign")
        gaps[at] = self.columns["sign_gap"][at]
        if self.filters.stationary is not None and "adf_p" in self.columns:
            at = failed == FILTERS.index("stationary")
            gaps[at] = np.fmin(self.columns["adf_p"], self.columns["pp_p"])[at] / self.filters.stationary_p - 1
        return gaps

    def _errors_and_covariance(self) -> Columns:
        """Residual tests and inference; White's test only where the choice of covariance hangs on it."""
        tests = residual_tests(self.filters, self.fits)
        tests["white_p"] = np.full(len(self.fits), np.nan)
        tests["white_p"][self._needs_white(tests)] = self.white.p_values(self.fits.take(self._needs_white(tests)))
        cov = covariance_labels(self.filters, self.fits, tests)
        return {**tests, **inference(self.context, self.fits, cov)}

    def _needs_white(self, tests: Columns) -> NDArray[np.bool_]:
        """All with ``full``; else where neither Breusch–Pagan nor a HAC settles which covariance it is."""
        rule = self.filters.heteroscedasticity
        if self.full or rule is None or self.filters.cov != "auto":
            return np.full(len(self.fits), self.full)
        crooked = ~(tests["bp_p"] > rule.bp_p)
        open_still = crooked if rule.fail == "both" else ~crooked
        hac = covariance_labels(self.filters, self.fits, {**tests, "white_p": np.ones(len(self.fits))})
        return open_still & ~np.char.startswith(hac, "HAC")

    def _complete(self) -> None:
        """Fill in what the survivors' rows still lack."""
        lacking = np.isnan(self.columns["white_p"])
        if not self.full and lacking.any():
            self.columns["white_p"][lacking] = self.white.p_values(self.fits.take(lacking))
        columns = {**self.columns, **errors_in_and_out(self.fits)}
        self.columns = {name: columns[name] for name in (*STATISTICS, *_EXTRA)}


def verdicts(context: SearchContext, ids: Sequence[int] | range, *, full: bool) -> VerdictTable:
    """One row for each id, in the order given; without ``full`` only those that pass have statistics."""
    if isinstance(ids, range) and ids.step == 1:
        blocks = context.space.blocks(ids.start, ids.stop, LAZY_BATCH)
    else:
        blocks = context.space.pick(ids)
    rows = [_judged(context, block, full=full) for block in blocks]
    table = concatenate(rows)
    if not len(table):
        return table
    order = {i: at for at, i in enumerate(table["id"].tolist())}
    return table.take(np.array([order[int(i)] for i in ids], dtype=np.int64))


def _judged(context: SearchContext, block: Block, *, full: bool) -> VerdictTable:
    """A row for every specification of a block."""
    assessed = _assess_block(context, block, full=full)
    if full:
        return assessed.table
    return _all_rows(context, block, assessed.table, assessed.failed)
