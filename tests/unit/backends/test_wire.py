"""Frames: what is sent arrives, whole, in order, whatever its size; and what is not a frame is noticed."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanwise import _memfd
from fanwise.backends.process import _wire
from fanwise.backends.process._wire import INLINE, Channel, Frame, Kind, Role, Spare, WireError

SIZES = [0, 1, INLINE - 1, INLINE, INLINE + 1, (1 << 20) - 1, 1 << 20, 8 << 20]
HEADER = struct.Struct("<HBBHHIIQ")


class Pair:
    """Both ends of a socket, the coordinator's non-blocking; in one thread, so that sends must fit or wait."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.raw_ours, self.raw_theirs = ours, theirs
        self.spare = Spare()
        self.coordinator = Channel(ours, Role.COORDINATOR, self.spare)
        self.worker = Channel(theirs, Role.WORKER)
        self.peer = Channel(theirs.dup(), Role.WORKER)

    def close(self) -> None:
        for channel in (self.coordinator, self.worker, self.peer):
            channel.close()
        self.spare.release()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_to_a_worker_arrives_whole(pair: Pair, size: int) -> None:
    pair.coordinator.send(Kind.CHUNK, [content(size)], chunk=7, flags=3)
    frame = pair.worker.await_frame()
    assert (frame.kind, frame.flags, frame.chunk) == (Kind.CHUNK, 3, 7)
    assert bytes(frame.payload) == content(size)
    assert frame.lasting is (size > INLINE)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_to_the_coordinator_arrives_whole(pair: Pair, size: int) -> None:
    pair.worker.send(Kind.RESULTS, [content(size)[:10], memoryview(content(size)[10:])], chunk=7)
    frame = pair.coordinator.receive()
    assert frame is not None
    assert bytes(frame.payload) == content(size)
    assert pair.coordinator.receive() is None


def test_large_payloads_are_the_receivers_own_and_writable(pair: Pair) -> None:
    pair.worker.send(Kind.RESULTS, [content(2 << 20)])
    frame = pair.coordinator.receive()
    assert frame is not None
    frame.payload[:3] = b"new"
    assert bytes(frame.payload[:4]) == b"new" + content(4)[3:]


def test_descriptors_travel_beside_a_frame(pair: Pair) -> None:
    fd = _memfd.make([b"hello"])
    for sender, receiver in (
        (pair.coordinator, pair.worker.await_frame),
        (pair.worker, pair.coordinator.receive),
    ):
        sender.send(Kind.ATTACH, [b"small"], fds=[fd, fd])
        frame = receiver()
        assert frame is not None
        assert bytes(frame.payload) == b"small"
        assert [os.pread(each, 5, 0) for each in frame.fds] == [b"hello", b"hello"]
        for each in frame.fds:
            os.close(each)
    os.close(fd)


def test_what_does_not_fit_is_kept_and_sent_later(pair: Pair) -> None:
    count = 0
    while not pair.coordinator.pending:
        pair.coordinator.send(Kind.CHUNK, [content(1000)], chunk=count)
        count += 1
    pair.coordinator.send(Kind.CHUNK, [content(INLINE + 1)], chunk=count)
    pair.coordinator.send(Kind.STOP, chunk=count + 1)
    seen = []
    while len(seen) < count + 2:
        seen.append(pair.worker.await_frame().chunk)
        pair.coordinator.flush()
    assert seen == list(range(count + 2))
    assert not pair.coordinator.pending


def test_unread_frames_can_be_taken_back(pair: Pair) -> None:
    for chunk in range(3):
        pair.coordinator.send(Kind.CHUNK, [content(INLINE * chunk)], chunk=chunk)
    assert pair.worker.await_frame().chunk == 0
    taken = []
    while (frame := pair.peer.take_back()) is not None:
        taken.append((frame.chunk, len(frame.payload)))
    assert taken == [(1, INLINE), (0, 0), (2, 2 * INLINE)], "one is the announcement of descriptors"
    pair.coordinator.send(Kind.STOP)
    assert pair.worker.await_frame().kind == Kind.STOP, "a gap in the numbers is no fault on this side"


