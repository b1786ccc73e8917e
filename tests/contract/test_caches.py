"""One contract for every level: in memory, in an index, in files, shared between hosts, and stacked."""

from __future__ import annotations

import json
import os
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cache_kit import SharedDict, in_child

from fanwise import Cache
from fanwise.cache import CacheStats
from fanwise.errors import CacheError, FanwiseWarning, UsageError
from fanwise.testing import FakeClock

Open = Callable[..., Cache]
LEVELS = {
    "memory": {"disk": 0},
    "index": {"backend": "index", "memory": 0},
    "files": {"backend": "files", "memory": 0},
    "cluster": {"disk": 0, "memory": 0},
    "memory over index": {"backend": "index"},
    "memory over files": {"backend": "files"},
    "all three": {"backend": "index"},
}
LARGE = b"large" * 100_000


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_000_000.0)


@pytest.fixture
def open_cache(level: str, tmp_path: Path, clock: FakeClock) -> Iterator[Open]:
    """Opens the same cache again and again: same directory, same shared level."""
    shared = SharedDict() if level in {"cluster", "all three"} else None
    opened: list[Cache] = []

    def open_(**options: Any) -> Cache:
        opened.append(Cache(tmp_path / "cache", **{"clock": clock, "shared": shared, **LEVELS[level], **options}))
        return opened[-1]

    yield open_
    for cache in opened:
        cache.close()


@pytest.fixture
def cache(open_cache: Open) -> Cache:
    return open_cache()


@pytest.fixture
def stores_puts(level: str) -> bool:
    """What `put` writes stays on this host, so a cluster level alone keeps none of it."""
    return level != "cluster"


@pytest.fixture
def persists(level: str) -> bool:
    return level != "memory"


def compute_once(cache: Cache, key: Any, value: Any, **options: Any) -> Any:
    """Store through the one way that reaches every level."""
    return cache.get_or_compute(key, lambda: value, **options)


VALUES = [
    None,
    True,
    0,
    2**70,
    1.5,
    "text",
    b"bytes",
    (1, (2, "x")),
    [1, [2]],
    {"a": [1], 2: None},
    {1, 2},
    bytearray(b"x"),
    LARGE,
    [LARGE[:300]],
    "ü" * 100_000,
    b"",
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{type(v).__name__} {len(v) if hasattr(v, '__len__') else v}")
def test_a_stored_value_comes_back_equal_and_of_the_same_type(cache: Cache, value: Any) -> None:
    compute_once(cache, "k", value)
    again = cache.get("k", "nothing")
    assert again == value
    assert type(again) is type(value)
    assert "k" in cache
    assert cache.get_or_compute("k", lambda: pytest.fail("computed again")) == value


def test_none_is_a_value_and_a_default_is_given_for_nothing(cache: Cache) -> None:
    compute_once(cache, "k", None)
    assert cache.get("k", 5) is None
    assert cache.get("other", 5) == 5
    assert cache.get("other") is None
    assert "other" not in cache


def test_what_a_hit_returned_is_the_callers_own(cache: Cache) -> None:
    compute_once(cache, "k", [1, {"a": [2]}])
    first = cache.get("k")
    first[1]["a"].append(3)
    first.clear()
    assert cache.get("k") == [1, {"a": [2]}]


def test_put_replaces_and_delete_removes(cache: Cache, stores_puts: bool) -> None:
    assert cache.put("k", 1) is stores_puts
    cache.put("k", [2])
    assert cache.get("k") == ([2] if stores_puts else None)
    assert cache.delete("k") is stores_puts
    assert cache.get("k", "gone") == "gone"
    assert cache.delete("k") is False
    assert "k" not in cache


def test_a_deleted_result_is_computed_again(cache: Cache) -> None:
    compute_once(cache, "k", 1)
    assert cache.delete("k")
    assert compute_once(cache, "k", 2) == 2


def test_another_opener_finds_what_was_stored(open_cache: Open, persists: bool) -> None:
    compute_once(open_cache(), ("a", 1), {"x": [1.5]})
    assert open_cache().get(("a", 1)) == ({"x": [1.5]} if persists else None)


def test_a_forked_reader_finds_it_and_what_it_stores_is_found(cache: Cache, persists: bool, level: str) -> None:
    compute_once(cache, "before", [1])

    def child() -> None:
        assert cache.stats().hits == 0, "counters of the parent"
        assert cache.get("before") == ([1] if persists else None)
        compute_once(cache, "after", [2])

    assert in_child(child) == 0
    shared_by_processes = persists and level != "cluster"
    assert cache.get("after") == ([2] if shared_by_processes else None)


def test_a_pickled_cache_opens_the_same_directory(cache: Cache, level: str, clock: FakeClock) -> None:
    compute_once(cache, "k", [1])
    with pickle.loads(pickle.dumps(cache)) as again:
        assert again.get("k") == ([1] if level != "memory" else None)
        assert again.path == cache.path
        assert again.stats().stores == 0


def test_an_entry_expires(cache: Cache, clock: FakeClock) -> None:
    compute_once(cache, "short", 1, ttl=10)
    compute_once(cache, "long", 2, ttl=timedelta(hours=1))
    compute_once(cache, "ever", 3)
    clock.advance(9.9)
    assert [cache.get(k) for k in ("short", "long", "ever")] == [1, 2, 3]
    clock.advance(0.1)
    assert [cache.get(k) for k in ("short", "long", "ever")] == [None, 2, 3]
    assert "short" not in cache
    assert cache.stats().expired >= 1
    assert compute_once(cache, "short", 4, ttl=10) == 4
    clock.advance(3600)
    assert [cache.get(k) for k in ("short", "long", "ever")] == [None, None, 3]


def test_an_entry_from_the_future_is_not_trusted(open_cache: Open, level: str) -> None:
    late = open_cache(clock=FakeClock(start=2_000_000.0))
    compute_once(late, "k", 1)
    early = open_cache(clock=FakeClock(start=2_000_000.0 - 61))
    assert early.get("k") is None
    soon = open_cache(clock=FakeClock(start=2_000_000.0 - 59))
    assert soon.get("k") == (1 if level != "memory" else None)


def test_bad_lifetimes_are_refused(cache: Cache) -> None:
    for ttl in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="ttl"):
            cache.put("k", 1, ttl=ttl)
        with pytest.raises(UsageError, match="ttl"):
            cache.get_or_compute("k", lambda: 1, ttl=ttl)


