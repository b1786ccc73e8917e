"""`Executor` as a `concurrent.futures.Executor`, and as warm workers for runs."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import fanwise
from fanwise.errors import BackendError, UsageError, WorkerLostError

pytestmark = pytest.mark.process


@pytest.fixture(params=["process", "thread"])
def executor(request: pytest.FixtureRequest) -> Iterator[fanwise.Executor]:
    with fanwise.Executor(2, backend=request.param) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[fanwise.Executor]:
    with fanwise.Executor(2) as made:
        yield made


def kill_itself(_: object = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def mark(name: str, value: str) -> None:
    os.environ[name] = value


def pause(seconds: float) -> bool:
    return threading.Event().wait(seconds)


def needs_a_lock(_: object) -> None:
    """An initializer."""


def fail_far_away(_: object) -> None:
    raise LookupError("far away")


class TestDropIn:
    """Where callers of the standard library's pool rely on more than the documentation says."""

    @pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
    def test_an_initializer_that_cannot_be_sent_breaks_the_executor(self, method: str) -> None:
        with fanwise.Executor(2, method, needs_a_lock, (threading.Lock(),)) as executor:
            with pytest.raises(BackendError, match="lock and cannot be sent"):
                executor.submit(abs, -1).result(30)
            with pytest.raises(concurrent.futures.BrokenExecutor):
                executor.submit(abs, -1)

    def test_an_exception_shows_the_traceback_it_had_in_the_worker(self, processes: fanwise.Executor) -> None:
        error = processes.submit(fail_far_away, 1).exception(30)
        assert isinstance(error, LookupError)
        assert 'raise LookupError("far away")' in str(error.__cause__)

    def test_what_cannot_be_pickled_is_a_pickling_error(self, processes: fanwise.Executor) -> None:
        with pytest.raises(pickle.PicklingError):
            processes.submit(abs, threading.Lock()).result(30)

    def test_shutdown_cancels_what_has_not_begun_and_finishes_as_much_as_there_are_workers(self) -> None:
        executor = fanwise.Executor(2)
        futures = [executor.submit(pause, 0.01) for _ in range(50)]
        executor.shutdown(cancel_futures=True)
        assert 2 <= sum(not future.cancelled() for future in futures) < 10
        assert all(future.done() for future in futures)


class TestFutures:
    def test_a_future_has_the_result(self, executor: fanwise.Executor) -> None:
        assert executor.submit(pow, 2, exp=10).result(30) == 1024

    def test_a_future_has_the_exception(self, executor: fanwise.Executor) -> None:
        future = executor.submit(divmod, 1, 0)
        assert isinstance(future.exception(30), ZeroDivisionError)

    def test_many_futures_are_all_answered(self, executor: fanwise.Executor) -> None:
        futures = [executor.submit(abs, -number) for number in range(300)]
        assert [future.result(30) for future in futures] == list(range(300))

    def test_submit_from_several_threads(self, executor: fanwise.Executor) -> None:
        results: list[int] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(executor.submit(abs, -n).result(30))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == list(range(8))

    def test_map_is_that_of_the_standard_library(self, executor: fanwise.Executor) -> None:
        assert list(executor.map(pow, [2, 3], [5, 2])) == [32, 9]
        assert list(executor.map(abs, range(-20, 0), chunksize=6)) == list(range(20, 0, -1))
        with pytest.raises(ValueError, match="chunksize must be >= 1"):
            executor.map(abs, [1], chunksize=0)

    def test_wait_and_as_completed_work(self, executor: fanwise.Executor) -> None:
        futures = {executor.submit(abs, -n) for n in range(10)}
        assert {f.result() for f in concurrent.futures.as_completed(futures, 30)} == set(range(10))
        assert concurrent.futures.wait(futures, 30).not_done == set()

    def test_a_cancelled_future_does_not_run(self, executor: fanwise.Executor) -> None:
        gate = [executor.submit(pause, 0.15) for _ in range(6)]
        last = executor.submit(abs, -1)
        assert last.cancel()
        assert last.cancelled()
        assert all(future.result(30) is False for future in gate)

    def test_callbacks_run(self, executor: fanwise.Executor) -> None:
        called = threading.Event()
        executor.submit(abs, -1).add_done_callback(lambda future: called.set())
        assert called.wait(30)


