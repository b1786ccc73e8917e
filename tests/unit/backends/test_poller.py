"""Descriptors that have something are heard, others are not, and whoever was forgotten stays silent."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanwise.backends.process._poller import Poller


class Pipes:
    """Pipes of which each notes its number when it is heard, and is read."""

    def __init__(self, count: int, poller: Poller) -> None:
        self.pairs = [os.pipe() for _ in range(count)]
        self.heard: list[int] = []
        for number, (fd, _) in enumerate(self.pairs):
            poller.watch(fd, self._hear(number))

    def _hear(self, number: int) -> Callable[[], None]:
        def handler() -> None:
            os.read(self.pairs[number][0], 100)
            self.heard.append(number)

        return handler

    def write(self, number: int) -> None:
        os.write(self.pairs[number][1], b"x")

    def close(self) -> None:
        for pair in self.pairs:
            for fd in pair:
                os.close(fd)


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


@settings(max_examples=30)
@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_exactly_those_that_have_something_and_are_watched_are_heard(ready: set[int], forgotten: set[int]) -> None:
    with ExitStack() as stack:
        poller = Poller()
        stack.callback(poller.close)
        pipes = Pipes(6, poller)
        stack.callback(pipes.close)
        for number in ready:
            pipes.write(number)
        for number in forgotten:
            poller.forget(pipes.pairs[number][0])
        poller.wait(0)
        poller.wait(0)
        assert sorted(pipes.heard) == sorted(ready - forgotten)


def test_one_that_an_earlier_handler_forgot_is_not_called(poller: Poller) -> None:
    (a, to_a), (b, to_b) = os.pipe(), os.pipe()
    calls: list[str] = []

    def first_of(name: str, other: int) -> Callable[[], None]:
        return lambda: (calls.append(name), poller.forget(other))

    poller.watch(a, first_of("a", b))
    poller.watch(b, first_of("b", a))
    os.write(to_a, b"x")
    os.write(to_b, b"x")
    poller.wait(1.0)
    assert len(calls) == 1
    for fd in (a, to_a, b, to_b):
        os.close(fd)


def test_a_socket_is_heard_for_writing_only_while_that_is_wanted(poller: Poller) -> None:
    calls: list[int] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.watch(ours.fileno(), lambda: calls.append(1))
        for wanted, expected in ((False, 0), (True, 1), (True, 2), (False, 2)):
            poller.also_writing(ours.fileno(), wanted=wanted)
            poller.wait(0)
            assert len(calls) == expected
        poller.forget(ours.fileno())


def test_who_is_watched_anew_is_not_heard_for_writing(poller: Poller) -> None:
    calls: list[int] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(2):
            poller.watch(ours.fileno(), lambda: calls.append(1))
            poller.wait(0)
            assert calls == []
            poller.also_writing(ours.fileno(), wanted=True)
            poller.forget(ours.fileno())


@pytest.mark.parametrize("timeout", [0, 0.0, -1.0, 0.001])
def test_waiting_for_nothing_has_an_end(poller: Poller, timeout: float) -> None:
    poller.wait(timeout)


def test_strangers_can_be_forgotten_and_asked_to_write(poller: Poller) -> None:
    poller.forget(12345)
    poller.also_writing(12345, wanted=True)


def test_an_end_that_hung_up_is_heard(poller: Poller) -> None:
    pipes = Pipes(1, poller)
    os.close(pipes.pairs[0][1])
    poller.wait(1.0)
    assert pipes.heard == [0]
    os.close(pipes.pairs[0][0])
