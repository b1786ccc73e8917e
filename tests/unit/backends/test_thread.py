"""The thread backend: what threads add to the contract."""

from __future__ import annotations

import threading

from tests.crew_driver import PATIENCE_S, Driver, RealClock, chunks_of, work

from fanwise import current_task
from fanwise.backends.thread import ThreadBackend
from fanwise.records.chunks import Chunk
from fanwise.records.scheduling import ChunkFinished, WorkerRetired


def test_items_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=PATIENCE_S)
    backend = ThreadBackend()
    crew = backend.hire(work(lambda _: meeting.wait(), [0] * 3), 3, RealClock())
    outcomes = Driver(crew, 3).run(chunks_of(3, 1))
    crew.close(kill=False)
    backend.close()
    assert sorted(o.value for o in outcomes.values()) == [0, 1, 2]


def test_each_thread_knows_its_own_item() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_S)

    def look(_: int) -> int:
        meeting.wait()
        task = current_task()
        assert task is not None
        return task.index

    crew = ThreadBackend().hire(work(look, [0] * 2), 2, RealClock())
    outcomes = Driver(crew, 2).run(chunks_of(2, 1))
    crew.close(kill=False)
    assert [outcomes[i].value for i in range(2)] == [0, 1]


def test_an_abandoned_thread_ends_after_its_item_and_is_not_heard() -> None:
    begun, ended = threading.Event(), threading.Event()

    def wait(_: int) -> bool:
        begun.set()
        ended.wait(PATIENCE_S)
        task = current_task()
        assert task is not None
        return task.interrupted

    crew = ThreadBackend().hire(work(wait, [0, 1]), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    crew.send(worker, Chunk(1, 0, 2))
    begun.wait(PATIENCE_S)
    (thread,) = [t for t in threading.enumerate() if t.name == "fanwise-worker-1"]
    crew.close(kill=True)
    ended.set()
    thread.join(PATIENCE_S)
    assert crew.wait(0) == []
    assert not thread.is_alive()


def test_threads_have_no_size_and_nothing_runs_at_first() -> None:
    crew = ThreadBackend().hire(work(abs, [1]), 1, RealClock())
    driver = Driver(crew, 1)
    (worker,) = driver.ready()
    assert (crew.sizes(), crew.running()) == ({}, [])
    crew.retire(worker)
    driver.hear(WorkerRetired)
    assert not [e for e in driver.events if isinstance(e, ChunkFinished)]
    crew.close(kill=False)
