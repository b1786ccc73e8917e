"""The level in memory: a bound in bytes, oldest out first unless it was used, nothing shared with what was handed out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache import Key
from fanwise.testing import FakeClock, MemoryCache


def keys(count: int) -> list[Key]:
    return [Key(number.to_bytes(16, "little")) for number in range(count)]


def test_the_oldest_goes_first() -> None:
    cache = MemoryCache(4_000)
    for key in keys(10):
        cache.put(key, [bytes(500)])
    there = [key for key in keys(10) if key in cache]
    assert there == keys(10)[10 - len(there) :]
    assert 1 < len(there) < 8
    assert cache.stats().bytes_memory <= 4_000


def test_what_was_used_gets_a_second_chance() -> None:
    cache = MemoryCache(4_000)
    first, *rest = keys(9)
    cache.put(first, [bytes(500)])
    for key in rest:
        cache.put(key, [bytes(500)])
        assert cache.get(first) == [bytes(500)]
    assert rest[0] not in cache


def test_a_value_larger_than_the_bound_is_not_kept() -> None:
    cache = MemoryCache(1_000)
    assert cache.put("small", [1])
    assert not cache.put("large", [bytes(2_000)])
    assert "large" not in cache
    assert "small" in cache


def test_a_larger_value_of_the_same_key_is_counted_once() -> None:
    cache = MemoryCache(10_000)
    for size in (10, 4_000, 20):
        cache.put("a", [bytes(size)])
    assert cache.stats().entries == 1
    assert cache.stats().bytes_memory < 1_000


def test_changing_what_was_handed_out_changes_nothing() -> None:
    cache = MemoryCache()
    cache.put("a", {"rows": [1, 2]})
    cache.get("a")["rows"].append(3)
    assert cache.get("a") == {"rows": [1, 2]}


def test_changing_what_was_stored_changes_nothing() -> None:
    cache = MemoryCache()
    rows = [1, 2]
    cache.put("a", rows)
    rows.append(3)
    assert cache.get("a") == [1, 2]


def test_pruning_and_clearing_and_listing_by_name() -> None:
    clock = FakeClock(start=1_000_000)
    cache = MemoryCache(clock=clock)
    cache.memoize(abs)(-1)
    cache.put("mine", [1], ttl=5)
    assert sorted(entry.name for entry in cache.list()) == ["builtins:abs", "user"]
    assert [entry.name for entry in cache.list("bu")] == ["builtins:abs"]
    clock.advance(6)
    report = cache.prune()
    assert (report.removed, report.kept) == (1, 1)
    assert cache.clear("nobody") == 0
    assert cache.clear("builtins") == 1
    assert cache.verify().ok


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 900)), max_size=60))
def test_the_bound_holds_and_what_is_there_is_right(stores: list[tuple[int, int]]) -> None:
    cache = MemoryCache(3_000)
    model: dict[int, int] = {}
    for number, size in stores:
        if cache.put(number, [bytes(size)]):
            model[number] = size
        assert cache.stats().bytes_memory <= 3_000
    for number, size in model.items():
        assert cache.get(number) in (None, [bytes(size)])
