"""Reports as plain text: one alone, and two side by side."""

from __future__ import annotations

from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told
from fanwise.report import as_text, compare


def test_a_report_on_a_terminal_has_headline_decisions_losses_lanes():
    text = as_text(report_of(fanned_out()))
    headline, decisions, losses, lanes = text.split("\n\n")
    assert headline == "12 items in 1.2 s on 2 workers, 1.39x one process (estimated)."
    assert decisions.startswith("Ran 2 items here in 0.2 s, then started 2 workers")
    tail, before, start, other = losses.splitlines()
    assert tail.split("  ")[0] == "tail"
    assert before == "before-fan-out  0.20 s  The first 2 items ran alone, to see whether workers would pay."
    assert start.startswith("start            20 ms  Starting 2 workers took its time. Keep workers between calls:")
    assert other == "other            20 ms  Everything else: pickling 20 ms."
    assert lanes.split()[:9] == ["lane", "items", "work", "start", "codec", "cache", "wait", "lost", "other"]
    assert lanes.splitlines()[2] == "worker 1      5  0.49 s  10 ms  10 ms    0 s  0.50 s   0 s    0 s"


def test_the_first_ten_failures_are_said_and_the_others_counted():
    events = [told.ItemFailed(0.1, index, "ValueError", f"bad {index}") for index in range(13)]
    lines = as_text(report_of([told.RunStarted(0.0, 13, "f"), *events])).splitlines()
    assert lines[-11] == "item 0: ValueError: bad 0"
    assert lines[-1] == "and 3 more"


def test_a_single_failure_is_said_alone():
    events = [*serial_run(items=2)[:-1], told.ItemLost(0.2, 2, "killed by SIGKILL")]
    assert as_text(report_of(events)).endswith("item 2: WorkerLostError: killed by SIGKILL\n")


def test_bundles_and_warnings_are_said_last():
    bundle = {"digest": "ab", "names": list("abcdefg"), "bytes": 2_000, "transfers": 1, "attached": 2}
    text = as_text(report_of(serial_run(), bundles=[bundle], warnings=["UserWarning: slow disk"]))
    shared, warned = text.split("\n\n")[-2:]
    assert shared == "bundle of a, b, c, d, e, … (2.0 kB): 2 workers had it, sent 1 time"
    assert warned == "warning: UserWarning: slow disk\n"


def test_two_runs_stand_side_by_side_with_ratios():
    text = compare(report_of(serial_run(items=8, each=0.2)), report_of(fanned_out("score")))
    rows = {line[:24].strip(): line[24:].split() for line in text.splitlines()[1:]}
    assert text.splitlines()[0].split() == ["2026-01-02T03:04:05", "2026-01-02T03:04:05", "ratio"], (
        "equal labels say nothing"
    )
    assert rows["wall time"] == ["1.6", "s", "1.2", "s", "0.76x"]
    assert rows["speed-up (estimated)"] == ["1.00x", "1.39x"]
    assert rows["decision"] == ["serial.asked", "fan-out"]
    assert rows["chunk size"] == ["–", "–"]
    assert rows["lost: tail"] == ["0", "s", "0.50", "s"]
    assert rows["backend"] == ["serial", "process"]


def test_an_empty_run_can_be_compared_too():
    text = compare(report_of([]), report_of(serial_run(), chunk_size=4))
    assert "chunk size" in text
    assert text.splitlines()[0].split() == ["–", "score", "ratio"]
