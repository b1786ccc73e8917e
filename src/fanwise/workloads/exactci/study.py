"""Intervals for many tables as one fanwise run; the only file of this workload that calls fanwise."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fanwise
from fanwise.errors import InputError, UsageError
from fanwise.workloads.exactci._answers import Part, gather
from fanwise.workloads.exactci._chunks import CHUNK_S, PAYS_S, cut, pays, total_s
from fanwise.workloads.exactci._counts import CELLS, EXPECTED, count_of, read_counts
from fanwise.workloads.exactci._coverage import (
    LENGTHS,
    TALLIES,
    all_tables,
    blocks_of,
    make_grid,
    ready_to_tally,
    tally_block,
)
from fanwise.workloads.exactci._methods import Question, ask
from fanwise.workloads.exactci._records import Coverage, Interval, Intervals, Status
from fanwise.workloads.exactci._scratch import Rows, Scratch, Spilled
from fanwise.workloads.exactci._solve import FIELDS, LARGEST, ready, solve_chunk

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["Study", "coverage", "interval", "intervals", "spilled_study", "study"]

Item = tuple[str, NDArray[np.int64]]


class Origins:
    """Listens to a run to tell which items were not computed; passes everything on to the progress of the user."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._origins: dict[int, str] = {}

    def start(self, total: int | None, label: str) -> None:
        self._progress.start(total, label)

    def on(self, event: Any) -> None:
        for origin in ("resumed", "cached"):
            first = getattr(event, "first", 0)
            self._origins.update(dict.fromkeys(range(first, first + getattr(event, origin, 0)), origin))
        self._progress.on(event)

    def finish(self, report: RunReport) -> None:
        self._progress.finish(report)

    def of(self, index: int) -> str:
        """Where the value of an item came from."""
        return self._origins.get(index, "computed")


@dataclass(frozen=True, slots=True, eq=False)
class Work(Sequence[Item]):
    """The items of a study, each made when it is asked for.

    Items carry the counts themselves and not a range of rows: 32 bytes a table weigh nothing beside the work, and a
    cache or a journal then knows a chunk by its content.

    Attributes
    ----------
    tables : ndarray of int64, shape (N, 4), or other rows
    ranges : list of (str, int, int)
        Method and rows of each part of the answer.
    places : list of int
        The item of each range: equal tables share one where a table takes milliseconds and not microseconds. The other
        methods do not look for equal tables: 14,674 of 14,698 real ones differ, and sorting costs what they cost.
    firsts : list of int
        A range of each item.
    """

    tables: Rows
    ranges: list[tuple[str, int, int]]
    places: list[int]
    firsts: list[int]

    @classmethod
    def of(cls, tables: Rows, methods: Sequence[str]) -> Work:
        """Cut the rows for each method."""
        ranges = [(method, start, stop) for method in methods for start, stop in cut(tables, method)]
        places: list[int] = []
        firsts: list[int] = []
        known: dict[bytes, int] = {}
        for at, (method, start, stop) in enumerate(ranges):
            place = len(firsts)
            if method == "unconditional":
                place = known.setdefault(tables[start:stop].tobytes(), place)
            if place == len(firsts):
                firsts.append(at)
            places.append(place)
        return cls(tables, ranges, places, firsts)

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, index: Any) -> Any:
        method, start, stop = self.ranges[self.firsts[index]]
        return method, self.tables[start:stop]

    def kept(self, finished: AbstractSet[int]) -> str:
        """How many rows an interrupted run has finished."""
        rows = [stop - start for _, start, stop in self.ranges]
        done = sum(count for count, place in zip(rows, self.places, strict=True) if place in finished)
        return f"{done:,} of {sum(rows):,} rows are kept."


@dataclass(frozen=True, slots=True)
class Study:
    """What a run over tables and methods gave: parts in the order methods, rows."""

    parts: Sequence[Part]
    report: RunReport | None

    def of(self, method: str) -> list[Part]:
        """The parts of one method, in row order."""
        return [part for part in self.parts if part.method == method]


