"""From the sums of a run to its report: status, plan, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from fanwise.report import _record as parts
from fanwise.report._facts import RunFacts
from fanwise.report._fold import Fold
from fanwise.report._host import peak_resident_bytes, read_host
from fanwise.report._lanes import SPANS_PER_LANE
from fanwise.report._losses import find_losses
from fanwise.report._privacy import plain_value, redact
from fanwise.report._report import RunReport

__all__ = ["summarise"]

_SPANS = 4_000  # of all lanes together, about 250 bytes each: a report stays below 2 MiB
_STATUS = {"done": "done", "error": "failed", "source": "failed", "broken": "failed", "interrupted": "interrupted"}
_BACKENDS = {"serial": "serial", "fallback": "fallback", "threads": "thread", "remote": "remote"}
_METHODS = frozenset({"none", "fork", "forkserver", "spawn", "remote"})
_CLOCK_S = 1e-9  # no clock is finer: what is shorter has no length
_NOT_PLANNED = parts.Decision(0.0, None, "none", "Nothing was decided: no item was run.", {})


def summarise(fold: Fold, at: float, facts: RunFacts) -> RunReport:
    """The report of everything that was added up."""
    from fanwise import __version__

    wall = max(at, fold.last_at, 0.0)
    fold.lanes[0].pid = facts.pid
    host = _host(fold, facts)
    lanes = _lanes(fold, wall, host.name)
    plan = _plan(fold, facts, lanes, host.start_method)
    counts = _counts(fold)
    times = _times(fold, lanes, wall, facts.serial_measured_s)
    costs = fold.costs.record()
    traffic = fold.traffic(facts.chunk_size)
    retries_s = sum(lane.retries for lane in fold.lanes)
    return RunReport(
        version=__version__,
        run=_run(fold, facts, counts),
        host=host,
        options=_plain(facts.options),
        plan=plan,
        counts=counts,
        time=times,
        losses=find_losses(lanes, times, costs, traffic, host.cores_usable, retries_s, plan.workers),
        lanes=lanes,
        costs=costs,
        cache=tuple(parts.CacheUse(**_plain(use)) for use in facts.cache),
        bundles=tuple(_bundle(_plain(use)) for use in facts.bundles),
        memory=_memory(fold, lanes),
        failures=tuple(fold.failures),
        failures_left_out=fold.failed + fold.lost - len(fold.failures),
        warnings=tuple(redact(text) for text in facts.warnings),
        traffic=traffic,
        events=tuple(fold.notes),
        events_left_out=fold.notes_left_out,
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: Any = plain_value(values)
    return dict(plain)


def _bundle(use: dict[str, Any]) -> parts.BundleUse:
    return parts.BundleUse(**use | {"names": tuple(use["names"])})


def _run(fold: Fold, facts: RunFacts, counts: parts.Counts) -> parts.RunInfo:
    began = datetime.fromtimestamp(facts.started_at, UTC)
    ended = fold.how or ("done" if counts.not_run == 0 else "partial")
    return parts.RunInfo(
        id=facts.id,
        label=redact(fold.label),
        function=redact(facts.function),
        started_at=began.strftime("%Y-%m-%dT%H:%M:%S.") + f"{began.microsecond // 1000:03}Z",
        status=_STATUS.get(ended, "partial"),
        resumed_from=redact(facts.resumed_from) if facts.resumed_from and counts.resumed else None,
    )


def _host(fold: Fold, facts: RunFacts) -> parts.Host:
    method = fold.method if fold.method in _METHODS else "none"
    return read_host({"start_method": method} | dict(facts.host()))


def _lanes(fold: Fold, wall: float, host: str) -> tuple[parts.Lane, ...]:
    limit = min(SPANS_PER_LANE, max(1, _SPANS // len(fold.lanes)))
    fan_out = min((lane.started for lane in fold.lanes[1:]), default=wall)
    return tuple(lane.record(wall, host, fan_out, limit) for lane in fold.lanes)


def _plan(fold: Fold, facts: RunFacts, lanes: Sequence[parts.Lane], method: str) -> parts.Plan:
    decisions = tuple(fold.decisions) or (_NOT_PLANNED,)
    return parts.Plan(
        workers=facts.workers if facts.workers and lanes[1:] else _at_a_time(lanes[1:]),
        backend=facts.backend or _backend(decisions[0].code, method, len(lanes)),
        chunk_size=_chunk_size(decisions) if facts.chunk_size is None else facts.chunk_size,
        fan_out_item=fold.fan_out_item,
        decisions=decisions,
    )


def _chunk_size(decisions: Sequence[parts.Decision]) -> int | None:
    """What the plan decided last."""
    sizes = [made.facts.get("chunk_size") for made in decisions if made.code == "chunk.size"]
    return sizes[-1] if sizes and isinstance(sizes[-1], int) else None


def _backend(code: str, method: str, lanes: int) -> str:
    family = code.partition(".")[0]
    if family in _BACKENDS:
        return _BACKENDS[family]
    if lanes == 1:
        return "serial"
    return "thread" if method == "none" else "process"


def _at_a_time(workers: Sequence[parts.Lane]) -> int:
    """The greatest number of workers alive together, at least one: the calling process."""
    changes = sorted([(lane.started_s, 1) for lane in workers] + [(lane.ended_s, -1) for lane in workers])
    alive = most = 0
    for _, change in changes:
        alive += change
        most = max(most, alive)
    return max(1, most)


def _counts(fold: Fold) -> parts.Counts:
    settled = fold.ok + fold.failed + fold.lost
    total = settled if fold.total is None else fold.total
    return parts.Counts(
        total=total,
        ok=fold.ok,
        failed=fold.failed,
        lost=fold.lost,
        cached=fold.cached,
        resumed=fold.resumed,
        retried=len(fold.retried),
        not_run=max(0, total - settled),
    )


def _times(fold: Fold, lanes: Sequence[parts.Lane], wall: float, measured: float | None) -> parts.Times:
    work = sum(lane.work for lane in fold.lanes)
    cpu = sum(lane.cpu for lane in fold.lanes)
    serial = work + sum(lane.cache for lane in fold.lanes)
    length = sum(lane.ended_s - lane.started_s for lane in lanes)
    names = [field.name for field in fields(parts.Seconds)]
    return parts.Times(
        wall_s=wall,
        work_s=work,
        cpu_s=cpu,
        serial_estimate_s=serial,
        serial_measured_s=measured,
        speedup_estimate=_ratio(serial, wall),
        parallelism=_ratio(work, wall) or 0.0,
        utilisation=None if length < _CLOCK_S else min(1.0, work / length),
        contention=_ratio(work, cpu) or None,
        lanes_s=parts.Seconds(**{name: sum(getattr(lane.seconds, name) for lane in lanes) for name in names}),
    )


def _ratio(above: float, below: float) -> float | None:
    return None if below < _CLOCK_S else above / below


def _memory(fold: Fold, lanes: Sequence[parts.Lane]) -> parts.Memory:
    peaks = [lane.peak_bytes for lane in lanes[1:] if lane.peak_bytes]
    return parts.Memory(
        caller_peak_bytes=lanes[0].peak_bytes or peak_resident_bytes(),
        workers_peak_bytes=max(peaks, default=None),
        lowest_free_bytes=fold.lowest_free,
        samples=tuple(fold.memory),
    )