class TestShutdown:
    def test_nothing_can_be_submitted_afterwards(self, executor: fanwise.Executor) -> None:
        executor.submit(abs, 1).result(30)
        executor.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            executor.submit(abs, 1)
        with pytest.raises(RuntimeError, match="executor is shut down"):
            fanwise.map(abs, [1], executor=executor)
        executor.shutdown()
        assert "shut down" in repr(executor)

    def test_pending_futures_are_finished(self, executor: fanwise.Executor) -> None:
        futures = [executor.submit(abs, -n) for n in range(50)]
        executor.shutdown()
        assert [future.result(0) for future in futures] == list(range(50))

    def test_pending_futures_can_be_cancelled(self, executor: fanwise.Executor) -> None:
        futures = [executor.submit(pause, 0.1) for _ in range(20)]
        executor.shutdown(cancel_futures=True)
        assert all(future.done() for future in futures)

    def test_an_executor_never_used_shuts_down(self) -> None:
        fanwise.Executor(2).shutdown()

    def test_a_forgotten_executor_ends_by_itself(self) -> None:
        executor = fanwise.Executor(1, backend="thread")
        future = executor.submit(abs, -3)
        del executor
        gc.collect()
        assert future.result(30) == 3
        collectors = [t for t in threading.enumerate() if t.name == "fanwise-collector"]
        for thread in collectors:
            thread.join(30)
        assert not any(thread.is_alive() for thread in collectors)


class TestWarmWorkers:
    def test_runs_use_the_same_workers_again(self, processes: fanwise.Executor) -> None:
        """One run may be over before the second worker has started, so it is five that show no third worker."""
        seen = {
            pid
            for _ in range(5)
            for pid in fanwise.map(lambda _: os.getpid(), range(40), executor=processes, chunk_size=1, timeout=30)
        }
        assert len(seen) <= 2
        assert os.getpid() not in seen

    @pytest.mark.parametrize("backend", ["process", "thread"])
    @pytest.mark.parametrize("workers", [1, 5])
    def test_a_run_has_as_many_workers_as_the_executor(self, workers: int, backend: str) -> None:
        with fanwise.Executor(workers, backend=backend) as executor:
            run = fanwise.run(abs, range(5), executor=executor, chunk_size=1)
        assert run.values() == [0, 1, 2, 3, 4]
        assert [d.facts["workers"] for d in run.report.plan.decisions if d.code.endswith(".asked")] == [workers]
        assert len({outcome.worker for outcome in run.outcomes}) <= workers

    def test_a_dead_worker_costs_its_own_future(self, processes: fanwise.Executor) -> None:
        before = processes.submit(abs, -1)
        dead = processes.submit(kill_itself)
        after = [processes.submit(abs, -n) for n in range(10)]
        assert before.result(30) == 1
        assert isinstance(dead.exception(30), WorkerLostError)
        assert [future.result(30) for future in after] == list(range(10))

    def test_an_initializer_runs_in_every_worker(self) -> None:
        with fanwise.Executor(2, initializer=mark, initargs=("FANWISE_TEST_MARK", "set")) as executor:
            marks = {executor.submit(os.getenv, "FANWISE_TEST_MARK").result(30) for _ in range(4)}
        assert marks == {"set"}

    def test_a_failing_initializer_breaks_the_executor(self, caplog: pytest.LogCaptureFixture) -> None:
        with fanwise.Executor(1, initializer=divmod, initargs=(1, 0)) as executor:
            future = executor.submit(abs, 1)
            assert isinstance(future.exception(30), BackendError)
            assert isinstance(future.exception(), concurrent.futures.BrokenExecutor)
            with pytest.raises(BackendError):
                executor.submit(abs, 1)

    def test_a_worker_retires_after_its_tasks(self) -> None:
        with fanwise.Executor(1, max_tasks_per_child=2) as executor:
            pids = [executor.submit(os.getpid).result(30) for _ in range(6)]
        assert len(set(pids)) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_workers": -1}, ValueError, "max_workers must be greater than 0"),
        ({"workers": 2.5}, UsageError, "workers must be an integer of at least 1 or None, got 2.5"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"max_tasks_per_child": "one"}, TypeError, "max_tasks_per_child must be an integer"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"backend": "proces"}, UsageError, "backend must be one of"),
    ],
)
def test_bad_arguments_raise_as_the_standard_library_does(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        fanwise.Executor(**options)


def test_options_must_agree_with_the_executor() -> None:
    with fanwise.Executor(2) as executor:
        with pytest.raises(UsageError, match="workers=3 does not agree"):
            fanwise.map(abs, [1], executor=executor, workers=3)
        with pytest.raises(UsageError, match="does not agree"):
            fanwise.map(abs, [1], executor=executor, backend="thread")
        assert "ready" in repr(executor)
