"""What the thread behind futures says when workers fail, and what becomes of tasks that nobody will do."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from concurrent.futures.process import _RemoteTraceback
from typing import Any

import pytest
from tests.crew_driver import RealClock

from fanwise._api._collector import Collector, Submitted, broken_backend, call_submitted, show_origin
from fanwise.backends.thread import ThreadBackend
from fanwise.engine._resources import HostResources
from fanwise.errors import BackendError, WorkerLostError
from fanwise.records.scheduling import Finish


def submitted(fn: Any = abs, *args: Any, **kwargs: Any) -> Submitted:
    return Submitted(Future(), fn, args, kwargs)


@pytest.fixture
def collector() -> Collector:
    return Collector(ThreadBackend(), 2, RealClock(), HostResources(), isolate=False)


def test_a_worker_calls_what_was_submitted() -> None:
    assert call_submitted((sorted, ([3, 1, 2],), {"reverse": True})) == [3, 2, 1]


def test_tasks_are_done_and_the_thread_ends_when_nothing_is_left(collector: Collector) -> None:
    tasks = [submitted(pow, base, 2) for base in range(20)]
    for task in tasks:
        collector.submit(task)
    collector.start()
    collector.stop()
    collector.join()
    assert [task.future.result(0) for task in tasks] == [base**2 for base in range(20)]


def test_what_a_task_raises_is_in_its_future_alone(collector: Collector) -> None:
    bad, good = submitted(int, "x"), submitted(int, "7")
    collector.submit(bad)
    collector.submit(good)
    collector.start()
    collector.stop()
    collector.join()
    assert good.future.result(0) == 7
    assert isinstance(bad.future.exception(0), ValueError)


def test_stopped_with_cancel_only_what_workers_can_take_now_is_done(collector: Collector) -> None:
    tasks = [submitted(abs, -at) for at in range(5)]
    for task in tasks:
        collector.submit(task)
    collector.stop(cancel=True)
    collector.start()
    collector.join()
    assert [task.future.cancelled() for task in tasks] == [False, False, True, True, True]
    assert [task.future.result(0) for task in tasks[:2]] == [0, 1]


def test_killed_before_anything_began_all_is_cancelled(collector: Collector) -> None:
    waiting, running = submitted(), submitted()
    running.future.set_running_or_notify_cancel()
    collector.submit(waiting)
    collector.submit(running)
    collector.kill()
    collector.start()
    collector.join()
    with pytest.raises(CancelledError):
        waiting.future.result(0)
    with pytest.raises(WorkerLostError, match="workers of this executor were killed"):
        running.future.result(0)
    with pytest.raises(RuntimeError, match="after shutdown"):
        collector.submit(submitted())


def test_once_workers_cannot_be_started_every_task_fails_alike(collector: Collector) -> None:
    task = submitted()
    collector.submit(task)
    collector._break(Finish("broken", OSError("no memory")))
    failure = task.future.exception(0)
    assert str(failure) == "workers cannot be started: no memory"
    assert isinstance(failure.__cause__, OSError)
    with pytest.raises(BackendError) as again:
        collector.submit(submitted())
    assert again.value is failure


@pytest.mark.parametrize(
    ("error", "says"), [(None, "workers cannot be started"), (ImportError("x"), "workers cannot be started: x")]
)
def test_the_reason_is_given_where_there_is_one(error: BaseException | None, says: str) -> None:
    broken = broken_backend(Finish("broken", error))
    assert (str(broken), broken.__cause__) == (says, error)


def test_our_own_error_travels_unchanged() -> None:
    error = BackendError("the cluster is gone")
    assert broken_backend(Finish("broken", error)) is error


def test_an_exception_from_elsewhere_shows_where_it_was_raised() -> None:
    error = ValueError("x")
    show_origin(error, "Traceback: there")
    assert isinstance(error.__cause__, _RemoteTraceback)
    assert "there" in str(error.__cause__)


def test_its_own_cause_and_an_unknown_place_are_left_alone() -> None:
    cause, error, bare = KeyError("k"), ValueError("x"), ValueError("y")
    error.__cause__ = cause
    show_origin(error, "there")
    show_origin(bare, "")
    assert (error.__cause__, bare.__cause__) == (cause, None)
