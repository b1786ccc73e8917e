"""The index backend on disk: the published layout, growth, eviction, blobs, repair."""

from __future__ import annotations

import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cache_kit import flip, folder, in_child

from fanwise import Cache
from fanwise.cache import Damage
from fanwise.cache._hashing import check64, digest128
from fanwise.cache._index import HEADER_BYTES, SLOT_BYTES, Index, Slot, Tail
from fanwise.cache._log import MIB, segment_size
from fanwise.cache._store import arrange, bits_for
from fanwise.testing import FakeClock

HEADER = struct.Struct("<8sIIQIIQQQ16sQ")
SLOT = struct.Struct("<16sIIIIdd8sQ")
RECORD = struct.Struct("<4sI16s16sddHHHH8s")


@pytest.fixture
def open_cache(tmp_path: Path) -> Iterator[Callable[..., Cache]]:
    opened: list[Cache] = []

    def open_(**options: Any) -> Cache:
        opened.append(Cache(tmp_path / "cache", **{"memory": 0, "backend": "index", **options}))
        return opened[-1]

    yield open_
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(open_cache: Callable[..., Cache]) -> Cache:
    return open_cache()


def store_of(cache: Cache) -> Any:
    return cache.engine.levels.disk._store  # type: ignore[union-attr]


def slots_of(index: bytes) -> dict[bytes, tuple[Any, ...]]:
    """An independent reader of the slots."""
    found = {}
    for at in range(4096, len(index), 64):
        raw = index[at : at + 64]
        if any(raw):
            slot = SLOT.unpack(raw)
            assert slot[-1] == check64(raw[:56])
            found[slot[0]] = slot
    return found


