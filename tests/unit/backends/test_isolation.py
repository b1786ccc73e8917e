"""An item in a process of its own: its end is the template's end, a good one is nobody's; and a worker's signals."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanwise import _task
from fanwise.backends.process._birth import Setup, guard_signals
from fanwise.backends.process._guard import DEFECT, Raised, attempt
from fanwise.backends.process._isolation import run_apart

pytestmark = pytest.mark.process


def end_of(task: Callable[[], object]) -> int:
    """The exit code, or minus the signal, of a process that does something and then leaves with 0."""
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            task()
            os._exit(0)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_task_runs_in_another_process_and_comes_back(tmp_path: Path) -> None:
    seen: list[int] = []

    def task() -> None:
        seen.append(1)
        (tmp_path / "pid").write_text(str(os.getpid()))

    run_apart(task)
    assert seen == [], "memory of the child is its own"
    assert int((tmp_path / "pid").read_text()) != os.getpid()


@pytest.mark.parametrize("code", [1, 7, 255])
def test_a_child_that_exits_takes_its_template_along(code: int) -> None:
    assert end_of(lambda: run_apart(lambda: os._exit(code))) == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_the_template_dies_of_the_same_signal(number: signal.Signals) -> None:
    def die() -> None:
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    assert end_of(lambda: run_apart(die)) == -number


def test_a_task_that_raises_is_a_defect_and_not_a_traceback_in_the_caller() -> None:
    assert end_of(lambda: run_apart(lambda: 1 // 0)) == DEFECT


def test_the_template_is_as_warm_after_a_good_child_as_before() -> None:
    def twice() -> None:
        for _ in range(3):
            run_apart(lambda: None)

    assert end_of(twice) == 0


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(-1)
    yield
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ctrl_c_is_the_callers_business_and_not_inherited_as_ignored(own_signals: None) -> None:
    guard_signals()
    os.kill(os.getpid(), signal.SIGINT)
    assert callable(signal.getsignal(signal.SIGINT)), "SIG_IGN would survive an exec"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_blocked_signal_is_let_through_again(own_signals: None) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    guard_signals()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, set()) & {signal.SIGTERM, signal.SIGINT}


def test_a_worker_knows_its_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_task._Allowance, "processes", None)
    Setup(budget=3, blas_threads=None).share_cores()
    assert _task.budget() == 3


@pytest.mark.parametrize(
    ("caught", "error", "kept"),
    [(Exception, ValueError, True), (Exception, KeyboardInterrupt, False), (BaseException, KeyboardInterrupt, True)],
)
def test_what_user_code_raises_is_a_value_as_far_as_that_was_wanted(
    caught: type[BaseException], error: type[BaseException], kept: bool
) -> None:
    def call(text: str) -> None:
        raise error(text)

    if kept:
        outcome = attempt(call, "x", caught=caught)
        assert isinstance(outcome, Raised)
        assert repr(outcome.error) == repr(error("x"))
    else:
        with pytest.raises(error, match="x"):
            attempt(call, "x", caught=caught)


def test_what_returns_is_returned() -> None:
    assert attempt(max, 2, 3) == 3
