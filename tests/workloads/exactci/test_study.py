"""How a study is cut into items and put together, and what it tells about where results came from."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import fanwise
from fanwise.workloads.exactci import study as module
from fanwise.workloads.exactci._methods import ask
from fanwise.workloads.exactci._records import Status
from fanwise.workloads.exactci._scratch import CountRows, Scratch, Spilled, scratch
from fanwise.workloads.exactci._solve import solve_chunk
from fanwise.workloads.exactci.study import Origins, Work, _result, spilled_study, study

QUESTION = ask(["midp"], 0.05, "two-sided")


class Heard:
    """A progress of the user."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, total: int | None, label: str) -> None:
        self.calls.append(f"start {total}")

    def on(self, event: object) -> None:
        self.calls.append(type(event).__name__)

    def finish(self, report: object) -> None:
        self.calls.append("finish")


def event(first: int, **counts: int) -> SimpleNamespace:
    return SimpleNamespace(first=first, **counts)


def test_origins_are_those_of_the_events() -> None:
    heard = Heard()
    origins = Origins(heard)
    origins.start(6, "ci")
    for one in (event(0, count=2, resumed=2), event(2, count=1, cached=1), event(3, count=3), SimpleNamespace(at=0.0)):
        origins.on(one)
    origins.finish(None)
    assert [origins.of(i) for i in range(6)] == ["resumed", "resumed", "cached", "computed", "computed", "computed"]
    assert heard.calls == ["start 6", *["SimpleNamespace"] * 4, "finish"]


def rows_of(tables: np.ndarray, place: Scratch) -> CountRows:
    rows = CountRows(place)
    rows.append(tables)
    return rows


def test_a_study_passes_its_events_on_to_the_users_progress(place: Scratch) -> None:
    heard = Heard()
    tables = np.random.default_rng(0).integers(0, 300, (5000, 4))
    done = spilled_study(tables, ["midp", "wald"], QUESTION, place, progress=heard, workers=1)
    assert heard.calls[0].startswith("start ")
    assert heard.calls[-1] == "finish"
    assert "ChunkDone" in heard.calls
    assert {part.origin for part in done.parts} == {"computed"}
    assert done.report is not None


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.process)])
def test_a_study_on_disk_gives_the_numbers_of_one_in_memory(workers: int) -> None:
    tables = np.random.default_rng(3).integers(0, 300, (12_000, 4))
    inside = study(tables, ["midp", "wald"], QUESTION, progress="none", workers=1)
    with scratch() as counts, scratch() as numbers:
        rows = rows_of(tables, counts)
        outside = spilled_study(rows, ["midp", "wald"], QUESTION, numbers, progress=Heard(), workers=workers)
        assert all(isinstance(part.values, Spilled) for part in outside.parts)
        for one, two in zip(inside.parts, outside.parts, strict=True):
            assert (one.method, one.start, one.stop) == (two.method, two.start, two.stop)
            assert one.numbers().tobytes() == two.numbers().tobytes()


def test_parts_are_in_order_of_methods_and_rows() -> None:
    tables = np.random.default_rng(0).integers(0, 300, (9000, 4))
    done = study(tables, ["wald", "midp"], QUESTION, progress="none", workers=1)
    assert list(dict.fromkeys(part.method for part in done.parts)) == ["wald", "midp"]
    for method in ("wald", "midp"):
        parts = done.of(method)
        assert parts[0].start == 0
        assert parts[-1].stop == 9000
        assert all(one.stop == two.start for one, two in itertools.pairwise(parts))
        values = np.concatenate([part.values for part in parts], axis=1)
        assert values.tobytes() == solve_chunk((method, tables), QUESTION).tobytes()


def test_items_hold_counts_so_that_a_cache_knows_them_by_content() -> None:
    tables = np.random.default_rng(0).integers(0, 300, (50, 4))
    work = Work.of(tables, ["midp", "wald"])
    assert work.places == [0, 1]
    assert [item[0] for item in work] == ["midp", "wald"]
    for _, counts in work:
        np.testing.assert_array_equal(counts, tables)


