"""A crew in virtual time, driven by hand."""

from __future__ import annotations

import pytest
from tests.unit.testing.simple_driver import Hours, drive, work

from fanwise import current_task
from fanwise.engine._chunks import ChunkAim
from fanwise.engine._config import SchedulerConfig
from fanwise.errors import BackendError, UsageError
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Failed, Lost
from fanwise.records.scheduling import ChunkReturned, Finish, StartFailed, WorkerReady, WorkerRetired
from fanwise.testing import SimulatedBackend
from fanwise.typing import Backend, Crew


def run(
    fn, items, backend: SimulatedBackend, *, seed: int | None = None, **config
) -> tuple[list[object], Finish, float]:
    clock = Hours()
    crew = backend.hire(work(fn, items, seed=seed), backend.workers, clock)
    results, finish = drive(crew, SchedulerConfig(backend.workers, len(items), **config), clock)
    crew.close(kill=True)
    assert crew.sizes() == {}
    return results, finish, clock.now()


def test_it_is_a_backend():
    backend: Backend = SimulatedBackend(2, 0.1)
    crew: Crew = backend.hire(work(str, [1]), 2, Hours())
    assert crew.method == backend.name == "simulated"
    backend.close()


def test_results_are_those_of_the_loop_and_time_is_invented():
    results, finish, took = run(str, list(range(40)), SimulatedBackend(4, 0.5))
    assert [outcome.unwrap() for outcome in results] == [str(i) for i in range(40)]
    assert finish == Finish("done")
    assert took == pytest.approx(5.0, rel=0.02)


def test_what_an_item_raises_is_its_outcome():
    results, _, _ = run(lambda x: 1 / x, [1, 0, 2], SimulatedBackend(2, 0.1), raise_on_error=False)
    assert [type(outcome).__name__ for outcome in results] == ["Ok", "Failed", "Ok"]
    assert "ZeroDivisionError" in results[1].traceback


def test_faults_come_as_scripted():
    faults = [(1, "kill"), (1, "kill"), (2, "raise"), (3, "hang"), (4, "kill")]
    backend = SimulatedBackend(2, 0.01, faults=faults)
    results, _, _ = run(str, list(range(6)), backend, raise_on_error=False, timeout=1.0, chunks=ChunkAim(size=3))
    kinds = [type(outcome) for outcome in results]
    assert kinds[1] is Lost
    assert [kinds[i] for i in (2, 3)] == [Failed, Failed]
    assert [(results[i].value, results[i].attempts) for i in (0, 4, 5)] == [("0", 1), ("4", 2), ("5", 1)]


def test_an_item_knows_which_it_is():
    places, _, _ = run(lambda _: current_task(), [0, 0, 0], SimulatedBackend(2, 0.1))
    assert [(o.value.index, o.value.attempt) for o in places] == [(0, 1), (1, 1), (2, 1)]
    assert {o.value.worker for o in places} == {1, 2}
    assert current_task() is None


def test_random_numbers_depend_on_the_item_alone():
    def draw(_, rng):
        return rng.random()

    one, _, _ = run(draw, [0] * 10, SimulatedBackend(1, 0.1), seed=7)
    four, _, _ = run(draw, [0] * 10, SimulatedBackend(4, 0.1), seed=7)
    assert [o.value for o in one] == [o.value for o in four]


def test_a_slow_connection_takes_its_time():
    _, _, fast = run(str, [0] * 8, SimulatedBackend(1, 0.1))
    _, _, slow = run(str, [0] * 8, SimulatedBackend(1, 0.1, bandwidth=1e6, item_bytes=1e6, latency=0.0), window=1)
    assert slow > fast + 4.0


