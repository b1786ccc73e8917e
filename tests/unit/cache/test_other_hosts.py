"""What two hosts with one shared level give each other, what they refuse, and when they stop asking."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cache_kit import SharedDict

import fanwise
from fanwise import Cache
from fanwise.cache import _work
from fanwise.cache._cluster import FAILURES, LARGEST, OPEN_MOST_S, OPEN_S, WITHIN_S, Circuit
from fanwise.testing import FakeClock


def double_slowly(x: int) -> int:
    return 2 * x + 0 * sum(range(30_000))  # so that looking it up pays


def double(x: int) -> int:
    return 2 * x


class Hosts:
    """Caches of two hosts: a directory each, one store."""

    def __init__(self, folder: Path) -> None:
        self.store = SharedDict()
        self.clock = FakeClock(start=1_000_000.0)
        self.caches = [Cache(folder / name, shared=self.store, clock=self.clock) for name in ("one", "two")]

    def calls_of(self, name: str) -> int:
        return self.store.calls.count(name)


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    hosts = Hosts(tmp_path)
    yield hosts
    for cache in hosts.caches:
        cache.close()


class TestValues:
    def test_what_one_host_computed_the_other_finds_and_keeps(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        assert [one(4), two(4), two(4)] == [8, 8, 8]
        stats = hosts.caches[1].stats()
        assert (stats.hits_shared, stats.hits_memory, stats.computes, stats.entries) == (1, 1, 0, 1)

    def test_what_put_wrote_stays_on_its_host(self, hosts: Hosts) -> None:
        one, two = hosts.caches
        one.put("a", 1)
        assert two.get("a") is None
        assert not hosts.store.records

    def test_forgetting_reaches_the_store(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        one(4)
        assert one.forget(4)
        assert not hosts.store.records
        two(4)
        assert hosts.caches[1].stats().computes == 1

    def test_an_entry_expires_for_all(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double, ttl=10) for cache in hosts.caches)
        one(4)
        hosts.clock.advance(11)
        assert two(4) == 8
        assert (hosts.caches[1].stats().expired, hosts.caches[1].stats().computes) == (1, 1)

    def test_contains_asks_the_store_too(self, hosts: Hosts) -> None:
        one, two = hosts.caches
        one.get_or_compute("a", lambda: 1)
        assert "a" in two
        assert "b" not in two

    def test_large_values_stay_on_their_host(self, hosts: Hosts) -> None:
        one, _ = hosts.caches
        one.get_or_compute("large", lambda: bytes(LARGEST))
        one.get_or_compute("small", lambda: bytes(1000))
        assert len(hosts.store.records) == 1

    def test_many_keys_are_asked_for_in_one_call(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        for x in range(5):
            one(x)
        before = hosts.calls_of("get_many")
        two.prefetch([((x,), {}) for x in [*range(5), 99, threading.Lock()]])
        assert hosts.calls_of("get_many") == before + 1
        assert [two(x) for x in range(5)] == [0, 2, 4, 6, 8]
        assert two.lookup(99) == (False, None)
        assert hosts.calls_of("get_many") == before + 1
        assert hosts.caches[1].stats().hits_shared == 5
        two.prefetch([((x,), {}) for x in range(5)])
        assert hosts.calls_of("get_many") == before + 1, "nothing is asked for that is here"

    def test_an_answer_serves_one_look_up(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        two.prefetch([((4,), {})])
        assert two.lookup(4) == (False, None)
        one(4)
        assert two.lookup(4) == (True, 8)

    def test_runs_ask_for_many_items_at_once(self, hosts: Hosts) -> None:
        one, two = hosts.caches
        items = list(range(60))
        fanwise.map(double_slowly, items, cache=one, workers=1)
        kept = len(hosts.store.records)
        for given in (items, iter(items)):
            two.clear()
            counted, before = two.stats(), hosts.calls_of("get_many")
            assert fanwise.map(double_slowly, given, cache=two, workers=1) == [2 * x for x in items]
            assert hosts.calls_of("get_many") - before < 20
            assert (kept, two.stats().hits_shared - counted.hits_shared) == (60, 60)
            assert two.stats().computes == counted.computes

    def test_without_a_store_nobody_is_asked(self, tmp_path: Path) -> None:
        with Cache(tmp_path / "alone") as cache:
            cache.memoize(double).prefetch([((1,), {})])
            cache.engine.levels.prefetch([bytes(16)])


class TestTrust:
    @pytest.mark.parametrize("place", [3, 20, 40, 60, -1])
    def test_a_changed_byte_is_a_miss(self, hosts: Hosts, place: int) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        one(4)
        for key, record in hosts.store.records.items():
            changed = bytearray(record)
            changed[place] ^= 1
            hosts.store.records[key] = bytes(changed)
        assert two(4) == 8
        stats = hosts.caches[1].stats()
        assert (stats.hits, stats.corrupt + stats.refused, stats.computes) == (0, 1, 1)

    def test_a_record_under_another_key_is_a_miss(self, hosts: Hosts) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        one(4)
        (record,) = hosts.store.records.values()
        hosts.store.records[bytes(two.key(5))] = record
        assert two(5) == 10
        assert hosts.caches[1].stats().corrupt == 1

    def test_with_a_secret_a_record_without_its_code_is_refused(
        self, hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosts.caches[0].memoize(double)(4)
        secret = tmp_path / "secret"
        secret.write_bytes(bytes(range(32)))
        secret.chmod(0o600)
        monkeypatch.setenv("FANWISE_CACHE_SECRET_FILE", str(secret))
        with Cache(tmp_path / "three", shared=hosts.store, clock=hosts.clock) as signed:
            assert signed.memoize(double)(4) == 8
            assert (signed.stats().refused, signed.stats().computes) == (1, 1)
            with Cache(tmp_path / "four", shared=hosts.store, clock=hosts.clock) as other:
                assert other.memoize(double)(4) == 8
                assert (other.stats().hits_shared, other.stats().refused) == (1, 0)
        with_code = hosts.caches[1].memoize(double)
        assert with_code(4) == 8
        assert hosts.caches[1].stats().refused == 1, "without the secret a signed record cannot be checked"


class TestLeases:
    def test_who_has_no_lease_waits_for_the_value(self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two = (cache.memoize(double) for cache in hosts.caches)
        two._policy.compute.add(1.0)
        hosts.store.leases[bytes(two.key(4))] = False
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                one(4)

        monkeypatch.setattr(_work.time, "sleep", nap)
        assert two(4) == 8
        assert hosts.caches[1].stats().computes == 0
        assert len(naps) == 3
        assert naps[0] < naps[2]

    def test_a_lease_that_is_never_given_back_is_waited_for_half_a_minute(
        self, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, two = (cache.memoize(double) for cache in hosts.caches)
        two._policy.compute.add(1.0)
        hosts.store.leases[bytes(two.key(4))] = False
        clock = FakeClock()
        monkeypatch.setattr(_work.time, "sleep", clock.sleep)
        monkeypatch.setattr(_work.time, "monotonic", clock.now)
        assert two(4) == 8
        assert 30 < clock.now() < 31

    @pytest.mark.parametrize("answer", [True, None])
    def test_with_a_lease_or_without_leases_it_computes_at_once(self, hosts: Hosts, answer: bool | None) -> None:
        _, two = (cache.memoize(double) for cache in hosts.caches)
        two._policy.compute.add(1.0)
        hosts.store.leases[bytes(two.key(4))] = answer
        assert two(4) == 8
        assert hosts.calls_of("lease") == 1

    def test_cheap_values_need_no_lease(self, hosts: Hosts) -> None:
        hosts.caches[0].memoize(double)(4)
        assert hosts.calls_of("lease") == 0


class Bare:
    """A store without leases and with a name space."""

    namespace = "team"

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.records.get(bytes(key)) for key in keys]

    def put_many(self, records: Mapping[bytes, bytes], *, ttl: float | None) -> None:
        self.records.update(records)

    def delete(self, keys: Sequence[bytes]) -> int:
        return len([self.records.pop(bytes(key), None) for key in keys])

    def stats(self) -> Mapping[str, int]:
        return {}


def test_a_store_needs_no_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Cache(tmp_path / "c", shared=Bare()) as cache:
        kept = cache.memoize(double)
        kept._policy.compute.add(1.0)
        assert kept(4) == 8


class TestCircuit:
    def failing(self, times: Sequence[float]) -> Circuit:
        circuit = Circuit()
        for at in times:
            circuit.on_failure(at)
        return circuit

    def test_the_third_failure_in_ten_seconds_opens_it(self) -> None:
        assert self.failing([0, 1]).allows(1)
        assert FAILURES == 3
        assert not self.failing([0, 1, 2]).allows(2)

    def test_failures_far_apart_do_not(self) -> None:
        assert self.failing([0, WITHIN_S + 1, 2 * WITHIN_S + 2]).allows(30)

    def test_after_the_pause_one_call_is_let_through(self) -> None:
        circuit = self.failing([0, 0, 0])
        assert not circuit.allows(OPEN_S - 1)
        assert circuit.allows(OPEN_S + 1)
        assert not circuit.allows(OPEN_S + 1), "one probe"
        circuit.on_success()
        assert circuit.allows(OPEN_S + 1)

    def test_failed_probes_double_the_pause_up_to_five_minutes(self) -> None:
        circuit = self.failing([0, 0, 0])
        now, pauses = 0.0, []
        for _ in range(6):
            now = circuit.open_until
            assert circuit.allows(now)
            circuit.on_failure(now)
            pauses.append(circuit.open_until - now)
        assert pauses == [60.0, 120.0, 240.0, OPEN_MOST_S, OPEN_MOST_S, OPEN_MOST_S]

    def test_a_store_that_fails_is_asked_three_times_only(self, hosts: Hosts) -> None:
        hosts.store.error = ConnectionError("gone")
        kept = hosts.caches[0].memoize(double, adaptive=False)
        assert [kept(x) for x in range(20)] == [2 * x for x in range(20)]
        assert len(hosts.store.calls) == 3
        assert hosts.caches[0].stats().errors == 3

    def test_a_success_forgets_failures(self, hosts: Hosts) -> None:
        kept: Any = hosts.caches[0].memoize(double, adaptive=False)
        for x in range(6):
            hosts.store.error = ConnectionError("gone") if x % 2 else None
            assert kept(x) == 2 * x
        assert hosts.caches[0].engine.levels.cluster.circuit.allows(0.0)