def test_clear_removes_all_or_those_of_a_name(cache: Cache, level: str) -> None:
    def f(x: int) -> int:
        return x

    wrapped = cache.memoize(f, adaptive=False)
    wrapped(1), wrapped(2)
    compute_once(cache, "mine", 3)
    local = level != "cluster"
    assert cache.clear("user") == (1 if local else 0)
    assert {each.name.rpartition(".")[2] for each in cache.list()} == ({"f"} if local else set())
    assert cache.clear() == (2 if local else 0)
    assert list(cache.list()) == []


def test_list_tells_entries_without_their_values(cache: Cache, level: str, clock: FakeClock) -> None:
    compute_once(cache, "a", "text", ttl=100)
    compute_once(cache, "b", LARGE)
    found = {each.key: each for each in cache.list()}
    if level == "cluster":
        assert found == {}
        return
    a, b = found[cache.key("a").hex()], found[cache.key("b").hex()]
    assert (a.name, a.bytes, a.codec, a.created, a.expires) == ("user", 4, "str", clock.time(), clock.time() + 100)
    assert (b.bytes, b.codec, b.expires) == (len(LARGE), "bytes", float("inf"))
    assert b.where in {"memory", "blob", "file"}
    assert len(list(cache.list(limit=1))) == 1
    assert list(cache.list("other")) == []


def test_prune_removes_what_is_expired_old_or_too_much(cache: Cache, clock: FakeClock, level: str) -> None:
    for n in range(6):
        compute_once(cache, n, b"x" * 1000, ttl=50 if n == 5 else None)
        clock.advance(10)
    if level == "cluster":
        assert cache.prune().removed == 0
        return
    clock.advance(40)
    dry = cache.prune(dry_run=True, older_than=85)
    assert (dry.removed, dry.kept) == (3, 3)
    assert cache.prune().removed == 1, "the expired one"
    assert cache.prune(older_than=85).removed == 2, "of 100 and 90 seconds"
    report = cache.prune(max_bytes="3kB")
    assert (report.removed, report.kept) == (1, 2)
    assert report.kept_bytes <= 3000
    kept = {each.key for each in cache.list()}
    assert [n for n in range(6) if cache.key(n).hex() in kept] == [3, 4]
    with pytest.raises(UsageError, match="max_bytes '3XB'"):
        cache.prune(max_bytes="3XB")


def test_verify_finds_nothing_in_a_sound_cache(cache: Cache, level: str) -> None:
    compute_once(cache, "a", 1)
    compute_once(cache, "b", LARGE)
    report = cache.verify(repair=True)
    assert report.ok
    assert not report.repaired
    assert report.entries == (0 if level == "cluster" else 2)


