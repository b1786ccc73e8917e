"""What every backend owes a run, whatever runs behind it: driven through the `Backend` and `Crew` protocols only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents_nearby import NearbyBackend
from tests.contract.crew_items import (
    describe_task,
    double,
    draw,
    fail_at_odd,
    reciprocal,
    wait_for,
    wait_until_interrupted,
)
from tests.crew_driver import PATIENCE_S, Driver, RealClock, chunks_of, results_of, work

from fanwise import current_task
from fanwise.backends._clusters import cluster
from fanwise.backends.process import ProcessBackend
from fanwise.backends.serial import SerialBackend
from fanwise.backends.thread import ThreadBackend
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Failed, Ok
from fanwise.records.scheduling import ChunkFinished, ChunkReturned, WorkerDied, WorkerReady, WorkerRetired
from fanwise.typing import Backend, Crew

# pytest-timeout watches every test from a thread of its own, which takes no lock that a fork would copy
pytestmark = pytest.mark.filterwarnings("ignore:workers are forked as requested")


BACKENDS: dict[str, Callable[[], Backend]] = {
    "serial": SerialBackend,
    "thread": ThreadBackend,
    "process-fork": lambda: ProcessBackend(method="fork"),
    "process-forkserver": lambda: ProcessBackend(method="forkserver"),
    "process-warm": lambda: ProcessBackend(method="fork", keep_warm=True),
}
PARAMS = [
    *(pytest.param(name, marks=pytest.mark.process if "process" in name else ()) for name in BACKENDS),
    pytest.param("process-spawn", marks=[pytest.mark.process, pytest.mark.slow]),
    pytest.param("nearby", marks=[pytest.mark.process, pytest.mark.slow]),
    pytest.param("dask", marks=[pytest.mark.dask, pytest.mark.slow]),
    pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow]),
]


@pytest.fixture(params=PARAMS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    makers = BACKENDS | {
        "process-spawn": lambda: ProcessBackend(method="spawn"),
        "nearby": NearbyBackend,
        "dask": lambda: on_cluster(request, "dask_servers"),
        "ray": lambda: on_cluster(request, "ray_workers"),
    }
    made = makers[request.param]()
    yield made
    made.close()


def on_cluster(request: pytest.FixtureRequest, fixture: str) -> Backend:
    there = request.getfixturevalue(fixture)
    there.keep(2)
    return cluster(there.url, workers=None)


@pytest.fixture
def drive(backend: Backend) -> Iterator[Callable[..., Driver]]:
    crews: list[Crew] = []

    def hire(fn: Callable[..., Any], items: list[Any], *, workers: int = 2, **options: Any) -> Driver:
        crew = backend.hire(work(fn, items, **options), workers, RealClock())
        crews.append(crew)
        return Driver(crew, workers)

    yield hire
    for crew in crews:
        crew.close(kill=True)


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("inheritable", [True, False], ids=["inheritable", "drawn"])
def test_values_are_those_of_the_loop(drive: Callable[..., Driver], size: int, inheritable: bool) -> None:
    items = [*range(30), "text", [1, 2], 2.5, (1,), b"x", True, 1j, "ä", 10**30]
    outcomes = drive(double, items, inheritable=inheritable).run(chunks_of(len(items), size))
    assert [outcomes[i].value for i in range(len(items))] == [double(x) for x in items]
    assert all(isinstance(o, Ok) and o.attempts == 1 and o.seconds >= 0 for o in outcomes.values())


def test_a_failure_costs_one_item(drive: Callable[..., Driver]) -> None:
    outcomes = drive(fail_at_odd, list(range(20))).run(chunks_of(20, 6))
    for index in range(20):
        if index % 2:
            assert isinstance(outcomes[index], Failed)
            assert type(outcomes[index].error) is ValueError
            assert outcomes[index].error.args == (f"{index} is odd",)
            assert "fail_at_odd" in outcomes[index].traceback
            assert "_execution.py" not in outcomes[index].traceback
        else:
            assert outcomes[index].value == index


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), ZeroDivisionError("0"), RecursionError()], ids=repr)
def test_whatever_an_item_raises_is_its_outcome(drive: Callable[..., Driver], error: BaseException) -> None:
    def fail(x: int) -> int:
        if x == 500:
            raise error
        return x

    outcomes = drive(fail, list(range(1000))).run(chunks_of(1000, 1000))
    assert type(outcomes[500].error) is type(error)
    assert outcomes[500].error.args == error.args
    assert [i for i, o in outcomes.items() if not o.ok] == [500]
    assert outcomes[999].value == 999


def test_a_failure_ends_its_chunk_where_the_run_is_to_stop_at_it(drive: Callable[..., Driver]) -> None:
    driver = drive(reciprocal, [1, 0, 2, 4], workers=1, stops=True)
    (worker,) = driver.ready()
    (chunk,) = chunks_of(4, 4)
    driver.crew.send(worker, chunk)
    (returned,) = driver.hear(ChunkReturned)
    assert (returned.chunk, returned.first) == (chunk.id, 2)
    assert {index: type(outcome) for index, outcome in driver.outcomes().items()} == {0: Ok, 1: Failed}


def test_an_item_knows_its_index_and_attempt(drive: Callable[..., Driver]) -> None:
    outcomes = drive(describe_task, [0] * 300).run(chunks_of(300, 100, attempt=2))
    for index, outcome in outcomes.items():
        assert outcome.value == (index, 2, outcome.worker, False)
        assert outcome.attempts == 2
    assert current_task() is None


def test_seeds_follow_from_seed_and_index_alone(drive: Callable[..., Driver]) -> None:
    np = pytest.importorskip("numpy")
    outcomes = drive(draw, [0] * 12, seed=42).run(chunks_of(12, 5))
    sequences = [np.random.SeedSequence(42, spawn_key=(index,)) for index in range(12)]
    expected = [np.random.Generator(np.random.PCG64(s)).random() for s in sequences]
    assert [outcomes[i].value for i in range(12)] == expected


def test_statistics_add_up(drive: Callable[..., Driver]) -> None:
    driver = drive(double, list(range(5000)))
    outcomes = driver.run(chunks_of(5000, 1000))
    stats = [e.stats for e in driver.hear(ChunkFinished)]
    assert all(0 < s.greatest <= s.busy for s in stats)
    assert sum(s.busy for s in stats) == pytest.approx(sum(o.seconds for o in outcomes.values()), rel=1e-6)


def test_single_items_are_timed_one_by_one(drive: Callable[..., Driver]) -> None:
    driver = drive(double, list(range(50)), single=True)
    driver.run(chunks_of(50, 50))
    batches = [s for e in driver.events for s in results_of(e)]
    assert all(not isinstance(batch.seconds, float) and len(batch.seconds) == len(batch) for batch in batches)


def test_looking_only_returns_at_once(drive: Callable[..., Driver]) -> None:
    driver = drive(double, [1])
    assert driver.crew.wait(0) == []


def test_a_wake_makes_the_next_wait_return(drive: Callable[..., Driver]) -> None:
    driver = drive(double, [1])
    driver.crew.wake()
    driver.crew.wake()
    assert driver.crew.wait(PATIENCE_S) == []


def test_a_worker_retires_after_what_it_has(drive: Callable[..., Driver]) -> None:
    driver = drive(double, list(range(10)), workers=1)
    (worker,) = driver.ready()
    driver.crew.send(worker, Chunk(1, 0, 5))
    driver.crew.send(worker, Chunk(2, 5, 5))
    driver.crew.retire(worker)
    assert [e.worker for e in driver.hear(WorkerRetired)] == [worker]
    assert len(driver.outcomes()) == 10


def test_numbers_of_workers_are_never_used_twice(drive: Callable[..., Driver]) -> None:
    driver = drive(double, [1, 2], workers=2)
    first = driver.ready()
    for worker in first:
        driver.crew.retire(worker)
    driver.hear(WorkerRetired, 2)
    driver.crew.start(2)
    numbers = [e.worker for e in driver.hear(WorkerReady, 4)]
    assert len(set(numbers)) == 4
    assert 0 not in numbers


def test_a_killed_worker_is_reported_with_the_reason_given(drive: Callable[..., Driver]) -> None:
    driver = drive(double, [1], workers=1)
    (worker,) = driver.ready()
    driver.crew.kill(worker, "it took too long")
    (died,) = driver.hear(WorkerDied)
    assert (died.worker, died.reason, died.index) == (worker, "it took too long", None)


def test_closing_twice_is_closing_once(drive: Callable[..., Driver]) -> None:
    driver = drive(double, list(range(4)))
    driver.run(chunks_of(4, 2))
    driver.crew.close(kill=False)
    driver.crew.close(kill=True)


class TestWhileAnItemRuns:
    """These need a worker that is not the caller of `wait`."""

    @pytest.fixture(autouse=True)
    def _not_serial(self, backend: Backend) -> None:
        if backend.name == "serial":
            pytest.skip("its only worker is the caller of `wait`")

    @pytest.fixture
    def fifo(self, tmp_path: Path) -> str:
        os.mkfifo(tmp_path / "fifo")
        return str(tmp_path / "fifo")

    def test_it_is_told_what_each_worker_is_at(self, drive: Callable[..., Driver], fifo: str) -> None:
        driver = drive(wait_for, ["", fifo], workers=1, single=True)
        (worker,) = driver.ready()
        began = time.monotonic()
        driver.crew.send(worker, Chunk(1, 0, 2))
        with open(fifo, "w") as writer:  # opens when the item reads
            assert [(w, i) for w, i, _ in driver.crew.running()] == [(worker, 1)]
            assert began <= driver.crew.running()[0][2] <= time.monotonic()
            writer.write("now")
        driver.hear(ChunkFinished)
        assert driver.outcomes()[1].value == "now"
        assert not driver.crew.running()

    def test_a_chunk_behind_a_long_item_is_taken_back(self, drive: Callable[..., Driver], fifo: str) -> None:
        driver = drive(wait_for, [fifo, "", "", ""], workers=1)
        (worker,) = driver.ready()
        driver.crew.send(worker, Chunk(1, 0, 1))
        driver.crew.send(worker, Chunk(2, 1, 3))
        with open(fifo, "w") as writer:
            driver.crew.cancel(worker, 2)
            (returned,) = driver.hear(ChunkReturned)
            assert (returned.worker, returned.chunk, returned.first) == (worker, 2, 1)
            driver.crew.send(worker, Chunk(3, 2, 2))
            writer.write("now")
        driver.hear(ChunkFinished, 2)
        assert sorted(driver.outcomes()) == [0, 2, 3]

    def test_the_rest_of_a_running_chunk_is_given_back(self, drive: Callable[..., Driver], fifo: str) -> None:
        driver = drive(wait_for, ["", fifo, "", ""], workers=1, single=True)
        (worker,) = driver.ready()
        driver.crew.send(worker, Chunk(1, 0, 4))
        with open(fifo, "w") as writer:
            driver.crew.cancel(worker, 1)
            writer.write("now")
        (returned,) = driver.hear(ChunkReturned)
        assert (returned.chunk, returned.first) == (1, 2)
        assert sorted(driver.outcomes()) == [0, 1]

    def test_an_interrupt_reaches_a_running_item(self, drive: Callable[..., Driver]) -> None:
        driver = drive(wait_until_interrupted, [0, 1], workers=1)
        (worker,) = driver.ready()
        driver.crew.send(worker, Chunk(1, 0, 2))
        driver.crew.interrupt()
        (returned,) = driver.hear(ChunkReturned)
        assert driver.outcomes().keys() == set(range(returned.first))
        assert all(outcome.value is True for outcome in driver.outcomes().values())

    def test_a_worker_can_be_stopped_inside_an_item(self, drive: Callable[..., Driver], fifo: str) -> None:
        driver = drive(wait_for, ["", fifo], workers=1, single=True)
        (worker,) = driver.ready()
        driver.crew.send(worker, Chunk(1, 0, 2))
        with open(fifo, "w"):
            driver.crew.kill(worker, "it took too long")
            (died,) = driver.hear(WorkerDied)
        assert (died.worker, died.reason) == (worker, "it took too long")
        assert died.index in {1, None}


@settings(max_examples=8)
@given(
    items=st.lists(st.one_of(st.integers(), st.text(), st.floats(allow_nan=False), st.binary()), max_size=60),
    size=st.integers(1, 20),
    workers=st.integers(1, 3),
)
@pytest.mark.parametrize("name", ["serial", "thread", pytest.param("process-fork", marks=pytest.mark.process)])
def test_any_chunking_gives_what_the_loop_gives(name: str, items: list[Any], size: int, workers: int) -> None:
    backend = BACKENDS[name]()
    crew = backend.hire(work(repr, items, inheritable=True), workers, RealClock())
    try:
        outcomes = Driver(crew, workers).run(chunks_of(len(items), size))
    finally:
        crew.close(kill=False)
        backend.close()
    assert [outcomes[i].value for i in range(len(items))] == list(map(repr, items))
