"""Workers that begin while the first item runs. What it gains in time is for the benchmarks; here, that it changes nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import fanwise
from fanwise._api._head_start import HeadStart
from fanwise._api._planning import EXPERIENCE, Advice
from fanwise.engine._plan import FanOut
from fanwise.errors import BackendError, RunTimeoutError
from fanwise.testing import leaks

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("_ready")]


@pytest.fixture
def _ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is asked soon, and finds starting cheap."""
    monkeypatch.delenv("FANWISE_START_METHOD", raising=False)
    monkeypatch.setattr(Advice, "first_look_s", lambda _: 0.001)
    monkeypatch.setattr(EXPERIENCE, "costs", EXPERIENCE.costs.__class__(server_cold_s=1e-4, server_warm_s=1e-4))


def workers_of(run: fanwise.Run) -> list[int | None]:
    return [outcome.worker for outcome in run.outcomes]


class Meets:
    """The first item ends once another process is at a later one: that only a head start can bring about."""

    def __init__(self, path: Any, then: Callable[[int], Any]) -> None:
        self.path = str(path)
        self.then = then
        os.mkfifo(self.path)

    def __call__(self, item: int) -> Any:
        if item == 0:
            with open(self.path, "rb") as meeting:
                assert meeting.read(1) == b"x"
        elif item == 1:
            with open(self.path, "wb") as meeting:
                meeting.write(b"x")
        return self.then(item)


def double(item: int) -> int:
    return 2 * item


def fail(bad: int, item: int) -> int:
    if item == bad:
        raise ValueError(f"item {item}")
    return item


def interrupt(item: int) -> int:
    if item == 0:
        signal.raise_signal(signal.SIGINT)
    return item


def say(item: int) -> int:
    print(f"item {item}")
    return item


def test_others_begin_while_the_first_item_runs(tmp_path):
    with leaks():
        run = fanwise.run(Meets(tmp_path / "meeting", double), list(range(6)), workers=2)
    assert run.values() == [0, 2, 4, 6, 8, 10]
    assert workers_of(run)[0] is None
    assert workers_of(run)[1] not in {None, os.getpid()}
    assert run.report.decision == "process"
    assert run.report.ok == run.report.items == 6
    assert sum(lane.items for lane in run.report.lanes) == 6
    assert run.report.reason.startswith("Ran 1 item here in ")


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_the_lowest_failure_is_raised(bad, tmp_path):
    with leaks(), pytest.raises(ValueError, match=f"item {bad}") as caught:
        fanwise.map(Meets(tmp_path / "meeting", Failing(bad)), list(range(6)), workers=2)
    assert caught.value.__notes__[0] == f"item {bad} of 6: {bad}"


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_or_is_an_outcome_and_told_once(bad, tmp_path):
    run = fanwise.run(Meets(tmp_path / "meeting", Failing(bad)), list(range(6)), workers=2)
    assert [outcome.ok for outcome in run.outcomes] == [index != bad for index in range(6)]
    assert (run.report.ok, run.report.failed, len(run.report.failures)) == (5, 1, 1)


class Failing:
    def __init__(self, bad: int) -> None:
        self.bad = bad

    def __call__(self, item: int) -> int:
        return fail(self.bad, item)


def test_what_items_print_comes_in_their_order(tmp_path, capsys):
    fanwise.map(Meets(tmp_path / "meeting", say), list(range(4)), workers=2)
    assert capsys.readouterr().out.splitlines() == [f"item {index}" for index in range(4)]


def test_an_interrupt_of_the_first_item_keeps_what_workers_have_finished(tmp_path):
    with leaks(), pytest.raises(fanwise.RunInterrupted) as caught:
        fanwise.map(Meets(tmp_path / "meeting", interrupt), list(range(4)), workers=2)
    assert caught.value.run is not None
    assert 0 in caught.value.run.missing
    assert caught.value.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_a_deadline_holds(tmp_path):
    with leaks(), pytest.raises(RunTimeoutError) as caught:
        fanwise.map(Meets(tmp_path / "meeting", Forever()), list(range(4)), workers=2, deadline=4)
    assert caught.value.run is not None
    assert caught.value.run.missing


class Forever:
    def __call__(self, item: int) -> int:
        if item == 2:
            threading.Event().wait()
        return item


@pytest.mark.filterwarnings("ignore::fanwise.FanwiseWarning")  # if it is not forked
def test_a_function_that_cannot_be_sent_waits_for_its_first_item():
    lock = threading.Lock()

    def locked(item: int) -> int:
        with lock:
            return sum(range(300_000)) and item

    with leaks():
        assert fanwise.map(locked, list(range(3)), workers=2) == [0, 1, 2]


def test_a_first_item_that_ends_soon_has_no_consequences():
    with leaks(), HeadStart(60.0, None, None) as head_start:  # type: ignore[arg-type]
        pass
    assert head_start.stage is None


@pytest.mark.parametrize("error", [BackendError("no"), OSError("no")])
def test_workers_that_cannot_be_had_are_not_missed(error):
    began = threading.Event()

    def hire(_: object) -> Any:
        began.set()
        raise error

    with HeadStart(0.0, lambda *_: _plan(), hire) as head_start:
        assert began.wait(10)
    assert head_start.stage is None


def test_a_defect_is_raised_where_it_is_seen():
    began = threading.Event()

    def consider(*_: float) -> Any:
        began.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), HeadStart(0.0, consider, None):  # type: ignore[arg-type]
        assert began.wait(10)


def _plan() -> FanOut:
    return FanOut(2, 1.0, 1.0, 0.0, ())