def test_statistics_count_what_happened(cache: Cache, level: str) -> None:
    compute_once(cache, "k", 1)
    cache.get("k"), cache.get("k"), cache.get("none")
    stats = cache.stats()
    assert isinstance(stats, CacheStats)
    assert (stats.hits, stats.misses, stats.computes) == (2, 2, 1)
    assert stats.hit_rate == 0.5
    assert (
        stats.backend
        == {"index": "index", "files": "files", "all three": "index"}.get(level.rpartition(" ")[2], "memory")
        or level
    )
    assert stats.schema == 1
    loaded = json.loads(stats.to_json())
    assert loaded["hits"] == 2
    assert set(loaded) >= {"hits_memory", "hits_disk", "hits_shared", "entries", "bytes", "path", "backend", "schema"}


def test_a_hit_saves_what_its_value_took_to_compute_whoever_computed_it(
    open_cache: Open, persists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([10.0, 12.0, 20.0, 20.25])
    monkeypatch.setattr(
        "fanwise.cache._work.time", SimpleNamespace(perf_counter=readings.__next__, monotonic=lambda: 0.0)
    )
    first = open_cache()
    for key, value in (("plain", 1), ("mutable", [1])):
        compute_once(first, key, value)
    assert first.stats().seconds_saved == 0.0
    again = open_cache() if persists else first
    for _ in range(2):  # from below, then from memory where there is one
        compute_once(again, "plain", None)
        compute_once(again, "mutable", None)
    assert again.stats().seconds_saved == pytest.approx(4.5, rel=0.06)
    assert again.get("plain") == 1
    assert again.stats().seconds_saved == pytest.approx(4.5, rel=0.06)


def test_counters_of_workers_are_added(cache: Cache) -> None:
    before = cache.counters
    compute_once(cache, "k", 1)
    delta = pickle.loads(pickle.dumps(cache.counters - before))
    assert (delta.misses, delta.computes) == (1, 1)
    cache.absorb(delta)
    assert cache.stats().computes == 2
    assert cache.counters.computes == 1


def test_a_fresh_cache_has_a_hit_rate_of_zero(cache: Cache) -> None:
    assert cache.stats().hit_rate == 0.0


def test_an_exception_is_not_stored_and_comes_unchanged(cache: Cache) -> None:
    error = ZeroDivisionError("mine")

    def fail() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(ZeroDivisionError) as caught:
            cache.get_or_compute("k", fail)
        assert caught.value is error
    assert cache.get_or_compute("k", lambda: 5) == 5


def test_a_value_that_cannot_be_stored_is_returned(cache: Cache, stores_puts: bool) -> None:
    value = iter([1])
    with pytest.warns(FanwiseWarning, match="cannot be stored"):
        assert cache.get_or_compute("k", lambda: value) is value
    assert "k" not in cache
    cache.put("p", 1)
    assert cache.put("p", value) is False
    assert cache.get("p") is None, "the value before it would be a wrong one"


def test_threads_compute_once(cache: Cache) -> None:
    started, go = threading.Barrier(4), threading.Event()
    results: list[Any] = []

    def work() -> None:
        started.wait()
        results.append(cache.get_or_compute("k", slow))

    def slow() -> list[int]:
        go.wait(10)
        return [1]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert results == [[1]] * 4
    assert cache.stats().computes == 1


def test_asking_for_the_key_being_computed_is_an_error(cache: Cache) -> None:
    with pytest.raises(CacheError, match=r"computing \"'k'\" needs \"'k'\" again \('k' -> 'j' -> 'k'\)"):
        cache.get_or_compute("k", lambda: cache.get_or_compute("j", lambda: cache.get_or_compute("k", lambda: 1)))
    assert cache.get_or_compute("k", lambda: 2) == 2


def test_a_closed_cache_says_so(open_cache: Open) -> None:
    cache = open_cache()
    compute_once(cache, "k", 1)
    assert not cache.closed
    cache.close()
    cache.close()
    assert cache.closed
    for use in (
        lambda: cache.get("k"),
        lambda: cache.put("k", 1),
        lambda: compute_once(cache, "k", 1),
        lambda: list(cache.list()),
    ):
        with pytest.raises(CacheError, match="closed"):
            use()
    assert cache.stats().misses == 1
    assert "closed" in repr(cache)


def test_using_it_as_a_context_closes_it(open_cache: Open) -> None:
    with open_cache() as cache:
        assert cache.put("k", 1) in {True, False}
        assert "closed" not in repr(cache)
    assert cache.closed


def test_a_value_above_a_quarter_of_the_limit_is_not_stored(open_cache: Open, level: str) -> None:
    limited = open_cache(**({"memory": "10kB"} if level == "memory" else {"disk": "1MB"} if level != "cluster" else {}))
    value = b"x" * 300_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert limited.put("k", value) is False
    assert limited.get("k") is None


@pytest.mark.skipif(not os.environ.get("FANWISE_TEST_REDIS"), reason="no Redis or Valkey server was named")
def test_a_real_server_is_asked_by_the_suite_of_its_client() -> None:
    """The client has a suite of its own; here is where it joins `LEVELS`."""
