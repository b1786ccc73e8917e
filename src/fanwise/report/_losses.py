"""Where the time of the workers' places went that was not work, and what can be done about it.

A run with ``W`` workers has ``W * wall`` lane-seconds to give. The calling process takes one place until it fans out;
from then on it coordinates, and its waiting is nobody's loss. What it still works while workers start hides as much of
their start. Where it goes on in place of a worker that was not started, it keeps its place. Work and losses together are
all there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fanwise._format import duration, plural, size
from fanwise.report._record import Costs, Lane, Loss, Span, Times, Traffic

__all__ = ["Places", "find_losses"]

_LISTED = 0.005  # of all lane-seconds; what is less is added up as `other`
_NEGLIGIBLE = 0.0005
_CLOCK_S = 1e-9
_CODEC_SHARE = 0.05
_BUSY_CORES = 1.2  # wall time of items over their processor time
_WAITING = 1 / 0.3  # above this items wait for files or the network, not for cores
_ROUND_TRIP_S = 3e-3  # on a busy machine; 0.1 ms on a free one
_NESTED = 1.5  # processor time of items over their wall time


@dataclass(frozen=True, slots=True)
class Places:
    """The workers' places: how many, since when, and how long they stood empty before and after a worker (seconds)."""

    count: int
    since: float
    before: float
    after: float

    @classmethod
    def of(cls, workers: Sequence[Lane], wall: float) -> Places:
        """Put each worker into the place that has been empty longest."""
        since = min((lane.started_s for lane in workers), default=wall)
        ends: list[float] = []
        before = 0.0
        for lane in sorted(workers, key=lambda lane: lane.started_s):
            if ends and ends[0] <= lane.started_s:
                before += lane.started_s - heapq.heapreplace(ends, lane.ended_s)
            else:
                before += lane.started_s - since
                heapq.heappush(ends, lane.ended_s)
        return cls(max(1, len(ends)), since, before, sum(wall - end for end in ends))


def find_losses(
    lanes: Sequence[Lane],
    times: Times,
    costs: Costs,
    traffic: Traffic,
    cores: float,
    retries_s: float,
    workers: int,
) -> tuple[Loss, ...]:
    """Every loss, the greatest first.

    ``retries_s`` are the seconds of attempts that were followed by another, ``workers`` how many were to work at a time.
    """
    places = Places.of(lanes[1:], times.wall_s)
    beside_s = _worked_beside(lanes[0], places.since)
    if lanes[1:] and beside_s and places.count < workers:
        places, beside_s, working = replace(places, count=places.count + 1), 0.0, lanes
    else:
        working = lanes[1:]
    tail = sum(_tail(lane) for lane in working)
    seconds = times.lanes_s
    idle = sum(lane.seconds.wait for lane in working)
    retries = min(retries_s, seconds.lost)
    start = max(0.0, seconds.start + places.before - beside_s)
    beside = [
        Loss("start", start, *_start(len(lanes) - 1)),
        Loss("before-fan-out", places.since * (places.count - 1), *_before(lanes[0], places.since)),
        Loss("tail", tail + places.after, *_tail_words(working, costs)),
        Loss("starved", max(0.0, idle - tail), *_starved(idle - tail, traffic.chunks)),
        Loss("codec", seconds.codec, *_codec(traffic)),
        Loss("cache", seconds.cache, "Looking up and storing results in the cache took its time.", None),
        Loss("lost-work", seconds.lost - retries, *_LOST),
        Loss("retries", retries, "Attempts that failed were followed by another.", None),
        Loss("other", seconds.other + (0.0 if lanes[1:] else seconds.wait), "", None),
    ]
    capacity = places.count * times.wall_s
    return tuple(sorted(_listed(beside, capacity, times.work_s) + _inside(times, places.count, cores), key=_greatest))


def _greatest(loss: Loss) -> tuple[bool, float]:
    return loss.inside_work, -loss.seconds


