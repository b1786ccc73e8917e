"""The serial backend: what a caller sees who works while he waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.crew_driver import RealClock, work

from fanwise import current_task
from fanwise.backends.serial import SerialBackend, SerialCrew, record_of
from fanwise.records.chunks import Chunk
from fanwise.records.outcomes import Batch
from fanwise.records.scheduling import ChunkFinished, ChunkReturned, Finished, WorkerDied, WorkerReady, WorkerRetired


def hire(fn: Callable[..., Any], items: list[Any], **options: Any) -> SerialCrew:
    crew = SerialBackend().hire(work(fn, items, **options), 1, RealClock())
    crew.start(1)
    (ready,) = crew.wait(0)
    assert isinstance(ready, WorkerReady)
    return crew


def interrupt_at(index: int) -> Callable[[int], int]:
    def fn(x: int) -> int:
        if x == index:
            raise KeyboardInterrupt
        return x

    return fn


@pytest.mark.parametrize("single", [True, False])
def test_ctrl_c_passes_through_and_what_was_finished_is_kept(single: bool) -> None:
    crew = hire(interrupt_at(7), list(range(10)), single=single)
    crew.send(1, Chunk(1, 0, 10))
    with pytest.raises(KeyboardInterrupt):
        crew.wait(0)
    assert current_task() is None
    finished, returned = crew.wait(0)
    assert isinstance(finished, Finished)
    assert [v for batch in finished.settled if isinstance(batch, Batch) for v in batch.values] == list(range(7))
    assert isinstance(returned, ChunkReturned)
    assert returned.first == 7


def test_an_exit_of_a_generator_passes_through() -> None:
    def fn(x: int) -> int:
        raise GeneratorExit

    crew = hire(fn, [1])
    crew.send(1, Chunk(1, 0, 1))
    with pytest.raises(GeneratorExit):
        crew.wait(0)
    assert [type(e) for e in crew.wait(0)] == [ChunkReturned]


def test_one_chunk_is_run_in_a_wait() -> None:
    crew = hire(abs, [-1, -2])
    crew.send(1, Chunk(1, 0, 1))
    crew.send(1, Chunk(2, 1, 1))
    for chunk in (1, 2):
        finished, done = crew.wait(0)
        assert isinstance(done, ChunkFinished)
        assert (done.chunk, done.worker, finished.worker) == (chunk, 1, 1)  # type: ignore[union-attr]


def test_a_chunk_in_the_queue_is_taken_back() -> None:
    crew = hire(abs, [-1, -2])
    crew.send(1, Chunk(1, 0, 1))
    crew.send(1, Chunk(2, 1, 1))
    crew.cancel(1, 2)
    crew.cancel(1, 99)
    (returned,) = crew.wait(0)
    assert isinstance(returned, ChunkReturned)
    assert (returned.chunk, returned.first) == (2, 1)
    assert [type(e) for e in crew.wait(0)] == [Finished, ChunkFinished]


def test_a_killed_worker_loses_its_queue() -> None:
    crew = hire(abs, [-1])
    crew.send(1, Chunk(1, 0, 1))
    crew.kill(1, "reason")
    (died,) = crew.wait(0)
    assert isinstance(died, WorkerDied)
    assert crew.wait(0) == []


def test_a_worker_retires_after_its_queue() -> None:
    crew = hire(abs, [-1])
    crew.send(1, Chunk(1, 0, 1))
    crew.retire(1)
    assert [type(e) for e in crew.wait(0)] == [Finished, ChunkFinished]
    assert [type(e) for e in crew.wait(0)] == [WorkerRetired]


def test_an_interrupted_crew_runs_nothing_more() -> None:
    crew = hire(abs, [-1])
    crew.send(1, Chunk(1, 0, 1))
    crew.interrupt()
    assert [type(e) for e in crew.wait(0)] == [ChunkReturned]


def test_another_thread_sees_what_is_running_and_can_wake() -> None:
    seen: list[Any] = []
    crew: SerialCrew

    def look(_: int) -> None:
        thread = threading.Thread(target=lambda: seen.extend(crew.running()))
        thread.start()
        thread.join()

    crew = hire(look, [0])
    crew.send(1, Chunk(1, 0, 1))
    crew.wait(0)
    ((worker, index, _since),) = seen
    assert (worker, index) == (1, 0)
    assert crew.running() == []
    assert crew.sizes() == {}
    waking = threading.Thread(target=crew.wake)
    waking.start()
    assert crew.wait(30) == []
    waking.join()


def test_closing_forgets_the_queue() -> None:
    crew = hire(abs, [-1])
    crew.send(1, Chunk(1, 0, 1))
    crew.close(kill=False)
    assert crew.wait(0) == []
    SerialBackend().close()


def test_a_failure_becomes_a_record_with_its_traceback() -> None:
    from fanwise.backends._execution import Failure

    record = record_of(Failure(3, ValueError("x"), 0.5), 9, 2)
    assert (record.index, record.worker, record.attempts, record.seconds) == (3, 9, 2, 0.5)  # type: ignore[union-attr]
    assert record.traceback == "ValueError: x\n"  # type: ignore[union-attr]
