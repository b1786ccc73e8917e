"""`Cache.verify` over the index backend: every kind of damage is named, and repair leaves none of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cache_kit import flip, folder

from fanwise import Cache
from fanwise.cache import Damage
from fanwise.cache._records import BLOB, Record, pack

VALUES = {"a": 1, "b": "two", "c": bytes(100_000), "d": [1, [2]]}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(tmp_path / "c", backend="index", memory=0, disk="32MiB") as cache:
        yield cache


@pytest.fixture
def filled(cache: Cache) -> Cache:
    """Four computed entries, one of them a blob."""
    for key, value in VALUES.items():
        cache.get_or_compute(key, lambda value=value: value)
    return cache


def log(cache: Cache) -> Path:
    return next(folder(cache).glob("log-*"))


def blob(cache: Cache) -> Path:
    return next(folder(cache).glob("blobs/*/*"))


def at(file: Path, key: bytes) -> int:
    return file.read_bytes().index(key)


def spoil_record(cache: Cache) -> None:
    flip(log(cache), at(log(cache), cache.key("a")) + 40)


def spoil_slot(cache: Cache) -> None:
    flip(folder(cache) / "index", at(folder(cache) / "index", cache.key("a")) + 30)


def spoil_blob(cache: Cache) -> None:
    flip(blob(cache), 500)


def cut_blob(cache: Cache) -> None:
    os.truncate(blob(cache), 500)


def delete_blob(cache: Cache) -> None:
    blob(cache).unlink()


def delete_log(cache: Cache) -> None:
    log(cache).unlink()


Spoil = Callable[[Cache], None]
HARM: list[tuple[Spoil, str, str, int]] = [
    (spoil_record, "log-", "check of the record does not agree", 3),
    (spoil_slot, "index", "check of the slot does not agree", 3),
    (spoil_blob, "blobs/", "missing, cut or changed", 3),
    (cut_blob, "blobs/", "missing, cut or changed", 3),
    (delete_blob, "blobs/", "missing, cut or changed", 3),
    (delete_log, "log-", "segment is missing", 0),
]
harm = pytest.mark.parametrize(("spoil", "file", "why", "whole"), HARM, ids=[each[0].__name__ for each in HARM])


def test_a_sound_cache_has_no_damage(filled: Cache) -> None:
    report = filled.verify()
    assert (report.ok, report.entries, report.damage, report.repaired) == (True, 4, [], False)


def test_an_empty_cache_is_sound(cache: Cache) -> None:
    assert cache.verify().ok
    assert cache.verify(repair=True).entries == 0


@harm
def test_damage_is_named_with_file_and_reason(filled: Cache, spoil: Spoil, file: str, why: str, whole: int) -> None:
    spoil(filled)
    report = filled.verify()
    assert report.entries == whole
    assert len(report.damage) == 4 - whole
    assert all(each.file.startswith(file) and each.why == why for each in report.damage)


@harm
def test_looking_repairs_nothing_and_says_the_same_again(
    filled: Cache, spoil: Spoil, file: str, why: str, whole: int
) -> None:
    spoil(filled)
    assert filled.verify().damage == filled.verify().damage != []
    assert not filled.verify().repaired


@harm
def test_repair_leaves_the_whole_entries_and_no_damage(
    filled: Cache, spoil: Spoil, file: str, why: str, whole: int
) -> None:
    spoil(filled)
    report = filled.verify(repair=True)
    assert (report.repaired, report.ok) == (True, False)
    again = filled.verify()
    assert (again.ok, again.entries) == (True, whole)
    found = {key: value for key in VALUES if (value := filled.get(key)) is not None}
    assert len(found) == whole
    assert all(value == VALUES[key] for key, value in found.items())


@harm
def test_what_was_repaired_is_computed_and_stored_again(
    filled: Cache, spoil: Spoil, file: str, why: str, whole: int
) -> None:
    spoil(filled)
    filled.verify(repair=True)
    for key, value in VALUES.items():
        assert filled.get_or_compute(key, lambda value=value: value) == value
    assert (filled.verify().ok, filled.verify().entries) == (True, 4)


def test_the_key_of_a_damaged_record_is_told(filled: Cache) -> None:
    spoil_record(filled)
    (damage,) = filled.verify().damage
    assert damage == Damage(log(filled).name, at(log(filled), filled.key("a")) - 8, filled.key("a").hex(), damage.why)


def test_a_log_cut_to_nothing_is_a_missing_segment(filled: Cache) -> None:
    os.truncate(log(filled), 0)
    assert {each.why for each in filled.verify().damage} == {"segment is missing"}
    filled.verify(repair=True)
    assert (filled.verify().ok, filled.verify().entries) == (True, 0)


@pytest.mark.parametrize("size", [100, 4096])
def test_a_cut_log_is_named_beside_the_entries_that_it_cost(filled: Cache, size: int) -> None:
    name = log(filled).name
    os.truncate(log(filled), size)
    report = filled.verify()
    assert any(each.file == name and each.why == "cut off" for each in report.damage)
    assert filled.verify(repair=True).repaired
    assert filled.verify().ok


def test_damage_between_records_is_named_though_no_entry_is_lost(filled: Cache) -> None:
    """After the loss of the index such a place costs what `put` wrote before it."""
    filled.put("gone", 1)
    place = at(log(filled), filled.key("gone"))
    filled.put("gone", 2)
    flip(log(filled), place + 50)
    report = filled.verify()
    assert (report.entries, len(report.damage)) == (5, 1)
    assert filled.verify(repair=True).repaired
    assert filled.get("gone") == 2
    assert filled.verify().ok


def test_a_lost_index_is_named_once(filled: Cache) -> None:
    flip(folder(filled) / "index", 0)
    with Cache(filled.path, backend="index", memory=0) as other:
        first, second = other.verify(), other.verify()
    assert second.ok
    assert (first.entries, second.entries) == (4, 4)


def test_a_record_that_names_no_blob_is_damage(filled: Cache) -> None:
    """Its check agrees, so only its content tells."""
    raw = log(filled).read_bytes()
    start = at(log(filled), filled.key("b")) - 8
    length = int.from_bytes(raw[start + 4 : start + 8], "little")
    bare = Record(filled.key("b"), 1.0, float("inf"), BLOB, 0, "user", b"", b"")
    forged = pack(bare._replace(payload=b"x" * (length - len(pack(bare)))))
    assert len(forged) == length
    with log(filled).open("r+b") as file:
        file.seek(start)
        file.write(forged)
    assert [each.why for each in filled.verify().damage] == ["names no blob"]
    assert filled.get("b") is None


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(["index", "log", "blob"]), st.integers(0, 10**6), st.integers(0, 7)), max_size=6)
)
def test_whatever_bits_are_flipped_repair_ends_sound_and_no_value_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[str, int, int]]
) -> None:
    with Cache(tmp_path_factory.mktemp("harmed") / "c", backend="index", memory=0, disk="32MiB") as cache:
        for key, value in VALUES.items():
            cache.get_or_compute(key, lambda value=value: value)
        used = log(cache).read_bytes().rstrip(b"\0")
        for kind, offset, bit in flips:
            file, size = {
                "index": (folder(cache) / "index", 4096 + 64 * 4096),
                "log": (log(cache), len(used)),
                "blob": (blob(cache), 100_000),
            }[kind]
            flip(file, offset % size, bit)
        cache.verify(repair=True)
        assert cache.verify().ok
        assert all(cache.get(key, value) == value for key, value in VALUES.items())
