"""Envelopes in a cache: the right one or a miss, whatever changed and whatever was damaged."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.workloads.envelope.conftest import Write, small_columns

import fanwise
from fanwise.errors import FanwiseWarning, UsageError
from fanwise.testing import FakeClock
from fanwise.workloads.envelope import Grid, Sweep, study, sweep
from fanwise.workloads.envelope._digests import digest_of
from fanwise.workloads.envelope._envelopes import from_entry, to_entry
from fanwise.workloads.envelope._store import PREFIX, Store, key_text, memo_columns
from fanwise.workloads.envelope.io import source_of

QUIET: dict[str, Any] = {"progress": "none", "workers": 1}


def counts(result: Sweep) -> dict[str, int]:
    return result.statistics["cache"]["envelopes"]


def digests(result: Sweep) -> list[str]:
    return result.summary()["digest"].tolist()


def run(cache: fanwise.Cache | None, columns: dict[str, Any] | None = None, **options: Any) -> Sweep:
    grid = Grid.from_arrays(**(columns or small_columns()))
    return sweep(grid, cache=cache, **({"by": "country", "points": "spaced:5", **QUIET} | options))


class TestHits:
    def test_the_second_call_computes_nothing_and_gives_the_same_bits(self, cache: fanwise.Cache) -> None:
        first, second = run(cache), run(cache)
        assert (counts(first)["computed"], counts(first)["misses"], counts(first)["hits"]) == (2, 2, 0)
        assert (counts(second)["computed"], counts(second)["misses"], counts(second)["hits"]) == (0, 0, 2)
        assert first.table().equals(second.table())
        assert first.summary().equals(second.summary())
        assert digests(run(None)) == digests(first)

    def test_a_new_process_finds_what_an_old_one_left(self, tmp_path: Path) -> None:
        for hits in (0, 2):
            with study.open_cache(tmp_path) as opened:
                assert counts(run(opened))["hits"] == hits

    def test_rows_in_another_order_are_found(self, cache: fanwise.Cache) -> None:
        columns = small_columns()
        run(cache, columns)
        back = {k: v[::-1] for k, v in columns.items() if k != "crops"}
        back["crops"] = {c: (h[::-1], p[::-1]) for c, (h, p) in columns["crops"].items()}  # type: ignore[attr-defined]
        assert counts(run(cache, back))["hits"] == 2

    def test_one_changed_crop_is_computed_alone(self, cache: fanwise.Cache) -> None:
        run(cache)
        changed = small_columns()
        changed["crops"]["MAIZ"][1][20] += 0.1  # type: ignore[index]
        after = counts(run(cache, changed))
        assert (after["computed"], after["hits"]) == (1, 1)

    def test_a_renamed_country_changes_every_crop(self, cache: fanwise.Cache) -> None:
        run(cache)
        changed = small_columns()
        changed["country"] = np.where(changed["country"] == "Utopia", "Eutopia", changed["country"])
        assert counts(run(cache, changed))["computed"] == 2

    def test_without_a_cache_nothing_is_counted(self) -> None:
        result = run(None)
        assert result.statistics["cache"]["enabled"] is False
        assert counts(result)["misses"] == 0
        assert counts(result)["computed"] == 2

    @pytest.mark.process
    @pytest.mark.slow
    def test_workers_fill_the_same_cache(self, cache: fanwise.Cache) -> None:
        first = run(cache, workers=2, backend="process")
        assert counts(first)["computed"] == 2
        again = run(cache)
        assert counts(again)["hits"] == 2
        assert digests(again) == digests(first)


OPTIONS = {
    "tiers": ["comprehensive", "comprehensive,commercial", "comprehensive,own:20-100", "comprehensive,own:20-99.9"],
    "by": ["none", "country", "region"],
    "method": ["interp", "step"],
    "points": ["spaced:5", "spaced:6", "at:1,2", "at:1,2.5", "paper"],
    "filter": ["none", "standard", "aggressive"],
    "unit": ["kcal", "mt"],
    "countries": [None, ["Utopia"], ["Utopia", "東の国"]],
    "scenarios": [
        None,
        {"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5}]}]},
        {"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5, "countries": ["Utopia"]}]}]},
        {"scenario": [{"name": "s", "shock": [{"area_factor": 0.5}]}]},
        {"generate": [{"name": "g", "count": 2, "seed": 1, "yield_cv": 0.1}]},
        {"generate": [{"name": "g", "count": 2, "seed": 2, "yield_cv": 0.1}]},
    ],
}


def change(rng: random.Random, columns: dict[str, Any], options: dict[str, Any]) -> None:
    """Change one value of one cell, or one option."""
    what = rng.choice(["area", "production", "country", "region", "cell", "option", "option", "area", "production"])
    cell = rng.randrange(30)
    if what in {"area", "production"}:
        column = columns["crops"][rng.choice(["WHEA", "MAIZ"])][what == "production"]
        value = column[cell]
        column[cell] = rng.choice([np.nextafter(value, np.inf), value + 0.1, 0.0, float("nan"), -value])
    elif what == "country":
        columns["country"][cell] = rng.choice(["Utopia", "東の国", "", "Elsewhere"])
    elif what == "region":
        columns["region"][cell] = rng.choice(["North", "South", "", "West"])
    elif what == "cell":
        columns["cell"][cell] = 10_000 + rng.randrange(10**6)
    else:
        name = rng.choice(list(OPTIONS))
        options[name] = rng.choice(OPTIONS[name])
        if name == "countries" and options.get("by") == "region":
            options["by"] = "none"
        if name == "by" and options[name] == "region":
            options["countries"] = None
        if options.get("countries") and not {"Utopia", "東の国"} <= set(columns["country"]):
            options["countries"] = None
        if options.get("scenarios") and "Utopia" not in columns["country"]:
            options["scenarios"] = None


@pytest.mark.slow
def test_no_change_is_answered_with_an_old_result(cache: fanwise.Cache) -> None:
    """A thousand changes of one value or one option each, every answer compared with a run without a cache."""
    rng = random.Random(5)
    columns, options = small_columns(), {"by": "country", "points": "spaced:5"}
    hits = 0
    for _ in range(1000):
        change(rng, columns, options)
        if options.get("countries") and "Utopia" not in columns["country"]:
            options["countries"] = None
        if options.get("scenarios") and "Utopia" not in columns["country"]:
            options["scenarios"] = None
        if options.get("countries") and "東の国" not in columns["country"]:
            options["countries"] = None
        grid = Grid.from_arrays(**columns)
        cached, plain = (sweep(grid, cache=one, **options, **QUIET) for one in (cache, None))
        assert digests(cached) == digests(plain)
        assert cached.summary().equals(plain.summary())
        hits += counts(cached)["hits"]
    assert hits > 100


def test_every_part_of_the_question_is_in_the_key(small: Grid) -> None:
    base = {"by": "none", "points": "spaced:5"}
    seen = set()
    for name, values in OPTIONS.items():
        for value in values:
            if value is None:
                continue
            asked = base | {name: value}
            plan, columns, _ = study.make_plan(
                small,
                crops=["WHEA"],
                question=(
                    asked.get("tiers", "commercial"),
                    asked.get("method", "step"),
                    asked["points"],
                    asked.get("filter", "conservative"),
                    asked.get("unit", "mt"),
                ),
                where=(asked["by"], asked.get("countries"), None),
                scenarios=asked.get("scenarios"),
                keyed=True,
            )
            seen.add((name, study._items(plan, columns)[-1].key))
    by_name = {name: {key for n, key in seen if n == name} for name in OPTIONS}
    for name, values in OPTIONS.items():
        assert len(by_name[name]) == len([v for v in values if v is not None]), name


def test_kcal_is_in_the_key(cache: fanwise.Cache, small: Grid) -> None:
    sweep(small, cache=cache, **QUIET)
    other = sweep(small.with_kcal({"WHEA": 3.35}), cache=cache, **QUIET)
    assert (counts(other)["hits"], counts(other)["computed"]) == (1, 1)


def test_versions_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from fanwise.workloads.envelope import _store

    before = key_text({"a": 1})
    assert key_text({"a": 1}) == before
    for name, value in (("FORMAT", 99), ("__version__", "0.0"), ("HASH", "other")):
        with monkeypatch.context() as patched:
            patched.setattr(_store, name, value)
            assert key_text({"a": 1}) != before


class TestControls:
    def test_recalculate_reads_nothing_and_replaces(self, cache: fanwise.Cache) -> None:
        run(cache)
        again = run(cache, recalculate=True)
        assert (counts(again)["hits"], counts(again)["computed"]) == (0, 2)
        assert counts(run(cache))["hits"] == 2

    def test_entries_expire_by_age_and_not_before(self, tmp_path: Path) -> None:
        clock = FakeClock()
        with fanwise.Cache(tmp_path, clock=clock) as cache:
            run(cache)
            clock.advance(100)
            assert counts(run(cache, max_age=101))["hits"] == 2
            late = counts(run(cache, max_age=99))
            assert (late["expired"], late["computed"], late["hits"]) == (2, 2, 0)
            assert counts(run(cache, max_age=99))["hits"] == 2

    @pytest.mark.parametrize("age", [-1.0, float("nan")])
    def test_an_age_below_nothing_is_refused(self, cache: fanwise.Cache, age: float) -> None:
        with pytest.raises(UsageError, match="max_age"):
            run(cache, max_age=age)

    def test_clearing_by_prefix_leaves_other_entries(self, cache: fanwise.Cache) -> None:
        cache.put("mine", 1)
        run(cache)
        assert cache.clear(PREFIX) == 2
        assert cache.get("mine") == 1

    def test_old_entries_are_cleared_alone(self, tmp_path: Path) -> None:
        clock = FakeClock()
        with fanwise.Cache(tmp_path, clock=clock) as cache:
            run(cache, crops=["WHEA"])
            clock.advance(50)
            run(cache, crops=["MAIZ"])
            assert Store(cache).clear_older(25) == 1
            assert [header["crop"] for header, _ in Store(cache).headers()] == ["MAIZ"]

    def test_headers_say_what_there_is(self, cache: fanwise.Cache) -> None:
        run(cache, crops=["WHEA"], scenarios={"scenario": [{"name": "s", "shock": [{"yield_factor": 0.5}]}]})
        headers = sorted((header for header, _ in Store(cache).headers()), key=lambda header: header["scenario"])
        assert [(h["crop"], h["scenario"], h["segments"]) for h in headers] == [
            ("WHEA", "baseline", 4),
            ("WHEA", "s", 4),
        ]
        assert all(size > 0 for _, size in Store(cache).headers())


class TestDamage:
    def entries(self, folder: Path) -> list[Path]:
        """Files that hold values."""
        return [
            path
            for path in folder.rglob("*")
            if path.is_file() and path.read_bytes().count(0) < path.stat().st_size - 3000
        ]

    @pytest.mark.slow
    def test_flipped_bits_and_cut_files_are_misses(self, tmp_path: Path) -> None:
        plain = digests(run(None))
        whole = tmp_path / "whole"
        with study.open_cache(whole) as cache:
            run(cache)
        files = self.entries(whole)
        assert files
        rng = random.Random(1)
        corrupt = 0
        for turn in range(24):
            copy = tmp_path / f"copy{turn}"
            shutil.copytree(whole, copy)
            victim = copy / rng.choice(files).relative_to(whole)
            content = bytearray(victim.read_bytes())
            used = len(bytes(content).rstrip(b"\0"))
            if turn % 3 == 0:
                victim.write_bytes(content[: rng.randrange(used)])
            else:
                content[rng.randrange(used)] ^= 1 << rng.randrange(8)
                victim.write_bytes(content)
            with study.open_cache(copy) as cache:
                damaged = run(cache)
            assert digests(damaged) == plain
            assert not damaged.failed
            corrupt += counts(damaged)["corrupt"]
            shutil.rmtree(copy)
        assert corrupt > 0

    @pytest.mark.parametrize(
        "wrong",
        [
            {"stops": np.array([1, 2])},
            {"stops": np.array([5.0] * 8)},
            {"facts": np.zeros((8, 3))},
            {"values": np.zeros((5, 1))},
            {"values": [1, 2]},
        ],
    )
    def test_arrays_of_another_shape_are_never_used(self, small: Grid, wrong: dict[str, Any]) -> None:
        envelopes = sweep(small, by="country", **QUIET).results[0, 0]
        entry = to_entry(envelopes, {})
        assert from_entry(entry, 8) is not None
        assert from_entry(entry | wrong, 8) is None
        assert from_entry(entry, 7) is None
        assert from_entry(None, 8) is None
        assert from_entry({"stops": 1}, 8) is None

    def test_a_stored_value_that_does_not_fit_is_replaced(self, cache: fanwise.Cache, small: Grid) -> None:
        plan, columns, _ = study.make_plan(
            small, crops=["WHEA"], question=("comprehensive", "step", "paper", "none", "mt"),
            where=("none", None, None), scenarios=None, keyed=True,
        )  # fmt: skip
        store = Store(cache)
        (item,) = study._items(plan, columns)
        store._entry(item.key, lambda: {"stops": np.array([3])})
        result = study.run_plan(small, plan, columns, store, **QUIET)
        assert (counts(result)["corrupt"], counts(result)["computed"]) == (1, 1)
        assert counts(study.run_plan(small, plan, columns, store, **QUIET))["hits"] == 1

    def test_no_entry_is_a_pickle(self, tmp_path: Path) -> None:
        with study.open_cache(tmp_path) as cache:
            run(cache)
            assert {info.codec for info in cache.list()} == {"value"}


class TestPlaces:
    def test_a_cache_that_cannot_be_made_is_said_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.warns(FanwiseWarning, match="no cache"):
            assert study.cache_or_none(tmp_path / "file") is None

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_directory_that_cannot_be_written_is_no_hindrance(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.warns(FanwiseWarning):
            assert counts(run(study.cache_or_none(tmp_path / "c")))["computed"] == 2


ANOTHER = """
import json, sys
from fanwise.workloads.envelope import Grid, study, sweep
from tests.workloads.envelope.conftest import small_columns

