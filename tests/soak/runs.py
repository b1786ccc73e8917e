"""`make soak`: random faults for some minutes, from a seed that reproduces any failure.

``python -m tests.soak.runs [--minutes 5] [--seed 0] [--round 17]``: every round is a run whose faults, sizes and options follow
from the seed and its number alone, so that ``--round`` repeats the one that failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import fanwise
from fanwise.errors import ItemTimeoutError, NotPicklableError
from fanwise.testing import BadException, Exit, Hang, Kill, Raise, Scripted, Unpicklable, leaks
from fanwise.testing._scripted import Fault, OddError

TIMEOUT_S = 5.0  # an innocent item may wait so long for a core of a busy machine
KINDS: dict[str, tuple[list[Fault], Any]] = {
    "raises": ([Raise(LookupError("scripted"))], LookupError),
    "killed once": ([Kill()], None),
    "killed twice": ([Kill(), Kill()], fanwise.Lost),
    "exits once": ([Exit(3)], None),
    "exits, then killed": ([Exit(3), Kill()], fanwise.Lost),
    "hangs": ([Hang(60)], ItemTimeoutError),
    "unpicklable": ([Unpicklable()], NotPicklableError),
    "odd exception": ([BadException()], OddError),
}
"""What happens to an item, and what becomes of it: an error, a loss, or (None) its value after all."""


@dataclass(frozen=True, slots=True)
class Round:
    """One run: which items meet what, and how they are run."""

    items: int
    faults: dict[int, str]
    method: str
    options: dict[str, Any]

    @classmethod
    def drawn(cls, seed: int, number: int) -> Round:
        random = Random(f"{seed}-{number}")
        items = random.randint(5, 120)
        hit = random.sample(range(items), random.randint(0, min(5, items)))
        method = random.choice(["fork", "fork", "fork", "forkserver", "spawn"])
        options = {"workers": random.randint(1, 4), "chunk_size": random.choice([None, None, 1, 5, 40])}
        return cls(items, {index: random.choice(list(KINDS)) for index in hit}, method, options)

    def run(self) -> None:
        """Run it, and compare every outcome with what was scripted."""
        os.environ["FANWISE_START_METHOD"] = self.method
        script = Scripted(work, {index: KINDS[kind][0] for index, kind in self.faults.items()})
        with leaks():
            run = fanwise.run(
                script, range(self.items), backend="process", timeout=TIMEOUT_S, progress="none", **self.options
            )
        assert run.complete, f"missing: {run.missing}"
        for index, outcome in enumerate(run.outcomes):
            self.check(index, outcome)

    def check(self, index: int, outcome: Any) -> None:
        expected = KINDS[self.faults[index]][1] if index in self.faults else None
        if expected is None:
            assert (outcome.ok, getattr(outcome, "value", None)) == (True, work(index)), f"item {index}: {outcome}"
        elif expected is fanwise.Lost:
            assert isinstance(outcome, fanwise.Lost), f"item {index}: {outcome}"
        else:
            assert type(getattr(outcome, "error", None)) is expected, f"item {index}: {outcome}"


def work(item: int) -> int:
    return sum(range(item % 7 * 1000)) + item


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--round", type=int, help="run only this one")
    given = parser.parse_args(arguments)
    until = time.monotonic() + 60 * given.minutes
    number, seen, items = given.round or 0, Counter[str](), 0
    while True:
        drawn = Round.drawn(given.seed, number)
        try:
            drawn.run()
        except BaseException:
            print(f"failed: python -m tests.soak.runs --seed {given.seed} --round {number}  # {drawn}", flush=True)
            raise
        seen.update(drawn.faults.values())
        items += drawn.items
        number += 1
        if given.round is not None or time.monotonic() > until:
            break
    print(f"seed {given.seed}: {number} rounds, {items} items, {seen.total()} faults, nothing lost: {dict(seen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