def test_an_independent_reader_finds_header_slot_record_and_payload(cache: Cache) -> None:
    cache.put("k", b"payload", ttl=50)
    root = folder(cache)
    index = (root / "index").read_bytes()
    magic, schema, bits, epoch, moved, tail, offset, entries, size, _, check = HEADER.unpack_from(index)
    assert (magic, schema, bits, moved, entries) == (b"FWIDX\0\0\1", 1, 12, 0, 1)
    assert check == check64(index[:16] + index[56:72])
    assert len(index) == 4096 + 64 * 2**bits
    assert epoch % 2 == 0
    (slot,) = slots_of(index).values()
    key, segment, at, length, flags, expires, created, *_ = slot
    assert key == cache.key("k")
    home = int.from_bytes(key[:8], "little") % 2**bits
    assert index[4096 + 64 * home :][:16] == key
    assert expires == created + 50
    log = root / f"log-{segment:08d}"
    assert log.stat().st_size == segment_size(2 << 30)
    record = log.read_bytes()[at : at + length]
    mark, total, name_of, digest, made, until, bits_, _, names, metas, _ = RECORD.unpack_from(record)
    assert (mark, total, name_of, made, until, bits_) == (b"FWR1", length, key, created, expires, flags)
    assert digest == digest128(record[40:])
    assert record[72 : 72 + names] == b"user"
    assert record[72 + names + metas :] == b"payload"
    assert flags & 2, "what put writes is mutable"
    assert (tail, offset, size) == (segment, length + -length % 8, length + -length % 8)
    assert {path.name for path in root.iterdir()} == {"index", "hits", "lock", log.name}
    assert all(oct(path.stat().st_mode)[-3:] == "600" for path in root.iterdir())
    assert oct(root.stat().st_mode)[-3:] == oct(Path(cache.path).stat().st_mode)[-3:] == "700"
    assert (Path(cache.path) / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")


def test_large_values_are_blobs_named_by_their_digest_and_stored_once(cache: Cache) -> None:
    value = os.urandom(1 << 16)
    cache.put("a", value)
    before = cache.stats().bytes
    cache.put("b", value)
    (blob,) = [path for path in (folder(cache) / "blobs").rglob("*") if path.is_file()]
    assert blob.name == digest128(value).hex()
    assert blob.parent.name == blob.name[:2]
    assert blob.read_bytes() == value
    assert cache.stats().bytes - before < 200
    cache.delete("a")
    assert blob.exists(), "the other entry names it"
    assert cache.get("b") == value
    cache.put("b", b"small")
    assert not blob.exists()
    assert cache.get("b") == b"small"


def test_values_just_below_a_blob_lie_in_the_log(cache: Cache) -> None:
    cache.put("a", b"x" * (2**16 - 1))
    assert not (folder(cache) / "blobs").exists()
    assert cache.get("a") == b"x" * (2**16 - 1)


def test_the_index_grows_by_four_before_it_is_crowded(cache: Cache, open_cache: Callable[..., Cache]) -> None:
    other = open_cache()
    count = int(0.6 * 4096) + 10
    for n in range(count):
        cache.put(n, n)
    assert (folder(cache) / "index").stat().st_size == 4096 + 64 * 4 * 4096
    assert (folder(cache) / "hits").stat().st_size == 4 * 4096
    assert [other.get(n) for n in range(count)] == list(range(count)), "who holds the old file moves on"
    assert other.stats().entries == count
    assert cache.verify().ok


def test_slots_are_arranged_within_reach_or_in_a_larger_table() -> None:
    same_home = [Slot(bytes(8) + n.to_bytes(8, "little"), 1, 0, 80, 0, 1.0, 0.0) for n in range(70)]
    bits, table = arrange(same_home[:64], 12)
    assert (bits, len(table)) == (12, 64)
    spread = [Slot((n * 4096).to_bytes(8, "little") + bytes(8), 1, 0, 80, 0, 1.0, 0.0) for n in range(70)]
    bits, table = arrange(spread, 12)
    assert bits > 12
    assert len(table) == 70
    assert [bits_for(n) for n in (0, 1000, 3000, 100_000)] == [12, 12, 14, 20]


def test_a_window_wraps_round_the_end_of_the_table(cache: Cache) -> None:
    index = store_of(cache).index
    last = index.home_mask
    keys = [last.to_bytes(8, "little") + n.to_bytes(8, "little") for n in range(3)]
    for n, key in enumerate(keys):
        place = index.free_place(key)
        assert place == (last + n) & last
        index.write_slot(place, Slot(key, 1, 8 * n, 80, 0, 1.0, 0.0))
    assert [index.places(key) for key in keys] == [[last], [0], [1]]
    assert index.find(keys[2])[1].offset == 16


def test_a_full_neighbourhood_makes_the_index_grow(cache: Cache) -> None:
    store = store_of(cache)
    cache.put("other", 1)
    slots = [Slot(bytes(8) + (n + 1).to_bytes(8, "little"), 9, 0, 80, 0, 1.0, 0.0) for n in range(64)]
    slots[-1] = slots[-1]._replace(key=(4096).to_bytes(8, "little") + bytes(8))  # shares their home in this table only
    with store as index:
        for slot in slots:
            store.place(index, slot, [])
        assert index.free_place(bytes(16)) is None
        store.place(index, slots[0]._replace(key=(8192).to_bytes(8, "little") + bytes(8)), [])
        assert store.index.bits == 14
    assert cache.get("other") == 1


def test_segments_are_a_share_of_the_limit_in_whole_mebibytes() -> None:
    assert [segment_size(n) for n in (0, 10 * MIB, 100 * MIB, 2 << 30, 1 << 40)] == [
        MIB,
        MIB,
        3 * MIB,
        64 * MIB,
        64 * MIB,
    ]


def used_on_disk(cache: Cache) -> int:
    return sum(path.stat().st_blocks * 512 for path in Path(cache.path).rglob("*") if path.is_file())


def test_the_oldest_segment_goes_when_the_limit_is_reached(open_cache: Callable[..., Cache]) -> None:
    cache = open_cache(disk="6MiB")
    for n in range(1500):
        assert cache.put(n, bytes([n % 251]) * 8000)
        if n % 50 == 0:
            assert cache.get(0) is not None, "an entry that is read again and again stays"
    stats = cache.stats()
    assert stats.evicted > 500
    assert stats.bytes <= 6 << 20
    assert used_on_disk(cache) <= 6.5 * MIB
    assert cache.get(1) is None
    assert cache.get(1499) == bytes([1499 % 251]) * 8000
    assert cache.verify().ok
    assert cache.stats().entries == cache.verify().entries


def test_blobs_of_evicted_entries_go_with_them(open_cache: Callable[..., Cache]) -> None:
    cache = open_cache(disk="8MiB")
    for n in range(60):
        cache.put(n, n.to_bytes(4, "little") * 100_000)
    blobs = [path for path in (folder(cache) / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == cache.stats().entries < 25
    assert used_on_disk(cache) <= 9 * MIB


def test_a_memory_of_another_process_is_dropped_by_eviction(open_cache: Callable[..., Cache]) -> None:
    watcher = open_cache(memory="1MiB", disk="4MiB")
    watcher.put("first", 1)
    assert watcher.get("first") == 1
    cache = open_cache(disk="4MiB")
    for n in range(1000):
        cache.put(n, bytes(8000))
    cache.put("first", 2)
    assert watcher.get("first") == 2


def test_pruning_frees_the_space_of_what_was_replaced(cache: Cache) -> None:
    for n in range(300):
        cache.put("same", bytes([n % 251]) * 10_000)
    before = cache.stats().bytes
    cache.prune()
    assert cache.stats().bytes < before / 100
    assert cache.get("same") == bytes([299 % 251]) * 10_000


def test_orphans_go_after_an_hour(cache: Cache) -> None:
    cache.put("a", b"x" * 100_000)
    blobs = folder(cache) / "blobs"
    orphan = blobs / "ab" / ("ab" * 16)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"y" * 10)
    draft = blobs / "tmp-0123"
    draft.write_bytes(b"z")
    assert cache.prune().orphans == 0
    for path in (orphan, draft):
        os.utime(path, (time.time() - 4000,) * 2)
    assert cache.prune(dry_run=True).orphans == 2
    assert orphan.exists()
    assert cache.prune().orphans == 2
    assert not orphan.exists()
    assert not draft.exists()
    assert cache.get("a") == b"x" * 100_000


def test_folders_of_old_schemas_go_when_nobody_touched_them_for_30_days(cache: Cache, tmp_path: Path) -> None:
    old, recent, newer = (Path(cache.path) / name for name in ("v0", "v0-blake2b", "v2"))
    for path in (old, recent, newer):
        path.mkdir()
        (path / "file").write_text("x")
    for path in (old, newer):
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    cache.prune()
    assert [path.exists() for path in (old, recent, newer)] == [False, True, True]


# Damage.


def test_a_flipped_payload_is_a_miss_and_counted_and_computed_again(cache: Cache) -> None:
    cache.put("a", b"x" * 1000)
    cache.put("b", b"y")
    flip(folder(cache) / "log-00000001", 500)
    assert cache.get("a") is None
    assert cache.stats().corrupt == 1
    assert cache.get("b") == b"y"
    assert cache.get_or_compute("a", lambda: 5) == 5
    assert cache.get("a") == 5


def test_a_flipped_slot_is_a_miss(cache: Cache) -> None:
    cache.put("a", 1)
    place = int.from_bytes(cache.key("a")[:8], "little") % 4096
    flip(folder(cache) / "index", HEADER_BYTES + SLOT_BYTES * place + 20)
    assert cache.get("a") is None
    assert cache.stats().corrupt == 1
    cache.put("a", 2)
    assert cache.get("a") == 2


def test_a_cut_or_flipped_blob_is_a_miss_and_written_again(cache: Cache) -> None:
    value = os.urandom(100_000)
    for harm in (lambda path: flip(path, 70_000), lambda path: os.truncate(path, 50), lambda path: path.unlink()):
        cache.put("a", value)
        (blob,) = [path for path in (folder(cache) / "blobs").rglob("*") if path.is_file()]
        harm(blob)
        assert cache.get("a") is None
        assert cache.get_or_compute("a", lambda: value) == value
        assert cache.get("a") == value


@pytest.mark.parametrize("offset", [0, 8, 12, 60, 72, 30, 40, 80])
def test_a_damaged_header_is_rebuilt_from_the_log(cache: Cache, open_cache: Callable[..., Cache], offset: int) -> None:
    wrapped = cache.memoize(lambda x: x, adaptive=False)
    wrapped(1)
    cache.put("mine", 2)
    cache.put("gone", 3)
    cache.delete("gone")
    cache.close()
    flip(folder(cache) / "index", offset, 3)
    again = open_cache()
    assert again.get(wrapped.key(1)) == 1
    assert again.get("mine") == 2, "the log is whole"
    assert again.get("gone") is None
    report = again.verify()
    assert report.entries == 2
    assert list(report.damage) == [Damage("index", 0, "", "header or size is not what it should be")]
    assert again.verify().ok


def test_what_put_wrote_before_damage_is_not_brought_back(cache: Cache, open_cache: Callable[..., Cache]) -> None:
    wrapped = cache.memoize(lambda x: x, adaptive=False)
    wrapped(1)
    cache.put("k", "old")
    cache.put("other", "x" * 100)
    cache.put("k", "new")
    cache.put("after", 1)
    size = store_of(cache).tail.offset
    cache.close()
    log = folder(cache) / "log-00000001"
    data = log.read_bytes()[:size]
    flip(log, data.rfind(b"new"))
    (folder(cache) / "index").unlink()
    again = open_cache()
    assert again.get("k") is None
    assert again.get("other") is None
    assert again.get("after") == 1
    assert again.get(wrapped.key(1)) == 1


@pytest.mark.parametrize("size", [0, 10, 100, 5000, 400_000])
def test_a_cut_log_costs_what_was_cut(cache: Cache, open_cache: Callable[..., Cache], size: int) -> None:
    for n in range(100):
        cache.put(n, bytes([n]) * 5000)
    cache.close()
    os.truncate(folder(cache) / "log-00000001", size)
    again = open_cache()
    found = [again.get(n) for n in range(100)]
    assert all(value in {None, bytes([n]) * 5000} for n, value in enumerate(found))
    assert sum(value is not None for value in found) == size // 5080 if size < 400_000 else True
    assert not again.verify(repair=True).ok
    assert again.verify().ok
    again.put("next", 1)
    assert again.get("next") == 1


def test_a_lost_segment_costs_its_entries(cache: Cache) -> None:
    cache.put("a", 1)
    (folder(cache) / "log-00000001").unlink()
    with Cache(cache.path, memory=0) as other:
        assert other.get("a") is None
        assert [each.why for each in other.verify().damage] == ["segment is missing"]
        assert other.put("b", 2)
        assert other.get("b") == 2
        assert other.verify().ok, "what leads nowhere was cleared"


def test_files_deleted_while_open_are_made_again(cache: Cache) -> None:
    cache.put("a", 1)
    shutil.rmtree(cache.path)
    assert cache.get("a") is None
    assert cache.put("b", 2)
    assert cache.get("b") == 2
    with Cache(cache.path, memory=0) as other:
        assert other.get("b") == 2
    for path in folder(cache).iterdir():
        path.unlink()
    assert cache.get("b") is None
    assert cache.put("c", 3)
    with Cache(cache.path, memory=0) as other:
        assert other.get("c") == 3


def test_memory_does_not_outlive_the_directory(open_cache: Callable[..., Cache]) -> None:
    cache = open_cache(memory="1MiB")
    cache.put("a", 1)
    assert cache.get("a") == 1
    shutil.rmtree(cache.path)
    assert cache.get("a") is None


def test_verify_lists_damage_with_file_offset_key_and_reason(cache: Cache) -> None:
    cache.put("a", b"x" * 1000)
    cache.put("b", b"y" * 100_000)
    cache.put("c", 1)
    (blob,) = [path for path in (folder(cache) / "blobs").rglob("*") if path.is_file()]
    flip(folder(cache) / "log-00000001", 500)
    flip(blob, 5)
    damage = {each.key: each for each in cache.verify().damage}
    a, b = damage[cache.key("a").hex()], damage[cache.key("b").hex()]
    assert (a.file, a.offset, a.why) == ("log-00000001", 0, "check of the record does not agree")
    assert (b.file, b.why) == (f"blobs/{blob.parent.name}/{blob.name}", "missing, cut or changed")
    report = cache.verify(repair=True)
    assert report.repaired
    assert report.entries == 1
    assert cache.verify().ok
    assert cache.get("c") == 1
    assert cache.stats().entries == 1


def test_an_entry_that_points_into_another_record_is_damage(cache: Cache) -> None:
    cache.put("a", 1)
    store = store_of(cache)
    with store as index:
        _, slot = index.find(cache.key("a"))
        index.write_slot(index.free_place(cache.key("b")), slot._replace(key=cache.key("b")))
    assert cache.get("b") is None
    assert cache.stats().corrupt == 1
    assert not cache.verify().ok


# Writers that die, and what the next one finds.


@pytest.mark.parametrize("step", ["tail", "record", "epoch", "slot"])
def test_a_writer_killed_at_any_step_leaves_the_old_value_or_the_new_one(cache: Cache, step: str) -> None:
    cache.put("k", "old")

    def work() -> None:
        cache.engine.levels.disk._step = lambda at: os._exit(9) if at == step else None  # type: ignore[union-attr]
        cache.put("k", "new")

    assert in_child(work) == 9
    assert cache.get("k") == ("new" if step == "slot" else "old")
    assert cache.put("other", 1)
    assert cache.get("k") == ("new" if step == "slot" else "old")
    assert cache.verify().ok, "a hole is no damage"


def test_nothing_is_kept_in_memory_while_entries_are_being_replaced(open_cache: Callable[..., Cache]) -> None:
    cache = open_cache(memory="1MiB")
    cache.put("k", "old")
    with store_of(cache) as index:
        index.begin_change()
    assert cache.get("k") == "old"
    assert cache.get("k") == "old"
    assert cache.stats().hits_memory == 0, "a writer that died now would leave it there for good"
    cache.put("other", 1)
    assert [cache.get("k"), cache.get("k")] == ["old", "old"]
    assert cache.stats().hits_memory == 1


def test_a_header_that_says_moved_of_the_file_in_place_is_rebuilt(cache: Cache) -> None:
    cache.put("k", 1)
    flip(folder(cache) / "index", 24)
    assert cache.put("l", 2)
    assert (cache.get("k"), cache.get("l")) == (1, 2)


def test_a_tail_that_was_damaged_is_not_written_to(cache: Cache) -> None:
    cache.put("k", 1)
    flip(folder(cache) / "index", 32)
    assert cache.put("l", 2)
    assert (cache.get("k"), cache.get("l")) == (1, 2)
    assert store_of(cache).tail.segment == 2, "after a rebuild a new segment is begun"


def test_the_lock_file_can_be_deleted(cache: Cache) -> None:
    cache.put("a", 1)
    (folder(cache) / "lock").unlink()
    time.sleep(0.001)  # longer than files are trusted without a look
    assert cache.put("b", 1)
    assert (folder(cache) / "lock").exists()


def test_an_index_deleted_from_a_directory_that_was_quiet_for_long_is_noticed(cache: Cache) -> None:
    cache.put("a", 1)
    os.utime(folder(cache), (1.0, 1.0))
    store_of(cache)._looked = -1.0
    cache.put("a", 2)  # has seen how old the directory is
    (folder(cache) / "index").unlink()
    store_of(cache)._looked = -1.0
    assert cache.put("b", 3)
    with Cache(cache.path, memory=0) as other:
        assert (other.get("a"), other.get("b")) == (2, 3)


def test_power_durability_waits_for_the_disk(open_cache: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd)))
    open_cache().put("a", b"x" * 100_000)
    assert synced == []
    durable = open_cache(durability="power")
    durable.put("b", b"y" * 100_000)
    assert len(synced) == 2, "blob and log"


def test_both_schemas_live_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "c" / "v2").mkdir(parents=True, mode=0o700)
    (tmp_path / "c").chmod(0o700)
    with Cache(tmp_path / "c") as cache:
        assert cache.put("a", 1)
    assert (tmp_path / "c" / "v2").is_dir()


def test_an_index_of_another_size_than_its_header_says_is_refused(cache: Cache) -> None:
    directory = store_of(cache).directory
    assert Index.open(directory) is not None
    with (folder(cache) / "index").open("ab") as file:
        file.write(b"\0")
    assert Index.open(directory) is None
    Index.write(directory, 4, {}, Tail(0, 0, 0, 0))
    index = Index.open(directory)
    assert index is not None
    assert index.size == HEADER_BYTES + 16 * SLOT_BYTES
    index.close()


def test_a_clock_that_stands_still_is_no_reason_to_trust_files(tmp_path: Path) -> None:
    with Cache(tmp_path / "c", clock=FakeClock(1e6)) as cache:
        cache.put("a", 1)
        shutil.rmtree(cache.path)
        assert cache.get("a") is None