class TestByHand:
    def crew(self, items: int = 10, *, workers: int = 2, **backend) -> tuple[Crew, Hours]:
        clock = Hours()
        return SimulatedBackend(workers, 1.0, **backend).hire(work(str, list(range(items))), workers, clock), clock

    def test_workers_beyond_the_limit_do_not_start(self):
        crew, _ = self.crew(workers=2)
        crew.start(3)
        events = crew.wait(0.0)
        assert [type(event) for event in events] == [StartFailed]
        assert [event.worker for event in crew.wait(None)] == [1, 2]

    def test_waiting_has_an_end(self):
        crew, clock = self.crew()
        crew.start(1)
        assert crew.wait(0.0005) == []
        assert clock.now() == 0.0005
        assert isinstance(crew.wait(None)[0], WorkerReady)

    def test_a_crew_that_is_woken_returns_at_once(self):
        crew, clock = self.crew()
        crew.start(1)
        crew.wake()
        assert crew.wait(None) == []
        assert clock.now() == 0.0

    def test_waiting_for_nothing_is_an_error(self):
        crew, _ = self.crew()
        with pytest.raises(BackendError, match="nothing to do"):
            crew.wait(None)

    def test_a_chunk_that_was_not_begun_comes_back(self):
        crew, _ = self.crew()
        crew.start(1)
        crew.wait(None)
        crew.send(1, Chunk(1, 0, 2))
        crew.send(1, Chunk(2, 2, 2))
        crew.cancel(1, 2)
        assert [(type(e), e.chunk, e.first) for e in crew.wait(None)] == [(ChunkReturned, 2, 2)]

    def test_one_that_was_begun_comes_back_after_the_item_at_hand(self):
        crew, clock = self.crew()
        crew.start(1)
        crew.wait(None)
        crew.send(1, Chunk(1, 0, 4))
        clock.sleep(1.5)
        crew.cancel(1, 1)
        finished, returned = crew.wait(None)
        assert sum(len(record) for record in finished.settled) == 2
        assert (returned.chunk, returned.first) == (1, 2)
        assert clock.now() == pytest.approx(2.0, abs=0.01)

    @pytest.mark.parametrize(("asked_at", "faults"), [(3.5, ()), (0.5, ((0, "kill"),)), (0.5, ((0, "hang"),))])
    def test_but_not_if_there_is_nothing_to_give_back(self, asked_at, faults):
        crew, clock = self.crew(faults=faults)
        crew.start(1)
        crew.wait(None)
        crew.send(1, Chunk(1, 0, 4))
        clock.sleep(asked_at)
        crew.cancel(1, 1)
        crew.cancel(7, 1)
        assert not any(isinstance(event, ChunkReturned) for event in crew.wait(10.0))

    def test_what_a_worker_is_at_can_be_read(self):
        crew, clock = self.crew(stragglers=[(1, 2.0)])
        crew.start(2)
        crew.wait(None)
        crew.send(1, Chunk(1, 0, 3))
        clock.sleep(5.0)
        assert crew.running() == [(1, 2, pytest.approx(4.0, abs=0.01))]

    def test_nobody_hears_of_a_dead_worker(self):
        crew, _ = self.crew()
        crew.start(1)
        crew.wait(None)
        crew.kill(1, "told to")
        assert [(e.reason, e.idle) for e in crew.wait(None)] == [("told to", True)]
        crew.kill(1, "again")
        crew.send(1, Chunk(1, 0, 1))
        crew.retire(1)
        with pytest.raises(BackendError):
            crew.wait(None)

    def test_a_worker_may_retire(self):
        crew, _ = self.crew()
        crew.start(1)
        crew.wait(None)
        crew.retire(1)
        assert isinstance(crew.wait(None)[0], WorkerRetired)

    def test_a_retired_worker_is_never_ready(self):
        crew, _ = self.crew()
        crew.start(1)
        crew.retire(1)
        assert [type(event) for event in [*crew.wait(None), *crew.wait(0.01)]] == [WorkerRetired]

    def test_items_hear_of_an_interrupt(self):
        clock = Hours()
        crew = SimulatedBackend(1, 1.0).hire(work(lambda _: current_task().interrupted, [0]), 1, clock)
        crew.start(1)
        crew.wait(None)
        crew.interrupt()
        crew.send(1, Chunk(1, 0, 1))
        assert crew.wait(None)[0].settled[0].values == (True,)


def test_there_must_be_a_worker():
    with pytest.raises(UsageError, match="workers"):
        SimulatedBackend(0, 1.0)
