"""The demo's search: 112,991 regressions of US inflation, as a plain loop over chunks and through fanwise."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from fanwise.cli._demo_jobs import DemoJob
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch._blas import one_thread
from fanwise.workloads.modelsearch._chunks import Cut, finish
from fanwise.workloads.modelsearch._context import context_of
from fanwise.workloads.modelsearch._tally import Tally, blocks, ranked
from fanwise.workloads.modelsearch._verdicts import RANKED, VerdictTable, lines

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["job"]


def job() -> DemoJob:
    """The search of the tutorial; its output are the lines of ``ranked.csv``."""
    with as_file(files("fanwise").joinpath("_demo", "macro")) as folder:
        config = modelsearch.load_config(folder / "search.toml")
        frame = modelsearch.prepare(config)
    labels = [str(item) for item in frame.items]

    def printed(table: VerdictTable) -> bytes:
        return "".join(lines(table, RANKED, labels)).encode()

    def loop() -> bytes:
        with one_thread():
            context = context_of(config, frame)
            cut = Cut(0, context.space.count(), config.run.chunk)
            chunks = [finish(context, cut.bounds(chunk), full=False) for chunk in cut.chunks()]
        tally = Tally()
        for chunk in chunks:
            tally.add(chunk)
        table, _ = ranked(next(blocks(chunks, tally.passed + 1)), tally, config.rank)
        return printed(table.extended(rank=np.arange(1, len(table) + 1)))

    def fanned() -> tuple[bytes, RunReport]:
        found = modelsearch.search(config)
        if found.report is None:
            raise RuntimeError("a search without a directory computes every chunk and has a report")
        return printed(found.ranked), found.report

    return DemoJob("search", modelsearch.Space(config, frame).count(), "regressions of US inflation", loop, fanned)
