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
from fanwise.workloads.exactci._solve import solve_chunk
from fanwise.workloads.exactci.study import Origins, _items, _kept, _result, study

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


def test_a_study_passes_its_events_on_to_the_users_progress() -> None:
    heard = Heard()
    tables = np.random.default_rng(0).integers(0, 300, (5000, 4))
    done = study(tables, ["midp", "wald"], QUESTION, progress=heard, workers=1)
    assert heard.calls[0].startswith("start ")
    assert heard.calls[-1] == "finish"
    assert "ChunkDone" in heard.calls
    assert {part.origin for part in done.parts} == {"computed"}


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
    items, places = _items(tables, [("midp", 0, 20), ("midp", 20, 50)])
    assert places == [0, 1]
    assert [item[0] for item in items] == ["midp", "midp"]
    np.testing.assert_array_equal(np.concatenate([item[1] for item in items]), tables)


def test_equal_tables_share_an_item_by_the_unconditional_method_only() -> None:
    tables = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]])
    ranges = [("unconditional", i, i + 1) for i in range(3)] + [("midp", i, i + 1) for i in range(3)]
    items, places = _items(tables, ranges)
    assert places == [0, 1, 0, 2, 3, 4]
    assert len(items) == 5


def test_kept_rows_are_those_of_finished_items() -> None:
    run = SimpleNamespace(outcomes=[SimpleNamespace(index=0), SimpleNamespace(index=2)])
    assert _kept(run, [10, 20, 30, 5], [0, 1, 2, 0]) == "45 of 65 rows are kept."
    assert _kept(None, [10, 20], [0, 1]) == "0 of 30 rows are kept."


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


@pytest.mark.parametrize("resume", [False, True])
def test_a_journal_answers_a_second_study_without_computing(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    tables = np.random.default_rng(1).integers(0, 300, (9000, 4))
    journal = tmp_path / "j"
    first = study(tables, ["midp"], QUESTION, progress=Heard(), workers=1, resume=journal)
    if resume:
        second = study(tables, ["midp"], QUESTION, progress=Heard(), workers=1, resume=journal)
        assert {part.origin for part in second.parts} == {"resumed"}
        assert all((a.values == b.values).all() for a, b in zip(first.parts, second.parts))
        changed = tables.copy()
        changed[4500] = (9, 9, 9, 9)
        third = study(changed, ["midp"], QUESTION, progress=Heard(), workers=1, resume=journal)
        assert 1 <= sum(part.origin == "computed" for part in third.parts) <= 4


def test_coverage_tells_about_the_longer_of_its_two_runs() -> None:
    short, long = SimpleNamespace(wall=1.0), SimpleNamespace(wall=2.0)
    assert module._longer(short, long) is long
    assert module._longer(None, short) is short


def test_bad_cells_are_named_with_their_value() -> None:
    assert module._bad_cell([1, 2.5, 3, None]).startswith("cell b is 2.5; expected")
    assert module._bad_cell((1, 2, 3, None)).startswith("cell d is None; expected")
    assert Status.OK == 0
