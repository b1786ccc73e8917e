from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, asdict, is_dataclass

import pytest
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told
from fanwise.report import ReportBuilder, RunFacts, RunReport


def test_a_report_of_a_short_run_is_not_filled_in_before_it_is_read(monkeypatch):
    folded = []
    from fanwise.report import _builder

    fold = _builder._folded
    monkeypatch.setattr(_builder, "_folded", lambda *args: folded.append(1) or fold(*args))
    report = report_of(serial_run(items=3, each=1e-4))
    assert not folded
    assert report.items == 3
    assert report.ok == 3
    assert folded == [1]


def test_a_report_of_a_long_run_is_filled_in_at_its_end(monkeypatch):
    from fanwise.report import _builder

    made = []
    monkeypatch.setattr(_builder.RunReport, "when_read", lambda make: made.append(make))
    assert report_of(serial_run(items=3, each=100.0)).wall == 300.0
    assert not made


def test_two_reports_of_the_same_events_are_equal_and_hash_apart_from_their_id():
    first, second = (report_of(fanned_out(), id="ab" * 16) for _ in range(2))
    assert first.run == second.run
    assert first.lanes == second.lanes
    assert report_of(fanned_out()).run.id != report_of(fanned_out()).run.id


def test_a_report_is_a_frozen_dataclass():
    report = report_of(serial_run())
    assert is_dataclass(report)
    assert asdict(report)["counts"]["ok"] == 4
    with pytest.raises(FrozenInstanceError):
        report.version = "x"
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = report.colour


def test_an_unread_report_can_be_copied_and_pickled():
    report = report_of(serial_run(each=1e-4))
    assert copy.copy(report) == report
    unread = report_of(serial_run(each=1e-4))
    assert pickle.loads(pickle.dumps(unread)) == unread


def test_threads_that_read_at_once_see_one_report():
    report = report_of(serial_run(items=500, each=1e-6))
    seen = []
    readers = [threading.Thread(target=lambda: seen.append((report.run.id, report.ok))) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert seen == [(report.run.id, 500)] * 8


def test_many_events_are_folded_as_they_come():
    builder = ReportBuilder()
    for index in range(45_000):
        builder.on(told.ChunkDone(1e-5 * index, 1 + index % 2, index, 1, ok=1, busy=1e-5))
    assert len(builder._kept) == 5_000
    report = builder.finish(0.45)
    assert report.ok == 45_000
    assert all(len(lane.spans) <= 2_000 for lane in report.lanes)


def test_facts_are_shown_as_given():
    report = report_of(
        [*fanned_out()[:-1], told.ChunkDone(1.21, 0, 12, 1, ok=1, resumed=1)],
        id="0123456789abcdef0123456789abcdef",
        backend="dask",
        workers=3,
        chunk_size=7,
        pid=77,
        resumed_from="run.journal",
        options={"retries": 2, "timeout": None},
        host=lambda: {"cores_usable": 1.5, "load_at_start": 0.25, "start_method": "remote", "blas_threads": 1},
        warnings=["slow disk"],
        serial_measured_s=0.5,
    )
    assert report.run.id == "0123456789abcdef0123456789abcdef"
    assert report.run.started_at == "2026-01-02T03:04:05.678Z"
    assert (report.backend, report.decision, report.workers, report.plan.chunk_size) == ("dask", "dask", 3, 7)
    assert report.run.resumed_from == "run.journal"
    assert report.lanes[0].pid == 77
    assert report.options == {"retries": 2, "timeout": None}
    assert report.host.cores_usable == 1.5
    assert report.start_method == "remote"
    assert report.environment["load"] == 0.25
    assert report.environment["blas_threads"] == 1
    assert report.warnings == ("slow disk",)
    assert report.time.serial_measured_s == 0.5


def test_the_end_is_never_before_the_last_event():
    assert report_of(serial_run(items=4, each=0.1), at=0.0).wall == pytest.approx(0.4)


def test_an_empty_builder_gives_a_report():
    report = ReportBuilder().finish(0.0)
    assert report.items == report.ok == 0
    assert report.plan.decisions[0].code == "none"
    assert RunReport.from_json(report.to_json()) == report


def test_importing_reports_is_light():
    """Compared with what the interpreter has before it: coverage and site hooks import things of their own."""
    heavy = {"numpy", "multiprocessing", "asyncio", "rich", "click", "html", "platform", "fanwise.report._fold"}
    code = f"import sys; had = set(sys.modules); import fanwise.report; print({heavy} & set(sys.modules) - had)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_facts_have_defaults_for_everything():
    assert RunFacts() == RunFacts(function="", options={}, cache=())
