"""From sums to a report: status, plan, backend, times and memory, each from what was told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import fanned_out, report_of, serial_run

from fanwise.records import run_events as told
from fanwise.report import ReportBuilder, RunFacts, RunReport


def one(code: str, *, workers: int = 0, method: str = "fork", how: str = "done") -> list[Any]:
    """A run of two items that was planned so."""
    return [
        told.RunStarted(0.0, 2, "score"),
        told.Planned(0.0, code, "Because.", {"chunk_size": 1}),
        *(told.WorkerStarted(0.1, number, 4000 + number, method, 0.05) for number in range(1, workers + 1)),
        told.ChunkDone(1.0, min(1, workers), 0, 2, ok=2, busy=0.5, cpu=0.4),
        told.RunEnded(1.0, how),
    ]


class TestStatus:
    @pytest.mark.parametrize(
        ("how", "status", "ended"),
        [
            ("done", "done", "done"),
            ("error", "failed", "error"),
            ("source", "failed", "error"),
            ("broken", "failed", "error"),
            ("interrupted", "interrupted", "interrupted"),
            ("deadline", "partial", "deadline"),
            ("something new", "partial", "deadline"),
        ],
    )
    def test_each_way_to_end_has_a_published_word(self, how: str, status: str, ended: str) -> None:
        report = report_of(one("serial.asked", how=how))
        assert (report.run.status, report.ended) == (status, ended)

    @pytest.mark.parametrize(("total", "status"), [(2, "done"), (3, "partial"), (None, "done")])
    def test_a_run_that_was_cut_off_is_judged_by_its_items(self, total: int | None, status: str) -> None:
        events = [told.RunStarted(0.0, total, "f"), told.ChunkDone(1.0, 0, 0, 2, ok=2)]
        assert report_of(events).run.status == status

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (0.9999, "1970-01-01T00:00:00.999Z"),
            (1767323045.0004, "2026-01-02T03:04:05.000Z"),
            (1767323045.678, "2026-01-02T03:04:05.678Z"),
            (4102444800.0, "2100-01-01T00:00:00.000Z"),
        ],
    )
    def test_the_start_is_utc_with_milliseconds(self, seconds: float, said: str) -> None:
        assert report_of(serial_run(), started_at=seconds).run.started_at == said

    def test_a_journal_is_named_only_if_something_came_out_of_it(self) -> None:
        fresh = report_of(serial_run(), resumed_from="run.journal")
        again = report_of(
            [told.RunStarted(0.0, 1, "f"), told.ChunkDone(0.1, 0, 0, 1, ok=1, resumed=1)], resumed_from="run.journal"
        )
        assert (fresh.run.resumed_from, again.run.resumed_from) == (None, "run.journal")

    def test_every_report_has_an_id_of_32_hex_digits(self) -> None:
        ids = {report_of(serial_run()).run.id for _ in range(3)}
        assert len(ids) == 3
        assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in ids)


class TestPlan:
    @pytest.mark.parametrize(
        ("code", "workers", "method", "backend"),
        [
            ("serial.asked", 0, "none", "serial"),
            ("serial.cheap", 1, "fork", "serial"),
            ("fallback.no-fork", 0, "none", "fallback"),
            ("threads.free", 2, "none", "thread"),
            ("remote.dask", 2, "remote", "remote"),
            ("process.asked", 2, "fork", "process"),
            ("process.asked", 2, "spawn", "process"),
            ("fan-out", 1, "none", "thread"),
            ("fan-out", 0, "none", "serial"),
            ("unheard.of", 3, "forkserver", "process"),
        ],
    )
    def test_the_backend_is_read_from_decision_and_workers(
        self, code: str, workers: int, method: str, backend: str
    ) -> None:
        assert report_of(one(code, workers=workers, method=method)).backend == backend

    @pytest.mark.parametrize("backend", ["serial", "dask", "ray"])
    def test_a_backend_that_is_known_is_not_guessed(self, backend: str) -> None:
        assert report_of(one("process.asked", workers=2), backend=backend).backend == backend

    @pytest.mark.parametrize("method", ["none", "fork", "forkserver", "spawn", "remote"])
    def test_the_start_method_is_the_workers(self, method: str) -> None:
        assert report_of(one("process.asked", workers=1, method=method)).start_method == method

    def test_a_start_method_of_another_version_is_none(self) -> None:
        assert report_of(one("process.asked", workers=1, method="teleport")).start_method == "none"

    def test_workers_asked_for_count_only_if_one_was_started(self) -> None:
        assert report_of(one("process.asked", workers=1), workers=8).workers == 8
        assert report_of(one("serial.cheap"), workers=8).workers == 1

    def test_workers_one_after_the_other_are_one_at_a_time(self) -> None:
        events = [told.RunStarted(0.0, 3, "f")]
        for number in (1, 2, 3):
            events += [
                told.WorkerStarted(float(number), number, 4000 + number, "fork", 0.0),
                told.WorkerEnded(number + 0.9, number, "died", "killed by SIGKILL"),
            ]
        assert report_of(events, at=5.0).workers == 1
        assert len(report_of(events, at=5.0).per_worker) == 3

    @pytest.mark.parametrize(
        ("decided", "given_size", "said"),
        [((), None, None), ((4,), None, 4), ((4, 9), None, 9), ((4,), 7, 7), (("many",), None, None)],
    )
    def test_the_chunk_size_is_what_is_known_or_was_decided_last(
        self, decided: tuple[Any, ...], given_size: int | None, said: int | None
    ) -> None:
        plans = [told.Planned(0.0, "chunk.size", "Chunks.", {"chunk_size": size}) for size in decided]
        report = report_of([told.RunStarted(0.0, 0, "f"), *plans], chunk_size=given_size)
        assert report.plan.chunk_size == said

    def test_without_a_decision_the_report_says_that_there_was_none(self) -> None:
        report = report_of([told.RunStarted(0.0, 0, "f")])
        assert [made.code for made in report.plan.decisions] == ["none"]
        assert report.reason.endswith("no item was run.")


class TestTimes:
    def test_a_run_without_length_has_no_ratio(self) -> None:
        report = report_of([told.RunStarted(0.0, 0, "f"), told.RunEnded(0.0, "done")])
        assert (report.speedup, report.efficiency, report.time.utilisation, report.time.contention) == (None,) * 4
        assert report.time.parallelism == 0.0

    def test_the_cache_belongs_to_the_serial_estimate_but_not_to_the_work(self) -> None:
        events = [told.RunStarted(0.0, 1, "f"), told.ChunkDone(1.0, 0, 0, 1, ok=1, busy=0.6, cache=0.3)]
        times = report_of(events).time
        assert times.work_s == pytest.approx(0.6)
        assert times.serial_estimate_s == pytest.approx(0.9)

    def test_contention_is_wall_time_over_processor_time(self) -> None:
        assert report_of(one("serial.asked")).time.contention == pytest.approx(0.5 / 0.4)

    @given(st.integers(1, 6), st.floats(0.01, 5.0))
    def test_nobody_is_busier_than_always(self, workers: int, each: float) -> None:
        events: list[Any] = [told.RunStarted(0.0, workers, "f")]
        events += [told.WorkerStarted(0.0, n, 4000 + n, "fork", 0.0) for n in range(1, workers + 1)]
        events += [told.ChunkDone(each, n, n - 1, 1, ok=1, busy=each) for n in range(1, workers + 1)]
        times = report_of(events).time
        assert 0.0 <= (times.utilisation or 0.0) <= 1.0
        assert times.parallelism <= workers * (1 + 1e-9)
        assert times.speedup_estimate == pytest.approx(workers)

    @given(st.floats(0, 100), st.floats(0, 100))
    def test_the_wall_time_covers_every_event(self, last: float, at: float) -> None:
        report = report_of([told.RunStarted(0.0, 1, "f"), told.ChunkDone(last, 0, 0, 1, ok=1)], at=at)
        assert report.wall == max(last, at)


class TestWhatTheCallerKnows:
    def test_levels_of_the_cache_and_bundles_are_listed_as_given(self) -> None:
        level = {
            "level": "disk", "where": "redis://u:hunter2@h/0", "lookups": 3, "hits": 1, "stored": 2, "evicted": 0,
            "refused": 0, "errors": 0, "bytes": 9, "spent_s": 0.1, "saved_s": float("inf"),
        }  # fmt: skip
        bundle = {"digest": "ab", "names": ("x", "y"), "bytes": 5, "transfers": 1, "attached": 2}
        report = report_of(fanned_out(), cache=[level], bundles=[bundle])
        assert report.cache[0].where == "redis://u:***@h/0"
        assert report.cache[0].hits == 1
        assert report.bundles[0].names == ("x", "y")

    @pytest.mark.parametrize("field", ["warnings", "function", "label", "resumed_from"])
    def test_no_text_of_the_call_shows_a_password(self, field: str) -> None:
        secret = "redis://u:hunter2@h/0"
        facts: dict[str, Any] = {"warnings": (secret,)} if field == "warnings" else {field: secret}
        facts.pop("label", None)
        events = [told.RunStarted(0.0, 1, secret), told.ChunkDone(0.1, 0, 0, 1, ok=1, resumed=1)]
        report = report_of(events, **facts)
        for view in (report.to_json(), report.to_html(), report.to_trace(), repr(report)):
            assert "hunter2" not in view

    @given(st.dictionaries(st.sampled_from(["load_at_start", "quota_cores", "unheard_of"]), st.floats(0, 64)))
    def test_fields_of_the_host_that_no_report_has_are_passed_over(self, known: dict[str, float]) -> None:
        host = report_of(serial_run(), host=lambda: known).host
        assert host.load_at_start == known.get("load_at_start")
        assert host.quota_cores == known.get("quota_cores")
        assert not hasattr(host, "unheard_of")

    def test_the_host_is_asked_once_and_not_before_the_report_is_read(self) -> None:
        asked: list[int] = []
        report = report_of(serial_run(each=1e-4), host=lambda: asked.append(1) or {})
        assert asked == []
        assert (report.host.name, report.host.python) == (report.host.name, report.host.python)
        assert asked == [1]

    def test_a_builder_is_used_up_by_its_report(self) -> None:
        builder = ReportBuilder()
        for event in serial_run():
            builder.on(event)
        assert builder.finish(1.0, RunFacts()).items == 4
        assert builder.finish(1.0, RunFacts()).items == 0

    @pytest.mark.parametrize(("events", "left"), [(3, 0), (1_003, 3)])
    def test_failures_that_are_left_out_are_counted(self, events: int, left: int) -> None:
        failed = [told.ItemFailed(0.1, index, "ValueError") for index in range(events)]
        report = report_of([told.RunStarted(0.0, events, "f"), *failed])
        assert report.failures_left_out == left
        assert len(report.failures) + left == events
        assert RunReport.from_json(report.to_json()).failures_left_out == left
