"""A run in the Chrome trace event format: a process per lane, a slice per chunk. Times are whole microseconds.

Process numbers of two hosts may be equal, so ``pid`` is the number of the lane.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any

from fanwise.report._record import Decision, Lane, Note, Span
from fanwise.report._report import RunReport

__all__ = ["SCHEMA", "encode_trace"]

SCHEMA = "fanwise.trace/1"
_EVENTS = 200_000
_PER_SPAN = 5  # a slice, two inside it, two steps of the counter

_Event = dict[str, Any]


def encode_trace(report: RunReport) -> str:
    """The trace as JSON text, sorted by time, with at most 200,000 events."""
    spans = sorted(
        ((span, lane.lane) for lane in report.lanes for span in lane.spans), key=lambda pair: pair[0].start_s
    )
    kept = spans[: _EVENTS // _PER_SPAN - 2 * len(report.lanes)]
    events = [
        *chain.from_iterable(_slices(span, lane) for span, lane in kept),
        *_running([span for span, _ in kept]),
        *(_start(lane) for lane in report.lanes if lane.seconds.start > 0),
        *(_decided(decision) for decision in report.plan.decisions),
        *(_noted(note) for note in report.events),
        *_memory(report),
    ]
    events.sort(key=lambda event: event["ts"])
    other = {
        "schema": SCHEMA,
        "run": report.run.id,
        "items_left_out": sum(span.items for span, _ in spans[len(kept) :]),
    }
    tree = {"traceEvents": [*map(_name, report.lanes), *events], "displayTimeUnit": "ms", "otherData": other}
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _event(ph: str, at: float, lane: int, name: str, **more: object) -> _Event:
    return {"ph": ph, "ts": _us(at), "pid": lane, "tid": 0, "name": name, **more}


def _slice(start: float, end: float, lane: int, name: str, cat: str, **args: object) -> _Event:
    return _event("X", start, lane, name, dur=max(0, _us(end) - _us(start)), cat=cat, args=args)


def _name(lane: Lane) -> _Event:
    pid = "" if lane.pid is None else f"pid {lane.pid}, "
    return _event("M", 0.0, lane.lane, "process_name", args={"name": f"{lane.name} ({pid}{lane.host})"})


def _start(lane: Lane) -> _Event:
    return _slice(lane.started_s, lane.started_s + lane.seconds.start, lane.lane, "start", "start")


def _slices(span: Span, lane: int) -> Iterator[_Event]:
    """A chunk; within it what the cache took, at its beginning, and what pickling took, at its end."""
    last = span.first_item + span.items - 1
    name = f"item {last}" if span.items == 1 else f"items {span.first_item}-{last}"
    yield _slice(span.start_s, span.end_s, lane, name, span.state, items=span.items)
    if span.cache_s > 0:
        yield _slice(span.start_s, min(span.end_s, span.start_s + span.cache_s), lane, "cache", "cache")
    if span.codec_s > 0:
        yield _slice(max(span.start_s, span.end_s - span.codec_s), span.end_s, lane, "codec", "codec")


def _running(spans: list[Span]) -> Iterator[_Event]:
    """How many chunks were running, as a counter of the calling process."""
    spans = [span for span in spans if span.end_s > span.start_s]  # else its end would come before its start
    changes = sorted([(span.start_s, 1) for span in spans] + [(span.end_s, -1) for span in spans])
    for (at, _), running in zip(changes, accumulate(change for _, change in changes), strict=True):
        yield _event("C", at, 0, "running chunks", args={"chunks": running})


def _decided(decision: Decision) -> _Event:
    return _event("i", decision.at_s, 0, decision.code, s="g", args={"text": decision.text, **decision.facts})


def _noted(note: Note) -> _Event:
    scope = "g" if note.lane is None else "p"
    item = {} if note.item is None else {"item": note.item}
    return _event("i", note.at_s, note.lane or 0, note.kind, s=scope, args={"text": note.text, **item})


def _memory(report: RunReport) -> Iterator[_Event]:
    for point in report.memory.samples:
        args = {"free": point.free, "caller": point.caller, "workers": point.workers}
        yield _event("C", point.at_s, 0, "memory", args=args)
