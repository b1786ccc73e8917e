"""A function that cannot be sent to workers, where it could not be inherited: all runs here, and the run says why."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import fanwise
from fanwise._api import _planning
from fanwise._api._planning import EXPERIENCE
from fanwise.engine._costs import Costs
from fanwise.errors import NotPicklableError
from fanwise.testing import leaks

CHEAP = Costs(server_cold_s=1e-6, server_warm_s=1e-6, launch_s=1.0, fork_each_s=1e-6, end_s=1e-6)
WARNING = r"^fn\.<lock> is a _thread\.lock and cannot be sent .*; until then all items run in this process$"


@pytest.fixture(autouse=True)
def _threads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers come from the fork server, as where other threads run, and starting them seems to cost nothing."""
    monkeypatch.setenv("FANWISE_START_METHOD", "forkserver")
    monkeypatch.setattr(EXPERIENCE, "costs", CHEAP)
    monkeypatch.setattr(EXPERIENCE, "worth_loading", True)
    monkeypatch.setattr(_planning, "_NUMPY_S", 0.0)


def locked() -> Callable[[int], int]:
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            return sum(range(100_000)) * 0 + 10 // item

    return work


def test_everything_runs_here_with_one_warning():
    with leaks(), pytest.warns(fanwise.FanwiseWarning, match=WARNING) as said:
        run = fanwise.run(locked(), list(range(1, 40)), workers=2)
    assert run.values() == [10 // item for item in range(1, 40)]
    assert len(said) == 1
    assert said[0].filename == __file__
    assert run.report.decision == "fallback"
    assert (
        run.report.reason
        == "Ran everything in this process: fn.<lock> is a _thread.lock and cannot be sent to a worker."
    )
    assert {outcome.worker for outcome in run.outcomes} == {None}
    assert run.report.ok == 39


def test_a_lazy_input_goes_on_where_it_was():
    with pytest.warns(fanwise.FanwiseWarning, match=WARNING):
        assert list(fanwise.stream(locked(), iter(range(1, 40)), workers=2)) == [10 // item for item in range(1, 40)]


def test_a_failure_is_raised_as_the_loop_would():
    with pytest.warns(fanwise.FanwiseWarning, match=WARNING), pytest.raises(ZeroDivisionError) as caught:
        fanwise.map(locked(), [*range(1, 40), 0], workers=2)
    assert caught.value.__notes__ == ["item 39 of 40: 0"]


def test_where_workers_were_asked_for_it_is_an_error():
    with pytest.raises(NotPicklableError, match=r"fn\.<lock>"):
        fanwise.map(locked(), [1, 2], backend="process", workers=2)
