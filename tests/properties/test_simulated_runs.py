"""Promise one and two on simulated workers: same results as the loop, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.testing.simple_driver import Hours, drive, work

from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.records.outcomes import Failed, Lost, Ok
from fanwise.testing import SimulatedBackend
from fanwise.typing import Retry

crews = st.fixed_dictionaries(
    {
        "workers": st.integers(1, 6),
        "cost": st.one_of(st.floats(0.0, 0.2), st.lists(st.floats(0.0, 0.2), min_size=40, max_size=40)),
        "latency": st.sampled_from([0.0, 50e-6, 0.01]),
        "stragglers": st.sampled_from([(), ((1, 20.0),), ((2, 3.0), (3, 50.0))]),
    }
)
options = st.fixed_dictionaries(
    {
        "chunks": st.builds(ChunkAim, size=st.sampled_from([None, 1, 2, 7])),
        "window": st.sampled_from([1, 2]),
        "item_cost": st.sampled_from([None, 0.01]),
        "lookahead": st.sampled_from([None, 3, 20]),
    }
)


def once_killed(items: set[int]) -> list[tuple[int, str]]:
    return [(index, "kill") for index in sorted(items)]


def play(fn, items, crew, *, faults=(), **config):
    backend = SimulatedBackend(**crew, faults=faults)
    clock = Hours()
    results, finish = drive(
        backend.hire(work(fn, items), backend.workers, clock),
        SchedulerConfig(backend.workers, len(items), **config),
        clock,
    )
    return results, finish


@given(crews, options, st.lists(st.integers(), max_size=40), st.sets(st.integers(0, 39), max_size=4))
def test_map_equals_loop_even_if_workers_die(crew, config, items, killed):
    results, finish = play(lambda x: x * x, items, crew, faults=once_killed(killed), **config)
    assert [outcome.unwrap() for outcome in results] == [x * x for x in items]
    assert [outcome.index for outcome in results] == list(range(len(items)))
    assert finish.how == "done"


@given(crews, options, st.lists(st.sampled_from([0, 1, 2]), max_size=40))
def test_the_exception_is_the_one_the_loop_would_have_raised(crew, config, items):
    results, finish = play(lambda x: 1 // x, items, crew, **config)
    if 0 not in items:
        assert finish.how == "done"
        return
    first = items.index(0)
    assert isinstance(finish.error, ZeroDivisionError)
    assert [outcome.value for outcome in results[:first]] == [1 // x for x in items[:first]]
    assert isinstance(results[first], Failed)
    assert [outcome.index for outcome in results] == sorted(outcome.index for outcome in results)


@given(crews, options, st.sets(st.integers(0, 29), max_size=5), st.sets(st.integers(0, 29), max_size=5))
def test_each_fault_costs_its_own_item(crew, config, poisoned, bad):
    faults = [fault for index in sorted(poisoned) for fault in [(index, "kill")] * 2]
    items = [0 if index in bad else 1 for index in range(30)]
    results, _ = play(lambda x: 1 // x, items, crew, faults=faults, raise_on_error=False, **config)
    kinds = {outcome.index: type(outcome) for outcome in results}
    assert kinds == {i: Lost if i in poisoned else Failed if i in bad else Ok for i in range(30)}


@given(crews, options, st.integers(0, 4), st.integers(0, 4))
def test_attempts_are_counted_exactly(crew, config, failures, retries):
    faults = [(7, "raise")] * failures
    results, _ = play(str, list(range(12)), crew, faults=faults, raise_on_error=False, retry=Retry(retries), **config)
    assert [outcome.attempts for outcome in results] == [1] * 7 + [min(failures, retries) + 1] + [1] * 4
    assert results[7].ok == (failures <= retries)


@given(crews, options, st.integers(0, 29))
def test_a_hanging_item_is_stopped_and_its_neighbours_are_not(crew, config, hung):
    results, _ = play(str, list(range(30)), crew, faults=[(hung, "hang")], raise_on_error=False, timeout=30.0, **config)
    assert [outcome.index for outcome in results if not outcome.ok] == [hung]
    assert isinstance(results[hung].error, TimeoutError)
