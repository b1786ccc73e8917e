"""Attachments go to a worker once, beside its messages; closed ones are let go of by everybody who has them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise import _memfd
from fanwise.backends.process import _attached
from fanwise.backends.process._attached import FUNCTIONS_TOO, Attached, announce, forget_attachment, send_attachments
from fanwise.backends.process._messages import decode_attachments
from fanwise.backends.process._wire import Channel, Frame, Kind, Role, Spare
from fanwise.typing import Attachment


def ids_of(frame: Frame) -> list[bytes]:
    """Ids in a frame of attachments; their descriptors are closed."""
    attachments = decode_attachments(frame)
    for attachment in attachments:
        os.close(attachment.fd)
    return [attachment.id for attachment in attachments]


class Line:
    """A channel and what comes out at its other end."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.spare = Spare()
        self.channel, self.peer = Channel(ours, Role.COORDINATOR, self.spare), Channel(theirs, Role.WORKER)

    def frames(self) -> list[Frame]:
        found = []
        while (frame := self.peer.take_back()) is not None:
            found.append(frame)
        return [frame for frame in found if frame.kind != Kind.EXPECT]

    def received(self) -> list[list[bytes]]:
        """Ids of each frame of attachments."""
        return [ids_of(frame) for frame in self.frames()]

    def close(self) -> None:
        self.channel.close()
        self.peer.close()
        self.spare.release()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def fd() -> Iterator[int]:
    made = _memfd.make([b"content"])
    yield made
    os.close(made)


def named(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_each_goes_once_and_comes_with_its_content(line: Line, fd: int) -> None:
    attached = Attached()
    one = Attachment(named(1), fd, 7)
    attached.send(line.channel, [one])
    attached.send(line.channel, [one])
    ((got,),) = (decode_attachments(frame) for frame in line.frames())
    assert (got.id, got.size, os.pread(got.fd, 100, 0)) == (named(1), 7, b"content")
    os.close(got.fd)


def test_only_what_is_new_goes(line: Line, fd: int) -> None:
    attached = Attached()
    for numbers in ([1, 2], [2, 3, 3], [1]):
        attached.send(line.channel, [Attachment(named(number), fd, 7) for number in numbers])
    assert line.received() == [[named(1), named(2)], [named(3)]]


def test_a_worker_that_may_have_missed_some_gets_them_again(line: Line, fd: int) -> None:
    attached = Attached()
    for _ in range(2):
        attached.send(line.channel, [Attachment(named(1), fd, 7)])
        attached.forget_all()
    assert line.received() == [[named(1)]] * 2


def test_more_than_fit_beside_one_message_go_in_several(line: Line, fd: int) -> None:
    send_attachments(line.channel, [Attachment(named(number), fd, 7) for number in range(130)])
    frames = line.received()
    assert list(map(len, frames)) == [60, 60, 10]
    assert [id for ids in frames for id in ids] == [named(number) for number in range(130)]


def test_one_known_to_the_receiver_has_no_descriptor_and_stays(line: Line, fd: int) -> None:
    send_attachments(line.channel, [Attachment(named(1), -1, 7), Attachment(named(2), fd, 7)])
    assert line.received() == [[named(2)]]


def test_one_closed_meanwhile_is_for_the_receiver_to_miss(line: Line) -> None:
    gone = _memfd.make([b"x"])
    os.close(gone)
    send_attachments(line.channel, [Attachment(named(1), gone, 1)])
    assert line.received() == []


class TestClosing:
    def test_who_has_it_is_told_once(self, line: Line, fd: int) -> None:
        attached = Attached()
        attached.send(line.channel, [Attachment(named(1), fd, 7)])
        line.received()
        forget_attachment(named(1))
        assert attached.outdated
        attached.tell(line.channel, FUNCTIONS_TOO)
        (frame,) = line.frames()
        assert (frame.kind, frame.flags, bytes(frame.payload)) == (Kind.FORGET, FUNCTIONS_TOO, named(1))
        assert not attached.outdated

    def test_who_never_had_it_is_not(self) -> None:
        attached = Attached()
        forget_attachment(named(9))
        assert not attached.outdated

    def test_what_was_let_go_goes_again_when_it_is_mentioned_again(self, line: Line, fd: int) -> None:
        attached, one = Attached(), Attachment(named(1), fd, 7)
        attached.send(line.channel, [one])
        attached.close(named(1))
        attached.tell(line.channel, 0)
        attached.send(line.channel, [one])
        sent = line.frames()
        assert [frame.kind for frame in sent] == [Kind.ATTACH, Kind.FORGET, Kind.ATTACH]
        for frame in sent:
            for number in frame.fds:
                os.close(number)

    def test_those_with_idle_workers_are_asked_to_tell(self) -> None:
        class Pool:
            told = 0

            def tell(self) -> None:
                self.told += 1

        pool = Pool()
        announce(pool)
        forget_attachment(named(1))
        assert pool.told == 1

    def test_the_dead_are_not_remembered(self) -> None:
        before = len(_attached._all)
        several = [Attached() for _ in range(3)]
        assert len(_attached._all) == before + 3
        several.clear()
        assert len(_attached._all) == before


@given(st.lists(st.tuples(st.sampled_from(["send", "close", "tell"]), st.integers(0, 3)), max_size=25))
def test_the_worker_has_what_it_was_sent_and_not_told_to_forget(steps: list[tuple[str, int]]) -> None:
    with ExitStack() as stack:
        line = Line()
        stack.callback(line.close)
        fd = _memfd.make([b"x"])
        stack.callback(os.close, fd)
        attached, has, closed = Attached(), set(), set()
        for what, number in steps:
            if what == "send" and named(number) not in closed:
                attached.send(line.channel, [Attachment(named(number), fd, 1)])
            elif what == "close" and named(number) in has:
                attached.close(named(number))
                closed.add(named(number))
            elif what == "tell" and attached.outdated:
                attached.tell(line.channel, 0)
                closed.clear()
            for frame in line.frames():
                if frame.kind == Kind.FORGET:
                    ids = {bytes(frame.payload[at : at + 16]) for at in range(0, len(frame.payload), 16)}
                    assert ids <= has
                    has -= ids
                else:
                    has |= set(ids_of(frame))
            assert attached._ids == has