def _listed(losses: list[Loss], capacity: float, work: float) -> list[Loss]:
    """Losses worth a line of their own, and one line for the rest."""
    floor = {"codec": max(_LISTED * capacity, _CODEC_SHARE * work), "other": float("inf")}
    shown = [loss for loss in losses if loss.seconds >= floor.get(loss.code, _LISTED * capacity) > 0]
    rest = [loss for loss in losses if loss not in shown and loss.seconds > 0]
    total = sum(loss.seconds for loss in rest)
    if total > _NEGLIGIBLE * capacity:
        named = [f"{_REST[loss.code]} {duration(loss.seconds)}" for loss in rest]
        shown.append(Loss("other", total, f"Everything else: {', '.join(named)}.", None))
    return shown


_REST = {
    "start": "start of workers",
    "before-fan-out": "before the fan-out",
    "tail": "idle at the end",
    "starved": "idle between chunks",
    "codec": "pickling",
    "cache": "cache",
    "lost-work": "lost attempts",
    "retries": "failed attempts",
    "other": "drawing items, handing over results and fanwise itself",
}
_LOST = (
    "Attempts gave no result because their worker died or was stopped.",
    "The failures below say which items; run one of them alone with workers=1.",
)


def _start(workers: int) -> tuple[str, str]:
    return (
        f"Starting {plural(workers, 'worker')} took its time.",
        "Keep workers between calls: pass one fanwise.Executor() as executor= to all of them.",
    )


def _worked_beside(caller: Lane, since: float) -> float:
    """Seconds that the calling process worked while the first workers were being started."""
    return sum(span.end_s - max(span.start_s, since) for span in caller.spans if span.end_s > since + _CLOCK_S)


def _starved(idle: float, chunks: int) -> tuple[str, str | None]:
    gap = idle / max(1, chunks)
    if gap < _ROUND_TRIP_S:
        return f"Workers waited {duration(gap)} a chunk for the next: the way to the calling process and back.", None
    return (
        "Workers were idle in the middle of the run: the next items came late, or their results were taken late.",
        "Look at the iterator that gives the items and at the code that takes the results.",
    )


def _before(caller: Lane, since: float) -> tuple[str, str | None]:
    items = sum(span.items for span in caller.spans if span.start_s < since)
    if not items:
        return "No item ran before the first worker was being started.", None
    first = "The first item" if items == 1 else f"The first {plural(items, 'item')}"
    return f"{first} ran alone, to see whether workers would pay.", None


def _codec(traffic: Traffic) -> tuple[str, str]:
    moved = f"{size(traffic.bytes_in)} to the workers and {size(traffic.bytes_out)} back"
    return f"Pickling took its time: {moved}.", "Pass large arrays and tables through fanwise.freeze: they travel once."


def _tail(lane: Lane) -> float:
    """Idle seconds between the last work of a lane and its end."""
    last = lane.spans[-1].end_s if lane.spans else lane.started_s + lane.seconds.start
    return min(lane.seconds.wait, max(0.0, lane.ended_s - last))


def _tail_words(working: Sequence[Lane], costs: Costs) -> tuple[str, str]:
    last = max((span for lane in working for span in lane.spans), key=lambda span: span.end_s, default=None)
    awaited = "" if last is None else f", waiting for {_slowest_in(last, costs)}"
    return f"Workers were idle at the end{awaited}.", "Put the longest items first."


def _slowest_in(span: Span, costs: Costs) -> str:
    items = range(span.first_item, span.first_item + span.items)
    known = next((slow.label for slow in costs.slowest if slow.item in items), None)
    if known is not None:
        return known
    return f"item {span.first_item}" if span.items == 1 else f"items {items[0]:,} to {items[-1]:,}"


def _inside(times: Times, workers: int, cores: float) -> list[Loss]:
    """Work that took longer than it had to because cores were shared."""
    contention = times.contention or 1.0
    if _BUSY_CORES <= contention <= _WAITING:
        text = f"Items took {contention:.1f}x their processor time: other programs used the cores, or items waited."
        return [Loss("cores-busy", times.work_s - times.cpu_s, text, "Run when the machine is free.", inside_work=True)]
    threads = 1 / contention
    if threads >= _NESTED and workers * threads > _BUSY_CORES * cores:
        text = f"Each item kept {threads:.1f} cores busy: {plural(workers, 'worker')} shared {cores:g} cores."
        seconds = times.work_s * (1 - cores / (workers * threads))
        advice = "Set the threads of BLAS and OpenMP to one, or use fewer workers."
        return [Loss("nested-threads", seconds, text, advice, inside_work=True)]
    return []
