"""A whole search through `search`: files, any number of workers and chunks, resume, drift, partial results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.modelsearch.world import columns, month_ends, rows_of, with_test, world, write_config, write_csv

import fanwise
from fanwise.errors import FanwiseWarning, InputError, UsageError
from fanwise.workloads import modelsearch
from fanwise.workloads.modelsearch import _limits, _outputs, _tally, study
from fanwise.workloads.modelsearch._outputs import Folder, Staging

GROUPS = [
    {"name": "a", "items": ["x1@0..2", "x2@0..2"]},
    {"name": "b", "items": ["x3@0..1", "x4:LV,DF(1)"], "pick": [0, 2]},
]
LENIENT = {"filters": {"r2_min": 0.1, "p_max": 0.4}, "run": {"chunk": 20}, **with_test()}
SAME = ("ranked.csv", "verdicts.csv", "summary.json", "funnel.html")


def search(config: Any, **options: Any) -> modelsearch.Result:
    return modelsearch.search(config, progress="none", **{"workers": 1, **options})


@pytest.fixture
def lenient(tmp_path: Path) -> modelsearch.Config:
    return world(tmp_path, LENIENT, GROUPS)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME if (folder / name).exists()}


def test_a_search_writes_its_files_and_says_what_it_found(tmp_path: Path, lenient: modelsearch.Config) -> None:
    result = search(lenient, out=tmp_path / "out", full=True)
    assert {path.name for path in result.files} == {*SAME, "run.json"}
    assert result.tried == sum(result.funnel.values()) + result.passed
    ranked, verdicts = rows_of(tmp_path / "out" / "ranked.csv"), rows_of(tmp_path / "out" / "verdicts.csv")
    assert [int(row["id"]) for row in ranked] == result.ranked["id"].tolist()
    assert [row["terms"] for row in ranked] == result.ranked["terms"].tolist()
    assert [int(row["id"]) for row in verdicts] == list(range(result.tried))
    assert sum(row["passed"] == "1" for row in verdicts) == result.passed == len(ranked) > 3
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert (summary["tried"], summary["passed"], summary["n"], summary["n_test"]) == (
        result.tried,
        result.passed,
        94,
        24,
    )
    assert [step["filter"] for step in summary["funnel"]] == list(result.funnel)
    assert summary["funnel"][0]["entered"] == result.tried
    assert summary["multiplicity"]["p"] == result.multiplicity.p
    run = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert run["chunks"] == {
        "total": -(-result.tried // 20),
        "reused": 0,
        "computed": -(-result.tried // 20),
        "damaged": 0,
    }
    assert run["phases"].keys() == {"prepare", "assess", "conclude"}
    assert "built" not in run
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_nothing_of_a_result_says_when_where_or_by_how_many(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "one", full=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("search.toml", "data.csv"):
        (tmp_path / "elsewhere" / name).write_bytes((tmp_path / name).read_bytes())
    search(tmp_path / "elsewhere" / "search.toml", out=tmp_path / "two", full=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2, "backend": "process"},
        {"workers": 4, "backend": "process"},
        {"workers": 2, "backend": "thread"},
        {"workers": None},
    ],
)
def test_any_number_of_workers_gives_the_same_bytes(
    tmp_path: Path, lenient: modelsearch.Config, options: dict[str, Any]
) -> None:
    search(lenient, out=tmp_path / "one", full=True)
    search(lenient, out=tmp_path / "many", full=True, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_without_a_directory_nothing_is_written(tmp_path: Path, lenient: modelsearch.Config) -> None:
    before = sorted(tmp_path.iterdir())
    result = search(lenient)
    assert result.files == ()
    assert sorted(tmp_path.iterdir()) == before


def test_the_cut_into_chunks_changes_no_verdict(tmp_path: Path) -> None:
    results = []
    for size in (1, 13, 10_000):
        config = world(tmp_path, {**LENIENT, "run": {"chunk": size}}, GROUPS)
        results.append(search(config))
    for result in results[1:]:
        assert result.funnel == results[0].funnel
        assert result.ranked["id"].tolist() == results[0].ranked["id"].tolist()
        assert result.multiplicity.p == results[0].multiplicity.p
        np.testing.assert_allclose(result.ranked["bic"], results[0].ranked["bic"], rtol=1e-12)


def test_the_order_of_keys_changes_nothing(tmp_path: Path, lenient: modelsearch.Config) -> None:
    turned = {name: dict(reversed(values.items())) for name, values in LENIENT.items()}
    one = search(lenient)
    two = search(modelsearch.load_config(write_config(tmp_path, turned, GROUPS, name="turned")))
    assert one.ranked["id"].tolist() == two.ranked["id"].tolist()


def test_a_range_of_ids_is_a_search_of_its_own(tmp_path: Path, lenient: modelsearch.Config) -> None:
    whole = search(lenient)
    part = search(lenient, ids=(30, 75), out=tmp_path / "part", full=True)
    assert part.tried == part.multiplicity.tried == 45
    assert set(part.ranked["id"]) == {i for i in whole.ranked["id"] if 30 <= i < 75}
    assert [int(row["id"]) for row in rows_of(tmp_path / "part" / "verdicts.csv")] == list(range(30, 75))
    with pytest.raises(InputError, match="no specification between"):
        search(lenient, ids=(10**9, 10**9 + 1))


def test_top_keeps_the_best_rows_only(tmp_path: Path) -> None:
    config = world(tmp_path, {**LENIENT, "rank": {"top": 2, "by": "r2"}}, GROUPS)
    result = search(config, out=tmp_path / "out")
    assert result.passed > 2
    assert len(rows_of(tmp_path / "out" / "ranked.csv")) == len(result.ranked) == 2
    assert result.best == ("r2", result.ranked["r2"][0])


def test_more_rows_than_memory_holds_make_the_same_file(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = search(lenient, out=tmp_path / "one")
    monkeypatch.setattr(_tally, "HELD", 3)
    result = search(lenient, out=tmp_path / "two")
    assert (tmp_path / "one" / "ranked.csv").read_bytes() == (tmp_path / "two" / "ranked.csv").read_bytes()
    assert result.ranked["id"].tolist() == expected.ranked["id"].tolist()[:3]
    assert result.passed == expected.passed


def test_nothing_passed_is_a_result_with_near_misses(tmp_path: Path) -> None:
    config = world(tmp_path, {"filters": {"r2_min": 0.999}}, GROUPS)
    result = search(config, out=tmp_path / "out")
    assert (result.passed, len(result.ranked)) == (0, 0)
    assert len(rows_of(tmp_path / "out" / "ranked.csv")) == 0
    r2 = result.near_misses["r2"]
    assert len(r2) == 20
    assert (np.diff(r2) <= 0).all()
    assert result.multiplicity.method == "none"


def test_an_output_that_exists_asks_for_resume_or_force(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(UsageError, match=r"out exists; use --resume to go on, or --force to overwrite it"):
        search(lenient, out=tmp_path / "out")
    assert contents(tmp_path / "out") == before
    again = search(lenient, out=tmp_path / "out", resume=True)
    assert again.run["chunks"]["computed"] == 0
    assert again.report is None
    fresh = search(lenient, out=tmp_path / "out", force=True)
    assert fresh.run["chunks"]["reused"] == 0
    assert contents(tmp_path / "out") == before


@pytest.mark.usefixtures("impatient")
def test_force_does_not_take_a_directory_from_a_search_that_is_writing_it(
    tmp_path: Path, lenient: modelsearch.Config
) -> None:
    search(lenient, out=tmp_path / "out")
    before = contents(tmp_path / "out")
    with (
        study.FileLedger(tmp_path / "out" / ".chunks" / "records", b"k" * 16),
        pytest.raises(UsageError, match="is being written by another search"),
    ):
        search(lenient, out=tmp_path / "out", force=True)
    assert contents(tmp_path / "out") == before
    assert search(lenient, out=tmp_path / "out", resume=True).run["chunks"]["computed"] == 0


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path, lenient: modelsearch.Config) -> None:
    (tmp_path / "out").write_text("a file", "utf-8")
    with pytest.raises(UsageError, match="out is a file; -o takes a directory"):
        search(lenient, out=tmp_path / "out")


def test_files_of_others_in_the_directory_are_left_alone(tmp_path: Path, lenient: modelsearch.Config) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine", "utf-8")
    search(lenient, out=tmp_path / "out")
    search(lenient, out=tmp_path / "out", force=True)
    assert (tmp_path / "out" / "notes.txt").read_text("utf-8") == "mine"


class StopAfter:
    """A ledger that ends the process's patience after some chunks."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def __call__(self, ledger: Any, save: Any) -> Any:
        def stop_or_save(chunk: int, payload: bytes) -> None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            save(ledger, chunk, payload)

        return stop_or_save


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_search_goes_on_where_it_was_interrupted(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = search(lenient, out=tmp_path / "whole", full=True)
    stop = StopAfter(after)
    save = study.FileLedger.save
    monkeypatch.setattr(study.FileLedger, "save", lambda ledger, chunk, payload: stop(ledger, save)(chunk, payload))
    with pytest.raises(KeyboardInterrupt):
        search(lenient, out=tmp_path / "out", full=True)
    monkeypatch.undo()
    assert not (tmp_path / "out" / "ranked.csv").exists()
    rest = search(lenient, out=tmp_path / "out", full=True, resume=True)
    assert rest.run["chunks"]["reused"] == after
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert rest.run["chunks"]["total"] == whole.run["chunks"]["total"]


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b[:900] + b"\x00" + b[901:], lambda b: b"", lambda b: b"junk" + b]
)
def test_damaged_chunk_records_are_computed_again(tmp_path: Path, lenient: modelsearch.Config, damage: Any) -> None:
    search(lenient, out=tmp_path / "out", full=True)
    before = contents(tmp_path / "out")
    records = tmp_path / "out" / ".chunks" / "records"
    records.write_bytes(damage(records.read_bytes()))
    again = search(lenient, out=tmp_path / "out", full=True, resume=True)
    assert contents(tmp_path / "out") == before
    assert again.run["chunks"]["reused"] + again.run["chunks"]["computed"] == again.run["chunks"]["total"]