@pytest.mark.parametrize("size", [1, INLINE + 1, 3 * INLINE])
def test_without_descriptors_a_frame_comes_in_fragments(pair: Pair, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(_memfd, "make", refuse)
    pair.worker.send(Kind.RESULTS, [content(size)[:100], content(size)[100:]], chunk=7, flags=1)
    frame = None
    while frame is None:
        frame = pair.coordinator.receive()
    assert (bytes(frame.payload), frame.flags, frame.chunk) == (content(size), 1, 7)
    assert frame.lasting is (size > INLINE)
    pair.coordinator.send_inline(Kind.CHUNK, [content(size)], chunk=8)
    frame = pair.worker.await_frame()
    assert (bytes(frame.payload), frame.flags, frame.chunk) == (content(size), 0, 8)


def test_other_errors_of_making_a_segment_are_raised(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_memfd, "make", refuse)
    with pytest.raises(OSError, match="Input/output"):
        pair.worker.send(Kind.RESULTS, [content(INLINE + 1)])


class TestWithNoDescriptorFree:
    @pytest.fixture
    def exhausted(self) -> Iterator[None]:
        """All descriptors of this process are taken."""
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        held = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            yield
        finally:
            for fd in held:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_the_coordinator_has_one_in_reserve(self, pair: Pair, request: pytest.FixtureRequest) -> None:
        for _ in range(2):
            pair.worker.send(Kind.RESULTS, [content(INLINE + 1)])
        request.getfixturevalue("exhausted")
        for _ in range(2):
            frame = pair.coordinator.receive()
            assert frame is not None
            assert bytes(frame.payload) == content(INLINE + 1)

    def test_a_worker_hears_that_a_frame_was_cut(self, pair: Pair, request: pytest.FixtureRequest) -> None:
        pair.coordinator.send(Kind.CHUNK, [content(INLINE + 1)], chunk=7)
        request.getfixturevalue("exhausted")
        frame = pair.worker.await_frame()
        assert (frame.cut, frame.chunk, frame.kind) == (True, 7, Kind.CHUNK)

    def test_a_sender_falls_back_to_fragments(self, pair: Pair, request: pytest.FixtureRequest) -> None:
        request.getfixturevalue("exhausted")
        pair.worker.send(Kind.RESULTS, [content(INLINE + 1)])
        frame = None
        while frame is None:
            frame = pair.coordinator.receive()
        assert bytes(frame.payload) == content(INLINE + 1)

    def test_a_reserve_is_restored_only_if_there_is_room(self, request: pytest.FixtureRequest) -> None:
        spare = Spare()
        spare.release()
        request.getfixturevalue("exhausted")
        spare.restore()
        spare.release()


def header(**changes: int) -> bytes:
    fields = {"magic": 0xFA15, "version": 1, "kind": 17, "flags": 0, "fds": 0, "chunk": 7, "sequence": 1, "length": 0}
    return HEADER.pack(*(fields | changes).values())


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"short", "a packet of 5 bytes is no frame"),
        (header(magic=1), "begins with 0x0001 instead of 0xfa15"),
        (header(version=2), "a frame has version 2, this process speaks version 1"),
        (header(sequence=2), "frame 2 came after frame 0"),
        (header(length=10) + b"123", "announces 10 bytes and holds 3"),
        (header(flags=1 << 15, length=2) + b"123", "fragments of 2 bytes add up to 3"),
    ],
    ids=["short", "magic", "version", "sequence", "length", "fragments"],
)
def test_what_is_not_the_next_frame_is_noticed(pair: Pair, packet: bytes, message: str) -> None:
    pair.raw_theirs.send(packet)
    with pytest.raises(WireError, match=message):
        pair.coordinator.receive()


def test_a_segment_shorter_than_announced_is_noticed(pair: Pair) -> None:
    fd = _memfd.make([b"12"])
    pair.raw_theirs.send(header(fds=1, length=10))
    _memfd.send(pair.raw_theirs, [b"\0"], [fd])
    with pytest.raises(WireError, match="less than the 10 bytes announced"):
        pair.coordinator.receive()
    os.close(fd)


def test_the_descriptor_of_a_frame_may_come_later(pair: Pair) -> None:
    fd = _memfd.make([b"12"])
    pair.raw_theirs.send(header(fds=1, length=2))
    assert pair.coordinator.receive() is None
    _memfd.send(pair.raw_theirs, [b"\0"], [fd])
    os.close(fd)
    frame = pair.coordinator.receive()
    assert frame is not None
    assert bytes(frame.payload) == b"12"


def test_a_closed_end_is_the_end(pair: Pair) -> None:
    pair.worker.close()
    pair.peer.close()
    with pytest.raises(EOFError):
        pair.coordinator.receive()


def test_unsent_descriptors_are_closed_with_the_channel(pair: Pair) -> None:
    fd = _memfd.make([b"12"])
    while not pair.coordinator.pending:
        pair.coordinator.send(Kind.ATTACH, [b"id"], fds=[fd])
    os.close(fd)
    pair.coordinator.close()
    assert not pair.coordinator.pending


@given(st.binary(max_size=200) | st.builds(lambda tail, **c: header(**c) + tail, st.binary(max_size=64)))
def test_no_packet_breaks_the_coordinator(packet: bytes) -> None:
    pair = Pair()
    try:
        pair.raw_theirs.send(packet or b"\0")
        got = pair.coordinator.receive()
    except (WireError, EOFError, OSError):
        got = None
    finally:
        pair.close()
    assert got is None or isinstance(got, Frame)


@given(
    st.builds(
        header,
        kind=st.integers(0, 255),
        flags=st.integers(0, 65535),
        fds=st.just(0),
        chunk=st.integers(0, 2**32 - 1),
        length=st.integers(0, 40),
    ),
    st.binary(max_size=40),
)
def test_a_frame_with_a_good_header_is_a_frame_or_an_error(head: bytes, tail: bytes) -> None:
    pair = Pair()
    try:
        pair.raw_theirs.send(head + tail)
        frame = pair.coordinator.receive()
    except WireError:
        frame = None
    else:
        assert frame is None or bytes(frame.payload) == tail
    finally:
        pair.close()


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=20))
def test_frames_keep_their_order(sent: list[tuple[int, bytes]]) -> None:
    pair = Pair()
    try:
        for chunk, payload in sent:
            pair.worker.send(Kind.RESULTS, [payload], chunk=chunk)
        frames = [pair.coordinator.receive() for _ in sent]
        # the payload of a small frame lasts until the next one: only the last is still there
        assert [frame.chunk for frame in frames if frame is not None] == [chunk for chunk, _ in sent]
        if sent:
            assert frames[-1] is not None
            assert bytes(frames[-1].payload) == sent[-1][1]
    finally:
        pair.close()


def test_the_header_is_as_published() -> None:
    assert _wire._HEADER.size == 24
    assert _wire._HEADER.format == "<HBBHHIIQ"
