"""The plain-files backend by itself: one file an entry, whole or a miss, the oldest go first."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cache_kit import flip, folder

from fanwise import Cache
from fanwise.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_000_000.0)


@pytest.fixture
def cache(tmp_path: Path, clock: FakeClock) -> Iterator[Cache]:
    with Cache(tmp_path / "c", backend="files", memory=0, clock=clock) as cache:
        yield cache


def entries(cache: Cache) -> list[Path]:
    return sorted(folder(cache).glob("entries/*/*"))


def test_an_entry_is_one_file_named_by_its_key(cache: Cache) -> None:
    cache.put("a", 1)
    (file,) = entries(cache)
    assert file.name == cache.key("a").hex()
    assert file.parent.name == file.name[:2]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [(each.name, each.where) for each in cache.list()] == [("user", "file")]


def test_storing_again_replaces_the_file_and_leaves_no_draft(cache: Cache) -> None:
    for value in (b"x", b"y" * 100_000, b"z"):
        cache.put("a", value)
        assert cache.get("a") == value
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("offset", [0, 5, 30, 50, 70, -1])
def test_a_damaged_file_is_a_miss_is_counted_and_goes(cache: Cache, offset: int) -> None:
    cache.put("a", bytes(range(200)))
    (file,) = entries(cache)
    flip(file, offset % file.stat().st_size)
    assert "a" not in cache
    assert cache.get("a") is None
    assert cache.stats().corrupt == 1
    assert entries(cache) == []


def test_a_file_cut_short_is_a_miss(cache: Cache) -> None:
    cache.put("a", bytes(1000))
    (file,) = entries(cache)
    for size in (500, 40, 0):
        os.truncate(file, size)
        assert cache.get("a") is None
        cache.put("a", bytes(1000))


def test_a_file_under_another_name_is_a_miss(cache: Cache) -> None:
    cache.put("a", 1)
    (file,) = entries(cache)
    other = cache.key("b").hex()
    place = file.parent.parent / other[:2]
    place.mkdir(exist_ok=True, mode=0o700)
    shutil.copy(file, place / other)
    assert cache.get("b") is None
    assert cache.get("a") == 1


def test_verify_names_what_is_damaged_and_repair_removes_it(cache: Cache) -> None:
    for name in "abc":
        cache.put(name, name)
    flip(entries(cache)[0], 60)
    report = cache.verify()
    assert (report.entries, len(report.damage), report.repaired) == (2, 1, False)
    assert report.damage[0].file.startswith("entries/")
    assert cache.verify(repair=True).repaired
    assert cache.verify().ok


def test_a_directory_deleted_while_open_is_made_again(cache: Cache, tmp_path: Path) -> None:
    cache.put("a", 1)
    shutil.rmtree(tmp_path / "c")
    assert cache.get("a") is None
    assert not cache.delete("a")
    assert list(cache.list()) == []
    assert cache.stats().entries == 0
    assert cache.put("a", 2)
    assert cache.get("a") == 2


def test_a_deleted_folder_of_entries_is_made_again(cache: Cache) -> None:
    cache.put("a", 1)
    shutil.rmtree(folder(cache) / "entries")
    assert cache.get("a") is None
    assert list(cache.list()) == []
    assert cache.put("a", 2)
    assert cache.get("a") == 2


def test_the_oldest_files_go_when_the_limit_is_reached(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="files", memory=0, disk=100_000) as cache:
        for number in range(12):
            cache.put(number, bytes(10_000))
            (file,) = [file for file in entries(cache) if file.name == cache.key(number).hex()]
            os.utime(file, ns=(number * 10**9, number * 10**9))
        there = [number for number in range(12) if number in cache]
        assert there == list(range(12 - len(there), 12))
        assert cache.stats().evicted == 12 - len(there)
        assert cache.stats().bytes <= 100_000


def test_a_value_of_more_than_a_quarter_is_not_stored(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="files", disk=100_000, memory=0) as cache:
        assert not cache.put("large", bytes(30_000))
        assert cache.put("small", bytes(20_000))
        assert cache.stats().uncacheable == 1


def test_pruning_removes_by_age_size_and_expiry_and_drafts_of_the_dead(cache: Cache, clock: FakeClock) -> None:
    cache.put("old", 1)
    clock.advance(100)
    cache.put("short", 2, ttl=10)
    cache.put("new", bytes(1000))
    draft = entries(cache)[0].parent / "tmp-0123456789abcdef"
    draft.write_bytes(b"half")
    os.utime(draft, (time.time() - 7200,) * 2)
    clock.advance(11)
    trial = cache.prune(older_than=60, dry_run=True)
    assert (trial.removed, trial.orphans) == (2, 1)
    assert draft.exists()
    report = cache.prune(older_than=60)
    assert (report.removed, report.kept, report.orphans) == (2, 1, 1)
    assert not draft.exists()
    assert cache.prune(max_bytes=10).removed == 1
    assert entries(cache) == []


def test_clearing_by_name_leaves_the_others(cache: Cache) -> None:
    cache.put("mine", 1)
    cache.memoize(abs)(-3)
    assert cache.clear("builtins:") == 1
    assert cache.clear() == 1
    assert cache.clear() == 0


def test_expired_entries_are_misses(cache: Cache, clock: FakeClock) -> None:
    cache.put("a", 1, ttl=5)
    clock.advance(5)
    assert "a" not in cache
    assert cache.get("a") is None
    assert cache.stats().expired >= 1


def test_memory_above_files_asks_for_the_stamp_once_a_second(tmp_path: Path, clock: FakeClock) -> None:
    with (
        Cache(tmp_path / "c", backend="files", clock=clock) as one,
        Cache(tmp_path / "c", backend="files", clock=clock) as two,
    ):
        one.put("a", 1)
        assert (two.get("a"), two.get("a")) == (1, 1)
        assert two.stats().hits_memory == 1
        one.put("a", 2)
        clock.advance(1.5)
        assert two.get("a") == 2
        clock.advance(1.5)
        assert two.get("a") == 2
        assert two.stats().hits_memory == 2


def test_nothing_is_made_before_something_is_stored(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend="files") as cache:
        assert cache.get("a") is None
        assert cache.verify().entries == 0


@pytest.mark.parametrize("backend", ["files", "index"])
def test_a_closed_cache_still_says_what_it_was(backend: str, tmp_path: Path) -> None:
    with Cache(tmp_path / "c", backend=backend) as cache:  # type: ignore[arg-type]  # a parameter
        cache.put("a", 1)
    stats = cache.stats()
    assert (stats.backend, stats.entries, stats.stores, stats.bytes_memory) == (backend, 1, 1, 0)
    assert repr(cache).endswith("closed>")
