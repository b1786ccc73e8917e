"""The files of a finished search."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanwise.workloads.modelsearch._filters import FILTERS
from fanwise.workloads.modelsearch._frame import Frame
from fanwise.workloads.modelsearch._funnel import page
from fanwise.workloads.modelsearch._identity import Identity
from fanwise.workloads.modelsearch._multiplicity import Multiplicity
from fanwise.workloads.modelsearch._outputs import Sorted, Staging
from fanwise.workloads.modelsearch._tally import Tally
from fanwise.workloads.modelsearch._verdicts import VERDICTS, VerdictTable

__all__ = ["Published", "summary", "write_all"]


@dataclass(frozen=True, slots=True)
class Published:
    """What is to be written, and about what."""

    title: str
    version: str
    frame: Frame
    identity: Identity
    tally: Tally
    multiplicity: Multiplicity
    misses: VerdictTable
    run: Mapping[str, Any]
    texts: Iterable[bytes] | None
    complete: bool

    @property
    def labels(self) -> Sequence[str]:
        return [str(item) for item in self.frame.items]


def write_all(folder: Path, what: Published, rows: Sorted, top: int) -> tuple[Path, ...]:
    """Write every file, then give all of them their names at once.

    A search with missing chunks writes ``ranked.partial.csv`` and ``run.json`` only.
    """
    names = ["ranked.csv" if what.complete else "ranked.partial.csv", "run.json"]
    with Staging(folder) as staging:
        staging.write(names[0], rows.csv(what.labels, top))
        staging.write("run.json", [_json(what.run)])
        if what.complete:
            names += ["summary.json", "funnel.html"]
            staging.write("summary.json", [_json(summary(what))])
            tables = (rows.table, what.misses)
            staging.write("funnel.html", [page(what.title, what.tally.funnel, what.multiplicity, tables, what.labels)])
            if what.texts is not None:
                names.append("verdicts.csv")
                staging.write("verdicts.csv", _with_header(what.texts))
    if what.complete:
        (folder / "ranked.partial.csv").unlink(missing_ok=True)
    return tuple(folder / name for name in names)


def _with_header(texts: Iterable[bytes]) -> Iterable[bytes]:
    yield (",".join(VERDICTS) + "\n").encode()
    yield from texts


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def summary(what: Published) -> dict[str, Any]:
    """The content of ``summary.json``: nothing in it depends on when, where or by how many it was computed."""
    left = what.tally.tried
    funnel = []
    for name in FILTERS:
        fell = what.tally.funnel[name]
        funnel.append({"filter": name, "entered": left, "fell": fell})
        left -= fell
    verdict = what.multiplicity
    return {
        "version": what.version,
        "config_hash": what.identity.config_hash,
        "data_hash": what.frame.data_hash,
        "n": len(what.frame.y),
        "n_test": len(what.frame.y_test),
        "pool": len(what.frame.items),
        "tried": what.tally.tried,
        "passed": what.tally.passed,
        "funnel": funnel,
        "excluded": [list(pair) for pair in what.frame.excluded],
        "multiplicity": {
            "method": verdict.method,
            "tried": verdict.tried,
            "V": verdict.statistic,
            "p": verdict.p,
            "level": verdict.level,
            "expected_by_chance": verdict.expected_by_chance,
        },
    }
