"""A model search as one fanwise run; the only file of this workload that calls fanwise."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import fanwise
from fanwise.errors import FanwiseWarning, InputError
from fanwise.workloads.modelsearch import _tally
from fanwise.workloads.modelsearch._answers import Source, as_config, prepare, projected, with_terms
from fanwise.workloads.modelsearch._blas import can_limit, one_thread
from fanwise.workloads.modelsearch._cascade import verdicts
from fanwise.workloads.modelsearch._chunks import Cut, Finished, read_back
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._context import SearchContext, context_of, to_arrays
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._identity import Identity, identity_of
from fanwise.workloads.modelsearch._ledger import FileLedger, MemoryLedger
from fanwise.workloads.modelsearch._limits import MOST_SPECIFICATIONS, check_count, check_memory, duration
from fanwise.workloads.modelsearch._multiplicity import conclude
from fanwise.workloads.modelsearch._outputs import Folder, Sorted, sort_rows
from fanwise.workloads.modelsearch._project import base_of, pool_of
from fanwise.workloads.modelsearch._ranking import same_fit
from fanwise.workloads.modelsearch._replay import check_built, check_replay
from fanwise.workloads.modelsearch._reports import Published, write_all
from fanwise.workloads.modelsearch._results import Problem, Result
from fanwise.workloads.modelsearch._space import Space
from fanwise.workloads.modelsearch._tally import Tally
from fanwise.workloads.modelsearch._task import ChunkTask
from fanwise.workloads.modelsearch._verdicts import VerdictTable, no_rows
from fanwise.workloads.modelsearch._verify import Verification, verify_rows
from fanwise.workloads.modelsearch.io import read_table

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["search"]

Ledger = FileLedger | MemoryLedger
NEAREST_SHOWN = 20


def freeze_frame(frame: Frame) -> fanwise.Bundle:
    """A frame's target and columns, the Gram matrix of its projected pool, names and recipes."""
    base = base_of(frame.y, frame.fixed, frame.y_test, frame.fixed_test)
    arrays: dict[str, Any] = {"y": frame.y, "y_test": frame.y_test, "X": frame.X}
    if frame.pool is not None and frame.pool_test is not None:
        arrays["gram"] = pool_of(base, frame.pool, frame.pool_test).gram
    plain = {"names": frame.names, "time": frame.time, "recipes": frame.recipes}
    return fanwise.freeze({**arrays, **plain}, name="frame")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One search, ready to run."""

    config: Config
    context: SearchContext
    identity: Identity
    cut: Cut
    full: bool
    began: float
    laps: dict[str, float] = field(default_factory=dict)

    @property
    def frame(self) -> Frame:
        return self.context.frame


class _Wishes(NamedTuple):
    """Where to write, how many rows to verify, and which chunks were there already."""

    out: str | os.PathLike[str] | None
    verify: int
    reused: frozenset[int]


def search(
    config: Source,
    *,
    workers: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    full: bool = False,
    verify: int = 0,
    force: bool = False,
    progress: Any = "auto",
    executor: Any = None,
    backend: Any = "auto",
    ids: tuple[int, int] | None = None,
) -> Result:
    """Assess every specification, rank those that pass, and say why the others fell.

    Parameters
    ----------
    config : Config or path-like
    workers, progress, executor, backend
        As in `fanwise.map`.
    out : path-like, optional
        Directory for ``ranked.csv``, ``summary.json``, ``funnel.html``, ``run.json`` and finished chunks; without it
        nothing is written.
    resume : bool
        Go on in ``out``: finished chunks are not computed again.
    full : bool
        Every statistic of every specification, and ``verdicts.csv``.
    verify : int
        Fit the best so many again with statsmodels.
    force : bool
        Overwrite ``out`` and start afresh.
    ids : tuple of int, optional
        Only specifications ``ids[0] … ids[1]-1``.

    Returns
    -------
    Result
        The same for any number of workers, any backend, and after any interruption.

    Raises
    ------
    InputError
        If configuration or data are bad, or the data changed during the run.
    UsageError
        If ``out`` is in use or belongs to another search.

    Source
    ------
    White (2000), Econometrica 68:1097–1126, for the reality check; the tests name theirs where they are.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> result = search(path, ids=(40_000, 44_096), progress="none")
    >>> result.tried, result.passed
    (4096, 21)
    """
    with one_thread():
        job = _job(as_config(config), full=full, ids=ids)
        display = fanwise.progress.by_name(progress, "search") if isinstance(progress, str) else progress
        options = {"workers": workers, "executor": executor, "backend": backend, "progress": display}
        with _ledger(job, None if out is None else Path(out), resume=resume, force=force) as ledger:
            reused = frozenset(chunk for chunk in job.cut.chunks() if chunk in ledger)
            job.laps["prepare"] = time.time() - job.began
            problems, report = _assess(job, ledger, options)
            job.laps["assess"] = time.time() - job.began - job.laps["prepare"]
            return _conclude(job, ledger, _Wishes(out, verify, reused), problems, report)


def _job(config: Config, *, full: bool, ids: tuple[int, int] | None) -> _Job:
    began = time.time()
    frame = prepare(config)
    for note in frame.notes:
        warnings.warn(note, FanwiseWarning, stacklevel=4)
    if not can_limit():
        warnings.warn(
            "the BLAS of this NumPy cannot be kept to one thread: last digits may depend on the number of cores",
            FanwiseWarning,
            stacklevel=4,
        )
    space = Space(config, frame)
    check_count(config, frame, space)
    check_memory(config, frame)
    first, stop = (0, space.count()) if ids is None else (max(ids[0], 0), min(ids[1], space.count()))
    if stop <= first:
        raise InputError(f"no specification between {first:,} and {stop:,}: ids run from 0 to {space.count() - 1:,}")
    context = context_of(config, frame, tried=stop - first)
    if stop - first > MOST_SPECIFICATIONS:
        raise InputError(
            f"{stop - first:,} specifications would take about {duration(projected(context))} in one process; "
            f"choose some with --range A:B, or lower max_terms"
        )
    identity = identity_of(config, frame.data_hash, fanwise.__version__)
    return _Job(config, context, identity, Cut(first, stop, config.run.chunk), full, began)


def _ledger(job: _Job, out: Path | None, *, resume: bool, force: bool) -> Ledger:
    """Where finished chunks go."""
    if out is None:
        return MemoryLedger()
    folder = Folder(out)
    fresh = folder.enter(job.identity, resume=resume, force=force)
    mode = f"{'full' if job.full else 'cascade'} {job.cut.first}:{job.cut.stop}"
    ledger = FileLedger(folder.records, job.identity.record_key(mode), fresh=fresh)
    folder.sign(job.identity, fresh=fresh)
    return ledger


def _assess(job: _Job, ledger: Ledger, options: Mapping[str, Any]) -> tuple[list[Problem], RunReport | None]:
    """Run every chunk that the ledger lacks; each is kept the moment it comes back."""
    missing = [chunk for chunk in job.cut.chunks() if chunk not in ledger]
    if not missing:
        return [], None
    problems: list[Problem] = []
    with fanwise.freeze(to_arrays(job.context), name="search") as bundle:
        task = ChunkTask(bundle, job.cut, full=job.full, context=job.context)
        stream = fanwise.stream(task, missing, ordered=False, on_error="return", **options)
        try:
            with closing(stream) as outcomes:
                for outcome in outcomes:
                    if outcome.ok:
                        ledger.save(missing[outcome.index], outcome.unwrap())
                    else:
                        problems.append(Problem(*job.cut.bounds(missing[outcome.index]), _says(outcome)))
        except fanwise.RunInterrupted as interrupt:
            interrupt.args = (_kept(job, ledger, missing, interrupt),)
            raise
    return sorted(problems, key=lambda problem: problem.first), stream.report


def _says(outcome: Any) -> str:
    return f"{type(outcome.error).__name__}: {outcome.error}"


def _kept(job: _Job, ledger: Ledger, missing: Sequence[int], interrupt: fanwise.RunInterrupted) -> str:
    """Keep what had come back but was not handed on yet, and say how much there is."""
    run = interrupt.run
    for outcome in () if run is None else run.outcomes:
        if outcome.ok and missing[outcome.index] not in ledger:
            ledger.save(missing[outcome.index], outcome.unwrap())
    chunks = job.cut.chunks()
    return f"{sum(chunk in ledger for chunk in chunks):,} of {len(chunks):,} chunks are kept."


def _conclude(
    job: _Job,
    ledger: Ledger,
    wishes: _Wishes,
    problems: list[Problem],
    report: RunReport | None,
) -> Result:
    """Add up, rank, check against the source, and write."""
    tally = Tally()
    for chunk in job.cut.chunks():
        if chunk in ledger:
            tally.add(read_back(ledger.load(chunk)), now=chunk not in wishes.reused)
    config, labels = job.config, [str(item) for item in job.frame.items]
    multiplicity = conclude(config.multiplicity, config.filters.p_max, tally.tried, tally.best)
    passed = _tally.blocks(_in_order(job, ledger), _tally.HELD)
    with sort_rows(passed, tally, config.rank, labels, _tally.HELD) as rows:
        _replay(job, tally)
        best = rows.table.take(slice(0, config.rank.top or len(rows.table)))
        near = [int(i) for i in tally.nearest[:NEAREST_SHOWN, 2]]
        result = Result(
            ranked=with_terms(best, job.context.space),
            funnel=tally.funnel,
            tried=tally.tried,
            passed=tally.passed,
            multiplicity=multiplicity,
            verification=_second_opinion(job, best, wishes.verify),
            report=report,
            same_fit=same_fit(best),
            near_misses=with_terms(verdicts(job.context, near, full=True), job.context.space) if near else no_rows(),
            problems=tuple(problems),
            files=(),
            run=_account(job, ledger, tally, len(wishes.reused)),
            by=config.rank.by,
            rows=min(tally.passed, config.rank.top or tally.passed),
            excluded=job.frame.excluded,
        )
        files = () if wishes.out is None else _publish(job, ledger, result, rows, tally, Path(wishes.out))
    return dataclasses.replace(result, files=files)


def _second_opinion(job: _Job, best: VerdictTable, rows: int) -> Verification | None:
    return verify_rows(job.frame, job.config, best.take(slice(0, rows))) if rows else None


def _in_order(job: _Job, ledger: Ledger) -> Iterator[Finished]:
    return (read_back(ledger.load(chunk)) for chunk in job.cut.chunks() if chunk in ledger)


def _replay(job: _Job, tally: Tally) -> None:
    check_built(job.frame, tally.built)
    check_replay(job.frame, read_table(job.config), sorted(index for index in tally.used if index >= 0))


def _publish(job: _Job, ledger: Ledger, result: Result, rows: Sorted, tally: Tally, out: Path) -> tuple[Path, ...]:
    what = Published(
        title=job.config.path.stem,
        version=fanwise.__version__,
        frame=job.frame,
        identity=job.identity,
        tally=tally,
        multiplicity=result.multiplicity,
        misses=result.near_misses,
        run=result.run,
        texts=(done.text for done in _in_order(job, ledger)) if job.full else None,
        complete=not result.problems,
    )
    return write_all(out, what, rows, job.config.rank.top)


def _account(job: _Job, ledger: Ledger, tally: Tally, reused: int) -> dict[str, Any]:
    """What ``run.json`` says: who computed what, and how long it took."""
    ended = time.time()
    seconds = max(ended - job.began, 1e-9)
    assessing = max(job.laps["assess"], 1e-9)
    chunks = job.cut.chunks()
    there = sum(chunk in ledger for chunk in chunks)
    return {
        "chunks": {"total": len(chunks), "reused": reused, "computed": there - reused, "damaged": ledger.damaged},
        "started": datetime.fromtimestamp(job.began, UTC).isoformat(),
        "ended": datetime.fromtimestamp(ended, UTC).isoformat(),
        "seconds": seconds,
        "workers": len(set(tally.cpu) - {os.getpid()}),
        "cpu_seconds": [round(cpu, 6) for _, cpu in sorted(tally.cpu.items())],
        "busy": [round(busy / assessing, 6) for _, busy in sorted(tally.busy.items())],
        "specs_per_second": tally.tried / seconds,
        "qr_fallbacks": tally.redone,
        "phases": {**job.laps, "conclude": seconds - sum(job.laps.values())},
        "near_misses": [int(i) for i in tally.nearest[:, 2]],
        **({} if job.context.whole is not None else {"built": _builders(job, tally)}),
    }


def _builders(job: _Job, tally: Tally) -> dict[str, int]:
    """By how many workers each item was built."""
    return {str(job.frame.items[i]): len(by) for i, by in sorted(tally.builders.items())}