with study.open_cache(sys.argv[1]) as cache:
    grid = Grid.from_arrays(**small_columns(cells=50_000))
    result = sweep(grid, cache=cache, by="country", progress="none", workers=1)
print(json.dumps(result.statistics["cache"]["envelopes"]))
"""


@pytest.mark.process
@pytest.mark.slow
def test_two_processes_at_once_compute_an_entry_once(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    command = [sys.executable, "-c", ANOTHER, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(2)]
    found = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(one["computed"] for one in found) == 2
    assert sum(one["hits"] + one["waited"] for one in found) == 2


class TestColumns:
    def test_files_are_read_once(self, write: Write, cache: fanwise.Cache) -> None:
        path = write("g.csv", "cell,country,WHEA_H,WHEA_P", "1,A,2,3", "2,B,-1,3")
        first, hit, _ = study.read_cached(source_of([path]), cache)
        again, hit_again, _ = study.read_cached(source_of([path]), cache)
        assert (hit, hit_again) == (False, True)
        assert first.digest("WHEA") == again.digest("WHEA")
        assert (first.notes, first.dropped, first.kcal_per_g) == (again.notes, again.dropped, again.kcal_per_g)
        assert not again.columns["WHEA"][0].flags.writeable

    def test_one_changed_byte_is_read_again(self, write: Write, cache: fanwise.Cache) -> None:
        rows = "cell,country,WHEA_H,WHEA_P", "1,A,2,3"
        path = write("g.csv", *rows)
        study.read_cached(source_of([path]), cache)
        stamp = os.stat(path)
        write("g.csv", rows[0], "1,A,2,4")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        grid, hit, _ = study.read_cached(source_of([path]), cache)
        assert not hit
        assert grid.columns["WHEA"][1].tolist() == [3.0 + 1.0]

    def test_how_it_is_read_counts(self, write: Write) -> None:
        path = write("g.csv", "cell,country,WHEA_H,WHEA_P", "1,A,2,3")
        keys = {
            source_of([path]).key(),
            source_of([path], strict=True).key(),
            source_of([path], encoding="utf-8").key(),
            source_of([path], technology="I").key(),
            source_of([], production=path).key(),
        }
        assert len(keys) == 5

    def test_an_entry_that_does_not_fit_is_read_again(self, write: Write, cache: fanwise.Cache) -> None:
        source = source_of([write("g.csv", "cell,country,WHEA_H,WHEA_P", "1,A,2,3")])
        memo_columns(cache)(source.key(), lambda: {"header": "{}"})
        reading = study.read_cached(source, cache)
        assert (reading.grid.n_cells, reading.found, reading.corrupt) == (1, False, 1)

    def test_damaged_ones_are_read_again_and_counted(self, tmp_path: Path, write: Write) -> None:
        source = source_of([write("g.csv", "cell,country,WHEA_H,WHEA_P", *(f"{n},A,2,3" for n in range(9000)))])
        with study.open_cache(tmp_path / "cache") as cache:
            study.read_cached(source, cache)
        for blob in (tmp_path / "cache" / "v1" / "blobs").rglob("*"):
            if blob.is_file():
                blob.write_bytes(blob.read_bytes()[::-1])
        with study.open_cache(tmp_path / "cache") as cache:
            reading = study.read_cached(source, cache)
            assert (reading.grid.n_cells, reading.found, reading.corrupt) == (9000, False, 1)
            told = reading.counted(sweep(reading.grid, cache=cache, **QUIET).cache)
        assert told["columns"] == {"hits": 0, "misses": 1}
        assert told["envelopes"]["corrupt"] == 1

    def test_a_crop_that_was_evicted_is_read_again_and_kept(self, write: Write, cache: fanwise.Cache) -> None:
        rows = "cell,country,WHEA_H,WHEA_P,MAIZ_H,MAIZ_P", "1,A,2,3,4,5"
        source = source_of([write("g.csv", *rows)])
        first = study.read_cached(source, cache).grid
        memo_columns(cache).forget(f"{source.key()} MAIZ", None)
        again = study.read_cached(source, cache)
        assert (again.found, again.corrupt) == (False, 0)
        assert study.read_cached(source, cache).found
        assert again.grid.digest("MAIZ") == first.digest("MAIZ")

    def test_no_entry_holds_more_than_a_crop(self, tmp_path: Path, write: Write) -> None:
        crops = ["WHEA", "MAIZ", "RICE", "BARL", "SOYB", "CASS"]
        head = ",".join(["cell", "country", *(f"{crop}_{kind}" for crop in crops for kind in "HP")])
        source = source_of([write("g.csv", head, *(f"{n},A{',2.5' * 12}" for n in range(2000)))])
        with fanwise.Cache(tmp_path / "c", memory=0, disk="600kB") as small:
            assert not study.read_cached(source, small).found
            assert study.read_cached(source, small).found

    def test_without_a_cache_files_are_read(self, write: Write) -> None:
        path = write("g.csv", "cell,country,WHEA_H,WHEA_P", "1,A,2,3")
        assert study.read_cached(source_of([path]), None)[1] is False


class TestDigests:
    def test_dtype_shape_and_place_of_the_border_count(self) -> None:
        arrays = [np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(4, dtype=">i8")]
        assert len({digest_of([array]) for array in arrays}) == 4
        assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
        assert digest_of([b"ab"]) != digest_of(["ab"])

    def test_strides_do_not(self) -> None:
        square = np.arange(6.0).reshape(2, 3)
        assert digest_of([square[:, 1]]) == digest_of([np.array([1.0, 4.0])])

    def test_there_is_a_hash_without_xxhash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from fanwise.workloads.envelope._digests import _choose

        monkeypatch.setitem(sys.modules, "xxhash", None)
        name, make = _choose()
        assert (name, make().digest_size) == ("blake2b-128", 16)

    def test_headers_are_json(self, small: Grid) -> None:
        entry = to_entry(sweep(small, **QUIET).results[0, 0], {"crop": "é"})
        assert json.loads(entry["header"]) == {"crop": "é"}
