"""Questions about single specifications, answered in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fanwise.workloads.modelsearch._blas import one_thread
from fanwise.workloads.modelsearch._cascade import verdicts
from fanwise.workloads.modelsearch._chunks import Cut, finish
from fanwise.workloads.modelsearch._config import Config
from fanwise.workloads.modelsearch._context import SearchContext, context_of
from fanwise.workloads.modelsearch._forecast import predict
from fanwise.workloads.modelsearch._frame import Frame, Table, build
from fanwise.workloads.modelsearch._limits import check_count, check_memory, gram_bytes
from fanwise.workloads.modelsearch._results import Plan
from fanwise.workloads.modelsearch._space import Space
from fanwise.workloads.modelsearch._transforms import Floats
from fanwise.workloads.modelsearch._verdicts import VerdictTable, no_rows
from fanwise.workloads.modelsearch._verify import Verification, verify_rows
from fanwise.workloads.modelsearch._why import Verdict, explain
from fanwise.workloads.modelsearch.io import load_config, read_table

__all__ = ["Source", "as_config", "evaluate", "forecast", "plan", "prepare", "projected", "verify", "why", "with_terms"]

Source = Config | str | os.PathLike[str]
MEASURED_CHUNKS = 2


def prepare(config: Source) -> Frame:
    """Read the data, build every item, choose the rows.

    Parameters
    ----------
    config : Config or path-like

    Returns
    -------
    Frame
        With ``y``, ``X``, ``names``, ``time``, ``excluded`` and ``recipes``.

    Raises
    ------
    InputError
        Names file, row, column and value, or the item.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> prepare(path).X.shape
    (168, 60)
    """
    config = as_config(config)
    return build(config, read_table(config))


def as_config(config: Source) -> Config:
    return config if isinstance(config, Config) else load_config(config)


def evaluate(frame: Frame, space: Space, config: Config, ids: Iterable[int], *, full: bool = False) -> VerdictTable:
    """Verdicts of some specifications, in this process.

    Parameters
    ----------
    ids : iterable of int
    full : bool
        Every statistic of every specification; else only those that pass have statistics.

    Returns
    -------
    VerdictTable
        One row for each id, in the order given: ``id``, ``terms``, ``passed``, ``failed_at``, ``reason``, statistics.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> config, frame = load_config(path), prepare(path)
    >>> rows = evaluate(frame, Space(config, frame), config, [0, 40760], full=True)
    >>> rows.failed_at.tolist(), rows.r2.round(3).tolist()
    (['r2', ''], [0.037, 0.471])
    """
    with one_thread():
        context = context_of(config, frame, tried=space.count())
        chosen = ids if isinstance(ids, range) else [int(i) for i in ids]
        return with_terms(verdicts(context, chosen, full=full), space) if len(chosen) else no_rows()


def with_terms(table: VerdictTable, space: Space) -> VerdictTable:
    labels = [str(item) for item in space.items]
    terms = [";".join(labels[i] for i in row if i >= 0) for row in table["indices"].tolist()]
    return table.extended(terms=np.array(terms, dtype=object))


def why(frame: Frame, space: Space, config: Config, id_or_terms: int | str) -> Verdict:
    """Explain one specification: every filter, its number, its bound, and what would have to change.

    Parameters
    ----------
    id_or_terms : int or str
        Its number, or its items joined with ``;``.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> config, frame = load_config(path), prepare(path)
    >>> verdict = why(frame, Space(config, frame), config, "unemp:LV;tbilrate:LV")
    >>> verdict.failed_at, [check.name for check in verdict.checks if not check.passed]
    ('pvalue', ['pvalue', 'group_f'])
    """
    i = space.find(id_or_terms) if isinstance(id_or_terms, str) else int(id_or_terms)
    with one_thread():
        return explain(context_of(config, frame, tried=space.count()), i)


def plan(config: Source) -> Plan:
    """Count a search, and measure two chunks to say how long it would take in one process.

    Returns
    -------
    Plan
        With ``frame``, ``count``, ``memory`` (bytes) and ``seconds``.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> plan(path).count
    112991
    """
    config = as_config(config)
    with one_thread():
        frame = prepare(config)
        check_memory(config, frame)
        context = context_of(config, frame)
        check_count(config, frame, context.space)
        return Plan(frame, context.space.count(), gram_bytes(frame), projected(context))


def projected(context: SearchContext) -> float:
    """Seconds for the whole space, from the fastest of a few chunks spread over it."""
    cut = Cut(0, context.space.count(), context.config.run.chunk)
    chunks = cut.chunks()
    costs = []
    for chunk in {chunks[len(chunks) * at // MEASURED_CHUNKS] for at in range(MEASURED_CHUNKS)}:
        began = time.perf_counter()
        first, stop = cut.bounds(chunk)
        finish(context, (first, stop), full=False)
        costs.append((time.perf_counter() - began) / (stop - first))
    return min(costs) * context.space.count()


def verify(frame: Frame, space: Space, config: Config, ranked: VerdictTable, n: int) -> Verification:
    """Fit the first ``n`` ranked specifications again with statsmodels and compare every statistic.

    Returns
    -------
    Verification
        ``max_abs``, ``max_rel`` and ``worst`` (id, column).

    Raises
    ------
    UsageError
        If statsmodels is not installed.

    Source
    ------
    Seabold and Perktold (2010), statsmodels, Proc. 9th Python in Science Conf., 92–96.

    Examples
    --------
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> config, frame = load_config(path), prepare(path)
    >>> space = Space(config, frame)
    >>> rows = evaluate(frame, space, config, [40760], full=True)
    >>> verify(frame, space, config, rows, 1).max_rel < 1e-9
    True
    """
    return verify_rows(frame, config, ranked.take(slice(0, n)))


def forecast(config: Source, ranked: VerdictTable, future: Any, *, top: int = 1) -> dict[Any, Any]:
    """Predict the target for rows to come.

    Parameters
    ----------
    ranked : VerdictTable
        Of a search or an evaluation.
    future : path-like or mapping of str to path-like
        A file with the columns of the data file and later rows; or one for each scenario.
    top : int
        How many of the first rows of ``ranked`` predict.

    Returns
    -------
    dict of int to ndarray
        Predictions by id, NaN where an input is missing; by scenario first if ``future`` is a mapping.

    Examples
    --------
    >>> import tempfile
    >>> from importlib.resources import files
    >>> path = files("fanwise") / "_demo" / "macro" / "search.toml"
    >>> config, frame = load_config(path), prepare(path)
    >>> rows = evaluate(frame, Space(config, frame), config, [40760], full=True)
    >>> lines = config.data.file.read_text("utf-8").splitlines(keepends=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ahead = Path(folder) / "ahead.csv"
    ...     _ = ahead.write_text(lines[0] + lines[-1].replace("2009-09-30", "2009-12-31"), "utf-8")
    ...     {i: predicted.round(1).tolist() for i, predicted in forecast(config, rows, ahead).items()}
    {40760: [7.9]}
    """
    config = as_config(config)
    rows = ranked.take(slice(0, top))
    history = read_table(config)
    if isinstance(future, Mapping):
        return {name: _forecast(config, rows, history, path) for name, path in future.items()}
    return _forecast(config, rows, history, future)


def _forecast(config: Config, rows: VerdictTable, history: Table, path: str | os.PathLike[str]) -> dict[int, Floats]:
    table = read_table(config, Path(path), after=history)
    return predict(config, rows, table, len(table.time) - len(history.time))
