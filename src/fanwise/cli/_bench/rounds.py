"""Measuring: in each cell all contestants take turns, forwards and backwards, and must give what the loop gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from fanwise.cli._bench.contestants import LOOP, Contestant
from fanwise.cli._bench.grid import Cell
from fanwise.cli._bench.seat import Seat

__all__ = ["Measured", "measure", "seats"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of each round by contestant, in the order of rounds; ``out`` says why others have none."""

    cell: Cell
    seconds: Mapping[str, list[float]]
    out: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def seats(contestants: Sequence[Contestant], workers: int) -> Iterator[list[Seat]]:
    """Those that are installed, each in its process, the loop first."""
    with ExitStack() as stack:
        yield [stack.enter_context(Seat(each, workers)) for each in contestants if each.version is not None]


def measure(cell: Cell, found: Sequence[Seat], rounds: int) -> Measured:
    """Run a cell: once to compare and warm up, then ``rounds`` times A B C, C B A, …"""
    first = {seat.name: seat.run(cell) for seat in found}
    out = {name: f"failed ({each.failed})" for name, each in first.items() if each.failed}
    out |= {n: "wrong" for n, each in first.items() if n not in out and each.digest != first[LOOP].digest}
    order = [seat for seat in found if seat.name not in out]
    seconds: dict[str, list[float]] = {seat.name: [] for seat in order}
    for turn in range(rounds):
        for seat in order if turn % 2 == 0 else reversed(order):
            answer = seat.run(cell)
            seconds[seat.name].append(answer.seconds)
            if answer.failed:
                out[seat.name] = f"failed ({answer.failed})"
    return Measured(cell, {name: each for name, each in seconds.items() if name not in out}, out)
