"""One file of tables in, one file of intervals out: what ``fanwise ci`` does, without a word to the user."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fanwise._whole import atomic
from fanwise.errors import InputError
from fanwise.workloads.exactci import _forest
from fanwise.workloads.exactci._answers import ORIGINS, Answers, added_columns
from fanwise.workloads.exactci._counts import EXPECTED
from fanwise.workloads.exactci._matrix import MatrixSource
from fanwise.workloads.exactci._methods import Question
from fanwise.workloads.exactci._records import Status
from fanwise.workloads.exactci._scratch import Scratch
from fanwise.workloads.exactci.io import (
    BadCell,
    Source,
    Tables,
    Wanted,
    listed,
    open_source,
    open_target,
    read_tables,
)
from fanwise.workloads.exactci.study import Study, spilled_study

__all__ = ["Done", "Job", "compute", "describe", "opened", "publish", "read"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with an input.

    Attributes
    ----------
    output : Path or None
        None: standard output.
    methods : sequence of str
    wanted : Wanted
        Columns of the counts.
    matrix : bool
        The input is a matrix of counts; each cell makes a table.
    plot : Path or None
        Forest plot of the first ``plot_rows`` rows, labelled by the column ``label``.
    """

    input: str
    output: Path | None
    methods: Sequence[str]
    question: Question
    wanted: Wanted
    prefix: str = ""
    strict: bool = False
    adjust: str | None = None
    matrix: bool = False
    plot: Path | None = None
    plot_rows: int = 60
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The tables as read, and what the run made of them."""

    tables: Tables
    study: Study

    @property
    def empty_margins(self) -> int:
        """Rows whose interval is 0 to inf because a margin is empty."""
        return int((self.tables.status == Status.EMPTY_MARGIN).sum())

    def failures(self) -> list[tuple[str, str]]:
        """What could not be computed of good tables: where, and a sentence."""
        said = []
        for part in self.study.parts:
            if part.values is None:
                where = f"rows {part.start + 1} to {part.stop}"
                said.append((where, f"{where} failed by {part.method}: {part.reason}"))
        for method, count in self._too_large().items():
            said.append((method, f"{count:,} {'row' if count == 1 else 'rows'} too large for {method}."))
        return said

    def _too_large(self) -> Counter[str]:
        count: Counter[str] = Counter()
        for part in self.study.parts:
            numbers = part.numbers()
            if numbers is not None:
                left_out = np.isnan(numbers[0]) & ~self.tables.bad[part.start : part.stop]
                count[part.method] += int(left_out.sum())
        return +count

    def rows_by_origin(self) -> dict[str, int]:
        """Output rows that hold a table, by where their numbers came from."""
        count = dict.fromkeys(ORIGINS, 0)
        for part in self.study.parts:
            count[part.origin] += int((~self.tables.bad[part.start : part.stop]).sum())
        return count


@contextlib.contextmanager
def opened(job: Job, standard_input: BinaryIO) -> Iterator[Source]:
    """Open the input; columns that would come twice, or are not there, are found here."""
    with open_source(job.input, standard_input) as source:
        chosen: Source = MatrixSource.read(source) if job.matrix else source
        twice = set(added_columns(job.prefix, job.adjust)) & set(chosen.columns)
        if twice:
            names = ", ".join(name for name in chosen.columns if name in twice)
            raise InputError(f"{chosen.name}: the output would have the column {names} twice (use --prefix)")
        if job.label is not None and job.label not in chosen.columns:
            raise InputError(f"{chosen.name}: no column {job.label}; there are {listed(chosen)} (see --label)")
        yield chosen


def read(job: Job, source: Source, place: Scratch) -> Tables:
    """Read all counts; a bad row ends it if the job is strict."""
    tables = read_tables(source, Wanted(("a", "b", "c", "d")) if job.matrix else job.wanted, place)
    if job.strict and tables.bad_cells:
        raise InputError(describe(source, tables.bad_cells[0]))
    return tables


def describe(source: Source, bad: BadCell) -> str:
    """One bad cell in words."""
    place = f'{source.name}, {source.unit} {bad.line}, column "{bad.column}": "{bad.value}"'
    if "," in bad.column and bad.status is Status.NEGATIVE:
        return f"{place}: more events than the total (expected at most as many)"
    return f"{place} is not a count ({bad.status.name.lower()}; expected {EXPECTED})"


def compute(job: Job, tables: Tables, place: Scratch, **run: Any) -> Done:
    """Compute the intervals of all tables by all methods, in one run; ``place`` takes the numbers."""
    return Done(tables, spilled_study(tables.counts, job.methods, job.question, place, **run))


def publish(job: Job, source: Source, done: Done, standard_output: BinaryIO) -> int:
    """Write plot and output, each under its final name only when it is complete; returns the number of rows."""
    parts = {method: done.study.of(method) for method in job.methods}
    answers = Answers(parts, done.tables.status, job.question.alpha, job.prefix, job.adjust)
    if job.plot is not None:
        with atomic(job.plot) as file:
            file.write(_plotted(job, source, done.tables, answers).encode())
    if job.output is None:
        return _write(job, source, answers, standard_output)
    with atomic(job.output) as file:
        return _write(job, source, answers, file)


def _write(job: Job, source: Source, answers: Answers, file: BinaryIO) -> int:
    columns = [*source.columns, *added_columns(job.prefix, job.adjust)]
    suffix = job.output.suffix.lower() if job.output is not None else ".csv"
    target = open_target(file, suffix, columns, source)
    start = 0
    for block in source.blocks():
        stop = start + len(block)
        if stop <= len(answers.status):
            target.write(block, source.columns, answers.added(start, stop), len(job.methods))
        start = stop
    if start != len(answers.status):
        raise InputError(f"{source.name} changed while it was read: {len(answers.status):,} rows, then {start:,}")
    target.close()
    return start * len(job.methods)


def _plotted(job: Job, source: Source, tables: Tables, answers: Answers) -> str:
    fields = next(iter(source.blocks())).fields()[: job.plot_rows]
    labels = _forest.labels(source.columns, fields, job.label)
    totals = tables.counts[: len(fields)].sum(axis=1).tolist()
    numbers = {method: answers.rows(method, 0, len(fields)) for method in job.methods}
    lines = [
        _forest.Line(labels[i], method, values[3, i], values[0, i], values[1, i], totals[i])
        for i in range(len(fields))
        for method, (values, status) in numbers.items()
        if status[i] <= Status.EMPTY_MARGIN
    ]
    return _forest.draw(lines, alpha=job.question.alpha, methods=job.methods)
