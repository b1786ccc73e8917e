"""Measuring: in each cell all contestants take turns, forwards and backwards, and must give what the loop gives."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from fanwise.cli._bench.contestants import LOOP, Contestant, Map
from fanwise.cli._bench.grid import Cell, Work

__all__ = ["Measured", "measure", "opened"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of each round by contestant, in the order of rounds, and who gave a wrong result."""

    cell: Cell
    seconds: Mapping[str, list[float]]
    wrong: Sequence[str] = field(default=())


@contextmanager
def opened(contestants: Sequence[Contestant], workers: int) -> Iterator[dict[str, Map]]:
    """Those that are installed, ready to run."""
    with ExitStack() as stack:
        yield {each.name: stack.enter_context(each.open(workers)) for each in contestants if each.version is not None}


def measure(cell: Cell, maps: Mapping[str, Map], rounds: int) -> Measured:
    """Run a cell: once to compare and warm up, then ``rounds`` times A B C, C B A, …"""
    work, items = Work(cell.cost_s, cell.result_bytes), cell.inputs()
    expected = maps[LOOP](work, items)
    wrong = [name for name, run in maps.items() if run(work, items) != expected]
    order = [name for name in maps if name not in wrong]
    seconds: dict[str, list[float]] = {name: [] for name in order}
    for turn in range(rounds):
        for name in order if turn % 2 == 0 else reversed(order):
            with _undisturbed():
                start = perf_counter()
                maps[name](work, items)
                seconds[name].append(perf_counter() - start)
    return Measured(cell, seconds, wrong)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No garbage of others is collected meanwhile, and nobody's warning about forks is shown."""
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        gc.enable()
