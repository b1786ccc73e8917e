"""Signals are counted, passed on, and the host program's handlers are put back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fanwise.engine._interrupts import NoInterrupts, SignalInterrupts, TerminateAsInterrupt, Terminated
from fanwise.typing import InterruptPolicy


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_are_counted_and_wake_the_driver() -> None:
    woken = []
    with SignalInterrupts(InterruptPolicy(), lambda: woken.append(1)) as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (interrupts.count, interrupts.signal, len(woken)) == (2, signal.SIGTERM, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert repr(interrupts) == "<SignalInterrupts 2 so far>"


def test_a_handler_of_the_host_program_is_left_alone() -> None:
    heard = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with SignalInterrupts(InterruptPolicy(), lambda: None) as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert (heard, interrupts.count) == ([signal.SIGINT], 0)


def test_a_handler_set_meanwhile_is_not_overwritten() -> None:
    def mine(number: int, frame: object) -> None: ...

    with SignalInterrupts(InterruptPolicy(), lambda: None):
        signal.signal(signal.SIGINT, mine)
    assert signal.getsignal(signal.SIGINT) is mine


def test_other_threads_install_nothing() -> None:
    found = []

    def look() -> None:
        with SignalInterrupts(InterruptPolicy(), lambda: None):
            found.append(signal.getsignal(signal.SIGINT))
        terminate = TerminateAsInterrupt()
        terminate.install()
        found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler, signal.SIG_DFL]


def test_while_an_item_runs_here_a_signal_ends_the_item_and_no_more() -> None:
    reached = []
    with SignalInterrupts(InterruptPolicy(), lambda: None) as interrupts:
        with interrupts.raising():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("behind the signal")
        assert (interrupts.count, reached) == (1, [])
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.count == 2


def test_an_items_own_keyboard_interrupt_counts_as_a_signal() -> None:
    woken = []
    with SignalInterrupts(InterruptPolicy(), lambda: woken.append(1)) as interrupts, interrupts.raising():
        raise KeyboardInterrupt
    assert (interrupts.count, interrupts.signal, woken) == (1, signal.SIGINT, [1])


def test_a_termination_can_be_the_interrupt_that_it_is_not() -> None:
    terminate = TerminateAsInterrupt()
    terminate.install()
    terminate.install()
    with pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
    terminate.remove()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_somebody_elses_termination_handler_stays() -> None:
    def mine(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, mine)
    terminate = TerminateAsInterrupt()
    terminate.install()
    terminate.remove()
    assert signal.getsignal(signal.SIGTERM) is mine


def test_nobody_interrupts_a_collector() -> None:
    with NoInterrupts() as interrupts, interrupts.raising():
        assert interrupts.count == 0
