"""A contestant in a process of its own: threads, locks and caches of one library do not disturb the others.

Run as ``python -m fanwise.cli._bench.seat NAME WORKERS``; reads a cell a line from stdin and answers with a line.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from time import perf_counter
from typing import Any, NamedTuple, Self, TextIO

from fanwise.cli._bench.contestants import Contestant, Map, seated
from fanwise.cli._bench.grid import Cell, Work

__all__ = ["Answer", "Seat", "main", "play"]


class Answer(NamedTuple):
    """Seconds of one run and the digest of its results; or ``failed``, why there are none."""

    seconds: float
    digest: str
    failed: str = ""


class Seat:
    """The process of a contestant, seen from the outside."""

    def __init__(self, contestant: Contestant, workers: int) -> None:
        self.name = contestant.name
        words = [sys.executable, "-P", "-m", "fanwise.cli._bench.seat", contestant.name, str(workers)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, cell: Cell) -> Answer:
        """Run a cell once; what the contestant raises is its answer."""
        given, taken = self._process.stdin, self._process.stdout
        line = ""
        if given is not None and taken is not None and self._process.poll() is None:
            given.write(json.dumps(astuple(cell)) + "\n")
            given.flush()
            line = taken.readline()
        return Answer(**json.loads(line)) if line else Answer(0.0, "", "its process ended")


def play(run: Map, cell: Cell) -> Answer:
    """Run a cell, undisturbed by garbage of earlier ones."""
    work, items = Work(cell.cost_s, cell.result_bytes), cell.inputs()
    with _undisturbed():
        start = perf_counter()
        try:
            results = run(work, items)
        except Exception as error:  # noqa: BLE001  # whatever another library raises is its result
            return Answer(0.0, "", f"{type(error).__name__}: {error}")
        seconds = perf_counter() - start
    return Answer(seconds, _digest(results))


def _digest(results: Sequence[Any]) -> str:
    found = hashlib.sha256()
    for number, data in results:
        found.update(b"%d " % number + data)
    return found.hexdigest()


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        gc.enable()


def serve(run: Map, cells: TextIO, answers: TextIO) -> None:
    """Answer line by line until there are no more."""
    for line in cells:
        answers.write(json.dumps(play(run, Cell(*json.loads(line)))._asdict()) + "\n")
        answers.flush()


def main(name: str, workers: int) -> None:
    """Be a contestant. What libraries print goes to stderr; stdout belongs to the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with answers, warnings.catch_warnings(action="ignore"), seated(name).open(workers) as run:
        serve(run, sys.stdin, answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