def study(tables: NDArray[np.int64], methods: Sequence[str], question: Question, **run: Any) -> Study:
    """Compute every table by every method in one run.

    Parameters
    ----------
    tables : ndarray of int64, shape (N, 4)
    methods : sequence of str
    question : Question
    **run
        Options of `fanwise.run`.
    """
    work, small = _work(tables, methods, run)
    try:
        done = fanwise.run(functools.partial(solve_chunk, question=question), [*work], **run)
    except fanwise.RunInterrupted as error:
        error.args = (work.kept(_indexes(error.run)),)
        raise
    outcomes = {outcome.index: outcome for outcome in done.outcomes}
    parts = [Part(*where, **_result(outcomes.get(i))) for where, i in zip(work.ranges, work.places, strict=True)]
    return Study(parts, _told(done.report, small=small))


def spilled_study(
    tables: Rows, methods: Sequence[str], question: Question, numbers: Scratch, *, progress: Any, **run: Any
) -> Study:
    """Compute every table by every method in one run, with neither tables nor numbers in memory as a whole.

    Parameters
    ----------
    tables : rows of int64, shape (N, 4)
    methods : sequence of str
    question : Question
    numbers : Scratch
        Takes the values of the parts.
    progress : Progress
    **run
        Other options of `fanwise.stream`.
    """
    work, small = _work(tables, methods, run)
    origins = Origins(progress)
    found: dict[int, dict[str, Any]] = {}
    task = functools.partial(solve_chunk, question=question)
    stream = fanwise.stream(task, work, ordered=False, on_error="return", progress=origins, **run)
    try:
        with contextlib.closing(stream) as outcomes:
            for outcome in outcomes:
                result = _result(outcome)
                if result["values"] is not None:
                    result["values"] = Spilled.of(result["values"], numbers)
                found[outcome.index] = result
    except fanwise.RunInterrupted as error:
        error.args = (work.kept(found.keys() | _indexes(error.run)),)
        raise
    parts = [
        Part(*where, **found.get(i, _result(None)), origin=origins.of(i))
        for where, i in zip(work.ranges, work.places, strict=True)
    ]
    return Study(parts, stream.report and _told(stream.report, small=small))


def _work(tables: Rows, methods: Sequence[str], run: dict[str, Any]) -> tuple[Work, bool]:
    """Cut the work, load the kernels, and stay in this process if workers cannot pay: the second answer."""
    for method in methods:
        ready(method)
    if not pays(total_s(tables, methods), run):
        run["workers"] = 1
        return Work.of(tables, methods), True
    return Work.of(tables, methods), False


def _told(report: RunReport, *, small: bool) -> RunReport:
    """The report of a run; where workers could not pay, that is why it stayed here, and not that one was asked for."""
    reason = f"Ran in this process: less than {PAYS_S:g} s of work was expected, and workers pay from there on."
    return report.told_as(reason=reason) if small else report


def _indexes(run: fanwise.Run | None) -> set[int]:
    return {outcome.index for outcome in run.outcomes} if run is not None else set()


def _result(outcome: fanwise.Outcome | None) -> dict[str, Any]:
    """Numbers of an item that went well, or why it did not."""
    if outcome is not None and outcome.ok:
        return {"values": outcome.unwrap()}
    error = getattr(outcome, "error", None)
    return {"values": None, "reason": f"{type(error).__name__}: {error}" if error else "not run"}