def test_resume_with_another_configuration_names_the_section(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    other = world(tmp_path, {**LENIENT, "filters": {"r2_min": 0.2}}, GROUPS)
    with pytest.raises(UsageError, match=r"out belongs to another search: \[filters\] changed; use --force"):
        search(other, out=tmp_path / "out", resume=True)
    assert search(other, out=tmp_path / "out", force=True).run["chunks"]["reused"] == 0


def test_resume_with_other_data_says_so(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    write_csv(tmp_path / "data.csv", month_ends(120), columns(seed=2))
    with pytest.raises(UsageError, match="the data changed; use --force"):
        search(lenient, out=tmp_path / "out", resume=True)


def test_a_lost_manifest_costs_nothing_but_the_warning(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / ".chunks" / "manifest.json").write_text("{broken", "utf-8")
    again = search(lenient, out=tmp_path / "out", resume=True)
    assert again.run["chunks"]["computed"] == 0
    assert contents(tmp_path / "out") == before


def test_a_full_search_does_not_take_the_chunks_of_a_short_one(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    again = search(lenient, out=tmp_path / "out", full=True, resume=True)
    assert again.run["chunks"]["reused"] == 0
    assert len(rows_of(tmp_path / "out" / "verdicts.csv")) == again.tried


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Any) -> None:
    """Do something when the chunks are finished and before the results are checked."""
    conclude = study._conclude

    def first_meddle(*arguments: Any) -> modelsearch.Result:
        meddle()
        return conclude(*arguments)

    monkeypatch.setattr(study, "_conclude", first_meddle)


def test_a_source_that_changed_during_the_run_is_noticed(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = columns()
    table["x1"][50] += 1e-12
    meddling(monkeypatch, lambda: write_csv(tmp_path / "data.csv", month_ends(120), table))
    with pytest.raises(InputError, match=r"data\.csv changed during the run: x1:LV is not what it was"):
        search(lenient, out=tmp_path / "out")
    assert not (tmp_path / "out" / "ranked.csv").exists()


def test_a_source_that_grew_during_the_run_is_noticed(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddling(monkeypatch, lambda: write_csv(tmp_path / "data.csv", month_ends(130), columns(130)))
    with pytest.raises(InputError, match=r"data\.csv changed during the run"):
        search(lenient)


def test_a_change_that_no_result_rests_on_is_noticed_too(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = columns()
    table["y"][119] += 1.0
    meddling(monkeypatch, lambda: write_csv(tmp_path / "data.csv", month_ends(120), table))
    with pytest.raises(InputError, match=r"data\.csv changed during the run; run again with --force"):
        search(lenient)


def test_an_item_that_does_not_come_out_of_its_recipe_is_a_defect(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanwise.workloads.modelsearch import _replay

    real = _replay.values
    monkeypatch.setattr(
        _replay,
        "values",
        lambda item, source: np.nextafter(real(item, source), np.inf) if item.variable == "x1" else real(item, source),
    )
    with pytest.raises(modelsearch.DriftError, match="x1:LV does not come out of its recipe"):
        search(lenient, out=tmp_path / "out")
    assert not (tmp_path / "out" / "ranked.csv").exists()


def test_workers_that_built_different_items_are_a_defect(tmp_path: Path) -> None:
    from fanwise.workloads.modelsearch._replay import check_built

    frame = modelsearch.prepare(world(tmp_path, {**LENIENT, "run": {"prefetch": "lazy"}}, GROUPS))
    with pytest.raises(modelsearch.DriftError, match="x1:LV@1 was built differently by different processes"):
        check_built(frame, {1: {"0" * 32, "1" * 32}})


def test_items_built_as_needed_are_counted_by_worker(tmp_path: Path) -> None:
    lazy = world(tmp_path, {**LENIENT, "run": {"prefetch": "lazy", "chunk": 20}}, GROUPS)
    result = search(lazy)
    assert set(result.run["built"]) == {str(item) for item in modelsearch.prepare(lazy).items}
    assert set(result.run["built"].values()) == {1}


class Unlucky:
    """A task that fails on some chunks, as a worker that is lost would."""

    def __init__(self, chunks: set[int]) -> None:
        self.chunks = chunks

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        call = study.ChunkTask.__call__

        def sometimes(task: Any, chunk: int) -> bytes:
            if chunk in self.chunks:
                raise RuntimeError("out of luck")
            return call(task, chunk)

        monkeypatch.setattr(study.ChunkTask, "__call__", sometimes)


def test_a_chunk_that_fails_costs_its_own_ids(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(lenient, out=tmp_path / "whole")
    Unlucky({1}).install(monkeypatch)
    part = search(lenient, out=tmp_path / "out")
    assert [(p.first, p.stop) for p in part.problems] == [(20, 40)]
    assert "out of luck" in part.problems[0].error
    assert part.tried == whole.tried - 20
    assert {path.name for path in part.files} == {"ranked.partial.csv", "run.json"}
    assert set(part.ranked["id"]) == {i for i in whole.ranked["id"] if not 20 <= i < 40}
    monkeypatch.undo()
    rest = search(lenient, out=tmp_path / "out", resume=True)
    assert rest.run["chunks"]["computed"] == 1
    assert not (tmp_path / "out" / "ranked.partial.csv").exists()
    assert (tmp_path / "out" / "ranked.csv").read_bytes() == (tmp_path / "whole" / "ranked.csv").read_bytes()


@pytest.mark.slow
def test_verification_compares_the_best_with_statsmodels(lenient: modelsearch.Config) -> None:
    result = search(lenient, verify=3)
    assert result.verification.rows == 3
    assert result.verification.max_rel < 1e-8


def test_gaps_in_the_rows_are_a_warning(tmp_path: Path) -> None:
    table = columns()
    table["x3"][50] = np.nan
    config = world(tmp_path, LENIENT, GROUPS, table=table)
    with pytest.warns(FanwiseWarning, match="gap in the training rows"):
        search(config)


def test_a_blas_that_cannot_be_kept_to_one_thread_is_a_warning(
    lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "can_limit", lambda: False)
    with pytest.warns(FanwiseWarning, match="cannot be kept to one thread"):
        search(lenient)


@pytest.mark.parametrize(
    ("groups", "sections", "says"),
    [
        (
            [{"name": "rates", "items": ["x1@0..1"], "pick": [2, 2]}],
            {},
            'no specification: group "rates" needs 2 of 1 items',
        ),
        (
            [{"name": "a", "items": ["x1"], "pick": [1, 1]}, {"name": "b", "items": ["x2"], "pick": [1, 1]}],
            {"search": {"max_terms": 1}},
            "the picks allow 2 to 2 items, [search] asks for 1 to 1",
        ),
    ],
)
def test_an_empty_space_says_what_makes_it_empty(
    tmp_path: Path, groups: list[Any], sections: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        search(world(tmp_path, sections, groups))
    assert says in str(caught.value)


def test_a_gram_that_does_not_fit_is_refused_with_a_way_out(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_limits, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r'Gram matrix of 10 items needs .* set \[run\] prefetch = "lazy"'):
        search(lenient)
    lazy = world(tmp_path, {**LENIENT, "run": {"prefetch": "lazy"}}, GROUPS)
    assert search(lazy).tried > 0


def test_free_memory_is_read_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 << 26 < _limits.available_memory() < 1 << 50
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert 1 << 26 < _limits.available_memory() < 1 << 50


def test_a_search_without_an_end_is_refused_unless_a_range_is_given(
    lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "MOST_SPECIFICATIONS", 50)
    with pytest.raises(
        InputError, match=r"specifications would take about .* in one process; choose some with --range A:B"
    ):
        search(lenient)
    assert search(lenient, ids=(0, 50)).tried == 50


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (100, "100.0 s"), (600, "10 min"), (7200, "2 h"), (864000, "10 days")]
)
def test_a_length_of_time_is_said_in_its_unit(seconds: float, text: str) -> None:
    assert _limits.duration(seconds) == text


def test_a_plan_counts_and_measures(lenient: modelsearch.Config) -> None:
    plan = modelsearch.plan(lenient)
    space = modelsearch.Space(lenient, plan.frame)
    assert plan.count == space.count() == search(lenient).tried
    assert plan.memory == 8 * len(plan.frame.items) ** 2
    assert 0 < plan.seconds < 60


def test_files_appear_all_at_once_or_not_at_all(tmp_path: Path) -> None:
    with Staging(tmp_path) as staging:
        assert staging.write("a.txt", ["one\n", b"two\n"]) == 2
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text("utf-8") == "one\ntwo\n"

    def broken() -> Iterator[str]:
        yield "half"
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError), Staging(tmp_path) as staging:
        staging.write("b.txt", ["whole"])
        staging.write("c.txt", broken())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_a_full_disk_at_the_end_leaves_no_half_files(
    tmp_path: Path, lenient: modelsearch.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_outputs.os, "fsync", full)
    monkeypatch.setattr(study.FileLedger, "__exit__", lambda ledger, *_: os.close(ledger._fd))
    with pytest.raises(OSError, match="No space left"):
        search(lenient, out=tmp_path / "out")
    monkeypatch.undo()
    left = {path.name for path in (tmp_path / "out").iterdir()} if (tmp_path / "out").exists() else set()
    assert left <= {".chunks"}


def test_what_is_left_of_an_unreadable_manifest_is_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.sections() is None
    (tmp_path / ".chunks").mkdir()
    for text in ("", "[]", '{"sections": 3}', "null"):
        (tmp_path / ".chunks" / "manifest.json").write_text(text, "utf-8")
        assert folder.sections() is None


def test_the_version_is_part_of_the_summary(tmp_path: Path, lenient: modelsearch.Config) -> None:
    search(lenient, out=tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["version"] == fanwise.__version__
    assert len(summary["config_hash"]) == len(summary["data_hash"]) == 32
