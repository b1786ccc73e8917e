"""What comes back from a chunk, as bytes for the pipe and for the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanwise.workloads.modelsearch._cascade import Assessment, assess
from fanwise.workloads.modelsearch._context import SearchContext
from fanwise.workloads.modelsearch._frame import digest
from fanwise.workloads.modelsearch._ledger import pack, unpack
from fanwise.workloads.modelsearch._multiplicity import Maxima
from fanwise.workloads.modelsearch._verdicts import VERDICTS, VerdictTable, lines

__all__ = ["Cut", "Finished", "finish", "read_back", "to_bytes"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Ids ``first … stop-1`` in chunks whose borders are multiples of ``size``, whatever the number of workers."""

    first: int
    stop: int
    size: int

    def chunks(self) -> range:
        return range(self.first // self.size, -(-self.stop // self.size)) if self.stop > self.first else range(0)

    def bounds(self, chunk: int) -> tuple[int, int]:
        """First id of a chunk and the one after its last."""
        return max(self.first, chunk * self.size), min(self.stop, (chunk + 1) * self.size)


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A chunk that is done: its assessment, lines of ``verdicts.csv`` if asked for, and where the time went.

    ``built`` are the items that were built for it, as pool numbers and digests (only when items are built as needed).
    """

    assessment: Assessment
    text: bytes = b""
    seconds: float = 0.0
    cpu: float = 0.0
    worker: int = 0
    built: dict[int, str] = field(default_factory=dict)


def finish(context: SearchContext, bounds: tuple[int, int], *, full: bool) -> Finished:
    """Assess a chunk; with ``full`` also write its lines of ``verdicts.csv``, and keep only those that passed."""
    assessed = assess(context, *bounds, full=full)
    text = b""
    if full:
        labels = [str(item) for item in context.frame.items]
        text = "".join(lines(assessed.table, VERDICTS, labels)).encode()
        kept = assessed.table.take(assessed.table["passed"] == 1)
        table = VerdictTable({n: c for n, c in kept.columns.items() if n not in {"passed", "failed_at", "reason"}})
        assessed = replace(assessed, table=table)
    return Finished(assessed, text, built={} if context.whole is not None else _built(context, assessed.used))


def _built(context: SearchContext, used: NDArray[np.int64]) -> dict[int, str]:
    """Digests of the columns that this chunk's items were built as."""
    train, test = context.frame.free(used.tolist())
    return {i: digest(np.concatenate(c)) for i, *c in zip(used.tolist(), train, test, strict=True)}


def to_bytes(done: Finished) -> bytes:
    """A finished chunk without pickles."""
    a = done.assessment
    arrays: dict[str, NDArray[Any]] = {
        "counts": np.array([a.tried, a.redone, done.worker, *a.fell], dtype=np.int64),
        "times": np.array([done.seconds, done.cpu]),
        "nearest": a.nearest,
        "text": np.frombuffer(done.text, dtype=np.uint8),
        "built": np.array(list(done.built), dtype=np.int64),
        "digests": np.array(list(done.built.values()), dtype="<U32"),
    }
    if a.best is not None:
        arrays["best"] = np.append(a.best.bootstrap, a.best.observed)
    return pack(arrays | {f"table.{name}": column for name, column in a.table.columns.items()})


def read_back(payload: bytes) -> Finished:
    """The finished chunk that `to_bytes` was given; what became of each specification that fell is not in it."""
    arrays = unpack(payload)
    tried, redone, worker, *fell = arrays["counts"].tolist()
    best = arrays.get("best")
    assessment = Assessment(
        tried=tried,
        fell=tuple(fell),
        table=VerdictTable({n.partition(".")[2]: c for n, c in arrays.items() if n.startswith("table.")}),
        nearest=arrays["nearest"],
        best=None if best is None else Maxima(float(best[-1]), best[:-1]),
        redone=redone,
        failed=np.empty(0, dtype=np.int8),
    )
    seconds, cpu = arrays["times"].tolist()
    built = dict(zip(arrays["built"].tolist(), arrays["digests"].tolist(), strict=True))
    return Finished(assessment, arrays["text"].tobytes(), seconds, cpu, worker, built)
