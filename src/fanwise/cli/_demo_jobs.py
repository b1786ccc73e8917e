"""What the demo runs: each job once as the plain loop over the domain code, once through fanwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING

import fanwise

if TYPE_CHECKING:
    from fanwise.report import RunReport

__all__ = ["JOBS", "DemoJob", "Measured", "Way", "load", "measure"]

JOBS = {
    "ci": "fanwise.cli._demo_ci",
    "search": "fanwise.cli._demo_search",
    "scan": "fanwise.cli._demo_scan",
    "envelope": "fanwise.cli._demo_envelope",
}
"""Jobs by name, in the order in which they run; each module has a function ``job``."""


@dataclass(frozen=True, slots=True)
class Way:
    """One more way to do a job, once: what was switched on, how long it took, what the cache had, why it ran so."""

    name: str
    run: str
    seconds: float
    hits: int
    output: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One job. Both functions return the whole output as bytes, so that they can be compared to the last bit.

    Attributes
    ----------
    items : int
        How many inputs, as a person counts them.
    what : str
        What they are, in a few words.
    ways : callable or None
        Runs the job in more ways, which are shown when this job alone is asked for.
    """

    name: str
    items: int
    what: str
    loop: Callable[[], bytes]
    fanwise: Callable[[], tuple[bytes, RunReport]]
    ways: Callable[[], Iterator[Way]] | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. Times in seconds; digests are SHA-256."""

    job: DemoJob
    loop_s: float
    fanwise_s: float
    loop_digest: str
    fanwise_digest: str
    report: RunReport

    @property
    def gain(self) -> float:
        return self.loop_s / self.fanwise_s

    @property
    def identical(self) -> bool:
        return self.loop_digest == self.fanwise_digest


def load(name: str) -> DemoJob:
    """Make a job ready to run: inputs read, kernels compiled."""
    job: DemoJob = import_module(JOBS[name]).job()
    return job


def measure(job: DemoJob) -> Measured:
    """Run a job both ways, with all modules loaded: a process does that once, in 0.1 s."""
    fanwise.run(abs, [0]).report.to_json()
    start = perf_counter()
    by_loop = job.loop()
    middle = perf_counter()
    by_fanwise, report = job.fanwise()
    end = perf_counter()
    return Measured(
        job, middle - start, end - middle, sha256(by_loop).hexdigest(), sha256(by_fanwise).hexdigest(), report
    )
