"""Upkeep of the index backend: what goes, what stays, and what no loss of the index brings back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cache_kit import flip, folder

from fanwise import Cache
from fanwise.cache._level import Aged, Pruning, choose, is_fresh, summary
from fanwise.testing import FakeClock

MIB = 1 << 20
LARGE = 100_000  # a blob


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_000_000.0)


@pytest.fixture
def reopen(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., Cache]]:
    """Opens the same directory again and again."""
    opened: list[Cache] = []

    def open_(**options: object) -> Cache:
        defaults = {"backend": "index", "memory": 0, "clock": clock}
        opened.append(Cache(tmp_path / "c", **{**defaults, **options}))  # type: ignore[arg-type]  # keywords of a test
        return opened[-1]

    yield open_
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(reopen: Callable[..., Cache]) -> Cache:
    return reopen()


def blobs(cache: Cache) -> list[Path]:
    return sorted(folder(cache).glob("blobs/*/*"))


def segments(cache: Cache) -> list[str]:
    return sorted(path.name for path in folder(cache).glob("log-*"))


def lose_index(cache: Cache) -> None:
    (folder(cache) / "index").unlink()


def noise(number: int, size: int) -> bytes:
    """Content of its own for each number."""
    return number.to_bytes(4, "little") * (size // 4)


class TestDeleting:
    def test_what_was_deleted_stays_so_after_the_loss_of_the_index(
        self, cache: Cache, reopen: Callable[..., Cache]
    ) -> None:
        for key in "abc":
            cache.put(key, key)
        assert cache.delete("b")
        lose_index(cache)
        assert [reopen().get(key) for key in "abc"] == ["a", None, "c"]

    def test_a_deleted_computed_value_is_computed_again_after_the_loss(self, cache: Cache) -> None:
        cache.get_or_compute("k", lambda: "old")
        cache.delete("k")
        lose_index(cache)
        assert cache.get_or_compute("k", lambda: "new") == "new"

    def test_deleting_nothing_is_false_and_still_remembered(self, cache: Cache, reopen: Callable[..., Cache]) -> None:
        assert not cache.delete("never")
        assert cache.stats().entries == 0
        assert reopen().verify().ok

    def test_the_blob_of_a_deleted_entry_goes_with_it(self, cache: Cache) -> None:
        cache.put("a", bytes(LARGE))
        cache.delete("a")
        assert blobs(cache) == []

    def test_a_blob_that_another_entry_names_stays(self, cache: Cache) -> None:
        for key in "ab":
            cache.put(key, bytes(LARGE))
        cache.delete("a")
        assert len(blobs(cache)) == 1
        assert cache.get("b") == bytes(LARGE)

    def test_the_blob_of_a_replaced_value_goes(self, cache: Cache) -> None:
        cache.put("a", noise(1, LARGE))
        cache.put("a", noise(2, LARGE))
        assert len(blobs(cache)) == 1
        assert cache.get("a") == noise(2, LARGE)

    def test_an_entry_whose_slot_was_damaged_does_not_come_back(
        self, cache: Cache, reopen: Callable[..., Cache]
    ) -> None:
        cache.get_or_compute("a", lambda: "old")
        key = cache.key("a")
        raw = (folder(cache) / "index").read_bytes()
        flip(folder(cache) / "index", raw.index(key) + 20)
        cache.delete("a")
        lose_index(cache)
        assert "a" not in reopen()


class TestClearing:
    def test_all_of_it_leaves_no_segment_and_no_blob(self, cache: Cache) -> None:
        cache.put("a", bytes(LARGE))
        cache.put("b", 1)
        assert cache.clear() == 2
        assert (blobs(cache), segments(cache), cache.stats().entries) == ([], [], 0)

    def test_numbers_of_segments_are_not_used_again(self, cache: Cache) -> None:
        cache.put("a", 1)
        before = segments(cache)
        cache.clear()
        cache.put("a", 2)
        assert segments(cache)
        assert not set(before) & set(segments(cache))

    def test_what_was_cleared_does_not_come_back_with_the_index_lost(
        self, cache: Cache, reopen: Callable[..., Cache]
    ) -> None:
        cache.memoize(len)("abc")
        cache.put("mine", 1)
        cache.clear("builtins:")
        lose_index(cache)
        assert [each.name for each in reopen().list()] == ["user"]

    def test_memory_of_another_opener_forgets_it(self, cache: Cache, reopen: Callable[..., Cache]) -> None:
        other = reopen(memory="1MiB")
        cache.put("a", 1)
        assert [other.get("a"), other.get("a")] == [1, 1]
        cache.clear()
        assert other.get("a") is None

    def test_an_empty_cache_has_nothing_to_clear(self, cache: Cache) -> None:
        assert [cache.clear(), cache.clear("app:")] == [0, 0]


class TestEvicting:
    def test_the_directory_stays_within_its_limit(self, reopen: Callable[..., Cache]) -> None:
        cache = reopen(disk=4 * MIB)
        for number in range(300):
            cache.put(number, noise(number, 40_000))
            assert cache.stats().bytes <= 4 * MIB
        assert cache.stats().evicted > 0
        assert cache.get(299) == noise(299, 40_000)
        assert cache.verify().ok

    def test_what_is_left_is_right_and_what_went_is_missing(self, reopen: Callable[..., Cache]) -> None:
        cache = reopen(disk=4 * MIB)
        for number in range(200):
            cache.put(number, noise(number, 40_000))
        found = {number: value for number in range(200) if (value := cache.get(number)) is not None}
        assert 0 < len(found) < 200
        assert all(value == noise(number, 40_000) for number, value in found.items())
        assert len(found) == cache.stats().entries

    def test_an_entry_that_is_read_outlives_those_that_are_not(self, reopen: Callable[..., Cache]) -> None:
        cache = reopen(disk=4 * MIB)
        for number in range(150):
            cache.put(number, noise(number, 40_000))
            assert cache.get(0) == noise(0, 40_000)
        assert 1 not in cache

    def test_blobs_go_with_the_entries_that_name_them(self, reopen: Callable[..., Cache]) -> None:
        cache = reopen(disk=4 * MIB)
        for number in range(40):
            cache.put(number, noise(number, 400_000))
        assert sum(path.stat().st_size for path in blobs(cache)) <= 4 * MIB
        assert len(blobs(cache)) == cache.stats().entries


class TestPruning:
    def test_space_of_what_was_replaced_comes_back(self, cache: Cache) -> None:
        for number in range(100):
            cache.put("a", noise(number, 30_000))
        assert cache.stats().bytes > 2 * MIB
        cache.prune()
        assert cache.stats().bytes < MIB
        assert cache.get("a") == noise(99, 30_000)

    def test_an_orphan_blob_is_left_an_hour_and_then_goes(self, cache: Cache) -> None:
        cache.put("a", bytes(LARGE))
        (file,) = blobs(cache)
        orphan = file.parent / ("ab" * 16)
        orphan.write_bytes(b"x")
        assert cache.prune().orphans == 0
        os.utime(orphan, (time.time() - 3700,) * 2)
        assert cache.prune(dry_run=True).orphans == 1
        assert orphan.exists()
        assert cache.prune().orphans == 1
        assert blobs(cache) == [file]

    def test_an_old_blob_that_is_named_is_no_orphan(self, cache: Cache) -> None:
        cache.put("a", bytes(LARGE))
        os.utime(blobs(cache)[0], (time.time() - 3700,) * 2)
        assert cache.prune().orphans == 0
        assert cache.get("a") == bytes(LARGE)

    @pytest.mark.parametrize("size", [0, 1, 5_000, 25_000, 10**9])
    def test_what_stays_fits_and_is_the_newest(self, cache: Cache, clock: FakeClock, size: int) -> None:
        for number in range(6):
            cache.put(number, noise(number, 8_000))
            clock.advance(1)
        report = cache.prune(max_bytes=size)
        left = [number for number in range(6) if number in cache]
        assert report.kept_bytes <= size
        assert left == list(range(6 - report.kept, 6))
        assert report.removed + report.kept == 6

    def test_what_was_pruned_does_not_come_back(
        self, cache: Cache, clock: FakeClock, reopen: Callable[..., Cache]
    ) -> None:
        cache.put("old", 1)
        clock.advance(100)
        cache.put("new", 2)
        assert cache.prune(older_than=50).removed == 1
        lose_index(cache)
        again = reopen()
        assert (again.get("old"), again.get("new")) == (None, 2)


ages = st.builds(Aged, st.integers(), st.integers(0, 1000), st.integers(0, 2000), st.integers(0, 100))
plans = st.builds(
    Pruning,
    now=st.integers(0, 1500),
    before=st.none() | st.integers(0, 1000),
    max_bytes=st.none() | st.integers(0, 500),
    dry_run=st.booleans(),
)


class TestChoosing:
    """The decision alone, for both backends and for memory."""

    @settings(max_examples=150)
    @given(st.lists(ages, max_size=12), plans)
    def test_the_expired_the_old_and_the_surplus_go_and_nothing_else(self, entries: list[Aged], plan: Pruning) -> None:
        doomed = choose(entries, plan)
        left = [each for each in entries if not any(each is other for other in doomed)]
        assert len(doomed) + len(left) == len(entries)
        assert all(is_fresh(each.created, each.expires, plan.now) for each in left)
        assert plan.before is None or all(each.created >= plan.before for each in left)
        assert plan.max_bytes is None or sum(each.size for each in left) <= plan.max_bytes
        wanted = [each for each in doomed if is_fresh(each.created, each.expires, plan.now)]
        assert all(one.created <= two.created for one in wanted for two in left)
        if plan.before is None and plan.max_bytes is None:
            assert wanted == []

    @given(st.lists(ages, max_size=12), plans)
    def test_no_more_goes_than_must(self, entries: list[Aged], plan: Pruning) -> None:
        doomed = choose(entries, plan)
        fresh = [each for each in doomed if is_fresh(each.created, each.expires, plan.now)]
        if fresh and plan.max_bytes is not None and (plan.before is None or fresh[-1].created >= plan.before):
            left = sum(each.size for each in entries) - sum(each.size for each in doomed)
            assert left + fresh[-1].size > plan.max_bytes

    @given(st.lists(ages, max_size=12), plans, st.integers(0, 5))
    def test_the_report_adds_up(self, entries: list[Aged], plan: Pruning, orphans: int) -> None:
        doomed = choose(entries, plan)
        report = summary(entries, doomed, orphans)
        assert report.removed + report.kept == len(entries)
        assert report.removed_bytes + report.kept_bytes == sum(each.size for each in entries)
        assert (report.removed, report.orphans) == (len(doomed), orphans)

    @pytest.mark.parametrize(
        ("created", "expires", "now", "wanted"),
        [
            (100.0, 200.0, 100.0, True),
            (100.0, 200.0, 199.999, True),
            (100.0, 200.0, 200.0, False),
            (100.0, 200.0, 40.0, True),
            (100.0, 200.0, 39.999, False),
            (100.0, float("inf"), 1e18, True),
            (float("nan"), 200.0, 100.0, False),
            (100.0, float("nan"), 100.0, False),
        ],
    )
    def test_an_entry_is_fresh_until_it_expires_and_not_long_before_it_was_made(
        self, created: float, expires: float, now: float, wanted: bool
    ) -> None:
        assert is_fresh(created, expires, now) is wanted