def interval(
    a: float,
    b: float,
    c: float,
    d: float,
    *,
    method: str = "conditional",
    alpha: float = 0.05,
    alternative: str = "two-sided",
) -> Interval:
    """Confidence interval for the odds ratio of one 2×2 table.

    Parameters
    ----------
    a, b, c, d : int
        Counts of the table ``a b / c d``, each from 0 to 10⁹.
    method : {"conditional", "midp", "blaker", "minlike", "unconditional", "wald"}
    alpha : float
        One less the confidence level.
    alternative : {"two-sided", "less", "greater"}
        As in R's ``fisher.test``: "greater" gives a lower end, "less" an upper one.

    Returns
    -------
    Interval

    Raises
    ------
    InputError
        If a count is not a whole number from 0 to 10⁹.
    UsageError
        If method, alpha or alternative is not one that can be asked for.

    Source
    ------
    Cornfield (1956), Proc. 3rd Berkeley Symp. 4:135-148; Lancaster (1961), JASA 56:223-234; Blaker (2000), Canad. J.
    Statist. 28:783-798; Fay (2010), Biostatistics 11:373-374; Agresti & Min (2002), Biostatistics 3:379-386.

    Examples
    --------
    >>> round(interval(3, 10, 30, 23, method="blaker").p_value, 4)
    0.0606
    """
    question = ask([method], alpha, alternative)
    tables, status = read_counts([[a, b, c, d]])
    if status[0] > Status.EMPTY_MARGIN:
        raise InputError(_bad_cell((a, b, c, d)))
    ready(method)
    values = solve_chunk((method, tables), question)
    if math.isnan(values[0, 0]):
        raise InputError(f"row totals {a + b} and {c + d} are too large for {method}: (n1+1)*(n2+1) may be {LARGEST:,}")
    numbers = {name: float(x) for name, x in zip(FIELDS, values[:, 0], strict=True)}
    return Interval(**numbers, method=method, alpha=question.alpha, status=Status(int(status[0])))


def intervals(
    tables: Any,
    *,
    method: str = "conditional",
    alpha: float = 0.05,
    alternative: str = "two-sided",
    strict: bool = False,
    workers: int | None = None,
    backend: Any = "auto",
    executor: Any = None,
    cache: Any = None,
    resume: Any = None,
    progress: Any = "auto",
) -> Intervals:
    """Confidence intervals for the odds ratios of many 2×2 tables.

    Parameters
    ----------
    tables : array_like, shape (N, 4)
        Counts ``a, b, c, d`` of each table: whole numbers from 0 to 10⁹.
    method : {"conditional", "midp", "blaker", "minlike", "unconditional", "wald"}
    alpha : float
        One less the confidence level.
    alternative : {"two-sided", "less", "greater"}
        As in R's ``fisher.test``: "greater" gives lower ends, "less" upper ones.
    strict : bool
        Raise at the first bad row instead of giving it a status.
    workers, backend, executor, cache, resume, progress
        As in `fanwise.run`.

    Returns
    -------
    Intervals
        In the order of the rows, the same bits for any number of workers, any backend and any order of the rows.

    Raises
    ------
    InputError
        With ``strict``, if a row is bad.
    UsageError
        If method, alpha, alternative or the shape of ``tables`` is wrong.

    Source
    ------
    As for `interval`.

    Examples
    --------
    >>> trials = intervals([[4, 119, 11, 128], [6, 300, 29, 274]], progress="none")
    >>> trials.upper.round(3).tolist()
    [1.37, 0.474]
    """
    question = ask([method], alpha, alternative)
    counts, status = read_counts(tables)
    if strict and (status > Status.EMPTY_MARGIN).any():
        row = int((status > Status.EMPTY_MARGIN).argmax())
        cells = tables[row] if isinstance(tables, (list, tuple)) else np.asarray(tables)[row].tolist()
        raise InputError(f"row {row}: {_bad_cell(cells)}")
    done = study(
        counts,
        [method],
        question,
        workers=workers,
        backend=backend,
        executor=executor,
        cache=cache,
        resume=resume,
        progress=progress,
    )
    values, status = gather(done.of(method), status)
    columns = dict(zip(FIELDS, values, strict=True))
    return Intervals(**columns, status=status, method=method, alpha=question.alpha, report=done.report)