def test_equal_tables_share_an_item_by_the_unconditional_method_only() -> None:
    tables = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]])
    work = Work.of(tables, ["unconditional", "midp"])
    assert work.places == [0, 1, 0, 2]
    assert [counts.tolist() for _, counts in work] == [[[1, 2, 3, 4]], [[4, 3, 2, 1]], tables.tolist()]


def test_kept_rows_are_those_of_finished_items() -> None:
    ranges = [("midp", 0, 10), ("midp", 10, 30), ("midp", 30, 60), ("wald", 0, 5)]
    work = Work(np.zeros((60, 4), np.int64), ranges, places=[0, 1, 2, 0], firsts=[0, 1, 2])
    assert work.kept({0, 2}) == "45 of 65 rows are kept."
    assert work.kept(set()) == "0 of 65 rows are kept."


def test_a_failed_outcome_has_a_reason_and_no_numbers() -> None:
    failed = fanwise.Failed(index=0, error=ValueError("odd"))
    assert _result(failed) == {"values": None, "reason": "ValueError: odd"}
    assert _result(None) == {"values": None, "reason": "not run"}
    assert _result(fanwise.Ok(index=0, value=7)) == {"values": 7}


def test_an_interrupted_study_says_how_many_rows_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(fn: object, items: list[object], **options: object) -> object:
        error = fanwise.RunInterrupted()
        error.run = SimpleNamespace(outcomes=[SimpleNamespace(index=0)])
        raise error

    monkeypatch.setattr(module.fanwise, "run", interrupted)
    with pytest.raises(fanwise.RunInterrupted, match=r"7 of 7 rows are kept\."):
        study(np.ones((7, 4), np.int64), ["midp"], QUESTION)


def test_an_interrupted_study_on_disk_counts_what_it_was_given_and_what_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch, place: Scratch
) -> None:
    def interrupted(fn: object, items: list[object], **options: object) -> object:
        yield fanwise.Ok(index=0, value=np.ones((5, 7)))
        error = fanwise.RunInterrupted()
        error.run = SimpleNamespace(outcomes=[SimpleNamespace(index=1)])
        raise error

    monkeypatch.setattr(module.fanwise, "stream", interrupted)
    with pytest.raises(fanwise.RunInterrupted, match=r"14 of 21 rows are kept\."):
        spilled_study(np.ones((7, 4), np.int64), ["midp", "wald", "blaker"], QUESTION, place, progress=Heard())


def test_a_journal_answers_a_second_study_without_computing(tmp_path: object) -> None:
    tables = np.random.default_rng(1).integers(0, 300, (9000, 4))
    options = {"progress": Heard(), "workers": 1, "resume": tmp_path / "j"}
    changed = tables.copy()
    changed[4500] = (9, 9, 9, 9)
    with scratch() as place:
        first, second, third = (
            spilled_study(t, ["midp"], QUESTION, place, **options) for t in (tables, tables, changed)
        )
        assert {part.origin for part in second.parts} == {"resumed"}
        assert all((a.numbers() == b.numbers()).all() for a, b in zip(first.parts, second.parts))
        assert 1 <= sum(part.origin == "computed" for part in third.parts) <= 4


def test_coverage_tells_about_the_longer_of_its_two_runs() -> None:
    short, long = SimpleNamespace(wall=1.0), SimpleNamespace(wall=2.0)
    assert module._longer(short, long) is long
    assert module._longer(None, short) is short


def test_bad_cells_are_named_with_their_value() -> None:
    assert module._bad_cell([1, 2.5, 3, None]).startswith("cell b is 2.5; expected")
    assert module._bad_cell((1, 2, 3, None)).startswith("cell d is None; expected")
    assert Status.OK == 0
