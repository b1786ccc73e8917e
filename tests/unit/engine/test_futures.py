"""The scheduler as it serves futures: an endless source, one item at a time, workers on demand."""

from __future__ import annotations

import pytest
from tests.unit.engine.talk import Talk

from fanwise.engine._chunks import ChunkAim
from fanwise.records.outcomes import Failed, Lost, Ok
from fanwise.records.scheduling import Cancel, Drawn, Finish, Send, SourceEnded, StartWorkers, WorkerDied


@pytest.fixture
def pool() -> Talk:
    return Talk(workers=3, total=None, ordered=False, raise_on_error=False, chunks=ChunkAim(size=1))


def submit(pool: Talk, count: int = 1) -> Talk:
    pool.tell(Drawn, count)
    return pool


def test_no_worker_starts_before_there_is_work(pool):
    assert not pool.ever(StartWorkers)


def test_one_worker_for_one_task(pool):
    assert submit(pool).heard(StartWorkers) == [StartWorkers(1)]


def test_an_idle_worker_is_used_before_another_is_started(pool):
    submit(pool).ready(1).finish(1)
    assert submit(pool).said[0] == Send(1, pool.chunk_of(1))
    assert len(pool.ever(StartWorkers)) == 1


def test_a_worker_on_its_way_is_waited_for(pool):
    submit(pool)
    assert submit(pool).heard(StartWorkers) == [StartWorkers(1)]
    assert submit(pool, 5).heard(StartWorkers) == [StartWorkers(1)]
    assert not submit(pool, 5).heard(StartWorkers)


def test_a_task_is_sent_alone_and_settled_alone(pool):
    submit(pool, 2).ready(1).finish(1)
    assert pool.emitted == [0]


def test_a_waiting_task_can_be_cancelled_and_a_sent_one_cannot(pool):
    submit(pool, 4).ready(1)
    pool.tell(Cancel, (0, 3))
    pool.ready(2, 3)
    sent = {send.chunk.first for send in pool.ever(Send)}
    assert sent == {0, 1, 2}


def test_failures_are_results(pool):
    submit(pool).ready(1).finish(1, fails=(0,))
    assert isinstance(pool.outcomes[0], Failed)
    assert pool.ending is None


def test_a_dead_worker_costs_its_own_future_only(pool):
    submit(pool, 3).ready(1, 2, 3)
    pool.tell(WorkerDied, 2, "SIGKILL", pool.chunk_of(2).first)
    pool.drop_chunks(2)
    pool.ready(4)
    pool.tell(WorkerDied, 4, "SIGKILL", pool.chunk_of(4).first)
    pool.drop_chunks(4)
    pool.finish(1).finish(3)
    assert [type(pool.outcomes[i]) for i in range(3)] == [Ok, Lost, Ok]
    assert submit(pool).heard(Send)


def test_idle_workers_that_did_their_work_may_be_killed_any_number_of_times(pool):
    for worker in range(1, 8):
        submit(pool).ready(worker).finish(worker)
        pool.tell(WorkerDied, worker, "SIGKILL", None, idle=True)
    assert len(pool.outcomes) == 7
    assert submit(pool).heard(StartWorkers) == [StartWorkers(1)]


def test_shutdown_finishes_what_was_submitted(pool):
    submit(pool, 3).ready(1)
    pool.tell(SourceEnded)
    for _ in range(3):
        pool.finish(1)
    assert pool.ending == Finish("done")
    assert pool.tell(Drawn, 1) == []
