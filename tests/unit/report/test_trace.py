from __future__ import annotations

import json

from tests.runs import fanned_out, report_of

from fanwise.records import run_events as told
from fanwise.report import RunReport, _trace


def trace(events, **facts):
    return json.loads(report_of(events, **facts).to_trace())


def named(events, name):
    return [event for event in events if event["name"] == name]


def test_every_event_has_what_viewers_need():
    told_trace = trace([*fanned_out(), told.MemorySample(0.5, 9, 8, ((1, 7),)), told.ItemRetried(0.6, 3, 2)])
    events = told_trace["traceEvents"]
    assert told_trace["displayTimeUnit"] == "ms"
    assert told_trace["otherData"]["schema"] == "fanwise.trace/1"
    for event in events:
        assert {"ph", "ts", "pid", "name"} <= set(event)
        assert type(event["ts"]) is int
        assert event["ph"] in "MXiC"
        assert (event["ph"] == "X") == ("dur" in event)
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)


def test_lanes_are_processes_and_chunks_slices_with_pickling_inside():
    events = trace(fanned_out())["traceEvents"]
    names = {event["pid"]: event["args"]["name"].split(",")[0] for event in events if event["ph"] == "M"}
    assert names[1] == "worker 1 (pid 4001"
    assert names[0].startswith("caller (")
    (chunk,) = named(events, "items 2-6")
    (codec,) = [event for event in named(events, "codec") if event["pid"] == 1]
    assert (chunk["ts"], chunk["dur"], chunk["cat"], chunk["args"]) == (210_000, 500_000, "ok", {"items": 5})
    assert chunk["ts"] <= codec["ts"]
    assert codec["ts"] + codec["dur"] == chunk["ts"] + chunk["dur"]
    assert [event["dur"] for event in named(events, "start")] == [10_000, 10_000]


def test_single_items_decisions_and_trouble_have_events_of_their_own():
    events = trace(
        [
            *fanned_out()[:-1],
            told.ChunkDone(1.3, 0, 12, 1, ok=1, cached=1, cache=0.02),
            told.ItemLost(1.4, 9, "killed", 2),
            told.Interrupted(1.5, 2),
        ]
    )["traceEvents"]
    assert named(events, "item 12")[0]["cat"] == "cached"
    assert named(events, "cache")[0]["dur"] == 20_000
    assert named(events, "fan-out")[0]["args"]["workers"] == 2
    assert named(events, "lost")[0]["args"]["item"] == 9
    assert named(events, "interrupt")[0]["s"] == "g"


def test_counters_show_running_chunks_and_memory():
    events = trace([*fanned_out(), told.MemorySample(0.5, 9, 8, ((1, 7), (2, 6)))])["traceEvents"]
    running = [event["args"]["chunks"] for event in named(events, "running chunks")]
    assert running[-1] == 0
    assert max(running) == 2
    assert named(events, "memory")[0]["args"] == {"free": 9, "caller": 8, "workers": 13}


def test_the_published_example_gives_the_same_slices(shared_data):
    text = (shared_data / "eyes" / "example-run.json").read_text("utf-8")
    published = json.loads((shared_data / "eyes" / "example-trace.json").read_text("utf-8"))
    mine = json.loads(RunReport.from_json(text).to_trace())
    chunks = lambda events: [
        (e["ts"], e["pid"], e["name"], e["cat"], e["dur"]) for e in events if e["ph"] == "X" and e["cat"] != "start"
    ]
    assert sorted(chunks(mine["traceEvents"])) == sorted(chunks(published["traceEvents"]))
    assert mine["otherData"] == published["otherData"]


def test_a_trace_has_at_most_so_many_events_and_says_what_it_left_out(monkeypatch):
    assert _trace._EVENTS == 200_000
    monkeypatch.setattr(_trace, "_EVENTS", 2_000)
    tree = json.loads(report_of(fanned_out()).to_json())
    span = {"start_s": 0.0, "end_s": 0.1, "first_item": 0, "items": 3, "state": "ok", "codec_s": 0.01, "cache_s": 0.01}
    tree["workers"] = [tree["workers"][1] | {"lane": n, "spans": [span] * 400} for n in range(25)]
    told_trace = json.loads(RunReport.from_json(json.dumps(tree)).to_trace())
    assert 1_700 < len(told_trace["traceEvents"]) <= 2_000
    shown = sum(e["args"]["items"] for e in told_trace["traceEvents"] if e["ph"] == "X" and e["cat"] == "ok")
    assert shown + told_trace["otherData"]["items_left_out"] == 30_000
