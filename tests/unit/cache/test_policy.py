"""When caching steps aside, and when it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fanwise.cache._policy import TRIAL, Mean, Policy

US = 1e-6


def fed(policy: Policy, *, hits: int, misses: int, compute: float, key: float, hit: float, store: float) -> Policy:
    for _ in range(misses):
        policy.on_miss(key, compute, store)
    for _ in range(hits):
        policy.on_hit(key, hit)
    return policy


def test_a_mean_begins_with_its_first_value_and_forgets() -> None:
    mean = Mean()
    mean.add(16.0)
    assert mean.value == 16.0
    mean.add(0.0)
    assert mean.value == 15.0


def test_nothing_is_decided_before_64_calls() -> None:
    policy = fed(Policy(), hits=TRIAL - 2, misses=1, compute=0.1 * US, key=5 * US, hit=5 * US, store=20 * US)
    assert not policy.bypassing
    policy.on_hit(5 * US, 5 * US)
    assert policy.bypassing


def test_a_function_dearer_than_a_hit_stays_cached() -> None:
    assert not fed(Policy(), hits=100, misses=1, compute=50 * US, key=1 * US, hit=1 * US, store=20 * US).bypassing


def test_a_cache_that_only_misses_steps_aside() -> None:
    assert fed(Policy(), hits=0, misses=100, compute=50 * US, key=5 * US, hit=1 * US, store=30 * US).bypassing


def test_it_comes_back_only_when_it_pays_by_a_fifth() -> None:
    policy = fed(Policy(), hits=100, misses=1, compute=1 * US, key=5 * US, hit=1 * US, store=20 * US)
    assert policy.bypassing
    policy.compute.value = 6.5 * US  # more than a call through the cache costs, but not by a fifth
    policy.on_hit(5 * US, 1 * US)
    assert policy.bypassing
    policy.compute.value = 20 * US
    policy.on_hit(5 * US, 1 * US)
    assert not policy.bypassing


def test_hits_alone_decide_nothing_since_the_cost_of_computing_is_unknown() -> None:
    policy = Policy()
    policy.on_hit(1.0, 1.0, count=1000)
    assert not policy.bypassing


def test_a_timed_hit_stands_for_those_that_were_not() -> None:
    policy = Policy()
    policy.on_hit(0.0, 1 * US, count=16)
    assert (policy.calls, policy.hits) == (16, 16)
    assert policy.hit_share == 17 / 18


costs = st.floats(1e-8, 1e-2)


@given(hits=st.integers(0, 200), misses=st.integers(1, 200), compute=costs, key=costs, hit=costs, store=costs)
def test_the_decision_is_the_sign_of_the_gain(
    hits: int, misses: int, compute: float, key: float, hit: float, store: float
) -> None:
    policy = fed(Policy(), hits=hits, misses=misses, compute=compute, key=key, hit=hit, store=store)
    share = (hits + 1) / (hits + misses + 2)
    gain = share * compute - (key + share * hit + (1 - share) * store)
    if hits + misses < TRIAL or gain > 0.5 * compute:
        assert not policy.bypassing
    elif gain < -compute:
        assert policy.bypassing


def test_a_first_run_of_a_costly_function_keeps_its_results() -> None:
    assert not fed(
        Policy(), hits=0, misses=1000, compute=10_000 * US, key=50 * US, hit=1 * US, store=300 * US
    ).bypassing


def test_one_slow_call_is_no_trend() -> None:
    policy = fed(Policy(), hits=0, misses=100, compute=2_000 * US, key=5 * US, hit=1 * US, store=30 * US)
    policy.on_miss(5 * US, 2_000 * US, 50_000 * US)
    assert not policy.bypassing
    assert policy.store.value < 40 * US


@given(st.lists(st.floats(1e-7, 1.0), min_size=1, max_size=50))
def test_a_cut_mean_follows_and_never_leaves_what_was_measured(values: list[float]) -> None:
    mean = Mean()
    for value in values:
        before = mean.value
        mean.add(value, 4.0)
        assert min(values) * 0.999 <= mean.value <= max(values) * 1.001
        assert len(values) == 1 or not before or mean.value <= before * (1 + 3 / 16) * 1.001