def coverage(
    n1: int,
    n2: int,
    *,
    p2: Any,
    p1: Any = None,
    odds_ratio: Any = None,
    methods: Sequence[str] = ("conditional",),
    alpha: float = 0.05,
    length: bool = False,
    workers: int | None = None,
    backend: Any = "auto",
    executor: Any = None,
    cache: Any = None,
    resume: Any = None,
    progress: Any = "auto",
) -> Coverage:
    """Exact coverage of interval methods: no simulation, a sum over all tables at each point of a grid.

    Parameters
    ----------
    n1, n2 : int
        Row totals; ``(n1+1)*(n2+1)`` may be at most 4·10⁶.
    p2 : float or sequence of float
        Probability in the second row.
    p1, odds_ratio : float or sequence of float
        Probability in the first row, or the odds ratio of the rows: exactly one of them. The grid is their product
        with ``p2``, ``p2`` slowest.
    methods : str or sequence of str
    alpha : float
        One less the confidence level.
    length : bool
        Also tell how often an interval is finite and how long it is then.
    workers, backend, executor, cache, resume, progress
        As in `fanwise.run`; the journal of the intervals is at ``resume`` with ``.tables`` added.

    Returns
    -------
    Coverage

    Raises
    ------
    UsageError
        If an argument is out of range.

    Source
    ------
    Agresti & Min (2001), Biometrics 57:963-971, section 4, for the sums.

    Examples
    --------
    >>> done = coverage(8, 10, p2=0.3, odds_ratio=1.0, progress="none")
    >>> bool(done.covered["conditional"][0] >= 0.95)
    True
    """
    methods = [methods] if isinstance(methods, str) else list(dict.fromkeys(methods))
    question = ask(methods, alpha, "two-sided")
    grid = make_grid(n1, n2, p2, p1, odds_ratio)
    run = {"workers": workers, "backend": backend, "executor": executor, "cache": cache, "progress": progress}
    tables = all_tables(grid.n1, grid.n2)
    if "unconditional" in methods and len(tables) > LARGEST:
        raise UsageError(f"n1 = {n1}, n2 = {n2} make {len(tables):,} tables; unconditional takes at most {LARGEST:,}")
    first = study(tables, methods, question, resume=f"{resume}.tables" if resume else None, on_error="raise", **run)
    blocks = blocks_of(grid, methods, CHUNK_S)
    ready_to_tally()
    small = not pays(CHUNK_S * len(blocks), run)
    if small:
        run["workers"] = 1
    with fanwise.freeze(_ends(first, methods, (grid.n1 + 1, grid.n2 + 1)), name="ends") as ends:
        done = fanwise.run(functools.partial(tally_block, ends), blocks, resume=resume, on_error="raise", **run)
    by_method = _by_method(blocks, done.values())
    columns = {
        name: {method: rows[:, k] for method, rows in by_method.items()}
        for k, name in enumerate(TALLIES)
        if length or name not in LENGTHS
    }
    return Coverage(
        n1=grid.n1,
        n2=grid.n2,
        alpha=question.alpha,
        p1=grid.p1,
        p2=grid.p2,
        odds_ratio=grid.odds_ratio,
        report=_longer(first.report, _told(done.report, small=small)),
        **columns,
    )


def _longer(*reports: RunReport | None) -> RunReport | None:
    return max(reports, key=lambda report: report.wall if report is not None else 0.0)


def _ends(done: Study, methods: Sequence[str], shape: tuple[int, int]) -> dict[str, NDArray[np.float64]]:
    """Lower and upper ends of all tables by method, as matrices over their two first counts."""
    ends = {}
    for method in methods:
        values, _ = gather(done.of(method), np.zeros(shape[0] * shape[1], np.uint8))
        ends[f"lower {method}"], ends[f"upper {method}"] = values[0].reshape(shape), values[1].reshape(shape)
    return ends


def _by_method(
    blocks: Sequence[tuple[str, Any]], values: Sequence[NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Put the rows of each method's blocks together."""
    rows: dict[str, list[NDArray[np.float64]]] = {}
    for (method, _), value in zip(blocks, values, strict=True):
        rows.setdefault(method, []).append(value)
    return {method: np.concatenate(parts) for method, parts in rows.items()}


def _bad_cell(row: Any) -> str:
    """Name the first bad cell of a row, its value and what is expected."""
    bad = next(i for i, value in enumerate(row) if count_of(value)[1])
    return f"cell {CELLS[bad]} is {row[bad]!r}; expected {EXPECTED}"
